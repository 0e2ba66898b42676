"""Draws the figures of docs/findings.md as standalone SVG files with the same bytes for the same results.

The charts are the report's. Pages of prose have no style sheet for charts, so each file brings its own style sheet and
background, and can be read on light and on dark pages.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from markupsafe import Markup

from benchmark.paper.claims import families
from benchmark.report.charts import EDGE, HUES, WIDTH, Mark, against_cost, whiskers
from benchmark.report.svg import Drawing, Scale, spread
from benchmark.results.tables import ARROWS, Row, Table, cell_text
from benchmark.scoring.metrics import METRICS, Metric

GAP, MARGIN, HEADING = 36.0, 18.0, 26.0
ABREAST = 3  # panels in one line
AXIS = "seconds of training"
NAMESPACE = "http://www.w3.org/2000/svg"
Panel = tuple[str, ElementTree.Element]  # heading and chart
COLORS = ("#1f5f8b", "#b4541a", "#2c7d45", "#8a4a9e", "#8f7400", "#b83267", "#177d84", "#5a5f66")
STYLE = """
.paper { fill: #fdfcfa; stroke: #d8d4cc; } line, path { fill: none; }
text { font: 11.5px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1d1f21;
  paint-order: stroke; stroke: #fdfcfa; stroke-width: 3px; stroke-linejoin: round; }
.heading { font-size: 13px; font-weight: 600; } .tick { font-size: 10px; fill: #5f6368; }
.value { font-size: 11px; fill: #5f6368; } .best > .name, .best > .value { font-weight: 700; fill: #1f5f8b; }
.key { font-size: 10.5px; font-weight: 600; } .grid { stroke: #e2dfd9; } .axis { stroke: #b9b5ad; }
.floor { stroke: #5f6368; stroke-dasharray: 3 3; } .interval { stroke: #1f5f8b; stroke-width: 1.6; }
circle { fill: #1f5f8b; stroke: #1f5f8b; stroke-width: 1.6; } .leader { stroke-dasharray: 1 3; }
.baseline .interval { stroke: #5f6368; } .baseline circle { fill: #fdfcfa; stroke: #5f6368; }
"""


def gray_line(table: Table, metrics: Sequence[str]) -> str:
    """Draws mean and interval of every method, a panel per metric, with `gray` as a dashed line."""
    panels = {
        _heading(metric): whiskers(f"{metric.label} on {table.data}", marks, _floor(table, metric))
        for metric, marks in _drawn([*table.rows, *table.baselines], metrics)
    }
    return standalone(panels, f"Methods and gray on {table.data}, preset {table.preset}")


def across(tables: Sequence[Table], metric: str) -> str:
    """Draws one metric in a panel per data set, for methods that two data sets have, in the order of the first."""
    count = Counter(row.name for table in tables for row in table.rows)
    names = [name for name, number in count.items() if number > 1]
    panels = {
        f"{table.data}: {_heading(shown)}": whiskers(f"{shown.label} on {table.data}", marks, _floor(table, shown))
        for table in tables
        for shown, marks in _drawn([*_chosen(table, names), *table.baselines], [metric])
    }
    return standalone(panels, f"{METRICS[metric].label} on {', '.join(table.data for table in tables)}")


def cost(table: Table, metrics: Sequence[str]) -> str:
    """Draws scores (upwards) against seconds of training (to the right, logarithmic), a panel per metric."""
    seconds = {row.name: row.cost.train_seconds for row in table.rows if row.cost.train_seconds}
    rows = [row for row in table.rows if row.name in seconds]
    labels = numbered([row.name for row in rows])
    panels = {
        _heading(metric): against_cost(
            f"{metric.label} against training time", marks, seconds, labels, AXIS, _floor(table, metric)
        )
        for metric, marks in _drawn(rows, metrics)
    }
    return standalone(panels, f"Scores against training time on {table.data}", legend=labels)


def color_against_score(table: Table, metrics: Sequence[str]) -> str:
    """Draws scores (upwards) against the colorfulness of outputs (to the right), a panel per metric."""
    rows = [row for row in families(table) if row.cells["colorfulness"].mean is not None]
    labels = numbered([row.name for row in rows])
    panels = {_heading(metric): _scatter(table, metric, rows, labels) for metric, _ in _drawn(rows, metrics)}
    return standalone(panels, f"Scores against colorfulness on {table.data}", legend=labels)


def numbered(names: Sequence[str]) -> dict[str, str]:
    """Returns name → the number that stands for it in a plot and in the legend below."""
    return {name: str(k) for k, name in enumerate(names, 1)}


def standalone(panels: Mapping[str, Markup], title: str, legend: Mapping[str, str] | None = None) -> str:
    """Puts charts side by side into one SVG file, and in further lines below where they are many.

    Args:
        panels: heading → chart.
        title: title of the whole figure, for people who cannot see it.
        legend: name → the number that stands for it in the charts, in the charts' order.
    """
    charts = {heading: ElementTree.fromstring(chart) for heading, chart in panels.items()}
    lines_of_panels = _lines([*charts.items()])
    width = 2 * MARGIN + max(sum(_size(chart)[0] + GAP for _, chart in line) - GAP for line in lines_of_panels)
    heights = [HEADING + max(_size(chart)[1] for _, chart in line) for line in lines_of_panels]
    below = sum(heights) + MARGIN * len(heights)
    legend_lines = _legend_lines(legend or {}, width - 2 * MARGIN)
    root = _root(width, below + MARGIN + 16 * len(legend_lines), title)
    top = MARGIN
    for line, height in zip(lines_of_panels, heights, strict=True):
        _draw_line(root, line, top)
        top += height + MARGIN
    for k, text in enumerate(legend_lines):
        _add(root, "text", text, x=MARGIN, y=below + 16 * (k + 1)).set("class", "value")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _lines(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    """Splits panels into lines of nearly equal length, of `ABREAST` at most: a page shows a wider figure too small."""
    each = math.ceil(len(panels) / math.ceil(len(panels) / ABREAST))
    return [panels[k : k + each] for k in range(0, len(panels), each)]


def _draw_line(root: ElementTree.Element, panels: Sequence[Panel], top: float) -> None:
    left = MARGIN
    for heading, chart in panels:
        _add(root, "text", heading, x=left, y=top + 10).set("class", "heading")
        width, height = _size(chart)
        places = {"x": left, "y": top + HEADING, "width": width, "height": height}
        chart.attrib |= {name: f"{value:g}" for name, value in places.items()}
        root.append(chart)
        left += width + GAP


def _size(chart: ElementTree.Element) -> tuple[float, float]:
    _, _, width, height = (float(part) for part in chart.attrib["viewBox"].split())
    return width, height


def _root(width: float, height: float, title: str) -> ElementTree.Element:
    box = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
    root = ElementTree.Element("svg", {"xmlns": NAMESPACE, "role": "img", **box})
    _add(root, "title", title)
    hues = "".join(
        f".hue{k} circle {{ fill: {color}; stroke: {color}; }} .hue{k} line {{ stroke: {color}; }}"
        f" .hue{k} .key {{ fill: {color}; }}\n"
        for k, color in enumerate(COLORS)
    )
    _add(root, "style", STYLE + hues)
    _add(root, "rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=6).set("class", "paper")
    return root


def _add(parent: ElementTree.Element, tag: str, text: str | None = None, **places: float) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, {name: f"{value:g}" for name, value in places.items()})
    element.text = text
    return element


def _legend_lines(legend: Mapping[str, str], width: float) -> list[str]:
    """Returns lines like `1 l2   2 cgan`, with as many names to a line as fit."""
    lines: list[str] = []
    for name, key in legend.items():
        entry = f"{key} {name}"
        if lines and (len(lines[-1]) + len(entry) + 3) * 6.0 < width:
            lines[-1] += f" · {entry}"
        else:
            lines.append(entry)
    return lines


def _scatter(table: Table, metric: Metric, rows: Sequence[Row], labels: Mapping[str, str]) -> Markup:
    height = 250.0
    marks = _marks(rows, metric)
    colorful = {row.name: row.cells["colorfulness"].mean or 0.0 for row in rows}
    truth, floor = table.truth.get("colorfulness"), _floor(table, metric)
    drawing = Drawing(WIDTH, height, f"{metric.label} against colorfulness on {table.data}")
    x = Scale.over([0.0, *colorful.values(), *([truth.mean] if truth else [])], 42, WIDTH - 30)
    y = Scale.over([mark.mean for mark in marks] + ([floor] if floor is not None else []), height - 36, 8)
    _axes(drawing, x, y)
    if floor is not None:
        drawing.line(x.start, y(floor), x.end, y(floor), "floor")
        drawing.text(x.start + 3, y(floor) - 4, "gray", "tick")
    if truth:
        drawing.line(x(truth.mean), y.start, x(truth.mean), y.end, "floor")
        drawing.text(x(truth.mean) - 3, y.end + 8, "truth", "tick", "end")
    places = spread([y(mark.mean) for mark in marks], 12, y.end + 4, y.start - 2)
    for mark, place in zip(marks, places, strict=True):
        with drawing.group(f"hue{list(labels).index(mark.name) % HUES}", method=mark.name):
            drawing.tip(f"{mark.name}: {mark.text}, colorfulness {colorful[mark.name]:.1f}")
            across_, level = x(colorful[mark.name]), y(mark.mean)
            drawing.line(across_, level, x.end + 6, place, "leader")
            drawing.dot(across_, level, 3.6)
            drawing.text(x.end + 9, place + 3.5, labels[mark.name], "key")
    return drawing.markup()


def _axes(drawing: Drawing, x: Scale, y: Scale) -> None:
    for value, text in y.ticks():
        drawing.line(x.start, y(value), x.end, y(value), "grid")
        drawing.text(x.start - EDGE, y(value) + 3.5, text, "tick", "end")
    drawing.line(x.start, y.start, x.end, y.start, "axis")
    for value, text in x.ticks():
        drawing.line(x(value), y.start, x(value), y.start + 4, "axis")
        drawing.text(x(value), y.start + 15, text, "tick", "middle")
    drawing.text((x.start + x.end) / 2, y.start + 30, "colorfulness of the outputs", "tick", "middle")


def _heading(metric: Metric) -> str:
    return f"{metric.name}{ARROWS[metric.direction]}"


def _chosen(table: Table, names: Sequence[str]) -> list[Row]:
    return [row for name in names if (row := table.row(name))]


def _drawn(rows: Sequence[Row], metrics: Sequence[str]) -> Iterator[tuple[Metric, list[Mark]]]:
    """Yields each metric that any of the rows has, with its marks."""
    for name in metrics:
        if marks := _marks(rows, METRICS[name]):
            yield METRICS[name], marks


def _marks(rows: Sequence[Row], metric: Metric) -> list[Mark]:
    marks = []
    for row in rows:
        cell = row.cells[metric.name]
        if cell.mean is not None:
            text = cell_text(cell, metric.digits)
            marks.append(Mark(row.name, row.part, cell.mean, cell.interval, text, cell.best))
    return marks


def _floor(table: Table, metric: Metric) -> float | None:
    return table.floor.cells[metric.name].mean if table.floor else None
