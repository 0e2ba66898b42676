"""Adds the claims to `bench report` as a section."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from markupsafe import Markup

from benchmark.paper.claims import Decided, Decision, Finding, budgets_text, p_text
from benchmark.report import Section
from benchmark.report.charts import difference as chart
from benchmark.results.tables import number
from benchmark.scoring.metrics import METRICS
from benchmark.support.templates import environment

NOT_MEASURED = "not yet measured"
VERDICTS = ("supported", "refuted", "undecided", NOT_MEASURED)


def claims_section(claims: Sequence[Decided]) -> Section:
    """Returns a section with every claim, its verdicts and their evidence."""
    counts = Counter(verdict for one in claims for verdict in _verdicts(one))
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    template = environment("benchmark.paper").get_template("claims.html.j2")
    body = template.render(claims=claims, difference=_difference, budgets=_budgets)
    return Section("claims", f"Claims: {told}" if told else "Claims", Markup(body))


def _verdicts(decided: Decided) -> list[str]:
    """Returns a claim's verdict in each table that decides it, or that no table does."""
    return [decision.verdict for decision in decided.decisions] or [NOT_MEASURED]


def _budgets(decision: Decision) -> str:
    return budgets_text(decision).replace("`", "").replace("*", "")


def _difference(finding: Finding) -> dict[str, str | Markup]:
    """Returns a finding as `results/claims.md` prints it, with a picture if its interval is bounded."""
    effect, low, high, p = finding.difference
    digits = METRICS[finding.metric].digits + 1
    interval = f"[{number(low, digits)}, {number(high, digits)}]"
    bounded = isfinite(low) and isfinite(high)
    return {
        "text": f"{effect:+.{digits}f} {interval}",
        "p": p_text(p),
        "svg": chart(f"{finding.text}: {effect:+.{digits}f}", effect, low, high) if bounded else "",
    }
