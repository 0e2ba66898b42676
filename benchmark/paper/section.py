"""Adds to `bench report` a page per claim, and one that says what each metric sees of color."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from benchmark.paper.card.notes import SEEN
from benchmark.paper.card.rows import NO_COLOR, Card
from benchmark.paper.card.surprises import WRONG, cards_in
from benchmark.paper.claims import Decided, Decision, Finding, budgets_text, difference_text, p_text
from benchmark.report import Page
from benchmark.report.charts import difference as chart
from benchmark.results.tables import number
from benchmark.scoring.metrics import METRICS
from benchmark.support.templates import environment

NOT_MEASURED = "not yet measured"
GROUP, METRICS_GROUP = "Claims", "Metrics"


def claims_pages(claims: Sequence[Decided]) -> list[Page]:
    """Returns a page that lists the claims with their verdicts, and one for each with its evidence."""
    environs = environment("benchmark.paper")
    one, whole = environs.get_template("claim.html.j2"), environs.get_template("claims.html.j2")
    pages = [
        Page(
            f"claim-{decided.claim.id}",
            decided.claim.id,
            GROUP,
            Markup(one.render(one=decided, difference=_difference, budgets=_budgets)),
            mark=_verdict(decided),
        )
        for decided in claims
    ]
    return [Page("claims", "All claims", GROUP, Markup(whole.render(claims=claims))), *pages]


def card_pages(results_root: Path) -> list[Page]:
    """Returns a page on what each metric sees of color, if a data set has a metric card."""
    if not (cards := cards_in(results_root)):
        return []
    template = environment("benchmark.paper").get_template("card.html.j2")
    body = template.render(cards=cards, aspects=SEEN, wrong=WRONG, metrics=METRICS, value=_no_color)
    return [Page("metric-card", "What each metric sees", METRICS_GROUP, Markup(body))]


def _no_color(card: Card, metric: str) -> str:
    row = card.strongest(metric, NO_COLOR[0])
    return number(row.value, METRICS[metric].digits) if row else "–"


def _verdict(decided: Decided) -> str:
    """Returns a claim's verdict for the contents: that of all tables, or that they differ."""
    verdicts = {decision.verdict for decision in decided.decisions}
    return verdicts.pop() if len(verdicts) == 1 else "undecided" if verdicts else NOT_MEASURED


def _budgets(decision: Decision) -> str:
    return budgets_text(decision).replace("`", "").replace("*", "")


def _difference(finding: Finding) -> dict[str, str | Markup]:
    """Returns a finding as `results/claims.md` prints it, with a picture if its interval is bounded."""
    effect, low, high, _ = finding.difference
    digits = METRICS[finding.metric].digits + 1
    return {
        "text": difference_text(finding),
        "p": p_text(finding),
        "svg": chart(f"{finding.text}: {effect:+.{digits}f}", effect, low, high) if finding.tested else "",
    }
