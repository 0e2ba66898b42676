"""The processes (ranks) that train one model together, their exchanges, and their launcher.

`bench run --devices N` starts the ranks by torchrun. Every rank builds the same method from the same seed and takes
its slice of the same global batch; gradients are averaged once per update, without a wrapper around the networks, as
wrappers cannot follow a discriminator that is called twice per step. Only rank 0 prints and writes files.
"""

import atexit
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmark.support.errors import BenchError
from benchmark.support.interruption import REQUEUE
from benchmark.training.heartbeat import watch_each_other

Value = TypeVar("Value")
Network = TypeVar("Network", bound=nn.Module)
TIMEOUT = timedelta(minutes=30)  # A collective may last this long, as others wait while rank 0 validates.
LOST = 76  # EX_PROTOCOL: a rank exits with this code because another rank ended, whose error is the cause.
FIRST_SEEN = 2.0  # Seconds that such a rank waits, so that the launcher sees which rank ended first.
PARENT_SECONDS = 1.0  # Seconds between two checks whether the launcher still runs.


class Ranks:
    """The processes of this run. With one process (world 1) every method returns at once."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank = rank
        self.world = world

    @property
    def first(self) -> bool:
        """Whether this process is rank 0, which alone prints and writes files."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Gives every rank the mean of all ranks' gradients, in one exchange for all parameters together."""
        if self.world == 1:
            return
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        self._average(gradients)
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient

    def average_buffers(self, buffers: Sequence[Tensor]) -> None:
        """Averages BatchNorm's running statistics, which each rank gathers over its own share of the batches."""
        if self.world > 1:
            self._average([buffer for buffer in buffers if buffer.is_floating_point()])

    def _average(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _collective():
            dist.all_reduce(flat)
        flat /= self.world
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, value: int) -> int:
        """Returns the largest of all ranks' values, so that all ranks stop if one of them wants to."""
        if self.world == 1:
            return value
        together = torch.tensor(value, device=_exchange_device())
        with _collective():
            dist.all_reduce(together, dist.ReduceOp.MAX)
        return int(together.item())

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Returns on every rank the value that rank 0 makes. If `make` fails on rank 0, every rank fails."""
        if self.world == 1:
            return make()
        box: list[Any] = [None]
        if self.first:
            box = [make()]
        with _collective():
            dist.broadcast_object_list(box, src=0, device=_exchange_device())
        return box[0]

    def wait(self) -> None:
        """Returns when all ranks have called this method."""
        if self.world > 1:
            with _collective():
                dist.barrier()


ALONE = Ranks()


def started_by_torchrun() -> bool:
    """Whether torchrun started this process as one of several ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """Joins the other processes, if torchrun started any; returns the ranks, and this one's device.

    BenchError: this node has fewer GPUs than ranks (`cuda` means each rank's own).
    """
    if not started_by_torchrun():
        return ALONE, device
    _end_with_launcher()
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise BenchError(f"{local + 1} processes on this node, but only {torch.cuda.device_count()} GPUs")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    store, rank, world = next(dist.rendezvous("env://", timeout=TIMEOUT))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    atexit.register(dist.destroy_process_group)
    watch_each_other(store, rank, world)
    return Ranks(rank, world), device


def synchronize_batch_norm(method: Network, ranks: Ranks, device: torch.device) -> Network:
    """Makes BatchNorm use the whole global batch on GPUs. torch cannot on CPUs, so each rank uses its own share."""
    if ranks.world > 1 and device.type == "cuda":
        return cast(Network, nn.SyncBatchNorm.convert_sync_batchnorm(method))
    return method


def launch(command: Sequence[str], devices: int) -> int:
    """Runs a `bench` command in `devices` processes on this machine, and leaves none behind.

    The output of rank 0 is shown. If another rank fails first, its error is shown as one line or a traceback. When a
    rank fails, the others are told to end and are killed 30 seconds later. Signals are passed on to all ranks.

    Returns the exit code: 0, that of the process that failed, or the one that belongs to the signal. BenchError: a
    process was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # The messages of torch's launcher would hide the error.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    with TemporaryDirectory(prefix="bench-ranks-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id="bench",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs, redirects=dict.fromkeys(range(1, devices), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "benchmark.cli", *command)
        except ChildFailedError as error:
            failures = dict(sorted(error.failures.items(), key=lambda item: item[1].timestamp))
            codes = {rank: failure.exitcode for rank, failure in failures.items()}
            lost = [failure.message for failure in failures.values() if failure.exitcode == LOST]
            return _explain(codes, devices, Path(logs), lost)
        except SignalException as stopped:
            return REQUEUE if stopped.sigval == signal.SIGTERM else 128 + stopped.sigval
    return 0


def _explain(codes: dict[int, int], devices: int, logs: Path, lost: Sequence[str] = ()) -> int:
    """Shows the error of the process that failed first, unless it is rank 0, whose output is shown already.

    A process that was told to end because another one failed may end in order, with `REQUEUE`. `REQUEUE` becomes the
    exit code only where no process failed; otherwise a scheduler would restart a command that fails each time.

    `codes` are by rank, negative for a signal, in the order in which the processes ended; `logs` holds the output of
    all ranks but 0; `lost` holds the messages of failed exchanges.
    """
    own = {rank: code for rank, code in codes.items() if code not in (LOST, -signal.SIGTERM)}
    own = {rank: code for rank, code in own.items() if code != REQUEUE} or own
    if not own and lost and -signal.SIGTERM not in codes.values():
        raise BenchError(f"the {devices} processes could not exchange their data: {lost[0]}")
    if not own:
        raise BenchError(f"one of {devices} processes was ended from outside; the same command goes on")
    spoke = [rank for rank in (0, *own) if own.get(rank, -1) > 0]  # Ranks with negative codes were killed.
    rank = spoke[0] if spoke else next(iter(own))
    code = own[rank]
    if code < 0:
        name = signal.Signals(-code).name
        raise BenchError(
            f"rank {rank} of {devices} was killed by {name} (for want of memory?); all have ended, and the "
            "same command goes on from the last checkpoint"
        )
    if rank:
        for log in logs.glob(f"**/{rank}/stderr.log"):
            sys.stderr.write(log.read_text(encoding="utf-8", errors="replace"))
    return code


@contextmanager
def _collective() -> Iterator[None]:
    """Wraps an exchange with the other ranks. If it fails, this process ends and sends its message to the launcher.

    Most often another process has ended, whose own error is the one to read; torch has no class of error for that case.
    The launcher shows a message of an exchange only where there is no such error, and then once. NCCL raises no
    error: there the launcher ends the ranks that wait.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if place := os.environ.get("TORCHELASTIC_ERROR_FILE"):
            line = (str(error).splitlines() or [type(error).__name__])[0]
            Path(place).write_text(json.dumps({"message": line, "timestamp": int(time.time())}), encoding="utf-8")
        time.sleep(FIRST_SEEN)
        raise SystemExit(LOST) from None


def _end_with_launcher() -> None:
    """Asks this process to stop, as SIGTERM does, when the launcher is gone."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="launcher", daemon=True).start()


def _exchange_device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
