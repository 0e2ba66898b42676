"""Drawing charts as inline SVG: a page of elements, scales with round ticks, labels that do not overlap.

Not matplotlib: its SVG fixes colors and fonts when it is made (a report has a dark mode), weighs tens of kilobytes a
chart, and cannot say which method an element belongs to, so that a script could set one off from the others.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

Point = tuple[float, float]


class Drawing:
    """One chart. Coordinates are pixels at its natural width; y grows downwards. Colors and fonts are the page's CSS.

    The title is the accessible name; the description tells in words and numbers what the chart shows.
    """

    def __init__(self, width: float, height: float, title: str, description: str = "") -> None:
        box = f"0 0 {_short(width)} {_short(height)}"
        self.width, self.height = width, height
        self._root = ElementTree.Element("svg", {"class": "chart", "viewBox": box, "role": "img"})
        self._parent = self._root
        self._add("title", text=title)
        if description:
            self._add("desc", text=description)

    @contextmanager
    def group(self, css: str = "", **data: str) -> Iterator[None]:
        """What is drawn inside belongs together; keywords become `data-` attributes."""
        outer = self._parent
        self._parent = self._add("g", css, **{f"data-{key}": value for key, value in data.items()})
        try:
            yield
        finally:
            self._parent = outer

    def text(self, x: float, y: float, content: str, css: str = "", anchor: str = "start") -> None:
        """A line of text; `anchor` (start, middle, end) says which of its points is at x."""
        place = {"x": _short(x), "y": _short(y)} | ({} if anchor == "start" else {"text-anchor": anchor})
        self._add("text", css, text=content, **place)

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str = "", dash: str = "") -> None:
        """A straight line; `dash` are the lengths of strokes and gaps in turn, from its start."""
        broken = {"stroke-dasharray": dash} if dash else {}
        self._add("line", css, x1=_short(x1), y1=_short(y1), x2=_short(x2), y2=_short(y2), **broken)

    def dot(self, x: float, y: float, radius: float, css: str = "") -> None:
        """A circle."""
        self._add("circle", css, cx=_short(x), cy=_short(y), r=_short(radius))

    def curve(self, points: Sequence[Point], css: str = "", closed: bool = False) -> None:
        """A line through points, closed to an area on demand."""
        path = "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points) + ("Z" if closed else "")
        self._add("path", css, d=path)

    def tip(self, text: str) -> None:
        """What the pointer shows over the group that is being drawn."""
        self._add("title", text=text)

    def markup(self) -> Markup:
        """The element, ready for a page."""
        return Markup(ElementTree.tostring(self._root, encoding="unicode"))

    def _add(self, tag: str, css: str = "", text: str | None = None, **attributes: str) -> ElementTree.Element:
        if css:
            attributes["class"] = css
        element = ElementTree.SubElement(self._parent, tag, attributes)
        element.text = text
        return element


@dataclass(frozen=True)
class Scale:
    """Values → pixels along one axis."""

    low: float
    high: float
    start: float  # the pixel of `low`
    end: float  # the pixel of `high`
    log: bool = False

    @classmethod
    def over(
        cls, values: Sequence[float], start: float, end: float, *, log: bool = False, pad: float = 0.05
    ) -> "Scale":
        """A scale on which all values have room, with a share of the span to spare on both sides."""
        low, high = min(values), max(values)
        if log:
            span = math.log10(high / low) or 1.0
            return cls(low / 10 ** (pad * span), high * 10 ** (pad * span), start, end, log)
        span = high - low or abs(high) * 0.1 or 1.0
        return cls(low - pad * span, high + pad * span, start, end)

    def __call__(self, value: float) -> float:
        """The pixel of a value, or of the end that it lies beyond."""
        place = math.log if self.log else float
        return float(np.interp(place(value), [place(self.low), place(self.high)], [self.start, self.end]))

    def holds(self, value: float) -> bool:
        """Whether a value lies on the scale."""
        return self.low <= value <= self.high

    def ticks(self, about: int = 5) -> list[tuple[float, str]]:
        """Round values on the scale with their texts: from two (of `about` ≥ 5) to one more than `about`."""
        return self._log_ticks(about) if self.log else self._linear_ticks(about)

    def _linear_ticks(self, about: int) -> list[tuple[float, str]]:
        step = _round_step((self.high - self.low) / about)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        texts = _thousands if step >= 1000 or digits > 4 else f"{{:.{digits}f}}".format
        return [(k * step, texts(k * step)) for k in range(first, last + 1)]

    def _log_ticks(self, about: int) -> list[tuple[float, str]]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5)):
            values = [factor * 10.0**decade for decade in decades for factor in factors]
            if len(shown := [value for value in values if self.holds(value)]) >= 3:
                break
        else:  # less than a decade: round values a constant step apart
            shown = [value for value, _ in self._linear_ticks(about)]
        return [(value, _thousands(value)) for value in shown[:: math.ceil(len(shown) / (about + 1))]]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as it takes to keep `gap` between any two, inside [low, high].

    More labels than there is room for share what there is.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    places: list[float] = []
    for k in order:
        places.append(max(wanted[k], places[-1] + gap if places else low))
    for k in reversed(range(len(places))):
        places[k] = min(places[k], places[k + 1] - gap if k + 1 < len(places) else high)
    return [place for _, place in sorted(zip(order, places, strict=True))]


def _round_step(step: float) -> float:
    """The least of 1, 2, 5 × 10ⁿ that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _thousands(value: float) -> str:
    """1500000 → `1.5M`, 0.00005 → `5e-05`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _short(value: float) -> str:
    """A coordinate to a tenth of a pixel, without a trailing zero."""
    return f"{value:.1f}".removesuffix(".0")
