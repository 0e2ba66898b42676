"""What `bench cells` prints and `bench sweep` does."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark.contracts.workspace import Workspace
from benchmark.results.tables import build, tables_in
from benchmark.running.sweep.over_ray import RayEngine, Resources
from benchmark.running.sweep.plan import Job, Listed, command, jobs_of
from benchmark.running.sweep.schedule import Report, Sweep
from benchmark.support.interruption import Interrupted

NEXT = "next: bench leaderboard --own (the tables); bench fingerprint && dvc commit --force (DVC takes note)"


def as_json(found: Sequence[Listed]) -> list[dict[str, Any]]:
    """The list for programs; `after` holds the commands of the same list that must have ended before."""
    names = {listed.cell.name for listed in found}
    return [
        {
            "command": command(listed.cell),
            "method": listed.cell.method,
            "data": listed.cell.data,
            "preset": listed.cell.preset,
            "seed": listed.cell.seed,
            "budget_images": listed.budget.images,
            "budget_steps": listed.budget.steps,
            "missing": listed.why,
            "after": [command(parent) for parent in listed.parents if parent.name in names],
        }
        for listed in found
    ]


def run_options(resources: Resources, record: bool = False) -> list[str]:
    """The arguments of every `bench run` that follow from what a cell gets, and what is to become of its result."""
    devices = int(resources.gpus_per_cell)
    several = ["--devices", str(devices)] if devices > 1 else []
    return ["--threads", str(resources.cpus_per_cell), *several, *(["--record"] if record else [])]


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
    """Runs the listed cells over Ray.

    Args:
        found: cells to run, parents first.
        workspace: folders of the project.
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
    say(NEXT)
    return report


def run_jobs(
    jobs: Sequence[Job],
    workspace: Workspace,
    resources: Resources,
    *,
    retries: int,
    root: Path | None,
    say: Callable[[str], None],
) -> Report:
    """Runs jobs over Ray, each with a log file of its own; arguments and errors as of `sweep`."""
    logs = workspace.root / "runs" / "sweep" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    variables = {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}
    if root is not None:
        variables["BENCH_DATA"] = str(root.resolve())
    with RayEngine(resources, workspace.root, logs, variables) as engine:
        say(f"{sum(job.is_cell for job in jobs)} cells, {engine.slots} at a time; logs: {logs}")
        report = Sweep(jobs, engine, retries, say).run()
    for line in summary(report, logs):
        say(line)
    if report.stopped_by:
        raise Interrupted("stopped; the same command goes on", report.stopped_by)
    return report


def summary(report: Report, logs: Path) -> list[str]:
    """What became of the cells."""
    groups = (report.done, [job for job, _ in report.failed], [job for job, _ in report.blocked])
    done, failed, blocked = (sum(job.is_cell for job in jobs) for jobs in groups)
    return [
        f"{done} cells done, {failed} failed, {blocked} not run for want of others",
        *(f"failed: {job.name}: {attempt.error} ({logs / job.log})" for job, attempt in report.failed),
        *(f"not run: {job.name}: needs {other}" for job, other in report.blocked),
    ]
