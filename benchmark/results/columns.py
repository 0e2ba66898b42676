"""What a table is made of: results, cells, and columns, which are metrics or what rooms beside the engine fill in.

Such a room announces a `Provider` by name, which is imported when the first table is made: announcing costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal, Protocol

from benchmark.scoring.metrics import METRICS, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.contracts.result import Result, Run
    from benchmark.results.statistics import Estimate, Rank

Kind = Literal["family", "ablation", "reference"]
NOT_MEASURED = "not measured"  # the note of a row that knows nothing of a metric
_ANNOUNCED: dict[str, None] = {}  # names of providers, in the order of their columns


@dataclass(frozen=True)
class Measured:
    """A result that may stand in a table, with its per-image values."""

    path: Path
    result: "Result"
    columns: dict[str, "NDArray[np.float32]"]  # name → (N,) float32
    metrics: dict[str, float]  # from the columns where they decide it, else as the file has it; None is left out


def kind_of(run: "Run", varied: Mapping[str, str]) -> Kind:
    """What a row is in a table (protocol §8): only families are ranked, and form the family of tests.

    Args:
        run: of the row.
        varied: ablation → the entry that it varies, as `Params.varied` says.
    """
    if run.role != "method":
        return "reference"
    return "ablation" if run.method in varied and not run.external else "family"


@dataclass(frozen=True)
class TableCell:
    """One row of a table under one column."""

    estimate: "Estimate | None"
    note: str = ""  # why there is no value, or what must be known of it
    rank: "Rank | None" = None
    best: bool = False  # nothing is shown to be better, it is in the better half, and its psnr not below the floor's
    below_floor: bool = False  # not shown to beat a picture without any color
    versus: int = 0  # of an ablation: 1 where it is shown to be better than the entry it varies, -1 worse

    @cached_property
    def mean(self) -> float | None:
        """Mean over seeds; None: n/a."""
        return self.estimate.mean if self.estimate else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval, None where nothing is known of the spread."""
        return self.estimate.interval() if self.estimate else None


@dataclass(frozen=True)
class LeftOut:
    """A file that does not stand in a table."""

    path: Path
    reason: str  # why, in words that hold for other files too
    remedy: str = ""  # what to do about this file, a command perhaps

    @property
    def name(self) -> str:
        """Method and file, as a page beside the folder names them: `l2/seed0.json`."""
        return f"{self.path.parent.name}/{self.path.name}"

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}{f'; {self.remedy}' if self.remedy else ''}"


@dataclass(frozen=True)
class Filled:
    """What a provider knows of one table."""

    cells: Mapping[str, Mapping[str, TableCell]] = field(default_factory=dict)  # column → row → cell, of every row
    truth: Mapping[str, "Estimate"] = field(default_factory=dict)  # columns in which the true images have a value
    left_out: Sequence[LeftOut] = ()
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what a footnote says → of which columns


class Provider(Protocol):
    """A source of columns that do not follow from result files."""

    columns: Mapping[str, Metric]

    def fill(self, folder: Path, measured: Sequence[Measured]) -> Filled:
        """The cells of the table of `results/<data>/<preset>` whose rows are made from these results."""


def announce(provider: str) -> None:
    """Adds the columns of a provider, `package.module:name`, to every table."""
    _ANNOUNCED[provider] = None


def providers() -> list[Provider]:
    """Everybody who was announced."""
    return [resolve_name(name) for name in _ANNOUNCED]


def columns() -> dict[str, Metric]:
    """Every column that a table may have, in order."""
    return METRICS | {name: metric for provider in providers() for name, metric in provider.columns.items()}
