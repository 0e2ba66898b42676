"""Jobs as Ray tasks, on this machine's cores or on the nodes of a cluster. Ray orders, places and retries them."""

import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.contracts.workspace import Workspace
from benchmark.data.preparation.decoding import usable_cores
from benchmark.results.tables import build, tables_in
from benchmark.results.tables.style import duration
from benchmark.running.sweep.plan import Job, Listed, jobs_of
from benchmark.running.sweep.worker import STOP, JobFailed, JobStopped, run_job
from benchmark.support.errors import BenchError, InputError
from benchmark.support.interruption import Interrupted, stop_request

OBJECT_STORE_BYTES = 80 << 20  # near Ray's minimum: nothing but seconds passes through it
WAIT_SECONDS = 0.5  # between looks at whether we were asked to stop


@dataclass(frozen=True)
class Resources:
    """What Ray has and what a cell gets."""

    address: str | None = None  # of a cluster; None: Ray is started here, for the time of the sweep
    cpus: int | None = None  # of Ray started here; None: all that this process may use
    cpus_per_cell: int = 1
    gpus_per_cell: float = 0.0


@dataclass
class Report:
    """What became of the jobs."""

    done: list[Job] = field(default_factory=list)
    failed: dict[Job, str] = field(default_factory=dict)  # and why
    blocked: dict[Job, str] = field(default_factory=dict)  # and which job it would have needed
    stopped_by: int = 0  # the signal that ended the sweep early; 0: none

    def settle(self, job: Job, ray: Any, task: Any) -> str:
        """Notes how a job's task ended, and says it in a line."""
        lost = {one.name for one in (*self.failed, *self.blocked)}
        try:
            seconds = ray.get(task)
        except JobStopped:
            return f"stopped: {job.name}"
        except ray.exceptions.RayError as error:
            if missed := next((name for name in job.after if name in lost), None):
                self.blocked[job] = missed
                return f"not run: {job.name}: needs {missed}"
            cause = getattr(error, "cause", None)
            told = str(cause) if isinstance(cause, JobFailed) else f"its worker died ({type(error).__name__})"
            self.failed[job] = told
            return f"FAILED: {job.name}: {told}"
        self.done.append(job)
        return f"done in {duration(seconds)}: {job.name}"


def sweep(
    found: Sequence[Listed],
    workspace: Workspace,
    resources: Resources,
    *,
    retries: int,
    root: Path | None,
    say: Callable[[str], None],
    record: bool = False,
) -> Report:
    """Runs the listed cells, parents first, over Ray.

    Args:
        found: the cells to run.
        workspace: folders of the project; on a cluster, at the same path on every node.
        resources: what Ray has and what a cell gets.
        retries: how many more times a cell is tried that failed.
        root: where data sets are kept; None: as the environment says.
        say: prints a line of progress.
        record: the results become references; their tables are made at the end, as cells that end together may each
            have made them without the other.

    Raises:
        BenchError: Ray is not installed, or cannot be started or reached.
        Interrupted: a signal came; the cells have saved what they had.
    """
    jobs = jobs_of(found, run_options(resources, record))
    report = run_jobs(jobs, workspace, resources, retries=retries, root=root, say=say)
    if record and tables_in(workspace.references):
        build(workspace.references)
    say("next: bench leaderboard --own (the tables); bench fingerprint && dvc commit --force (DVC takes note)")
    return report


def run_options(resources: Resources, record: bool = False) -> list[str]:
    """The arguments of every `bench run` that follow from what a cell gets, and what is to become of its result."""
    devices = int(resources.gpus_per_cell)
    several = ["--devices", str(devices)] if devices > 1 else []
    return ["--threads", str(resources.cpus_per_cell), *several, *(["--record"] if record else [])]


def run_jobs(
    jobs: Sequence[Job],
    workspace: Workspace,
    resources: Resources,
    *,
    retries: int,
    root: Path | None,
    say: Callable[[str], None],
) -> Report:
    """Runs jobs over Ray, each after those that it needs, until nothing runs any more; as `sweep` otherwise.

    Ray starts a job when those before it have returned, tries one again that failed or whose worker died, and lets
    none begin that needs a failed one. After a signal, what runs is asked to save and end, and nothing begins.
    """
    logs = workspace.root / "runs" / "sweep" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    variables = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
    variables |= {"OMP_NUM_THREADS": str(resources.cpus_per_cell)}
    variables |= {"BENCH_DATA": str(root.resolve())} if root is not None else {}
    report, tasks = Report(), dict[str, Any]()
    cells = sum(job.is_cell for job in jobs)
    with connected(resources) as ray, stop_request() as stop:
        say(f"{cells} cells, {count_slots(ray, resources)} at a time; logs: {logs}")
        run = ray.remote(run_job).options(
            num_cpus=resources.cpus_per_cell,
            num_gpus=resources.gpus_per_cell,
            max_retries=retries,
            retry_exceptions=[JobFailed],
        )
        for job in jobs:
            needed = (tasks[name] for name in job.after)
            tasks[job.name] = run.remote(job, workspace.root, logs, variables, *needed)
        pending, began = {tasks[job.name]: job for job in jobs}, time.monotonic()
        while pending:
            for task in ray.wait(list(pending), timeout=WAIT_SECONDS)[0]:  # of several, the first of the list
                job = pending.pop(task)
                told = report.settle(job, ray, task)
                done = sum(one.is_cell for one in report.done)
                left = sum(one.is_cell for one in pending.values())
                rest = f" ({left} left, about {duration((time.monotonic() - began) / done * left)})" if done else ""
                say(f"[{done}/{cells}] {told}{rest if left else ''}" if job.is_cell else f"[data] {told}")
            if stop.signal and not report.stopped_by:
                report.stopped_by = stop.signal
                say("stopping: what runs is asked to save and end; once more kills it")
                logs.mkdir(parents=True, exist_ok=True)
                (logs / STOP).touch()
    done, failed, blocked = (sum(job.is_cell for job in jobs) for jobs in (report.done, report.failed, report.blocked))
    say(f"{done} cells done, {failed} failed, {blocked} not run for want of others")
    for job, reason in report.failed.items():
        say(f"failed: {job.name}: {reason} ({logs / job.log})")
    for job, missed in report.blocked.items():
        say(f"not run: {job.name}: needs {missed}")
    if report.stopped_by:
        raise Interrupted("stopped; the same command goes on", report.stopped_by)
    return report


def count_slots(ray: Any, resources: Resources) -> int:
    """How many cells all nodes together can run at once.

    Raises:
        InputError: none, and Ray was started here, so that waiting for more nodes is pointless.
    """
    wants = {"CPU": resources.cpus_per_cell, "GPU": resources.gpus_per_cell}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = sum(min(int(node.get(kind, 0) / want) for kind, want in wants.items() if want) for node in nodes)
    if not slots and resources.address is None:
        has = ", ".join(f"{nodes[0].get(kind, 0):g} {kind}" for kind in wants)
        asked = " and ".join(f"{want:g} {kind}" for kind, want in wants.items())
        raise InputError(f"a cell shall have {asked}, this machine has {has}; lower --cpus-per-cell or --gpus-per-cell")
    return slots


@contextmanager
def connected(resources: Resources) -> Iterator[Any]:
    """The package `ray`, connected to the cluster, or started on this machine's cores for the time of the sweep."""
    ray = _import_ray(local=resources.address is None)
    short = Path("/tmp")  # sockets lie below it, and their paths may have 107 bytes: $TMPDIR is often too long
    scratch = tempfile.mkdtemp(prefix="ray-", dir=short if os.access(short, os.W_OK) else None)
    where: dict[str, Any] = {"address": resources.address}
    if resources.address is None:
        where = {"address": "local", "num_cpus": resources.cpus or usable_cores(), "include_dashboard": False}
        where |= {"object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": scratch}
    try:
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except Exception as error:  # of a node that is slow to start, Ray raises nothing more special
            raise BenchError(f"Ray cannot be reached or started: {str(error).strip().splitlines()[0]}") from None
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


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
        raise BenchError("bench sweep needs Ray, which is not installed: pip install -e '.[sweep]'") from None
    return ray
