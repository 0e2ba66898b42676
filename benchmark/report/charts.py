"""The charts of a report. Every one is 340 pixels wide by nature: readable on a phone, and many fit beside each other.

Methods stand one below the other with their name above their mark, so that no name is ever cut.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from benchmark.report.svg import Drawing, Point, Scale, spread
from benchmark.results.tables import number

WIDTH = 340.0
EDGE = 5.0  # kept free at both sides, for dots and the halves of tick labels
NAME = 16.0  # height of a row's name above its mark
AXIS = 22.0  # height of the tick labels below a plot
CHANNELS = {"R": "mae_r", "G": "mae_g", "B": "mae_b"}
HUES = 8  # colors of lines and points in the style sheet; beyond, they come again
BINS, SMOOTHING = 48, 1.5  # of a distribution: bins over the chart's width, and the kernel's width in bins


@dataclass(frozen=True)
class Mark:
    """One method's value."""

    name: str
    role: str  # method, baseline, ceiling
    mean: float
    interval: tuple[float, float] | None
    text: str  # the value as tables print it
    best: bool = False

    @property
    def ends(self) -> list[float]:
        """Everything of it that a scale must hold."""
        return [self.mean, *(self.interval or ())]


def whiskers(title: str, marks: Sequence[Mark], floor: float | None) -> Markup:
    """Means with their intervals, one method per line; `floor`, the mean of `gray`, is a dashed line.

    Ceilings do not widen the scale: one beyond it is an arrow at the edge.
    """
    row = 32.0
    drawing = Drawing(WIDTH, len(marks) * row + AXIS, title, _described(marks))
    scale = Scale.over(_inner_ends(marks), EDGE, WIDTH - EDGE)
    _grid(drawing, scale, len(marks), row)
    if floor is not None and scale.holds(floor):
        drawing.line(scale(floor), NAME, scale(floor), len(marks) * row, "floor", dash=f"3 3 3 3 3 {row - 15:g}")
    for k, mark in enumerate(marks):
        with drawing.group(f"{mark.role}{' best' if mark.best else ''}", method=mark.name):
            drawing.tip(f"{mark.name}: {mark.text}")
            drawing.text(0, k * row + 12, mark.name, "name")
            drawing.text(WIDTH, k * row + 12, mark.text.partition(" [")[0], "value", "end")
            _whisker(drawing, scale, mark, k * row + 22)
    return drawing.markup()


def channels(title: str, rows: Mapping[str, Sequence[Mark]]) -> Markup:
    """Mean absolute error of red, green and blue: method → its marks in the order of `CHANNELS`, three lines each."""
    row, line = 60.0, 12.0
    everything = [mark for marks in rows.values() for mark in marks]
    drawing = Drawing(WIDTH, len(rows) * row + AXIS, title, _described(everything))
    scale = Scale.over([*_inner_ends(everything), 0.0], EDGE + 14, WIDTH - EDGE - 38, pad=0.02)
    _grid(drawing, scale, len(rows), row)
    for k, (name, marks) in enumerate(rows.items()):
        with drawing.group(marks[0].role, method=name):
            drawing.text(0, k * row + 12, name, "name")
            for j, (letter, mark) in enumerate(zip(CHANNELS, marks, strict=True)):
                y = k * row + 25 + j * line
                with drawing.group(f"channel {letter.lower()}"):
                    drawing.tip(f"{name}, {letter}: {mark.text}")
                    drawing.text(2, y + 3.5, letter, "letter")
                    drawing.text(WIDTH, y + 3.5, mark.text.partition(" [")[0], "value", "end")
                    _whisker(drawing, scale, mark, y)
    return drawing.markup()


def distributions(title: str, rows: Mapping[str, np.ndarray], roles: Mapping[str, str], digits: int) -> Markup:
    """How a metric is distributed over the test images: a smoothed histogram per method, its median a tick.

    From method → (N,) values, and method → role. The scale leaves out the outermost 0.5 % on both sides.
    """
    row, half = 46.0, 10.0
    medians = {name: number(float(np.median(values)), digits) for name, values in rows.items()}
    described = "; ".join(f"{name}: median {median}" for name, median in medians.items())
    drawing = Drawing(WIDTH, len(rows) * row + AXIS, title, described)
    ends = [float(end) for values in rows.values() for end in np.quantile(values, [0.005, 0.995])]
    scale = Scale.over(ends, EDGE, WIDTH - EDGE)
    _grid(drawing, scale, len(rows), row)
    for k, (name, values) in enumerate(rows.items()):
        middle = k * row + 30
        with drawing.group(roles[name], method=name):
            drawing.text(0, k * row + 12, name, "name")
            drawing.text(WIDTH, k * row + 12, f"median {medians[name]}", "value", "end")
            drawing.curve(_violin(values, scale, middle, half), "violin", closed=True)
            place = scale(float(np.median(values)))
            drawing.line(place, middle - half, place, middle + half, "median")
    return drawing.markup()


def against_cost(
    title: str,
    marks: Sequence[Mark],
    costs: Mapping[str, float],
    labels: Mapping[str, str],
    cost: str,
    floor: float | None,
) -> Markup:
    """Quality (upwards) against a cost (to the right, logarithmic); `floor`, the mean of `gray`, is a dashed line.

    Methods without a cost or with none at all (0) have no place on a logarithmic axis; equal costs stand side by side.
    `costs` are in the unit that `cost`, the axis' name, says; `labels` stand for methods beside the plot.
    """
    placed = [mark for mark in marks if costs.get(mark.name)]
    told = "; ".join(f"{mark.name}: {mark.text} at {costs[mark.name]:.3g}" for mark in placed)
    drawing = Drawing(WIDTH, 250, title, told)
    across, up = _frame(drawing, [labels[mark.name] for mark in placed])
    x = Scale.over([costs[mark.name] for mark in placed], *across, log=True, pad=0.08)
    y = Scale.over([end for mark in placed for end in mark.ends] + ([floor] if floor is not None else []), *up)
    _axes(drawing, x, y, cost)
    if floor is not None:
        drawing.line(x.start, y(floor), x.end, y(floor), "floor")
    names = list(labels)
    places = spread([y(mark.mean) for mark in placed], 13, y.end + 4, y.start - 2)
    beside = _dodged([x(costs[mark.name]) for mark in placed])
    for mark, left, place in zip(placed, beside, places, strict=True):
        with drawing.group(f"hue{names.index(mark.name) % HUES}", method=mark.name):
            drawing.tip(f"{mark.name}: {mark.text}, {cost} {costs[mark.name]:.3g}")
            level = y(mark.mean)
            if mark.interval:
                drawing.line(left, y(mark.interval[0]), left, y(mark.interval[1]), "interval")
            drawing.line(left, level, x.end + 6, place, "leader")
            drawing.dot(left, level, 3.6)
            drawing.text(x.end + 8, place + 3.5, labels[mark.name], "key")
    return drawing.markup()


def curves(title: str, lines: Mapping[str, Sequence[Sequence[Point]]], labels: Mapping[str, str]) -> Markup:
    """A quantity over training steps, a line per seed in its method's color, named at its end.

    From method → for each seed its points (step, value), and method → what stands for it beside the plot, if anything.
    """
    points = [point for group in lines.values() for line in group for point in line]
    last = {name: float(np.mean([line[-1][1] for line in group])) for name, group in lines.items()}
    told = "; ".join(f"{name} ends at {value:.4g}" for name, value in last.items())
    drawing = Drawing(WIDTH, 220, title, told)
    across, up = _frame(drawing, [labels[name] for name in lines if labels.get(name)])
    x = Scale(0, max(step for step, _ in points) or 1, *across)
    y = Scale.over([value for _, value in points], *up)
    _axes(drawing, x, y, "step")
    names = list(labels) or list(lines)
    places = spread([y(value) for value in last.values()], 13, y.end + 4, y.start - 2)
    for (name, group), place in zip(lines.items(), places, strict=True):
        with drawing.group(f"hue{names.index(name) % HUES}", method=name):
            drawing.tip(name)
            for line in group:
                drawing.curve([(x(step), y(value)) for step, value in line], "line")
                if len(line) == 1:
                    drawing.dot(x(line[0][0]), y(line[0][1]), 2.5)
            if labels.get(name):
                drawing.line(x(group[0][-1][0]), y(last[name]), x.end + 6, place, "leader")
                drawing.text(x.end + 8, place + 3.5, labels[name], "key")
    return drawing.markup()


def difference(title: str, effect: float, low: float, high: float) -> Markup:
    """One difference with its interval, beside zero."""
    drawing = Drawing(160, 18, title)
    scale = Scale.over([low, high, 0.0], 4, 156)
    drawing.line(scale(0), 0, scale(0), 18, "floor")
    _whisker(drawing, scale, Mark("", "method", effect, (low, high), ""), 9)
    return drawing.markup()


def _inner_ends(marks: Sequence[Mark]) -> list[float]:
    """What a scale must hold: a ceiling only where there is nothing else."""
    return [end for mark in marks if mark.role != "ceiling" for end in mark.ends] or marks[0].ends


def _whisker(drawing: Drawing, scale: Scale, mark: Mark, y: float) -> None:
    if not scale.holds(mark.mean):  # a ceiling far away
        side = 1 if mark.mean > scale.high else -1
        tip = scale(mark.mean)
        drawing.curve([(tip - 6 * side, y - 4), (tip, y), (tip - 6 * side, y + 4)], "beyond")
        return
    if mark.interval:
        low, high = (scale(end) for end in mark.interval)
        drawing.line(low, y, high, y, "interval")
        for end in (low, high):
            drawing.line(end, y - 3, end, y + 3, "interval")
    drawing.dot(scale(mark.mean), y, 3.6)


def _dodged(places: Sequence[float], step: float = 7.0) -> list[float]:
    """Pixels with those of (nearly) the same place side by side around it: variants of a network cost the same."""
    cells = [round(place / step) for place in places]
    seen: Counter[int] = Counter()
    dodged = []
    for place, cell in zip(places, cells, strict=True):
        dodged.append(place + (seen[cell] - (cells.count(cell) - 1) / 2) * step)
        seen[cell] += 1
    return dodged


def _grid(drawing: Drawing, scale: Scale, rows: int, row: float) -> None:
    """Vertical lines at round values, broken where the names of the rows stand, and the values below."""
    height = rows * row
    for value, text in scale.ticks():
        drawing.line(scale(value), NAME, scale(value), height + 3, "grid", dash=f"{row - NAME:g} {NAME:g}")
        inside = min(max(scale(value), 3.2 * len(text)), WIDTH - 3.2 * len(text))  # no text beyond the edge
        drawing.text(inside, height + 15, text, "tick", "middle")


def _frame(drawing: Drawing, labels: Sequence[str]) -> tuple[Point, Point]:
    """The pixels between which values are drawn: (left, right), (bottom, top)."""
    room = max((len(label) for label in labels), default=0) * 6.4 + (12 if labels else 0)
    return (42, drawing.width - room - EDGE), (drawing.height - 36, 8)


def _axes(drawing: Drawing, x: Scale, y: Scale, name: str) -> None:
    for value, text in y.ticks():
        drawing.line(x.start, y(value), x.end, y(value), "grid")
        drawing.text(x.start - 5, y(value) + 3.5, text, "tick", "end")
    drawing.line(x.start, y.start, x.end, y.start, "axis")
    for value, text in x.ticks(4):
        drawing.line(x(value), y.start, x(value), y.start + 4, "axis")
        drawing.text(x(value), y.start + 15, text, "tick", "middle")
    drawing.text((x.start + x.end) / 2, y.start + 30, name, "tick", "middle")


def _violin(values: np.ndarray, scale: Scale, middle: float, half: float) -> list[Point]:
    """The outline of a smoothed histogram, mirrored at its axis, as high as `half` at its mode."""
    counts, edges = np.histogram(np.clip(values, scale.low, scale.high), BINS, (scale.low, scale.high))
    reach = np.arange(-4, 5)
    smooth = np.convolve(counts, np.exp(-0.5 * (reach / SMOOTHING) ** 2), mode="same")
    present = np.flatnonzero(smooth > smooth.max() * 0.004)
    chosen = slice(present[0], present[-1] + 1)
    heights = (smooth[chosen] / smooth.max() * half).tolist()
    across = [scale(center) for center in ((edges[:-1] + edges[1:]) / 2)[chosen].tolist()]
    outline = list(zip(across, heights, strict=True))
    return [(x, middle - height) for x, height in outline] + [(x, middle + height) for x, height in reversed(outline)]


def _described(marks: Sequence[Mark]) -> str:
    return "; ".join(f"{mark.name}: {mark.text}" for mark in marks)
