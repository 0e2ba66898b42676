"""From a cell and its data to a trained method: the seed, the order in which weights are loaded, the loop."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmark.contracts.config import Cell
from benchmark.contracts.method import Method, parameter_count
from benchmark.contracts.returned import returned
from benchmark.data.batches import Batches
from benchmark.data.prepared import Prepared
from benchmark.support.errors import BenchError, InputError
from benchmark.support.memory import free_memory
from benchmark.training.acceleration import make_deterministic
from benchmark.training.distributed import Ranks, synchronize_batch_norm
from benchmark.training.progress import Monitor, Outcome
from benchmark.training.trainer import Trainer

BYTES_PER_WEIGHT = 16  # Adam in float32 keeps a weight, its gradient and two moments, 4 bytes each.


def build_method(cell: Cell, prepared: Prepared, device: torch.device) -> Method:
    """Builds a method on the device; the seed alone decides its initial weights.

    Raises:
        InputError: the networks are larger than the memory.
    """
    _require_memory(cell, prepared)
    torch.manual_seed(cell.seed)
    method = cell.method_class(cell.method_config, prepared.info())
    if not isinstance(getattr(method, "colorizer", None), torch.nn.Module):
        returned(None, torch.nn.Module, type(method).__init__)
    return method.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _require_memory(cell: Cell, prepared: Prepared) -> None:
    """Counts the weights without making them, as a system that runs out of memory kills a process without a message."""
    try:
        with torch.device("meta"):
            weights = parameter_count(cell.method_class(cell.method_config, prepared.info()))
    except Exception:  # The real build then raises the same error and explains it.
        return
    needed, free = weights * BYTES_PER_WEIGHT, free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{cell.name}: networks of {weights:,} weights need {needed >> 30} GiB of memory to be trained, and "
            f"{free >> 30} are free; make them smaller ({', '.join(cell.method_settings) or 'other settings'})"
        )


def fit(
    cell: Cell,
    prepared: Prepared,
    *,
    key: str,
    folder: Path,
    parents: Mapping[str, Mapping[str, Tensor]],
    start: int,
    device: torch.device,
    ranks: Ranks,
    on_device: Literal["auto", "yes", "no"],
    watch: Callable[[Method], AbstractContextManager[Monitor]],
) -> tuple[Method, Outcome]:
    """Trains a method, or continues from its checkpoint. A method that has nothing to learn is only built.

    Args:
        cell: the cell whose settings decide the training.
        prepared: the cell's prepared data.
        key: the hash of everything that decides the weights.
        folder: the folder that holds the checkpoints.
        parents: entry name → the weights that the method starts from.
        start: the number of training images that these have seen; the training goes on behind them.
        device: the device to train on.
        ranks: the processes that train together.
        on_device: whether to keep the training images on the device.
        watch: makes the monitor that reports the training while it runs.

    Raises:
        BenchError: the errors of `Trainer.run`.
    """
    training = cell.training
    if training.deterministic:
        make_deterministic(device)
    method = synchronize_batch_norm(build_method(cell, prepared, device), ranks, device)
    method.load_pretrained()
    if parents:
        method.load_parents(parents)
    if not any(returned(method.optimizers(phase.name), dict, method.optimizers) for phase in method.phases):
        return method, Outcome(0, 0.0, None, [])
    batches = Batches(
        prepared.images("train"),
        training.batch_size,
        seed=cell.seed,
        device=device,
        flip=training.flip,
        crop=training.crop,
        start=start,
        on_device=on_device,
        rank=ranks.rank,
        world=ranks.world,
    )
    with watch(method) as monitor:
        trainer = Trainer(
            method,
            training,
            batches,
            seed=cell.seed,
            device=device,
            folder=folder,
            key=key,
            monitor=monitor,
            ranks=ranks,
            check_data=_unchanged(prepared.folder / "train.npy"),
        )
        return method, trainer.run()


def _unchanged(path: Path) -> Callable[[], None]:
    """Returns a check that raises once the file is no longer the one that it is now."""

    def identity() -> tuple[int, int, int] | None:
        if not path.exists():
            return None
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    before = identity()

    def check() -> None:
        if identity() != before:
            raise BenchError(f"{path} changed under the training, which stops without a model; run it again")

    return check
