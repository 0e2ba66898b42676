"""Draws a metric card as a standalone SVG: metrics × changes, a bar per strength, the same bytes for the same card."""

from collections.abc import Sequence
from textwrap import wrap
from xml.etree import ElementTree

from benchmark.paper.card.changes import CHANGES, Change
from benchmark.paper.card.rows import Card, CardRow
from benchmark.report.svg import Drawing
from benchmark.results.tables import ARROWS
from benchmark.scoring.metrics import METRICS

LEFT, TOP, COLUMN, ROW, BAR = 152.0, 76.0, 96.0, 30.0, 9.0  # pixels
UNIT, MOST = 11.0, 2.0  # pixels of no color's damage, and the most damage that a bar shows
WORDS = 16  # letters of a heading's line
STYLE = """
.paper { fill: #fdfcfa; stroke: #d8d4cc; } line { stroke: #d8d4cc; }
text { font: 11px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1d1f21; }
.metric { font-weight: 600; } .small { font-size: 9.5px; fill: #5f6368; }
.unit { stroke: #5f6368; stroke-dasharray: 2 2; }
.seen line { stroke: #1f5f8b; } .unordered line { stroke: #a9a49b; } .wrong line { stroke: #b4541a; }
.bar { stroke-width: 7px; } .wrong .figure { fill: #b4541a; font-weight: 700; }
"""
LEGEND = (
    "A bar per strength, weakest first: how far the metric falls from the truth's value; dashed: where it stands for a "
    "picture without any color.",
    "Blue: the strengths come in their order, in 95 % of resamples. Gray: they do not, or there is one. Orange: wrong "
    "color scores above no color. The figure is the last bar's.",
)


def draw(card: Card) -> str:
    """Returns the figure's text."""
    changes = [CHANGES[name] for name in card.changes]
    width, height = LEFT + COLUMN * len(changes) + 12, TOP + ROW * len(card.metrics) + 50
    title = f"What each metric sees of known changes of {card.data}'s true test images"
    drawing = Drawing(width, height, title)
    for k, one in enumerate(changes):
        _heading(drawing, LEFT + COLUMN * k, one)
    for k, name in enumerate(card.metrics):
        base = TOP + ROW * (k + 1) - 4
        drawing.line(8, base + 3.5, width - 8, base + 3.5)
        drawing.text(10, base - 6, f"{name}{ARROWS[METRICS[name].direction]}", "metric")
        for j, one in enumerate(changes):
            _cell(drawing, LEFT + COLUMN * j, base, card, name, one)
    for k, line in enumerate(LEGEND):
        drawing.text(10, TOP + ROW * len(card.metrics) + 20 + 15 * k, line, "small")
    return _standalone(drawing)


def _heading(drawing: Drawing, left: float, one: Change) -> None:
    lines = wrap(one.title, WORDS, break_on_hyphens=False)
    for k, line in enumerate(lines):
        drawing.text(left, 18 + 12 * k, line)
    if len(one.strengths) > 1:
        drawing.text(left, 18 + 12 * len(lines), " ".join(f"{strength:g}" for strength in one.strengths), "small")


def _cell(drawing: Drawing, left: float, base: float, card: Card, metric: str, one: Change) -> None:
    rows = card.cell(metric, one.name)
    if not rows or rows[-1].damage is None:
        drawing.text(left, base - 6, "n/a" if not rows else f"ρ {_number(rows[-1].rho)}", "small")
        return
    wrong = one.name in card.prefers_wrong(metric)
    css = "wrong" if wrong else "seen" if (rows[-1].rho_low or 0) > 0 else "unordered"
    with drawing.group(css):
        drawing.tip(_told(rows))
        for k, row in enumerate(rows):
            x = left + BAR * (k + 0.5)
            tall = min(max(row.damage or 0.0, 0.0), MOST)
            drawing.line(x, base, x, base - max(UNIT * tall, 0.8), "bar")
        drawing.text(left + BAR * max(len(rows), 4) + 6, base - 6, _number(rows[-1].damage), "figure")
    drawing.line(left, base - UNIT, left + BAR * max(len(rows), 4), base - UNIT, "unit")


def _told(rows: Sequence[CardRow]) -> str:
    values = ", ".join(f"{row.strength:g}: {row.value:.4g}" for row in rows)
    return f"{rows[0].metric}, {rows[0].change}: {values}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _standalone(drawing: Drawing) -> str:
    root = ElementTree.fromstring(drawing.markup())
    root.attrib |= {
        "xmlns": "http://www.w3.org/2000/svg",
        "width": f"{drawing.width:g}",
        "height": f"{drawing.height:g}",
    }
    size = {"width": f"{drawing.width - 1:g}", "height": f"{drawing.height - 1:g}"}
    paper = ElementTree.Element("rect", {"class": "paper", "x": "0.5", "y": "0.5", "rx": "6", **size})
    style = ElementTree.Element("style")
    style.text = STYLE
    root.insert(1, paper)
    root.insert(1, style)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
