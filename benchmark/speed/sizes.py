"""How large the cells of a table are: training images, steps, weights and arithmetic (`bench sizes`).

Families are comparable where they see the same images in the same number of steps and their networks are about as large
(docs/protocol.md §8). Nothing is trained and no data is needed for that: networks are built without memory.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmark.contracts.config import Cell, Params, resolve
from benchmark.contracts.method import DataInfo, parameter_count
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.scoring.evaluate import multiply_adds

BINS = 313


@dataclass(frozen=True)
class Size:
    """The size of a row. Images and steps count those of the models that it starts from."""

    method: str
    images: int
    steps: int
    parameters: int  # of the network that predicts
    multiply_adds: int  # of coloring one image


def families(params: Params) -> list[str]:
    """Returns the entries of methods that are ranked: neither ablations nor references."""
    names = [name for name in params.entries if name not in params.varied]
    preset = next(iter(params.presets))
    found = [resolve(params, method=name, data="sample", preset=preset) for name in names]
    return [cell.method for cell in found if cell.method_class.role == "method"]


def sizes_of(
    params: Params, workspace: Workspace, data: str, preset: str | None = None, methods: Sequence[str] = ()
) -> list[Size]:
    """Returns the sizes of these entries, or of all that are ranked, on a data set under a preset (None: the suite's).

    Raises:
        InputError: an unknown name.
    """
    currency, preset = Currency(params, workspace), preset or params.suite.preset
    names = methods or families(params)
    return [size_of(resolve(params, method=name, data=data, preset=preset), currency) for name in names]


def size_of(cell: Cell, currency: Currency) -> Size:
    """Returns the size of a cell."""
    prior = torch.full((BINS,), 1 / BINS, dtype=torch.float64)
    info = DataInfo(cell.data, cell.data_config.image_size, 1, (0.0, 0.0), prior)
    method, budget = cell.method_class(cell.method_config, info).to("meta"), currency.budget(cell)
    return Size(
        cell.method,
        budget.images,
        budget.steps,
        parameter_count(method.colorizer),
        multiply_adds(method, info.image_size, torch.device("meta")),
    )


def spread(sizes: Sequence[Size], quantity: str) -> float:
    """Returns the largest value of a quantity by its smallest."""
    values = [getattr(size, quantity) for size in sizes]
    return max(values) / min(values)


def as_text(sizes: Sequence[Size]) -> str:
    """Returns a Markdown table, and how far apart its rows are."""
    lines = ["| entry | images | steps | parameters | multiply-adds |", "|---|---:|---:|---:|---:|"]
    for size in sizes:
        millions = f"{size.parameters / 1e6:.2f} M | {size.multiply_adds / 1e6:.1f} M"
        lines.append(f"| `{size.method}` | {size.images:,} | {size.steps:,} | {millions} |")
    ratios = [f"{spread(sizes, name):.2f}" for name in ("images", "steps", "parameters", "multiply_adds")]
    return "\n".join([*lines, f"| *largest / smallest* | {' | '.join(ratios)} |"])


def as_values(sizes: Sequence[Size]) -> list[dict[str, Any]]:
    """Returns plain JSON values."""
    return [asdict(size) for size in sizes]
