"""Requests to stop, by signal, and folders that only one process may hold."""

import fcntl
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchmark.support.errors import BenchError

REQUEUE = 75  # EX_TEMPFAIL: the exit code after SIGTERM, on which a scheduler starts the same command again.
SAME_REQUEST = 2.0  # Seconds. A scheduler and the launcher may both signal a process for one request.


class Interrupted(BenchError):
    """Work was asked to stop; everything done so far is saved."""

    def __init__(self, message: str, number: int) -> None:
        """Stores the signal's `number` beside the message."""
        super().__init__(message)
        self.exit_code = REQUEUE if number == signal.SIGTERM else 128 + number


class StopRequest:
    """Holds the number of the signal that asked the work to stop; 0 means that none did."""

    signal: int = 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request that a loop answers when it can.

    Another one, `SAME_REQUEST` seconds later or more, acts at once. Outside the main thread signals cannot be caught,
    and are left alone.
    """
    request = StopRequest()
    before: dict[int, Any] = {}
    began = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal began
        if not request.signal:
            request.signal, began = number, time.monotonic()
        elif time.monotonic() - began >= SAME_REQUEST:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread
        before.clear()
    try:
        yield request
    finally:
        restore()


def requeue_on_sigterm() -> None:
    """From now on SIGTERM ends this process with one line and `REQUEUE`, wherever it is; files are whole or not there.

    While `stop_request` is in force it decides. SystemExit, as no library takes it for an error of its own.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        sys.stderr.write("bench: stopped by SIGTERM; what was finished is kept, and the same command goes on\n")
        raise SystemExit(REQUEUE)

    signal.signal(signal.SIGTERM, handle)


@contextmanager
def exclusive(folder: Path, doing: str) -> Iterator[None]:
    """Holds a folder, made if missing, for this process; the system releases it when the process dies.

    `doing` is the word for the message to other processes: "trained", "prepared".

    Raises:
        BenchError: another process, which is named, holds the folder; or the folder cannot be written.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / "lock").open("a+", encoding="utf-8"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
        except BlockingIOError:
            file.seek(0)
            raise BenchError(f"{folder} is being {doing} by {file.read().strip() or 'another process'}") from None
        except OSError as error:
            raise BenchError(f"cannot write in {folder}: {error.strerror}") from None
        yield
