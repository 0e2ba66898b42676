"""Where a training's curves and pictures go: TensorBoard always, and one more program if it is asked for.

All of them get the same names through one protocol. Names begin with what is compared across runs ("loss/generator",
"validation/PSNR"), because every one of these programs groups by what stands before the slash.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError
from benchmark.training.progress import Row

PROJECT = "colorbench"  # name of the project or experiment there


class Logger(Protocol):
    """A program that keeps the curves of one run; steps come twice, for losses and scores and after a resumption."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Keeps values by name."""

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Keeps a picture, (H, W, 3) uint8 sRGB."""

    def close(self) -> None:
        """Writes what is pending."""


class TensorBoard:
    """Event files in a folder; the settings are HParams, beside which TensorBoard shows `compared`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], compared: list[str], purge_step: int | None) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=purge_step)
        for summary in hparams(dict(settings), dict.fromkeys(compared, 0.0)) if settings else ():
            self.writer._get_file_writer().add_summary(summary)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Keeps values by name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Keeps a picture."""
        self.writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is pending."""
        self.writer.close()


class Wandb:
    """A run of Weights & Biases; its own variables (WANDB_MODE, WANDB_PROJECT, …) say where."""

    def __init__(self, title: str, folder: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self.image = wandb.Image
        self.run = wandb.init(project=PROJECT, name=title, dir=str(folder), config=dict(settings))
        self.run.define_metric("*", step_metric="step")  # its own step may not go back, ours does after a resumption

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Keeps values by name."""
        self.run.log({**values, "step": step})

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Keeps a picture."""
        self.run.log({name: self.image(pixels), "step": step})

    def close(self) -> None:
        """Ends the run."""
        self.run.finish()


class Mlflow:
    """A run of MLflow; its own variables (MLFLOW_TRACKING_URI, …) say where."""

    def __init__(self, title: str, folder: Path, settings: Mapping[str, Any]) -> None:
        import mlflow

        self.client = mlflow.MlflowClient()
        known = self.client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self.client.create_experiment(PROJECT)
        self.run = self.client.create_run(experiment, run_name=title).info.run_id
        for name, value in settings.items():
            self.client.log_param(self.run, name, value)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Keeps values by name."""
        for name, value in values.items():
            self.client.log_metric(self.run, name, value, step=step)

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Keeps a picture."""
        self.client.log_image(self.run, pixels, artifact_file=f"{name}/step{step:07d}.png")

    def close(self) -> None:
        """Ends the run."""
        self.client.set_terminated(self.run)


LOGGERS: dict[str, type[Wandb] | type[Mlflow]] = {"wandb": Wandb, "mlflow": Mlflow}
"""Option → its class; the package has the option's name, and is imported when a training begins."""


@contextmanager
def one_line(name: str | None) -> Iterator[None]:
    """Turns whatever such a program raises, each its own classes, into one line.

    Raises:
        BenchError: it cannot be reached, or takes no more.
    """
    try:
        yield
    except (BenchError, OSError):  # a full disk has its own line
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BenchError(f"--{name}: {reason}; the same command goes on, also without --{name}") from error


def require(name: str | None) -> None:
    """Says before any work what is missing.

    Raises:
        BenchError: the program is not installed.
    """
    if name and not find_spec(name):
        raise BenchError(f"--{name} needs the package {name}, which is no part of ours: pip install {name}")


def named(row: Row) -> dict[str, float]:
    """The numbers of a row of the history under the names that people read."""
    return {
        _readable(name): float(value) for name, value in row.items() if name != "step" and not isinstance(value, str)
    }


def _readable(name: str) -> str:
    """`generator_loss` → `loss/generator`, `val_psnr` → `validation/PSNR`."""
    kind, _, quantity = name.partition("_")
    if kind != "val":
        return f"{quantity.replace('_', ' ')}/{kind}"
    of_truth = quantity.endswith("_truth")
    label = METRICS[quantity.removesuffix("_truth")].label
    return f"validation/{label}{' of the truth' if of_truth else ''}"


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Settings by dotted names, as all of these programs take them: numbers, truth values and texts."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", value if isinstance(value, bool | int | float | str) else str(value)
