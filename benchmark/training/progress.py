"""The monitor that a training reports to while it runs, and the outcome that it leaves beside the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.support.files import write_atomically

Row = dict[str, float | int | str]


class Monitor:
    """Receives the reports of the loop; subclasses show them. A monitor never changes the training."""

    def start(self, step: int, steps: int) -> None:
        """Called when training begins, or continues after `step` steps."""

    def advance(self, step: int) -> None:
        """Called when `step` steps are done."""

    def log(self, row: Row) -> None:
        """Called at each log step with its losses and learning rates."""

    def validate(self, step: int) -> Row:
        """Validates and shows the method as it is now; the returned row goes into the history."""
        return {}

    def message(self, text: str) -> None:
        """Called with a line that the user should read."""


@dataclass(frozen=True)
class Outcome:
    """The figures that a finished training leaves beside the weights."""

    steps: int
    seconds: float  # Seconds in the loop, summed over all runs, with validation and checkpoints.
    images_per_second: float | None
    history: Sequence[Row]


def write_history(path: Path, history: Sequence[Row]) -> None:
    """Writes the history as CSV: a row per log step or validation, a column per quantity, empty where it is missing."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in history)]
    write_atomically(path, ("\n".join(lines) + "\n").encode())
