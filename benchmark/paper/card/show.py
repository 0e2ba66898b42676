"""Writes docs/metric-card.md and its figures from the cards under results/, for `bench card`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.paper.card.changes import CHANGES
from benchmark.paper.card.figure import draw
from benchmark.paper.card.measure import spearman
from benchmark.paper.card.notes import remarks
from benchmark.paper.card.rows import LEAST_DAMAGE, NO_COLOR, PART, PARTS, Card, CardRow
from benchmark.paper.card.surprises import cards_in, surprises
from benchmark.results.tables import NOTHING, Table, build_table, markdown_grid, number, update_files
from benchmark.scoring.metrics import METRICS
from benchmark.support.templates import environment

PAGE = "metric-card.md"
COMPARED = ("agree_lite", "top1", "delta_e00")  # metrics with which the others' agreement is told
STEPS = ("saturation", "hue", "bleeding")  # changes in whose strength a seed's deviation is told


class SeedSteps(NamedTuple):
    """A seed's deviation of trained methods, in one metric."""

    deviation: float  # the median over methods
    methods: int


def build_page(root: Path, check: bool = False) -> list[Path]:
    """Writes `docs/metric-card.md` and its figures from the protocol's cards and the committed results.

    Args:
        root: the project's folder, which holds `results/` and `docs/`.
        check: whether to write nothing.

    Returns:
        The files that differed.
    """
    docs, cards = root / "docs", cards_in(root / "results")
    contents = {docs / figure_name(card): draw(card) for card in cards}
    tables = {(card.data, card.preset): build_table(root / "results" / card.data / card.preset) for card in cards}
    contents[docs / PAGE] = (
        environment("benchmark.paper")
        .get_template("metric-card.md.j2")
        .render(
            cards=[_section(card, tables[card.data, card.preset]) for card in cards],
            other=cards_in(root / "results", other=True),
            changes=CHANGES,
            least=f"{LEAST_DAMAGE:g}",
            part=PART,
            parts=PARTS,
        )
    )
    return update_files(contents, check)


def figure_name(card: Card) -> str:
    """Returns the name of a card's figure in docs/."""
    return f"metric-card-{card.data}-{card.preset}.svg"


def _section(card: Card, table: Table) -> dict[str, object]:
    """Returns what the page says of one card."""
    deviations = seed_deviations(card, table)
    return {
        "card": card,
        "figure": figure_name(card),
        "images": card.rows[0].images,
        "remarks": remarks(card),
        "summary": summary(card),
        "agreement": _agreement(card),
        "steps": _steps(card, deviations),
        "surprises": list(surprises(card)),
    }


def summary(card: Card) -> str:
    """Returns a line per metric: no color's value, ρ of what orders, wrong color against no color."""
    ordered = dict.fromkeys(row.change for row in card.rows if row.rho is not None)
    wrong = dict.fromkeys(row.change for row in card.rows if row.wrong)
    heads = ["metric", "no color", *(f"ρ {change}" for change in ordered), *(f"{change} ÷ none" for change in wrong)]
    lines = []
    for name in card.metrics:
        gray = card.strongest(name, NO_COLOR[0])
        value = number(gray.value, METRICS[name].digits) if gray else NOTHING
        rhos = [_rho(card.strongest(name, change)) for change in ordered]
        lines.append([f"`{name}`", value, *rhos, *(_damage(card.strongest(name, change)) for change in wrong)])
    return markdown_grid(heads, lines, left=1)


def _rho(row: CardRow | None) -> str:
    if row is None or row.rho is None:
        return NOTHING
    if row.rho == row.rho_low == row.rho_high:
        return f"{row.rho:.1f}"
    return f"{row.rho:.1f} [{row.rho_low:.1f}, {row.rho_high:.1f}]"


def _damage(row: CardRow | None) -> str:
    if row is None or row.damage is None:
        return NOTHING
    told = f"{row.damage:.2f} [{row.damage_low:.2f}, {row.damage_high:.2f}]"
    return f"**{told}**" if row.damage_high is not None and row.damage_high < 1 else told


def agreement(card: Card, first: str, second: str) -> float | None:
    """Returns Spearman's correlation of two metrics' damages over all changed sets; None with fewer than four."""
    ours, theirs = (
        {(row.change, row.strength): row.damage for row in card.rows if row.metric == name and row.damage is not None}
        for name in (first, second)
    )
    shared = [key for key in ours if key in theirs]
    if len(shared) < 4:
        return None
    return float(spearman(np.array([ours[key] for key in shared]), np.array([theirs[key] for key in shared])))


def _agreement(card: Card) -> str:
    others = [name for name in COMPARED if name in card.metrics]
    found = {name: [agreement(card, name, other) for other in others] for name in card.metrics}
    heads = ["metric", *(f"with `{other}`" for other in others)]
    lines = [[f"`{name}`", *map(_signed, row)] for name, row in found.items() if any(one is not None for one in row)]
    return markdown_grid(heads, lines, left=1)


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def seed_deviations(card: Card, table: Table) -> dict[str, SeedSteps]:
    """Returns metric → one seed's deviation, the median over the table's trained families of two seeds and more."""
    found = {}
    for name in card.metrics:
        estimates = [row.cells[name].estimate for row in table.rows if row.kind == "family" and name in row.cells]
        deviations = [float(one.seeds.std(ddof=1)) for one in estimates if one is not None and len(one.seeds) > 1]
        if deviations:
            found[name] = SeedSteps(float(np.median(deviations)), len(deviations))
    return found


def _steps(card: Card, deviations: Mapping[str, SeedSteps]) -> str:
    """Returns a line per metric with a seed's deviation and the strengths that equal it; "" without any."""
    changes = [name for name in card.changes if name in STEPS]
    lines = []
    for metric, (deviation, _) in deviations.items():
        texts = [_equal(card.cell(metric, change), deviation) for change in changes]
        lines.append([f"`{metric}`", number(deviation, METRICS[metric].digits), *texts])
    heads = ["metric", "deviation", *(CHANGES[change].title for change in changes)]
    return markdown_grid(heads, lines, left=1) if lines else ""


def _equal(rows: Sequence[CardRow], deviation: float) -> str:
    """Returns the step in strength that moves a metric by the deviation, by its mean slope over the strengths."""
    if len(rows) < 2 or rows[0].value == rows[-1].value:
        return NOTHING
    span, moved = abs(rows[-1].strength - rows[0].strength), abs(rows[-1].value - rows[0].value)
    return f"{deviation / moved * span:.2g}" if deviation <= moved else f"over {span:g}"
