"""One attempt at a job, on whatever machine Ray chose: a `bench` process of its own, and what came of it."""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.support.interruption import REQUEUE

POLL_SECONDS = 0.2
ERROR = "bench: error: "  # how the command line begins its one line
STOP = "stop"  # a file of this name beside the log asks for an end; Ray's own cancelling does not always arrive


@dataclass(frozen=True)
class Attempt:
    """How an attempt ended."""

    code: int  # of the process; REQUEUE: it was asked to stop, and the same command goes on; negative: what killed it
    seconds: float = 0.0
    error: str = ""  # one line, if it failed


def attempt(arguments: Sequence[str], folder: Path, log: Path, variables: Mapping[str, str]) -> Attempt:
    """Runs `bench` with these arguments and waits for it.

    Args:
        arguments: of `bench`.
        folder: the project.
        log: everything that the process prints is appended here.
        variables: of the environment, beside those of this process.

    Returns:
        How it ended. Once a file `STOP` lies beside the log, the process is asked to save and end, or not begun at all.
    """
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    stop = log.with_name(STOP)
    if stop.exists():
        return Attempt(REQUEUE)
    with log.open("ab") as file:
        file.write(f"$ bench {' '.join(arguments)}  # on {platform.node()}\n".encode())
        file.flush()
        start = file.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.cli.guard", str(os.getpid()), *arguments],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at a terminal reaches the sweep alone, which then asks its cells to stop
        )
        while (code := process.poll()) is None and not stop.exists():
            time.sleep(POLL_SECONDS)
        if code is None:
            os.killpg(process.pid, signal.SIGTERM)
            code = process.wait()
    error = error_line(log, start, code) if code else ""
    return Attempt(code, time.monotonic() - began, error)


def error_line(log: Path, start: int, code: int) -> str:
    """What went wrong, in one line, by the exit code and what the process wrote to its log from byte `start` on."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    text = log.read_bytes()[start:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(ERROR)] or lines[-1:]
    return said[-1].removeprefix(ERROR) if said else f"exit code {code}, and not a word"
