"""What a person sees of a training: a bar with losses, curves, the same pictures at every validation."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from rich.console import Console

from benchmark.contracts.method import Method
from benchmark.data.color import gray_of
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import Prepared
from benchmark.running.loggers import LOGGERS, Logger, TensorBoard, flat, named, one_line
from benchmark.scoring.evaluate import batches, colorize
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.support.montage import montage
from benchmark.support.progress import progress_bar
from benchmark.training.progress import DISTANCES, Monitor, Row

VALIDATION_METRICS = ("psnr", "ssim", "auc", "colorfulness")
OF_TRUTH = "delta_colorfulness"  # is measured along for the truth's colorfulness, which is followed instead of it
GRID_IMAGES = 8
PLAIN_SECONDS = 15.0  # between lines where there is no terminal to draw a bar on


@dataclass(eq=False)
class TrainingMonitor(Monitor):
    """Shows one run on the console, in TensorBoard, and in one more program if it is asked for."""

    method: Method  # in training, on the device
    prepared: Prepared  # its validation split is scored and shown
    folder: Path  # TensorBoard's files go to `tensorboard/`, pictures (gray, output, truth) to `pictures/` below it
    _: KW_ONLY
    title: str  # what the bar says
    batch_size: int  # images per step
    validation_images: int  # at most so many are scored
    device: torch.device
    console: Console  # standard error
    settings: Mapping[str, Any] = field(default_factory=dict)  # what runs are told apart by
    logger: str | None = None  # of LOGGERS: where the curves go beside TensorBoard

    def __post_init__(self) -> None:
        split = self.prepared.images("val")
        self.chosen = evenly(len(split), self.validation_images).tolist()
        self.images = np.array(split[self.chosen])
        self.grid = torch.from_numpy(np.array(split[evenly(len(split), GRID_IMAGES)])).to(self.device)
        self.progress = progress_bar(self.console)
        self.spoke = time.perf_counter()
        self.losses = ""
        self.loggers: Sequence[Logger] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        for logger in self.loggers:
            with suppress(OSError):  # a full disk: it has ended the training, or will when the model is written
                logger.close()
        if self.loggers:
            threading.excepthook = threading.__excepthook__

    def start(self, step: int, steps: int) -> None:
        """Begins the bar; what TensorBoard holds of later steps (a run killed after its checkpoint) is hidden."""
        threading.excepthook = _leave_files_to_the_training
        settings = dict(flat(self.settings))
        compared = list(named(dict.fromkeys((f"val_{name}" for name in VALIDATION_METRICS), 0.0)))
        self.loggers = [TensorBoard(self.folder / "tensorboard", settings, compared, step or None)]
        if self.logger:
            with one_line(self.logger):
                self.loggers = [*self.loggers, LOGGERS[self.logger](self.title, self.folder, settings)]
        self.task = self.progress.add_task(self.title, total=steps, completed=step, figures="")
        self.steps, self.began, self.first = steps, time.perf_counter(), step
        self.progress.start()

    def advance(self, step: int) -> None:
        """Moves the bar."""
        now = time.perf_counter()
        rate = (step - self.first) * self.batch_size / (now - self.began)
        self.progress.update(self.task, completed=step, figures=f"{rate:.0f} images/s {self.losses}")
        if not self.console.is_terminal and now - self.spoke > PLAIN_SECONDS:
            self.message(f"step {step}/{self.steps}, {rate:.0f} images/s, {self.losses}")
            self.spoke = now

    def log(self, row: Row) -> None:
        """Sends a row to the curves and remembers the losses for the bar."""
        self._scalars(row)
        losses = {name.removesuffix("_loss"): value for name, value in row.items() if name.endswith("_loss")}
        self.losses = " ".join(f"{name} {value:.4g}" for name, value in losses.items())

    def validate(self, step: int) -> Row:
        """Scores the validation images, by judges too where the data has one, and keeps a picture of the fixed ones."""
        judged = [name for name in METRICS if name.startswith(DISTANCES)]
        scorer = Scorer(
            prepared=self.prepared,
            split="val",
            chosen=self.chosen,
            metrics=(*VALIDATION_METRICS, OF_TRUTH, *judged),
            device=self.device,
        )
        for rgb in batches(self.images, self.device):
            scorer.update(*colorize(self.method, rgb))
        scores = scorer.compute()
        values = {**scores.values, "colorfulness_truth": float(scores.per_image["colorfulness_target"].mean())}
        del values[OF_TRUTH]
        row: Row = {f"val_{name}": value for name, value in values.items() if value is not None}
        self._scalars({"step": step, **row})
        self._show(step)
        return row

    def message(self, text: str) -> None:
        """One line above the bar."""
        self.progress.console.print(f"{self.title}: {text}", highlight=False, markup=False, soft_wrap=True)

    def _scalars(self, row: Row) -> None:
        for logger in self.loggers:
            with one_line(self.logger):
                logger.scalars(named(row), int(row["step"]))

    def _show(self, step: int) -> None:
        output = colorize(self.method, self.grid)
        target = output.target.cpu().numpy()
        picture = montage([gray_of(target), output.predicted.cpu().numpy(), target])
        for logger in self.loggers:
            with one_line(self.logger):
                logger.picture("gray, output, truth", np.asarray(picture), step)
        path = self.folder / "pictures" / f"step{step:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)


def _leave_files_to_the_training(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread prints an error of its file (a full disk) that it also raises at the training's next row."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)
