"""What a training tells while it runs, and what it leaves beside the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.support.files import write_atomically

Row = dict[str, float | int | str]


class Monitor:
    """What the loop tells while it runs. This one says nothing; others override it. None ever changes the training."""

    def start(self, step: int, steps: int) -> None:
        """Training begins, or goes on after `step` steps."""

    def advance(self, step: int) -> None:
        """`step` steps are done."""

    def log(self, row: Row) -> None:
        """A log step has these losses and rates."""

    def validate(self, step: int) -> Row:
        """Validates and shows the method as it is now; what is returned goes into the history."""
        return {}

    def message(self, text: str) -> None:
        """The user should read this line."""


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves beside the weights."""

    steps: int
    seconds: float  # in the loop, over all sittings; validation and checkpoints included
    images_per_second: float | None
    history: Sequence[Row]


def write_history(path: Path, history: Sequence[Row]) -> None:
    """Writes the history as CSV: a row per log step or validation, a column per quantity, empty where there is none."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in history)]
    write_atomically(path, ("\n".join(lines) + "\n").encode())
