"""Makes the numbers of docs/findings.md from tables, claims and published figures, for its template."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.contracts.tuning import FIDELITY, Tuning
from benchmark.paper.claims import Decided, families
from benchmark.paper.published import Published
from benchmark.results.statistics import against, compare, shown
from benchmark.results.tables import FLOOR_TEST, NOTHING, Row, Table, cell_text, markdown_grid, number
from benchmark.scoring.metrics import METRICS

DATA = ("cifar10", "tiny-imagenet", "imagenette", "celeba", "coco")  # the main one first; `sample` is a demonstration
SIDE = 224  # of images, at least, against which sources' photographs of 256² are held
COLUMNS = ("psnr", "ssim", "auc", "auc_rebal", "fid", "fd_judge", "top1")  # columns of the page's table, if measured
RANKED = (*COLUMNS, "fd_lite", "agree_lite", "delta_colorfulness")  # metrics in which the page ranks
GRAY = "gray"


@dataclass(frozen=True)
class Facts:
    """Everything from which the page is made."""

    tables: Sequence[Table]  # the tables of `DATA`, in its order
    claims: Sequence[Decided]
    published: Sequence[Published]
    tunings: Sequence[Tuning] = ()  # of the first data set

    @property
    def main(self) -> Table | None:
        """Returns the table of the first data set under the preset with most methods."""
        found = [table for table in self.tables if table.data == DATA[0] and table.rows]
        return max(found, key=lambda table: (len(table.rows), table.preset), default=None)

    @property
    def searched(self) -> list[Tuning]:
        """Returns the tunings of the methods of the main table."""
        return [one for one in self.tunings if self.main and self.main.row(one.method)]

    @property
    def with_methods(self) -> list[Table]:
        """Returns the tables in which something is ranked."""
        return [table for table in self.tables if table.rows]


def reported_beside_gray(facts: Facts) -> str:
    """Returns a table of what sources print, and what a picture without any color scores in each of our tables."""
    lines = [
        [
            f"{row.source}, {row.system}",
            row.reported_on,
            *[f"{row.metrics[m]:g}" if m in row.metrics else NOTHING for m in FLOOR_TEST],
        ]
        for row in facts.published
        if row.metrics.keys() & set(FLOOR_TEST)
    ]
    for table, gray in _grays(facts):
        cells = [cell_text(gray.cells[name], METRICS[name].digits) for name in FLOOR_TEST]
        lines.append([f"**`{GRAY}`, no color at all**", name_of(table), *cells])
    return markdown_grid(("system", "data", *FLOOR_TEST), lines, left=2)


def not_above_gray(facts: Facts) -> str:
    """Returns `1 of 3 for psnr, …`: how many figures `gray` reaches in every table of images like theirs, or ""."""
    counts = []
    for name in FLOOR_TEST:
        pairs = [(row.metrics[name], _like_theirs(row, facts, name)) for row in facts.published if name in row.metrics]
        known = [(value, round(min(grays), METRICS[name].digits)) for value, grays in pairs if grays]
        if known:
            counts.append(f"{sum(value <= gray for value, gray in known)} of {len(known)} for `{name}`")
    return ", ".join(counts)


def alike(facts: Facts) -> list[str]:
    """Returns the tables that sources' figures are held against, like `imagenette/paper`."""
    return [name_of(one) for one in facts.tables if one.floor and any(_is_like(one, row) for row in facts.published)]


def below_gray(facts: Facts) -> list[str]:
    """Returns the published systems below `gray` on images like theirs, in all of `FLOOR_TEST` that they report."""
    found = []
    for row in facts.published:
        floors = {name: _like_theirs(row, facts, name) for name in FLOOR_TEST if name in row.metrics}
        if floors and all(grays and row.metrics[name] < min(grays) for name, grays in floors.items()):
            found.append(f"{row.system} ({row.source})")
    return found


def _is_like(table: Table, row: Published) -> bool:
    """Whether a table has images like a source's: of such a data set, and photographs of about their size."""
    size = table.origin.image_size or 0
    return bool(row.metrics) and table.data in (row.data, *row.like) and (table.data == DATA[0] or size >= SIDE)


def _like_theirs(row: Published, facts: Facts, metric: str) -> list[float]:
    """Returns what `gray` scores on images like a source's, table by table."""
    means = [gray.cells[metric].mean for table, gray in _grays(facts) if _is_like(table, row)]
    return [mean for mean in means if mean is not None]


def gray_span(facts: Facts, metric: str = "psnr") -> tuple[float, float] | None:
    """Returns the least and the greatest score of `gray` in our tables, or None if fewer than two tables have one."""
    means = _gray_means(facts).get(metric, [])
    return (min(means), max(means)) if len(means) > 1 else None


def against_gray(table: Table) -> str:
    """Returns a table of each family's distance to `gray`, with what the corrected test and the interval say of it."""
    found = {name: _from_gray(table, name) for name in FLOOR_TEST}
    lines = [[f"`{row.name}`", *[found[name].get(row.name, "n/a") for name in FLOOR_TEST]] for row in families(table)]
    return markdown_grid(("method", *FLOOR_TEST), lines)


def above_gray(table: Table) -> list[str]:
    """Returns the families that are shown to beat `gray` in each metric of `FLOOR_TEST`."""
    return [row.name for row in families(table) if table.floor and not row.not_above_floor]


def ablations_above_gray(table: Table) -> list[str]:
    """Returns the ablations that are."""
    return [row.name for row in table.ablations if table.floor and not row.not_above_floor]


def _from_gray(table: Table, metric: str) -> dict[str, str]:
    """Returns family → its distance to `gray`, and which side the test shows, corrected for the number of families."""
    gray = table.floor
    floor = gray.cells[metric].estimate if gray else None
    measured = {row.name: one for row in families(table) if (one := row.cells[metric].estimate)}
    digits, told = METRICS[metric].digits, {}
    for name, found in (against(measured, floor) if floor else {}).items():
        side = "not told apart" if not shown(found) else "above" if found.effect > 0 else "below"
        told[name] = f"{found.effect:+.{digits}f} {interval(found.low, found.high, digits)} {side}"
    return told


def lead(table: Table, metric: str = "psnr") -> tuple[str, str, str] | None:
    """Returns the method with the highest mean, how far it is above `gray`, and that figure's interval."""
    gray = table.floor
    floor = gray.cells[metric].estimate if gray else None
    measured = [(one.mean, row.name, one) for row in families(table) if (one := row.cells[metric].estimate)]
    if floor is None or not measured:
        return None
    _, name, estimate = max(measured, key=lambda one: one[:2])
    effect, low, high, _ = compare(estimate, floor)
    return name, f"{effect:+.2f}", interval(low, high, 2)


def colorfulness(table: Table) -> str | None:
    """Returns `truth 34.08, cgan 23.41, …`, the most colorful family first; None where no truth is known."""
    if (truth := table.truth.get("colorfulness")) is None:
        return None
    means = [(mean, row.name) for row in families(table) if (mean := row.cells["colorfulness"].mean) is not None]
    told = [f"`{name}` {mean:.2f}" for mean, name in sorted(means, reverse=True)]
    return ", ".join([f"truth {truth.mean:.2f}", *told])


def gray_figures(table: Table) -> str:
    """Returns the scores of `gray`, like `psnr 23.97, ssim 0.9313, auc 90.06`."""
    return ", ".join(_value(table, GRAY, name) for name in FLOOR_TEST)


def ranks_in(table: Table) -> str:
    """Returns a table of each family's ranks, a column per metric; the best cells are bold."""
    columns = [one for one in table.metrics if one.name in RANKED and any(r.cells[one.name].rank for r in table.rows)]
    lines = [[f"`{row.name}`", *[_rank(row, metric.name) for metric in columns]] for row in families(table)]
    return markdown_grid(("method", *[f"`{metric.name}`" for metric in columns]), lines) if columns else ""


def _rank(row: Row, metric: str) -> str:
    cell = row.cells[metric]
    return NOTHING if cell.rank is None else f"**{cell.rank}**" if cell.best else str(cell.rank)


def ranks_across(facts: Facts) -> str:
    """Returns a table of each method's ranks in `FLOOR_TEST` and auc_rebal, or nothing if there is only one table."""
    tables, names = facts.with_methods, (*FLOOR_TEST, "auc_rebal")
    methods = dict.fromkeys(row.name for table in tables for row in families(table))
    lines = [
        [f"`{method}`", *[_ranks(row, names) if (row := table.row(method)) else NOTHING for table in tables]]
        for method in methods
    ]
    return markdown_grid(["method", *map(name_of, tables)], lines) if len(tables) > 1 else ""


def seed_spread(table: Table, metric: str = "psnr") -> str:
    """Returns each family's standard deviation between seeds, the largest first; "" if none has two seeds."""
    spreads = [
        (float(estimate.seeds.std(ddof=1)), row.name)
        for row in families(table)
        if (estimate := row.cells[metric].estimate) and len(estimate.seeds) > 1
    ]
    return ", ".join(f"`{name}` {number(spread, 2)}" for spread, name in sorted(spreads, reverse=True))


def glossary(facts: Facts, table: Table) -> list[str]:
    """Returns `name: what it is` of the columns in which the page shows scores, ranks or comparisons."""
    compared = [one.metric for decided in facts.claims for decision in decided.decisions for one in decision.findings]
    told = [METRICS[name] for name in dict.fromkeys((*RANKED, *compared)) if name not in table.absent]
    return [f"`{one.name}`: {one.description}" for one in told]


def sizes(table: Table) -> str:
    """Returns how much families differ in parameters and seconds of training, like `1.15 M to 4.17 M parameters`."""
    rows = [row.cost for row in families(table)]
    parameters = [cost.parameters / 1e6 for cost in rows if cost.parameters]
    seconds = [cost.train_seconds for cost in rows if cost.train_seconds]
    parts = [f"{min(parameters):.2f} M to {max(parameters):.2f} M parameters"] if parameters else []
    parts += [f"{min(seconds):,.0f} to {max(seconds):,.0f} s of training, without parents'"] if seconds else []
    return ", ".join(parts)


def beside_ours(facts: Facts) -> str:
    """Returns a table of published systems, our scores of the same methods, gray's, and how the settings differ."""
    lines = [line for row in facts.published if row.beside and row.metrics for line in _beside(row, facts)]
    heads = ("published", "reported", "measured here", "`gray` here", "what differs")
    return markdown_grid(heads, lines, left=5)


def budgets(table: Table) -> str:
    """Returns `2,000 steps of 64 (…); 1,000 steps of 64 behind 64,000 images of a parent (…)`, most rows first."""
    seen = {row.name: row.cost.budget_images for row in table.all_rows}
    groups: dict[str, list[str]] = {}
    for name, (steps, batch) in sorted(table.origin.budgets.items(), key=lambda one: (one[1], one[0])):
        before = (seen.get(name) or 0) - steps * batch
        told = f"{steps:,} steps of {batch}" + (f" behind {before:,} images of a parent" if before > 0 else "")
        groups.setdefault(told, []).append(f"`{name}`")
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return "; ".join(f"{told} ({', '.join(names)})" for told, names in ordered)


def searches(facts: Facts) -> str:
    """Returns `8 trials of one seed each, … by psnr and fd_judge of 4,935 validation images`, or ""."""
    if not (searched := facts.searched):
        return ""
    numbers = sorted({len(one.trials) for one in searched})
    realism = ", ".join(f"`{name}`" for name in sorted({one.realism for one in searched}))
    images = " or ".join(f"{count:,}" for count in sorted({one.images for one in searched}))
    trials = " or ".join(map(str, numbers))
    return f"{trials} trials of one seed each, by `{FIDELITY}` and {realism} of {images} validation images"


def never_above_gray(facts: Facts) -> list[str]:
    """Returns the tuned methods of which no trial scored above `gray` on the validation images."""
    return [
        one.method
        for one in facts.searched
        if all(trial.metrics.get(FIDELITY, -np.inf) <= one.gray[FIDELITY] for trial in one.trials)
    ]


def missing(table: Table) -> dict[str, str]:
    """Returns the columns without a value and the skipped methods of a table, each with the reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in table.absent.items():
        reasons.setdefault(reason.removeprefix("n/a (").removesuffix(")"), []).append(f"`{name}`")
    parts = {
        "Not measured": "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items()),
        "Not trained": "; ".join(f"`{name}` ({reason})" for name, reason in table.skipped.items()),
    }
    return {kind: told for kind, told in parts.items() if told}


def name_of(table: Table) -> str:
    """Returns a table's name, like `cifar10/quick`."""
    return f"{table.data}/{table.preset}"


def _grays(facts: Facts) -> Iterator[tuple[Table, Row]]:
    for table in facts.tables:
        if gray := table.floor:
            yield table, gray


def _gray_means(facts: Facts) -> dict[str, list[float]]:
    """Returns metric → scores of `gray` in our tables, for each metric of `FLOOR_TEST` with any."""
    means = {name: [gray.cells[name].mean for _, gray in _grays(facts)] for name in FLOOR_TEST}
    known = {name: [mean for mean in found if mean is not None] for name, found in means.items()}
    return {name: found for name, found in known.items() if found}


def _ranks(row: Row, metrics: Sequence[str]) -> str:
    return " · ".join(str(row.cells[name].rank or NOTHING) for name in metrics)


def interval(low: float, high: float, digits: int) -> str:
    """Returns `[0.70, 0.82]`, or says that there is none: one training does not tell how far another one would be."""
    return f"[{number(low, digits)}, {number(high, digits)}]" if np.isfinite([low, high]).all() else "no interval"


def _beside(row: Published, facts: Facts) -> Iterator[list[str]]:
    """Yields one line per table of ours with the method, or a line that says that no table has it."""
    told = [f"{row.source}, {row.system}", ", ".join(f"{name} {value:g}" for name, value in row.metrics.items())]
    measured = [table for table in facts.tables if row.beside and table.row(row.beside)]
    for table in measured:
        ours = [_value(table, row.beside or "", name) for name in row.metrics]
        grays = [_value(table, GRAY, name) for name in row.metrics]
        yield [*told, f"`{row.beside}` on {name_of(table)}: {', '.join(ours)}", ", ".join(grays), _differs(row, table)]
    if not measured:
        yield [*told, f"`{row.beside}`: {_why_not(row.beside or '', facts)}", NOTHING, NOTHING]


def _value(table: Table, method: str, metric: str) -> str:
    row = table.row(method)
    mean = row.cells[metric].mean if row else None
    return f"{metric} {'n/a' if mean is None else number(mean, METRICS[metric].digits)}"


def _differs(row: Published, table: Table) -> str:
    """Returns in which of data, number and size of images, and training the two differ."""
    data = f"its own part of {row.data}" if row.data == table.data else f"{row.reported_on} there"
    size = f" of {table.origin.image_size}²" if table.origin.image_size else ""
    steps, batch = table.origin.budgets.get(row.beside or "", (0, 0))
    budget = f"; {steps:,} steps of {batch} here" if steps else ""
    return f"{data}; {table.images:,} images{size} here{budget}"


def _why_not(method: str, facts: Facts) -> str:
    reasons = dict.fromkeys(table.skipped[method] for table in facts.tables if method in table.skipped)
    return f"skipped ({'; '.join(reasons)})" if reasons else "not measured yet"
