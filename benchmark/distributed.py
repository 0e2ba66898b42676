"""Several processes training one model: who am I, and what do we have together?

Started by torchrun (`bench run --devices N` does that). Every rank builds the same method from the same seed and takes
its slice of the same global batch; gradients are averaged once per update, without a wrapper around the networks, as
wrappers cannot follow a discriminator that is called twice per step. Rank 0 speaks and writes.
"""

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmark.errors import BenchError

Value = TypeVar("Value")
Network = TypeVar("Network", bound=nn.Module)
TIMEOUT = timedelta(minutes=30)  # of one collective: rank 0 may validate and write while the others wait


class Ranks:
    """The processes of this run. Alone (world 1) every method returns at once."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank = rank
        self.world = world

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Every rank gets the mean of all ranks' gradients: one exchange for all parameters together."""
        if self.world == 1:
            return
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        self._average(gradients)
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient

    def average_buffers(self, module: nn.Module) -> None:
        """BatchNorm's running statistics, which each rank gathers over its own share of the batches."""
        if self.world > 1:
            self._average([buffer for buffer in module.buffers() if buffer.is_floating_point()])

    def _average(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, value: int) -> int:
        """The largest of all ranks' values: one rank's wish to stop becomes everyone's."""
        if self.world == 1:
            return value
        together = torch.tensor(value, device=_exchange_device())
        dist.all_reduce(together, dist.ReduceOp.MAX)
        return int(together.item())

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What rank 0 makes, on every rank. If it cannot, every rank fails."""
        if self.world == 1:
            return make()
        box: list[Any] = [None]
        if self.first:
            box = [make()]
        dist.broadcast_object_list(box, src=0, device=_exchange_device())
        return box[0]

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()


def started_by_torchrun() -> bool:
    """Whether this process is one of several that belong together."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """Joins the other processes, if torchrun started any.

    Args:
        device: what the user wants; `cuda` becomes this rank's own GPU.

    Returns:
        The ranks, and this one's device.

    Raises:
        BenchError: more ranks on this node than GPUs.
    """
    if not started_by_torchrun():
        return ALONE, device
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise BenchError(f"{local + 1} processes on this node, but only {torch.cuda.device_count()} GPUs")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    atexit.register(dist.destroy_process_group)
    return Ranks(dist.get_rank(), dist.get_world_size()), device


def synchronize_batch_norm(method: Network, ranks: Ranks, device: torch.device) -> Network:
    """On GPUs, BatchNorm over the whole global batch; on CPUs torch has none: each rank normalizes its own share."""
    if ranks.world > 1 and device.type == "cuda":
        return cast(Network, nn.SyncBatchNorm.convert_sync_batchnorm(method))
    return method


def launch(command: Sequence[str], devices: int) -> int:
    """Runs a `bench` command in `devices` processes on this machine; returns torchrun's exit code."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={devices}"]
    env = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // devices)), **os.environ}
    return subprocess.run([*torchrun, "-m", "benchmark", *command], env=env, check=False).returncode


def _exchange_device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
