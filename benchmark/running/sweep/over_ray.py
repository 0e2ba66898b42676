"""Runs jobs as Ray tasks: on this machine's cores, or on the nodes of a cluster."""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmark.data.preparation.decoding import usable_cores
from benchmark.running.sweep.plan import Job
from benchmark.running.sweep.worker import STOP, Attempt, attempt
from benchmark.support.errors import BenchError, InputError

OBJECT_STORE_BYTES = 80 << 20  # near Ray's minimum: nothing but exit codes passes through it


@dataclass(frozen=True)
class Resources:
    """What Ray has and what a cell gets."""

    address: str | None = None  # of a cluster; None: Ray is started here, for the time of the sweep
    cpus: int | None = None  # of Ray started here; None: all that this process may use
    cpus_per_cell: int = 1
    gpus_per_cell: float = 0.0


class RayEngine:
    """Implements `benchmark.running.sweep.schedule.Engine`; a context manager that connects to Ray and leaves it.

    Args:
        resources: what there is, and what a cell gets.
        folder: the project; on a cluster, at the same path on every node.
        logs: the folder of the jobs' log files.
        variables: of the jobs' environment.
    """

    def __init__(self, resources: Resources, folder: Path, logs: Path, variables: Mapping[str, str]) -> None:
        self.resources = resources
        self.folder = folder
        self.logs = logs
        self.variables = {**variables, "OMP_NUM_THREADS": str(resources.cpus_per_cell)}
        self.slots = 1
        self._ray = _import_ray(local=resources.address is None)
        self._jobs: dict[Any, Job] = {}
        self._scratch: Path | None = None

    def __enter__(self) -> Self:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        try:
            self._ray.init(**(quiet | ({"address": self.resources.address} if self.resources.address else self._own())))
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            self._leave()
            raise BenchError(f"Ray cannot be reached or started: {str(error).strip().splitlines()[0]}") from None
        self.slots = self._count_slots()
        self._task = self._ray.remote(
            num_cpus=self.resources.cpus_per_cell, num_gpus=self.resources.gpus_per_cell, max_retries=0
        )(attempt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def submit(self, job: Job) -> None:
        """Queues a job; Ray starts it where the resources are free."""
        task = self._task.options(name=job.name)
        self._jobs[task.remote(job.arguments, self.folder, self.logs / job.log, self.variables)] = job

    def finished(self, seconds: float) -> list[tuple[Job, Attempt]]:
        """What has ended; waits for it at most so long."""
        ended, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=seconds)
        return [(self._jobs.pop(task), self._outcome(task)) for task in ended]

    def stop(self) -> None:
        """Asks every worker, by a file that they look for, to have its cell save and end, and to begin no other."""
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.logs / STOP).touch()

    def _outcome(self, task: Any) -> Attempt:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return Attempt(1, error=f"its Ray worker died ({type(error).__name__})")

    def _own(self) -> dict[str, Any]:
        """What starts Ray on this machine, for the time of the sweep; nothing of it stays."""
        short = Path("/tmp")  # sockets lie below it, and their paths may have 107 bytes: $TMPDIR is often too long
        self._scratch = Path(tempfile.mkdtemp(prefix="ray-", dir=short if os.access(short, os.W_OK) else None))
        cores = self.resources.cpus or usable_cores()
        memory = {"object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": str(self._scratch)}
        return {"address": "local", "num_cpus": cores, "include_dashboard": False, **memory}

    def _count_slots(self) -> int:
        """How many cells all nodes together can run at once.

        Raises:
            InputError: none, and Ray was started here, so that waiting for more nodes is pointless.
        """
        wants = {"CPU": self.resources.cpus_per_cell, "GPU": self.resources.gpus_per_cell}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        slots = sum(min(int(node.get(kind, 0) / want) for kind, want in wants.items() if want) for node in nodes)
        if not slots and self.resources.address is None:
            has = ", ".join(f"{nodes[0].get(kind, 0):g} {kind}" for kind in wants)
            asked = " and ".join(f"{want:g} {kind}" for kind, want in wants.items())
            raise InputError(
                f"a cell shall have {asked}, this machine has {has}; lower --cpus-per-cell or --gpus-per-cell"
            )
        return max(1, slots)

    def _leave(self) -> None:
        self._ray.shutdown()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _import_ray(local: bool) -> Any:
    """The package, told by the environment, which it reads when it is imported, to tell nobody that it is used.

    Ray started here answers to this process alone: whoever lacks the token is refused (left to itself, Ray would write
    one into the home folder), and nothing listens on an address that other machines reach. Ray does the latter only
    where it supports no clusters, which its variable, named after those systems, says of any other system, too.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if local:
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 otherwise: whatever else runs here would slow the cells
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        import ray
    except ImportError:
        raise BenchError("bench sweep needs Ray, which is not installed: pip install 'colorbench[sweep]'") from None
    return ray
