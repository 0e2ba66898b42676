"""A job on whatever machine Ray chose: a `bench` process of its own, and what came of it."""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from benchmark.running.sweep.plan import Job
from benchmark.support.interruption import REQUEUE

POLL_SECONDS = 0.2
ERROR = "bench: error: "  # how the command line begins its one line
STOP = "stop"  # a file of this name beside the logs asks for an end; Ray's own cancelling does not always arrive


class JobFailed(Exception):
    """The job's process failed; the message says why, in one line."""


class JobStopped(Exception):
    """The sweep was asked to stop; the job has saved what it had, or was not begun."""


def run_job(job: Job, folder: Path, logs: Path, variables: Mapping[str, str], *after: object) -> float:
    """Runs a job of the project `folder` to its end; returns the seconds that it took.

    Everything that its process prints is appended to the file `job.log` in `logs`. `variables` are added to the
    environment. `after` is what the jobs returned that come first: Ray waits for them. A process that somebody else
    asked to end (exit code `REQUEUE`) has saved what it had, and goes on at once: that is no failed try.

    Raises:
        JobFailed: the process failed.
        JobStopped: a file `STOP` lies beside the log; the process was asked to save and end, or not begun at all.
    """
    began, stop, log = time.monotonic(), logs / STOP, logs / job.log
    if stop.exists():
        raise JobStopped
    logs.mkdir(parents=True, exist_ok=True)
    code = REQUEUE
    with log.open("ab") as file:
        while code == REQUEUE and not stop.exists():
            file.write(f"$ bench {' '.join(job.arguments)}  # on {platform.node()}\n".encode())
            file.flush()
            start = file.tell()
            code = _end_of(_start(job, folder, variables, file), stop)
    if code and stop.exists():
        raise JobStopped
    if code:
        raise JobFailed(error_line(log.read_bytes()[start:].decode(errors="replace"), code))
    return time.monotonic() - began


def _start(job: Job, folder: Path, variables: Mapping[str, str], output: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli.guard", str(os.getpid()), *job.arguments],
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C at a terminal reaches the sweep alone, which then asks its cells to stop
    )


def _end_of(process: subprocess.Popen[bytes], stop: Path) -> int:
    """The exit code of a process, which is asked to save and end as soon as the file `stop` is there."""
    while (code := process.poll()) is None and not stop.exists():
        time.sleep(POLL_SECONDS)
    if code is None:
        os.killpg(process.pid, signal.SIGTERM)
        code = process.wait()
    return code


def error_line(said: str, code: int) -> str:
    """What went wrong, in one line, by the exit code and what the process printed."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(ERROR)] or lines[-1:]
    return told[-1].removeprefix(ERROR) if told else f"exit code {code}, and not a word"
