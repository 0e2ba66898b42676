"""Decides the claims of the five project reports (`claims.yaml`) from the measured cells.

A claim is a conjunction of comparisons. It is supported when each of them holds by its own test at 5 %, because a false
claim must then pass a test that it should fail. It is refuted when one comparison is shown to be false at 5 % after
Holm's correction for their number, and undecided otherwise. Comparisons of methods with fewer than three seeds decide
nothing, because their interval knows only the images; another comparison can still refute such a claim.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator
from tabulate import tabulate

from benchmark.contracts.result import Record, Run
from benchmark.results.statistics import LEVEL, Difference, Estimate, compare, holm
from benchmark.results.tables import (
    SEEDS_WANTED,
    Table,
    build_table,
    nothing_current,
    number,
    tables_in,
    update_files,
)
from benchmark.scoring.metrics import METRICS
from benchmark.support import yaml
from benchmark.support.errors import BenchError, first_fault
from benchmark.support.progress import tracked
from benchmark.support.templates import environment

PAGE = "claims.md"
TRUTH, EVERY_LEARNED = "truth", "every-learned"
WITHOUT_LUCK = ("gray", "mean-color")  # baselines without training: every seed gives the same scores
Outcome = Literal["holds", "is false", "open"]
Verdict = Literal["supported", "refuted", "undecided"]


class Check(Record):
    """One comparison, in one or more metrics; the fields are explained in `claims.yaml`."""

    expect: Literal["better", "higher", "lower", "within"]
    method: str
    metrics: tuple[str, ...]
    than: str | None = None
    than_metric: str | None = None
    margin: float | None = None
    where_measured: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.than is None) == (self.than_metric is None):
            raise ValueError("needs one of than and than_metric")
        if (self.expect == "within") != (self.margin is not None):
            raise ValueError("margin belongs to expect: within, and to nothing else")
        for name in (*self.metrics, *([self.than_metric] if self.than_metric else [])):
            if name not in METRICS or (self.expect == "better" and METRICS[name].direction is None):
                raise ValueError(f"{name!r} is no metric, or one of which no side is better")
        return self

    def methods(self, table: Table | None) -> list[str]:
        """Returns the methods that `method` stands for, or the placeholder itself where there is no table."""
        if self.method == EVERY_LEARNED and table is not None:
            return [row.name for row in table.rows if not row.run.external and row.images == table.images]
        return [self.method]


class Claim(Record):
    """A statement and the comparisons that decide it."""

    id: str
    source: str
    statement: str
    note: str = ""
    data: tuple[str, ...]
    checks: tuple[Check, ...]

    def cells(self, table: Table | None) -> list[str]:
        """Returns every method that must be measured, baselines included."""
        named = [name for check in self.checks for name in (*check.methods(table), check.than) if name]
        return [name for name in dict.fromkeys(named) if name not in (TRUTH, EVERY_LEARNED)]


@dataclass(frozen=True)
class Finding:
    """One measured comparison."""

    text: str  # "cgan better than l2 in psnr"
    metric: str
    difference: Difference
    images: int
    seeds: tuple[int, ...]  # number of seeds of each side that has seeds
    outcome: Outcome


@dataclass(frozen=True)
class Decision:
    """The verdict on a claim in one table."""

    data: str
    preset: str
    note: str  # the data set's note on itself, for instance that only a part is here
    verdict: Verdict
    findings: Sequence[Finding]
    thin: Sequence[str]  # methods with too few seeds; comparisons with them decide nothing
    to_run: Sequence[str]  # commands that would give these methods more seeds


@dataclass(frozen=True)
class Decided:
    """A claim with its verdict in every table that measures it."""

    claim: Claim
    decisions: Sequence[Decision]
    to_run: Sequence[str]  # the commands that measure the claim, if no table does
    unavailable: Sequence[str]  # skipped methods and metrics without value, with reasons, if no table does


@dataclass(frozen=True)
class BuiltClaims:
    """The outcome of `build_claims`."""

    claims: Sequence[Decided]
    page: str  # Markdown
    stale: Sequence[Path]


def load_claims(text: str | None = None) -> list[Claim]:
    """Reads `claims.yaml`, or a text of its form.

    Raises:
        BenchError: a claim does not have the required form; the message names the claim.
    """
    committed = files("benchmark.paper").joinpath("claims.yaml").read_text(encoding="utf-8")
    entries = yaml.load(text or committed, "claims.yaml")
    claims = []
    for entry in entries:
        try:
            claims.append(Claim.model_validate(entry))
        except ValidationError as error:
            raise BenchError(f"claims.yaml: {entry.get('id', '?')}: {first_fault(error)}") from None
    return claims


def decide_all(tables: Sequence[Table], preset: str = "quick") -> list[Decided]:
    """Returns the verdicts of every claim.

    Args:
        tables: the tables of all data sets; tables that no claim mentions are ignored.
        preset: the preset in the commands that measure what no table has yet.
    """
    return [decide(claim, tables, preset) for claim in load_claims()]


def build_claims(results_root: Path, preset: str = "quick", check: bool = False) -> BuiltClaims:
    """Decides every claim from the result files and writes `claims.md` beside them.

    Args:
        results_root: the results folder.
        preset: the preset in the commands that measure what no table has yet.
        check: whether to write nothing and only say if the page is out of date.
    """
    wanted = {data for claim in load_claims() for data in claim.data}
    folders = [folder for data in sorted(wanted) for folder in tables_in(results_root, data)]
    tables = [build_table(folder) for folder in tracked(folders, "tables of the claims")]
    decided = decide_all(tables, preset)
    nothing = "" if any(table.rows for table in tables) else nothing_current("../")
    template = environment("benchmark.paper").get_template("claims.md.j2")
    page = template.render(claims=decided, verdict=verdict_text, line=_line, nothing=nothing)
    return BuiltClaims(decided, page, update_files({results_root / PAGE: page}, check))


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


def verdict_text(decided: Decided) -> str:
    """Returns `supported on cifar10/quick` and the like for each table, or that the claim is not measured."""
    found = [f"**{decision.verdict}** on {decision.data}/{decision.preset}" for decision in decided.decisions]
    return "; ".join(found) or "not yet measured"


def summary(built: BuiltClaims) -> str:
    """Returns one line per claim with its verdicts and its statement."""
    verdicts = [verdict_text(decided).replace("*", "") for decided in built.claims]
    lines = [
        (decided.claim.id, text, decided.claim.statement) for decided, text in zip(built.claims, verdicts, strict=True)
    ]
    return tabulate(lines, ("claim", "verdict", "statement"), tablefmt="simple", maxcolwidths=(None, 40, 70))


def as_json(built: BuiltClaims) -> str:
    """Returns the claims as JSON for programs; bounds that are not finite are null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Claim):
            return value.model_dump(mode="json")
        raise TypeError(f"unexpected {type(value).__name__}")

    text = json.dumps([asdict(decided) for decided in built.claims], default=plain)
    return json.dumps(json.loads(text, parse_constant=lambda name: None), indent=2)


@dataclass(frozen=True)
class _Pair:
    """Two estimates to compare, each None where the table has no value."""

    check: Check
    method: str
    metric: str
    left: Estimate | None
    right: Estimate | None

    def finding(self, difference: Difference, adjusted_p: float, table: Table) -> Finding:
        rows = [row for name in (self.method, self.check.than) if name and (row := table.row(name))]
        seeds = tuple(len(row.seeds) for row in rows)
        outcome = _outcome(self.check, self.metric, difference, adjusted_p)
        return Finding(self.text, self.metric, difference, table.images, seeds, outcome)

    @property
    def text(self) -> str:
        check = self.check
        if check.than_metric:
            return f"{self.method}: {self.metric} {check.expect} than {check.than_metric}"
        relation = f"within ±{check.margin} of" if check.margin else f"{check.expect} than"
        return f"{self.method} {relation} {check.than} in {self.metric}"


def _pairs(check: Check, table: Table) -> Iterator[_Pair]:
    for method in check.methods(table):
        for metric in check.metrics:
            left = _estimate(table, method, metric)
            if check.than_metric:
                # Metrics of one method are paired by seed too, so their differences are one estimate to compare with 0.
                other = _estimate(table, method, check.than_metric)
                left = left.minus(other) if left and other else None
                right = left and left.minus(left)
            else:
                right = _estimate(table, check.than or "", metric)
            yield _Pair(check, method, metric, left, right)


def _estimate(table: Table, method: str, metric: str) -> Estimate | None:
    if method == TRUTH:
        return table.truth.get(metric)
    row = table.row(method)
    return row.cells[metric].estimate if row else None


def _gaps(claim: Claim, table: Table) -> tuple[list[str], list[str]]:
    """Returns the methods that the table lacks and, if it lacks none, the metrics without a value in it."""
    rows = {name: table.row(name) for name in claim.cells(table)}
    missing = [name for name, row in rows.items() if row is None or row.images != table.images]
    missing += [EVERY_LEARNED for check in claim.checks[:1] if not check.methods(table)]
    if missing:
        return missing, []
    unavailable: list[str] = []
    for check in claim.checks:
        absent = {pair.metric for pair in _pairs(check, table) if pair.left is None or pair.right is None}
        if absent and not (check.where_measured and set(check.metrics) - absent):
            unavailable += [f"{name} ({table.absent.get(name, 'not in every row')})" for name in sorted(absent)]
    return missing, list(dict.fromkeys(unavailable))


def _decide_in(claim: Claim, table: Table) -> Decision:
    pairs = [pair for check in claim.checks for pair in _pairs(check, table)]
    compared = [(pair, compare(pair.left, pair.right)) for pair in pairs if pair.left and pair.right]
    adjusted = holm([difference.p for _, difference in compared])
    findings = [pair.finding(found, float(p), table) for (pair, found), p in zip(compared, adjusted, strict=True)]
    rows = [row for name in claim.cells(table) if (row := table.row(name)) and row.run.role == "method"]
    few = {row.name: row.seeds for row in rows if len(row.seeds) < SEEDS_WANTED}
    thin = [not few.keys().isdisjoint((pair.method, pair.check.than)) for pair, _ in compared]
    verdict: Verdict = "undecided"
    if any(finding.outcome == "is false" and not few_seeds for finding, few_seeds in zip(findings, thin, strict=True)):
        verdict = "refuted"
    elif not any(thin) and all(finding.outcome == "holds" for finding in findings):
        verdict = "supported"
    to_run = _commands(few, table.data, table.preset)
    return Decision(table.data, table.preset, table.note, verdict, findings, list(few), to_run)


def _outcome(check: Check, metric: str, difference: Difference, adjusted_p: float) -> Outcome:
    effect, low, high, p = difference
    if check.margin is not None:
        if -check.margin < low and high < check.margin:
            return "holds"
        return "is false" if low > check.margin or high < -check.margin else "open"
    side = METRICS[metric].direction if check.expect == "better" else check.expect
    if effect > 0 if side == "higher" else effect < 0:
        return "holds" if p < 1 - LEVEL else "open"
    return "is false" if adjusted_p < 1 - LEVEL else "open"


def _commands(methods: Mapping[str, Sequence[int]], data: str, preset: str) -> list[str]:
    """Returns the commands that run the seeds which methods lack.

    Args:
        methods: method → seeds that it has.
        data: the data set's name.
        preset: the preset's name.
    """
    named = {"METHOD" if name == EVERY_LEARNED else name: seeds for name, seeds in methods.items()}
    runs = [
        Run(method=name, adapter=name, data=data, preset=preset, seed=seed)
        for name, seeds in named.items()
        for seed in range(SEEDS_WANTED)
        if seed not in seeds and (seed == 0 or name not in WITHOUT_LUCK)
    ]
    return [run.command for run in runs]


def _line(finding: Finding) -> str:
    """Returns a line of the page's table."""
    effect, low, high, p = finding.difference
    digits = METRICS[finding.metric].digits + 1
    interval = f"[{number(low, digits)}, {number(high, digits)}]"
    shown_p = "< 0.001" if p < 0.001 else f"{p:.3f}"
    seeds = " / ".join(map(str, finding.seeds))
    cells = [finding.text, f"{effect:+.{digits}f} {interval}", shown_p, f"{finding.images:,}", seeds, finding.outcome]
    return f"| {' | '.join(cells)} |"
