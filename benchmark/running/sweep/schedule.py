"""Decides what runs next: parents before children, failures once more, and nothing new once asked to stop.

The engine that runs the jobs is handed in: what is decided here is tested without Ray.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from benchmark.results.tables.style import duration
from benchmark.running.sweep.plan import Job
from benchmark.running.sweep.worker import Attempt
from benchmark.support.interruption import REQUEUE, stop_request

if TYPE_CHECKING:
    from benchmark.running.sweep.over_ray import RayEngine

WAIT_SECONDS = 0.5  # between looks at whether we were asked to stop


@dataclass
class Report:
    """What became of the jobs."""

    done: list[Job] = field(default_factory=list)
    failed: list[tuple[Job, Attempt]] = field(default_factory=list)
    blocked: list[tuple[Job, str]] = field(default_factory=list)  # and which job it would have needed
    stopped_by: int = 0  # the signal that ended the sweep early; 0: none


class Sweep:
    """Runs jobs to their end.

    Args:
        jobs: in the order in which they should run.
        engine: what runs them.
        retries: how many more times a job is tried that failed.
        say: prints a line of progress.
    """

    def __init__(self, jobs: Sequence[Job], engine: "RayEngine", retries: int, say: Callable[[str], None]) -> None:
        self.waiting = {job.name: job for job in jobs}
        self.running: dict[str, Job] = {}
        self.engine = engine
        self.retries = retries
        self.say = say
        self.report = Report()
        self.failures: Counter[str] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.cells = sum(job.is_cell for job in jobs)

    def run(self) -> Report:
        """Returns when nothing runs any more: all has ended, or a signal came and what ran has saved its state."""
        with stop_request() as stop:
            while self.running or (self.waiting and not self.report.stopped_by):
                if not self.report.stopped_by:
                    self._submit()
                for job, attempt in self.engine.finished(WAIT_SECONDS):
                    self._settle(job, attempt)
                if stop.signal and not self.report.stopped_by:
                    self.report.stopped_by = stop.signal
                    self.say(f"stopping: {len(self.running)} jobs are asked to save and end; once more kills them")
                    self.engine.stop()
        return self.report

    def _submit(self) -> None:
        """Hands over every job whose turn has come, and gives up those that can no longer have one."""
        done = {job.name for job in self.report.done}
        lost = {job.name for job, _ in (*self.report.failed, *self.report.blocked)}
        for job in list(self.waiting.values()):
            if missed := next((name for name in job.after if name in lost), None):
                del self.waiting[job.name]
                self.report.blocked.append((job, missed))
                lost.add(job.name)
            elif done.issuperset(job.after):
                self.running[job.name] = self.waiting.pop(job.name)
                self.engine.submit(job)

    def _settle(self, job: Job, attempt: Attempt) -> None:
        del self.running[job.name]
        if attempt.code == 0:
            self.seconds[job.kind].append(attempt.seconds)
            self.report.done.append(job)
            self._tell(job, f"done in {duration(attempt.seconds)}: {job.name}{self._left()}")
        elif (
            self.report.stopped_by or attempt.code == REQUEUE
        ):  # it goes on where it stopped, now or with the next sweep
            self.waiting[job.name] = job
            self._tell(job, f"stopped: {job.name}")
        elif self.failures[job.name] < self.retries:
            self.failures[job.name] += 1
            self.waiting[job.name] = job
            self._tell(job, f"failed, to be tried again: {job.name}: {attempt.error}")
        else:
            self.report.failed.append((job, attempt))
            self._tell(job, f"FAILED: {job.name}: {attempt.error}")

    def _tell(self, job: Job, text: str) -> None:
        done = sum(one.is_cell for one in self.report.done)
        self.say(f"[{done}/{self.cells}] {text}" if job.is_cell else f"[data] {text}")

    def _left(self) -> str:
        """How much is left, and for how long: cells of one method and data set take about the same time."""
        left = [job for job in (*self.running.values(), *self.waiting.values()) if job.is_cell]
        known = {kind: fmean(seconds) for kind, seconds in self.seconds.items() if kind != "preparing"}
        if not left or not known:
            return ""
        other = fmean(known.values())
        total = sum(known.get(job.kind, other) for job in left)
        return f" ({len(left)} left, about {duration(total / min(self.engine.slots, len(left)))})"
