"""The verdict on a claim in a table: its comparisons tested, with the budget of each arm beside them.

A claim is a conjunction of comparisons. It is supported when each of them holds by its own test at 5 %, because a false
claim must then pass a test that it should fail. It is refuted when one comparison is shown to be false at 5 % after
Holm's correction for their number, and undecided otherwise. A verdict that a test at 1 % would not give is borderline:
one in twenty is that far by luck. Comparisons of methods with fewer seeds than are wanted decide nothing; another
comparison can still refute such a claim.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

from benchmark.contracts.result import Run
from benchmark.paper.claims.schema import EVERY_FAMILY, TRUTH, Check, Claim, load_claims
from benchmark.results.statistics import LEVEL, Difference, Estimate, compare, holm
from benchmark.results.tables import SEEDS_WANTED, Row, Table
from benchmark.scoring.metrics import METRICS

WITHOUT_LUCK = ("gray", "mean-color")  # baselines without training: every seed gives the same scores
SURE = 0.99  # a verdict at LEVEL that is none at this level is borderline
SAME_BUDGET = 0.01  # budgets that differ by a smaller share are called equal
Outcome = Literal["holds", "is false", "open"]
Verdict = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Finding:
    """One measured comparison."""

    text: str  # "cgan better than l2 in psnr"
    metric: str
    difference: Difference
    images: int
    seeds: tuple[int, ...]  # number of seeds of each side that has seeds
    outcome: Outcome
    borderline: bool  # its outcome is another one at SURE
    decides: bool  # False: it only stands beside
    than_metric: str | None = None  # with which the metric is compared, where one method is compared with itself

    @property
    def measures(self) -> str:
        """What the difference is one of: `psnr` of two methods, or `mae_r − mae_g` of one."""
        return f"{self.metric} − {self.than_metric}" if self.than_metric else self.metric

    @property
    def tested(self) -> bool:
        """Whether there is an interval and a p: one training does not tell how far another one would be."""
        return isfinite(self.difference.low) and isfinite(self.difference.high)


@dataclass(frozen=True)
class Arm:
    """What a method of a claim had to learn from."""

    method: str
    images: int | None  # seen in training, those of the models that it started from included
    steps: int | None  # likewise
    seconds: float | None  # of training, mean over seeds, without those models'
    seeds: int


@dataclass(frozen=True)
class Decision:
    """The verdict on a claim in one table."""

    data: str
    preset: str
    note: str  # the data set's note on itself, for instance that only a part is here
    verdict: Verdict
    borderline: bool
    findings: Sequence[Finding]
    arms: Sequence[Arm]
    thin: Sequence[str]  # methods with too few seeds; comparisons with them decide nothing
    to_run: Sequence[str]  # commands that would give these methods more seeds

    @property
    def qualifier(self) -> str:
        """What is said behind the verdict, in brackets: that it is borderline, or that nothing could be tested."""
        untested = not any(one.tested for one in self.findings if one.decides)
        return " (borderline)" if self.borderline else " (one training, not tested)" if untested else ""

    @property
    def same_images(self) -> bool | None:
        """Whether all arms learned from as many images; None where that was not recorded, or one arm learned."""
        counts = [arm.images for arm in self.arms]
        if len(counts) < 2 or None in counts:
            return None
        known = [count for count in counts if count]
        return len(known) == len(counts) and max(known) <= (1 + SAME_BUDGET) * min(known)


@dataclass(frozen=True)
class Decided:
    """A claim with its verdict in every table that measures it."""

    claim: Claim
    decisions: Sequence[Decision]
    to_run: Sequence[str]  # the commands that measure the claim, if no table does
    unavailable: Sequence[str]  # skipped methods and metrics without value, with reasons, if no table does


def decide_all(tables: Sequence[Table], preset: str = "quick") -> list[Decided]:
    """Returns the verdicts of every claim.

    Args:
        tables: the tables of all data sets; tables that no claim mentions are ignored.
        preset: the preset in the commands that measure what no table has yet.
    """
    return [decide(claim, tables, preset) for claim in load_claims()]


def decide(claim: Claim, tables: Sequence[Table], preset: str) -> Decided:
    """Returns a claim's verdict in each table with all its cells, or what is missing where a table has most of them."""
    order = {data: k for k, data in enumerate(claim.data)}
    candidates = sorted((t for t in tables if t.data in order), key=lambda t: (order[t.data], t.preset))
    gaps = {(table.data, table.preset): _gaps(claim, table) for table in candidates}
    decisions = [_decide_in(claim, table) for table in candidates if not any(gaps[table.data, table.preset])]
    if decisions:
        return Decided(claim, decisions, [], [])
    if not candidates:
        cells = claim.cells(None)
        return Decided(claim, [], _commands(dict.fromkeys(cells, ()), claim.data[0], preset), [])
    nearest = min(candidates, key=lambda table: len(set(gaps[table.data, table.preset][0]) - table.skipped.keys()))
    missing, unavailable = gaps[nearest.data, nearest.preset]
    skipped = [f"{name} ({nearest.skipped[name]})" for name in missing if name in nearest.skipped]
    to_run = [name for name in missing if name not in nearest.skipped]
    commands = _commands(dict.fromkeys(to_run, ()), nearest.data, nearest.preset)
    return Decided(claim, [], commands, [*skipped, *unavailable])


@dataclass(frozen=True)
class _Pair:
    """Two estimates to compare, each None where the table has no value."""

    check: Check
    method: str
    metric: str
    left: Estimate | None
    right: Estimate | None
    decides: bool = True

    def finding(self, found: Difference, adjusted_p: float, table: Table) -> Finding:
        """Returns what the comparison shows; `adjusted_p` counts where it speaks against the claim."""
        outcome = _outcome(self.check, self.metric, found, adjusted_p, LEVEL)
        wider = compare(self.left, self.right, SURE) if self.check.margin and self.left and self.right else found
        borderline = _outcome(self.check, self.metric, wider, adjusted_p, SURE) != outcome
        rows = [row for name in (self.method, self.check.than) if name and (row := table.row(name))]
        seeds = tuple(len(row.seeds) for row in rows)
        text = self.check.text(self.method, self.metric)
        return Finding(
            text, self.metric, found, table.images, seeds, outcome, borderline, self.decides, self.check.than_metric
        )


def _pairs(claim: Claim, table: Table) -> Iterator[_Pair]:
    for check in (*claim.checks, *claim.beside):
        decides = check in claim.checks
        for method in check.methods(table):
            yield from (replace(pair, decides=decides) for pair in _pairs_of(check, method, table))


def _pairs_of(check: Check, method: str, table: Table) -> Iterator[_Pair]:
    for metric in check.metrics:
        left = _estimate(table, method, metric, check.share_of)
        if check.than_metric:
            # Metrics of one method are paired by seed too, so their differences are one estimate to compare with 0.
            other = _estimate(table, method, check.than_metric, check.share_of)
            left = left.minus(other) if left and other else None
            right = left and left.minus(left)
        else:
            right = _estimate(table, check.than or "", metric)
        yield _Pair(check, method, metric, left, right)


def _estimate(table: Table, method: str, metric: str, share_of: str | None = None) -> Estimate | None:
    """Returns a method's estimate, as a share of another method's if asked; None where there is none."""
    if method == TRUTH:
        return table.truth.get(metric)
    row = table.row(method)
    found = row.cells[metric].estimate if row else None
    if found is None or share_of is None:
        return found
    whole = _estimate(table, share_of, metric)
    if whole is None:
        return None
    draws = None
    if found.draws is not None and whole.draws is not None:
        draws = found.draws / whole.draws.mean(axis=1, keepdims=True)
    return replace(found, seeds=found.seeds / whole.mean, draws=draws, bounds=(None, None))


def _gaps(claim: Claim, table: Table) -> tuple[list[str], list[str]]:
    """Returns the methods that the table lacks and, if it lacks none, the metrics without a value in it."""
    rows = {name: table.row(name) for name in claim.cells(table)}
    missing = [name for name, row in rows.items() if row is None or row.images != table.images]
    missing += [EVERY_FAMILY for check in claim.checks[:1] if not check.methods(table)]
    if missing:
        return missing, []
    unavailable: list[str] = []
    for check in claim.checks:
        pairs = [pair for method in check.methods(table) for pair in _pairs_of(check, method, table)]
        absent = {pair.metric for pair in pairs if pair.left is None or pair.right is None}
        if absent and not (check.where_measured and set(check.metrics) - absent):
            unavailable += [f"{name} ({table.absent.get(name, 'not in every row')})" for name in sorted(absent)]
    return missing, list(dict.fromkeys(unavailable))


def _decide_in(claim: Claim, table: Table) -> Decision:
    pairs = list(_pairs(claim, table))
    compared = [(pair, compare(pair.left, pair.right)) for pair in pairs if pair.left and pair.right]
    against = iter(holm([found.p for pair, found in compared if pair.decides]))
    findings = [
        pair.finding(found, float(next(against)) if pair.decides else found.p, table) for pair, found in compared
    ]
    rows = [row for name in claim.arms(table) if (row := table.row(name)) and row.run.role == "method"]
    few = {row.name: row.seeds for row in rows if len(row.seeds) < SEEDS_WANTED}
    thin = [not few.keys().isdisjoint((pair.method, pair.check.than)) for pair, _ in compared]
    verdict, borderline = _verdict([(one, few) for one, few in zip(findings, thin, strict=True) if one.decides])
    to_run = _commands(few, table.data, table.preset)
    arms = [_arm(row) for row in rows]
    return Decision(table.data, table.preset, table.note, verdict, borderline, findings, arms, list(few), to_run)


def _verdict(findings: Sequence[tuple[Finding, bool]]) -> tuple[Verdict, bool]:
    """Returns the verdict, and whether it is borderline.

    Args:
        findings: each with whether one of its sides has too few seeds to decide anything.
    """
    false = [one for one, thin in findings if one.outcome == "is false" and not thin]
    if false:
        return "refuted", all(one.borderline for one in false)
    if all(one.outcome == "holds" and not thin for one, thin in findings):
        return "supported", any(one.borderline for one, _ in findings)
    return "undecided", False


def _outcome(check: Check, metric: str, difference: Difference, adjusted_p: float, level: float) -> Outcome:
    effect, low, high, p = difference
    if check.margin is not None:
        if -check.margin < low and high < check.margin:
            return "holds"
        return "is false" if low > check.margin or high < -check.margin else "open"
    side = METRICS[metric].direction if check.expect == "better" else check.expect
    if effect > 0 if side == "higher" else effect < 0:
        return "holds" if p < 1 - level else "open"
    return "is false" if adjusted_p < 1 - level else "open"


def _arm(row: Row) -> Arm:
    cost = row.cost
    return Arm(row.name, cost.budget_images, cost.budget_steps, cost.train_seconds, len(row.seeds))


def _commands(methods: Mapping[str, Sequence[int]], data: str, preset: str) -> list[str]:
    """Returns the commands that run the seeds which methods lack.

    Args:
        methods: method → seeds that it has.
        data: the data set's name.
        preset: the preset's name.
    """
    named = {"METHOD" if name == EVERY_FAMILY else name: seeds for name, seeds in methods.items()}
    runs = [
        Run(method=name, adapter=name, data=data, preset=preset, seed=seed)
        for name, seeds in named.items()
        for seed in range(SEEDS_WANTED)
        if seed not in seeds and (seed == 0 or name not in WITHOUT_LUCK)
    ]
    return [run.command for run in runs]
