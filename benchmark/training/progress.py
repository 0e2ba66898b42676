"""The monitor that a training reports to while it runs, and the outcome that it leaves beside the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts.curves import CURVE_POINTS, Curves
from benchmark.support.files import write_atomically

Row = dict[str, float | int | str]
DISTANCES = ("fd_", "kid_")
"""How judges' distances of sets are called: Fréchet distances, and kernel distances, which few images allow too."""


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


def curves_of(history: Sequence[Row], batch_size: int, validation_images: int) -> Curves | None:
    """Returns the validation scores of a training, or None if it has none.

    Of more than `CURVE_POINTS` validations, evenly spaced ones are kept, the last among them.

    Args:
        history: the rows of the training.
        batch_size: training images per step.
        validation_images: images that every validation scored.
    """
    rows = [row for row in history if "val_psnr" in row]
    if not rows:
        return None
    kept = min(len(rows), CURVE_POINTS)
    rows = [rows[(place + 1) * len(rows) // kept - 1] for place in range(kept)]
    distance = next((name for kind in DISTANCES for name in rows[0] if name.startswith(f"val_{kind}")), None)
    columns = {"psnr": "val_psnr", "colorfulness": "val_colorfulness", **({"distance": distance} if distance else {})}
    return Curves(
        images=tuple(int(row["step"]) * batch_size for row in rows),
        **{field: tuple(row[name] for row in rows) for field, name in columns.items()},
        colorfulness_truth=rows[0]["val_colorfulness_truth"],
        distance_metric=distance and distance.removeprefix("val_"),
        validation_images=validation_images,
    )


def write_history(path: Path, history: Sequence[Row]) -> None:
    """Writes the history as CSV: a row per log step or validation, a column per quantity, empty where it is missing."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in history)]
    write_atomically(path, ("\n".join(lines) + "\n").encode())
