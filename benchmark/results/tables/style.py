"""How numbers and names are written, the same in every format."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmark.contracts.result import Cost
from benchmark.results.columns import TableCell
from benchmark.scoring.metrics import Metric

ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}
NOTHING = "–"
VERSUS = {1: "▲", 0: "", -1: "▼"}  # of an ablation: better, not shown to differ, worse
TIMES, THOUSANDS = {"h": 3600, "min": 60, "s": 0}, {"G": 1e9, "M": 1e6, "k": 1e3, "": 0}
COST_HEADS = ("parameters", "multiply-adds", "training", "training images/s", "inference images/s", "peak memory")


@dataclass(frozen=True)
class Style:
    """How a format marks text."""

    plain: Callable[[str], str]
    bold: Callable[[str], str]
    name: Callable[[str], str]
    aside: Callable[[str], str]


TEXT = Style(str, str, str, lambda text: f"({text})")


def number(value: float, digits: int) -> str:
    """A number with so many decimals, without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def interval_text(cell: TableCell, digits: int) -> str:
    """`[23.9, 24.1]`, or nothing where no interval is known."""
    return f"[{', '.join(number(end, digits) for end in cell.interval)}]" if cell.interval else ""


def value_text(cell: TableCell, digits: int) -> str:
    """The mean; marked if it is not shown to beat gray, or if an ablation differs from the entry that it varies."""
    if cell.mean is None:
        return NOTHING
    return number(cell.mean, digits) + ("†" if cell.below_floor else "") + VERSUS[cell.versus]


def cell_text(cell: TableCell, digits: int, style: Style = TEXT) -> str:
    """`**24.00** [23.9, 24.1]`, bold where nothing is shown to be better."""
    value = value_text(cell, digits)
    value = style.bold(value) if cell.best else style.plain(value)
    return f"{value} {interval_text(cell, digits)}".rstrip()


def head(metric: Metric) -> str:
    """`psnr ↑`: the column's name, which stands for its exact variant, and its better side."""
    return metric.name + ARROWS[metric.direction]


def cost_texts(cost: Cost) -> list[str]:
    """The figures of a cost in the order of `COST_HEADS`, to three digits, in readable units."""
    return [
        in_units(cost.parameters),
        in_units(cost.macs),
        in_units(cost.train_seconds, TIMES),
        in_units(cost.train_images_per_second),
        in_units(cost.inference_images_per_second),
        NOTHING if cost.peak_memory_bytes is None else f"{_three_digits(cost.peak_memory_bytes / 2**30)} GiB",
    ]


def device_text(name: str) -> str:
    """A device's name as it is recorded, in the singular for one thread."""
    return re.sub(r"\b1 threads$", "1 thread", name)


def duration(seconds: float) -> str:
    """75 → `1.25 min`."""
    return in_units(seconds, TIMES)


def in_units(value: float | None, units: Mapping[str, float] = THOUSANDS) -> str:
    """Three digits in the first unit that is not larger than the value: 1234567 → `1.23 M`."""
    if value is None:
        return NOTHING
    unit, size = next((unit, size) for unit, size in units.items() if value >= size)
    return f"{_three_digits(value / (size or 1))} {unit}".rstrip()


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
