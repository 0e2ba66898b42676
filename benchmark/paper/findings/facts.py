"""Makes the numbers of docs/findings.md from tables, claims and published figures, for its template."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmark.contracts.tuning import FIDELITY, Tuning
from benchmark.paper.claims import Decided, families
from benchmark.paper.published import Published
from benchmark.results.tables import FLOOR_TEST, NOTHING, Row, Table, markdown_grid, number
from benchmark.scoring.metrics import METRICS

DATA = ("cifar10", "tiny-imagenet", "imagenette", "celeba", "coco")  # the main one first; `sample` is a demonstration
TRANSFERS = ("kodak",)  # test sets of no training split
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
    transfers: Sequence[Table] = ()  # of `TRANSFERS`, colored by models of other tables

    @property
    def main(self) -> Table | None:
        """Returns the first data set's table of `with_methods`."""
        return next((table for table in self.with_methods if table.data == DATA[0]), None)

    @property
    def searched(self) -> list[Tuning]:
        """Returns the tunings of the methods of the main table."""
        return [one for one in self.tunings if self.main and self.main.row(one.method)]

    @property
    def with_methods(self) -> list[Table]:
        """Returns a table of each data set: under the preset with most methods, and of those with most trainings."""
        found: dict[str, Table] = {}
        for table in (one for one in self.tables if one.rows):
            found[table.data] = max(found.get(table.data, table), table, key=_fullness)
        return [*found.values()]


def _fullness(table: Table) -> tuple[int, int, str]:
    return len(table.rows), sum(len(row.seeds) for row in table.rows), table.preset


def colorfulness(table: Table) -> str | None:
    """Returns `truth 34.08, cgan 23.41, …`, the most colorful family first; None where no truth is known."""
    if (truth := table.truth.get("colorfulness")) is None:
        return None
    means = [(mean, row.name) for row in families(table) if (mean := row.cells["colorfulness"].mean) is not None]
    once = {row.name for row in families(table) if len(row.seeds) == 1}
    told = [
        f"`{name}` {mean:.2f}{' (one training)' if name in once else ''}" for mean, name in sorted(means, reverse=True)
    ]
    return ", ".join([f"truth {truth.mean:.2f}", *told])


def less_colorful(table: Table, of: Sequence[str]) -> str:
    """Returns which of some families are less colorful than the truth in the mean, or ""."""
    truth = table.truth.get("colorfulness")
    means = {row.name: row.cells["colorfulness"].mean for row in families(table) if truth and row.name in of}
    return ", ".join(f"`{name}`" for name, mean in means.items() if mean is not None and truth and mean < truth.mean)


def ranks_in(table: Table) -> str:
    """Returns a table of each family's ranks, a column per metric; the best cells are bold."""
    columns = [one for one in table.metrics if one.name in RANKED and any(r.cells[one.name].rank for r in table.rows)]
    lines = [[f"`{row.name}`", *[_rank(row, metric.name) for metric in columns]] for row in families(table)]
    return markdown_grid(("method", *[f"`{metric.name}`" for metric in columns]), lines) if columns else ""


def _rank(row: Row, metric: str) -> str:
    cell = row.cells[metric]
    return NOTHING if cell.rank is None else f"**{cell.rank}**" if cell.best else str(cell.rank)


def ranks_across(facts: Facts) -> str:
    """Returns a table of each method's ranks in `FLOOR_TEST`, auc_rebal and a realism; nothing of one table alone."""
    tables = facts.with_methods
    methods = dict.fromkeys(row.name for table in tables for row in families(table))
    lines = [
        [
            f"`{method}`",
            *[_ranks(row, columns_across(table)) if (row := table.row(method)) else NOTHING for table in tables],
        ]
        for method in methods
    ]
    return markdown_grid(["method", *map(name_of, tables)], lines) if len(tables) > 1 else ""


def columns_across(table: Table) -> tuple[str, ...]:
    """Returns the columns of `ranks_across`: the last is a distance of features, `fd_lite` where there is no judge."""
    return (*FLOOR_TEST, "auc_rebal", "fd_lite" if "fd_judge" in table.absent else "fd_judge")


def trained_twice(facts: Facts) -> str:
    """Returns the families of two trainings that have a rank: "`cgan` on imagenette/quick", or ""."""
    return _families_by_table(facts, lambda row: len(row.seeds) == 2)


def trained_once(facts: Facts) -> str:
    """Returns who of the families of two tables has one training in which: "`cgan`, `l2` on coco/quick", or ""."""
    count = Counter(row.name for table in facts.with_methods for row in families(table))
    return _families_by_table(facts, lambda row: len(row.seeds) == 1 and count[row.name] > 1)


def _families_by_table(facts: Facts, wanted: Callable[[Row], bool]) -> str:
    found = {
        name_of(table): [f"`{row.name}`" for row in families(table) if wanted(row)] for table in facts.with_methods
    }
    return "; ".join(f"{', '.join(names)} on {table}" for table, names in found.items() if names)


def with_imagenet(facts: Facts) -> str:
    """Returns the families on Imagenette that have seen ImageNet beside its training split; "" if there is none."""
    tables = [table for table in facts.with_methods if table.data == "imagenette"]
    rows = [row for table in tables for row in families(table) if seen_imagenet(row)]
    return ", ".join(dict.fromkeys(f"`{row.name}`" for row in rows))


def seen_imagenet(row: Row) -> bool:
    """Whether a row's networks have seen ImageNet beside the training split."""
    return "ImageNet" in (row.run.pretrained_on or "")


def most_seeds(table: Table) -> int:
    """Returns the largest number of seeds of a family."""
    return max((len(row.seeds) for row in families(table)), default=0)


def seed_spread(table: Table, metric: str = "psnr") -> str:
    """Returns each family's standard deviation between seeds, the largest first; "" if none has two seeds."""
    spreads = [
        (float(estimate.seeds.std(ddof=1)), row.name)
        for row in families(table)
        if (estimate := row.cells[metric].estimate) and len(estimate.seeds) > 1
    ]
    return ", ".join(f"`{name}` {number(spread, 2)}" for spread, name in sorted(spreads, reverse=True))


def glossary(facts: Facts, table: Table, lines: Sequence[str] = ()) -> list[str]:
    """Returns `name: what it is` of the columns in which the page shows scores, ranks or comparisons, or says more."""
    named = [name for line in lines for name in re.findall(r"`(\w+)`", line) if name in METRICS]
    findings = [one for decided in facts.claims for decision in decided.decisions for one in decision.findings]
    compared = [name for one in findings for name in (one.metric, one.than_metric) if name]
    ranked = [name for name in RANKED if any(name not in one.absent for one in (table, *facts.with_methods))]
    told = {*ranked, *compared, *named}
    return [f"`{one.name}`: {one.description}" for one in METRICS.values() if one.name in told]


def sizes(table: Table) -> str:
    """Returns how much families differ in parameters and in seconds of training, without the last full stop."""
    rows = [row.cost for row in families(table)]
    parameters = [cost.parameters / 1e6 for cost in rows if cost.parameters]
    seconds = [cost.train_seconds for cost in rows if cost.train_seconds]
    parts = []
    if parameters:
        parts.append(f"The networks that color have {min(parameters):.2f} M to {max(parameters):.2f} M parameters")
    if seconds:
        span = f"{min(seconds):,.0f} to {max(seconds):,.0f} s"
        parts.append(
            f"A training took {span} in the mean of a family, without its parent's, beside whatever else the machine"
            " did, so this is no measurement of speed"
        )
    return ". ".join(parts)


def multiply_adds_ratio(table: Table) -> str:
    """Returns how much families differ in the multiply-adds of coloring one image, like `1.49`; "" if not known."""
    counts = [row.cost.macs for row in families(table) if row.cost.macs]
    return f"{max(counts) / min(counts):.2f}" if len(counts) > 1 else ""


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


def _ranks(row: Row, metrics: Sequence[str]) -> str:
    return " · ".join(str(row.cells[name].rank or NOTHING) for name in metrics)


def _beside(row: Published, facts: Facts) -> Iterator[list[str]]:
    """Yields one line per table of ours with the method, or a line that says that no table has it."""
    told = [f"{row.source}, {row.system}", ", ".join(f"{name} {value:g}" for name, value in row.metrics.items())]
    measured = [table for table in facts.tables if row.beside and table.row(row.beside)]
    for table in measured:
        ours = [value(table, row.beside or "", name) for name in row.metrics]
        grays = [value(table, GRAY, name) for name in row.metrics]
        mean = f"`{row.beside}` on {name_of(table)} ({_trainings(table, row.beside or '')}): {', '.join(ours)}"
        yield [*told, mean, ", ".join(grays), _differs(row, table)]
    if not measured:
        yield [*told, f"`{row.beside}`: {_why_not(row.beside or '', facts)}", NOTHING, NOTHING]


def _trainings(table: Table, method: str) -> str:
    row = table.row(method)
    number_of = len(row.seeds) if row else 0
    return f"{number_of} training{'s' if number_of > 1 else ''}"


def value(table: Table, method: str, metric: str) -> str:
    """Returns `psnr 24.03`, or `psnr n/a`."""
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
