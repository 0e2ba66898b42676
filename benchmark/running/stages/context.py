"""What every stage needs beside the cell and records of the machine, and the first stage: prepared data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from benchmark.contracts.config import Cell, Params
from benchmark.contracts.result import Machine
from benchmark.contracts.workspace import Workspace
from benchmark.data.preparation.prepare import prepare
from benchmark.data.prepared import Prepared, open_data
from benchmark.scoring.evaluate import cpu_name, device_name
from benchmark.support.errors import BenchError, InputError
from benchmark.training.distributed import ALONE, Ranks


@dataclass(frozen=True)
class Context:
    """What every stage needs beside the cell."""

    params: Params
    workspace: Workspace
    console: Console  # standard error: progress and messages
    device: torch.device
    root: Path | None = None  # where the user keeps data sets
    workers: int | None = None  # of preparation
    skip_corrupt: bool = False
    on_device: Literal["auto", "yes", "no"] = "auto"  # keep the training images there
    ranks: Ranks = ALONE  # the processes that work together; the first writes
    also: tuple[str, ...] = ()  # optional metrics to measure
    logger: str | None = None  # of benchmark.running.loggers: where curves go beside TensorBoard

    def say(self, text: str) -> None:
        """One line on standard error."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def choose_device(name: str) -> torch.device:
    """`auto`, or any of torch's names; a GPU that is not there is an error, never a silent CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BenchError(
            f"--device {name}: {str(error).splitlines()[0]}; use auto, cpu or a device that is there"
        ) from None
    return device


def prepare_data(cell: Cell, context: Context) -> Prepared:
    """The cell's prepared arrays, made if they are not there or not of these settings; of a transfer, both sets'.

    Raises:
        InputError: a test set is to be trained on.
    """
    root = context.root
    if cell.trained_in:
        prepare_data(cell.trained_in, context)
        root = root / cell.data if root and (root / cell.data).exists() else None  # the root itself may be the other's
    elif cell.method and "train" not in cell.dataset_class.split_names:
        raise InputError(
            f"--data {cell.data}: a test set, it has no training split; write --data X --test-on {cell.data}"
        )
    dataset = cell.dataset_class(cell.data_config, cell.data_path or root)
    folder = context.workspace.data(cell)
    if context.ranks.first:
        prepare(dataset, folder, name=cell.data, workers=context.workers, skip_corrupt=context.skip_corrupt)
    context.ranks.wait()
    return open_data(context.workspace, cell)


def machine_of(device: torch.device, precision: str = "fp32", devices: int = 1) -> Machine:
    """What a run is made on now, as far as it decides bits: recorded with every model and every result.

    `precision` is resolved from "auto", and always "fp32" of scoring; `devices` are processes that work together.
    """
    return Machine(
        cpu=cpu_name(),
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        kind=device.type,
        device=device_name(device),
        devices=devices,
        precision=precision,
    )
