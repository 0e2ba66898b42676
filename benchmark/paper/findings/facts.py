"""Makes the numbers of docs/findings.md from tables, claims and published figures, for its template."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

import numpy as np
from markupsafe import Markup

from benchmark.paper.claims import Decided, Decision, Finding, Verdict, verdict_text
from benchmark.paper.published import Published
from benchmark.results.statistics import compare
from benchmark.results.tables import FLOOR_TEST, NOTHING, Row, Table, cell_text, markdown_grid, number
from benchmark.scoring.metrics import METRICS
from benchmark.support.templates import md

DATA = ("cifar10", "celeba", "coco")  # the protocol's data sets, the main one first; `sample` is a demonstration
COLUMNS = ("psnr", "ssim", "auc", "auc_rebal", "fid", "fd_judge", "top1")  # columns of the page's table, if measured
WON = (*COLUMNS, "acc_2", "delta_e00", "delta_colorfulness")  # metrics whose winners the page names
GRAY = "gray"
NOT_MEASURED = "not measured"
DECIDING = 3  # number of comparisons shown for a verdict


@dataclass(frozen=True)
class Facts:
    """Everything from which the page is made."""

    tables: Sequence[Table]  # the tables of `DATA`, in its order
    claims: Sequence[Decided]
    published: Sequence[Published]

    @property
    def main(self) -> Table | None:
        """Returns the table of the first data set under the preset with most methods."""
        found = [table for table in self.tables if table.data == DATA[0] and table.rows]
        return max(found, key=lambda table: (len(table.rows), table.preset), default=None)

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
    """Returns `6 of 8 for psnr, …`: how many reported figures `gray` reaches on at least one of our data sets."""
    counts = []
    for name, means in _gray_means(facts).items():
        reported = [row.metrics[name] for row in facts.published if name in row.metrics]
        reached = [value for value in reported if value <= round(max(means), METRICS[name].digits)]
        counts.append(f"{len(reached)} of {len(reported)} for `{name}`")
    return ", ".join(counts)


def below_every_gray(facts: Facts) -> list[str]:
    """Returns the published systems that stay below `gray` in all our tables and in all of `FLOOR_TEST` they report."""
    least = {name: min(means) for name, means in _gray_means(facts).items()}
    return [
        f"{row.system} ({row.source})"
        for row in facts.published
        if (shared := row.metrics.keys() & least.keys()) and all(row.metrics[name] < least[name] for name in shared)
    ]


def gray_span(facts: Facts, metric: str = "psnr") -> tuple[float, float] | None:
    """Returns the least and the greatest score of `gray` in our tables, or None if fewer than two tables have one."""
    means = _gray_means(facts).get(metric, [])
    return (min(means), max(means)) if len(means) > 1 else None


def beaten(table: Table) -> dict[str, dict[str, str]]:
    """Returns adapter → method not shown to beat `gray` → the method's figures in the columns where it does not."""
    found: dict[str, dict[str, str]] = {}
    for row in table.rows:
        if row.not_above_floor:
            figures = ", ".join(_value(table, row.name, metric) for metric in row.not_above_floor)
            found.setdefault(row.run.adapter, {})[row.name] = figures
    return found


def lead(table: Table, metric: str = "psnr") -> tuple[str, str] | None:
    """Returns the method with the highest mean, and how far it is above `gray`, like `0.76 [0.70, 0.82]`."""
    gray = table.floor
    floor = gray.cells[metric].estimate if gray else None
    measured = [(estimate.mean, row.name, estimate) for row in table.rows if (estimate := row.cells[metric].estimate)]
    if floor is None or not measured:
        return None
    _, name, estimate = max(measured, key=lambda one: one[:2])
    effect, low, high, _ = compare(estimate, floor)
    return name, f"{effect:+.2f} [{number(low, 2)}, {number(high, 2)}]"


def gray_figures(table: Table) -> str:
    """Returns the scores of `gray`, like `psnr 23.97, ssim 0.9313, auc 90.06`."""
    return ", ".join(_value(table, GRAY, name) for name in FLOOR_TEST)


def winners(table: Table) -> str:
    """Returns a table of each column, the methods not shown to be beaten in it, and the span of all methods."""
    lines = []
    for metric in (metric for metric in table.metrics if metric.name in WON):
        means = [row.cells[metric.name].mean for row in table.rows]
        present = [mean for mean in means if mean is not None]
        first = [row.name for row in table.rows if row.cells[metric.name].rank == 1]
        if metric.direction and first and len(present) > 1:
            span = [number(end, metric.digits) for end in (min(present), max(present))]
            best = max(present) if metric.direction == "higher" else min(present)
            names = ", ".join(f"`{name}`" for name in first)
            lines.append([f"`{metric.name}`", names, number(best, metric.digits), " … ".join(span)])
    return markdown_grid(("column", "not shown to be beaten", "best mean", "span of methods"), lines, left=2)


def ranks_across(facts: Facts) -> str:
    """Returns a table of each method's ranks in `FLOOR_TEST` and auc_rebal, or nothing if there is only one table."""
    tables, names = facts.with_methods, (*FLOOR_TEST, "auc_rebal")
    methods = dict.fromkeys(row.name for table in tables for row in table.rows)
    lines = [
        [f"`{method}`", *[_ranks(row, names) if (row := table.row(method)) else NOTHING for table in tables]]
        for method in methods
    ]
    return markdown_grid(["method", *map(name_of, tables)], lines) if len(tables) > 1 else ""


def seed_spread(table: Table, metric: str = "psnr") -> tuple[float, str] | None:
    """Returns the largest standard deviation between seeds and its method, or None if no method has two seeds."""
    spreads = [
        (float(estimate.seeds.std(ddof=1)), row.name)
        for row in table.rows
        if (estimate := row.cells[metric].estimate) and len(estimate.seeds) > 1
    ]
    return max(spreads, default=None)


def rank_correlation(table: Table, a: str, b: str) -> float | None:
    """Returns Spearman's coefficient of two metrics' means over the methods, or None for fewer than five."""
    from scipy.stats import spearmanr

    pairs = [(row.cells[a].mean, row.cells[b].mean) for row in table.rows]
    known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)
    return float(spearmanr(known[:, 0], known[:, 1]).statistic) if len(known) >= 5 else None


def claim_lines(facts: Facts) -> str:
    """Returns a table of every claim, its verdicts, and the comparisons that decide each."""
    lines = [
        [decided.claim.id, decided.claim.source, decided.claim.statement, verdict_text(decided), _decided_by(decided)]
        for decided in facts.claims
    ]
    return markdown_grid(("claim", "source", "what it says", "verdict", "decided by"), lines, left=5)


def counted(facts: Facts, table: Table) -> Mapping[str, int]:
    """Returns how many claims have each verdict in one table, "not measured" included."""
    counts = dict.fromkeys((*get_args(Verdict), NOT_MEASURED), 0)
    for decided in facts.claims:
        found = [d.verdict for d in decided.decisions if (d.data, d.preset) == (table.data, table.preset)]
        counts[found[0] if found else NOT_MEASURED] += 1
    return {verdict: count for verdict, count in counts.items() if count}


def beside_ours(facts: Facts) -> str:
    """Returns a table of published systems, our scores of the same methods, gray's, and how the settings differ."""
    lines = [line for row in facts.published if row.beside and row.metrics for line in _beside(row, facts)]
    heads = ("published", "reported", "measured here", "`gray` here", "what differs")
    return markdown_grid(heads, lines, left=5)


def budgets(table: Table) -> str:
    """Returns `2,000 steps of 64 images: …; 800 steps of 64 images: …`, the budget of most rows first."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, budget in table.origin.budgets.items():
        groups.setdefault(budget, []).append(f"`{name}`")
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    parts = [f"{steps:,} steps of {batch} ({', '.join(names)})" for (steps, batch), names in ordered]
    return "; ".join(parts)


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


def _decided_by(decided: Decided) -> str:
    """Returns the comparisons that decide a claim in each table, or what is missing where no table decides it."""
    if len(decided.decisions) == 1:
        return _deciding(decided.decisions[0])
    if decided.decisions:
        return Markup("<br>".join(md(f"{one.data}/{one.preset}: {_deciding(one)}") for one in decided.decisions))
    if decided.unavailable:
        return f"missing: {', '.join(decided.unavailable)}"
    more = f" and {len(decided.to_run) - 1} more" if len(decided.to_run) > 1 else ""
    return f"to run: `{decided.to_run[0]}`{more}" if decided.to_run else NOTHING


def _deciding(decision: Decision) -> str:
    """Returns the comparisons behind the verdict: `cgan better than l2: psnr -0.27 [-0.32, -0.22], ssim …; 3 more`."""
    wanted = {"refuted": "is false", "supported": "holds", "undecided": "open"}[decision.verdict]
    found = [finding for finding in decision.findings if finding.outcome == wanted]
    parts = [
        f"{statement}: {', '.join(map(_measured, group))}"
        for statement, group in groupby(found[:DECIDING], key=lambda one: one.text.removesuffix(f" in {one.metric}"))
    ]
    more = [f"{len(found) - DECIDING} more"] if len(found) > DECIDING else []
    thin = [f"fewer than three seeds: {', '.join(decision.thin)}"] if decision.thin else []
    return "; ".join([*parts, *more, *thin])


def _measured(finding: Finding) -> str:
    effect, low, high, _ = finding.difference
    digits = METRICS[finding.metric].digits
    interval = f"[{number(low, digits)}, {number(high, digits)}]" if np.isfinite([low, high]).all() else "no interval"
    return f"{finding.metric} {effect:+.{digits}f} {interval}"


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
