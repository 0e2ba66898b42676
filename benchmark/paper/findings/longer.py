"""What docs/findings.md says of longer trainings: whether the order of the families holds under a larger budget."""

from collections.abc import Sequence
from itertools import combinations

from benchmark.paper.claims import families
from benchmark.paper.findings.facts import Facts, name_of
from benchmark.results.statistics import among, shown
from benchmark.results.tables import FLOOR_TEST, NOTHING, Row, Table, markdown_grid, number
from benchmark.scoring.metrics import METRICS

SHORT, LONG = "quick", "standard"  # presets that differ in the length of training alone
ORDERED = (*FLOOR_TEST, "fd_judge", "fd_lite")
COLUMNS = (*ORDERED, "colorfulness")


def longer(facts: Facts) -> list[tuple[Table, Table]]:
    """Returns the two presets' tables of each data set of which both have two families or more."""
    return [
        (short, long)
        for short in facts.tables
        for long in facts.tables
        if short.data == long.data and (short.preset, long.preset) == (SHORT, LONG) and len(_both(short, long)) > 1
    ]


def families_of(short: Table, long: Table) -> str:
    """Returns `family`, or `of 5 families (`house` was not trained there)` where the second table lacks some."""
    both = {row.name for row, _ in _both(short, long)}
    lacking = [f"`{row.name}`" for row in families(short) if row.name not in both]
    if not lacking:
        return "family"
    return f"of {len(both)} families ({', '.join(lacking)} {'was' if len(lacking) == 1 else 'were'} not trained there)"


def times(short: Table, long: Table) -> str:
    """Returns how many times the images the families of the second table saw, like `5`."""
    ratios = {
        f"{second.cost.budget_images / first.cost.budget_images:g}"
        for first, second in _both(short, long)
        if second.cost.budget_images and first.cost.budget_images
    }
    return " or ".join(sorted(ratios)) or "more"


def same_images(short: Table, long: Table) -> bool:
    """Whether both tables have the same prepared test images."""
    return short.data_sha256 == long.data_sha256


def trainings(short: Table, long: Table) -> tuple[str, str]:
    """Returns `5 trainings each`, or `1 to 3 trainings each`, of the common families in either table."""
    first, second = zip(*_both(short, long), strict=True)
    return _trainings(first), _trainings(second)


def _trainings(rows: Sequence[Row]) -> str:
    counts = sorted({len(row.seeds) for row in rows})
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} trainings each"
    return f"{counts[0]} training{'s' if counts[0] > 1 else ''} each"


def once(short: Table, long: Table) -> bool:
    """Whether any of the families was trained once in the second table."""
    return any(len(row.seeds) == 1 for _, row in _both(short, long))


def beside(short: Table, long: Table) -> str:
    """Returns a table of each family's means under both budgets, gray's, and the colorfulness of the truth."""
    metrics = [name for name in COLUMNS if any(_pair(rows, name) for rows in _both(short, long))]
    floors = [(short.floor, long.floor)] if short.floor and long.floor else []
    lines = [[f"`{rows[0].name}`", *[_told(rows, name) for name in metrics]] for rows in [*_both(short, long), *floors]]
    truth = {name: number(one.mean, METRICS[name].digits) for name, one in long.truth.items() if name in metrics}
    lines += [["truth", *[truth.get(name, NOTHING) for name in metrics]]] if truth else []
    return markdown_grid(("method", *metrics), lines)


def order(short: Table, long: Table) -> list[str]:
    """Returns a line per metric: how many pairs of families stand as under the smaller budget, and which do not."""
    return [line for name in ORDERED if (line := _order(short, long, name))]


def crossed(short: Table, long: Table) -> str:
    """Returns the families whose means stand on another side of `gray` than before, like "`cgan` in psnr", or ""."""
    if not (short.floor and long.floor):
        return ""
    told = []
    for name in FLOOR_TEST:
        gray = _pair((short.floor, long.floor), name)
        means = {rows[0].name: pair for rows in _both(short, long) if (pair := _pair(rows, name))}
        told += [f"`{row}` in {name}" for row, (a, b) in means.items() if gray and (a - gray[0]) * (b - gray[1]) < 0]
    return ", ".join(told)


def _order(short: Table, long: Table, metric: str) -> str:
    means = {rows[0].name: pair for rows in _both(short, long) if (pair := _pair(rows, metric))}
    pairs = list(combinations(means, 2))
    if not pairs:
        return ""
    turned = [(a, b) for a, b in pairs if (means[a][0] - means[b][0]) * (means[a][1] - means[b][1]) < 0]
    told = f"`{metric}`: {len(pairs) - len(turned)} of {len(pairs)} pairs keep their order"
    differ = _shown(short, metric).intersection(pairs)
    if differ:
        held = len(differ.difference(turned))
        told += f"; of the {len(differ)} that {name_of(short)} shows to differ, {held}"
    if turned:
        marked = _shown(long, metric)
        names = [f"`{a}` and `{b}`{' (shown there)' if {(a, b), (b, a)} & marked else ''}" for a, b in turned]
        told += f". The other way round in {name_of(long)}: {', '.join(names)}"
    return f"{told}."


def _shown(table: Table, metric: str) -> set[tuple[str, str]]:
    """Returns the pairs of families, in both orders, that the table's test shows to differ."""
    estimates = {row.name: one for row in families(table) if (one := row.cells[metric].estimate)}
    return {pair for pair, found in among(estimates).items() if shown(found)}


def _both(short: Table, long: Table) -> list[tuple[Row, Row]]:
    found = ((row, long.row(row.name)) for row in families(short))
    return [(row, other) for row, other in found if other and other.kind == "family"]


def _pair(rows: Sequence[Row], metric: str) -> tuple[float, float] | None:
    first, second = (row.cells[metric].mean for row in rows)
    return None if first is None or second is None else (first, second)


def _told(rows: Sequence[Row], metric: str) -> str:
    """Returns `24.94 → 25.21`."""
    pair = _pair(rows, metric)
    return " → ".join(number(one, METRICS[metric].digits) for one in pair) if pair else NOTHING
