"""Decides the claims of the five project reports (`claims.yaml`) from the measured cells, and writes `claims.md`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmark.paper.claims.decide import Arm, Decided, Decision, Finding, Verdict, decide, decide_all
from benchmark.paper.claims.schema import Check, Claim, families, load_claims
from benchmark.results.tables import NOTHING, build_table, nothing_current, number, tables_in, update_files
from benchmark.scoring.metrics import METRICS
from benchmark.support.progress import tracked
from benchmark.support.templates import environment

__all__ = [
    "BuiltClaims", "Check", "Claim", "Decided", "Decision", "Finding", "Verdict", "arm_text", "as_json",
    "budgets_text", "build_claims", "decide", "decide_all", "difference_text", "families", "load_claims", "p_text",
    "span_text", "summary", "verdict_text",
]  # fmt: skip

PAGE = "claims.md"


@dataclass(frozen=True)
class BuiltClaims:
    """The outcome of `build_claims`."""

    claims: Sequence[Decided]
    page: str  # Markdown
    stale: Sequence[Path]


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
    page = template.render(claims=decided, verdict=verdict_text, line=_line, budgets=budgets_text, nothing=nothing)
    return BuiltClaims(decided, page, update_files({results_root / PAGE: page}, check))


def verdict_text(decided: Decided) -> str:
    """Returns `supported on cifar10/quick` and the like for each table, or that the claim is not measured."""
    return "; ".join(map(_verdict_in, decided.decisions)) or "not yet measured"


def _verdict_in(decision: Decision) -> str:
    return f"**{decision.verdict}**{decision.qualifier} on {decision.data}/{decision.preset}"


def arm_text(arm: Arm) -> str:
    """Returns `` `cgan` 128,000 images in 2,000 steps, 81 s ``; what was not recorded is left out."""
    parts = [f"{arm.images:,} images in {arm.steps:,} steps" if arm.images and arm.steps else "nothing trained here"]
    parts = [] if arm.images is None else parts
    parts += [f"{number(arm.seconds, 0)} s"] if arm.seconds else []
    return f"`{arm.method}` {', '.join(parts) or 'not recorded'}"


def budgets_text(decision: Decision) -> str:
    """Returns what the arms of a claim learned from, and whether that is the same number of images."""
    same = {True: " Equal images.", False: " **Not equal images.**", None: ""}[decision.same_images]
    arms = "; ".join(map(arm_text, decision.arms))
    return f"Budgets (images and steps with those of parents, seconds without): {arms}.{same}"


def span_text(low: float, high: float, digits: int) -> str:
    """Returns `[0.70, 0.82]`, or says that there is none: one training does not tell how far another one would be."""
    return f"[{number(low, digits)}, {number(high, digits)}]" if isfinite(low) and isfinite(high) else "no interval"


def difference_text(finding: Finding) -> str:
    """Returns `+0.694 [0.444, 0.944]`: the difference with one digit more than the metric, and its interval."""
    effect, low, high, _ = finding.difference
    digits = METRICS[finding.metric].digits + 1
    return f"{effect:+.{digits}f} {span_text(low, high, digits)}"


def p_text(finding: Finding) -> str:
    """Returns the p of a comparison with three digits, or `–` where one training allows no test."""
    p = finding.difference.p
    return ("< 0.001" if p < 0.001 else f"{p:.3f}") if finding.tested else NOTHING


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


def _line(finding: Finding) -> str:
    """Returns a line of the page's table."""
    seeds = " / ".join(map(str, finding.seeds))
    outcome = finding.outcome + (", borderline" if finding.borderline else "")
    told = outcome if finding.decides else f"beside: {outcome}"
    cells = [finding.text, difference_text(finding), p_text(finding), f"{finding.images:,}", seeds, told]
    return f"| {' | '.join(cells)} |"
