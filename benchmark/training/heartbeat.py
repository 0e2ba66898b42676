"""Detects that a process of a training has stopped: it is frozen, suspended, or its machine is gone.

A collective cannot tell a stopped rank from a working one: the others wait in a collective for as long as rank 0
validates or prepares data. Therefore each process beats from a thread, and watches the next rank that has not left.
"""

import atexit
import os
import re
import sys
import threading
import time
from contextlib import suppress

import torch.distributed as dist

from benchmark.support.errors import InputError

SILENCE_VARIABLE = "BENCH_RANK_SILENCE"  # Seconds; raise it where busy machines delay processes for minutes.
SILENCE = 60.0  # Seconds. With the launcher's 30 s to end the others, a frozen rank costs under two minutes.
BEATS = 12  # Number of beats within one silence.
LEFT = 1 << 40  # Stands for "this process ended"; no training has so many beats.


class Heartbeat:
    """Beats for one process and watches its neighbor. Silence is counted in own beats, not by the clock.

    A scheduler may suspend all processes of a job for hours; when they continue, no process has missed a beat.
    """

    def __init__(self, store: dist.Store, rank: int, world: int) -> None:
        """Begins to watch the next rank, through a store that all ranks share."""
        self.store, self.rank, self.world = store, rank, world
        self.watched = (rank + 1) % world
        self.seen, self.missed = 0, 0

    def beat(self) -> int | None:
        """Beats once; returns the watched rank if it did not beat during the last `BEATS` beats of this process."""
        self.store.add(f"beats/{self.rank}", 1)
        while (count := self.store.add(f"beats/{self.watched}", 0)) >= LEFT:
            self.watched, self.seen, self.missed = (self.watched + 1) % self.world, 0, 0
        self.missed = 0 if count != self.seen else self.missed + 1
        self.seen = count
        return self.watched if self.missed >= BEATS else None

    def leave(self) -> None:
        """Tells the others that this process ends because it is done."""
        with suppress(RuntimeError):  # The store may have gone first, and then nobody is left to be told.
            self.store.add(f"beats/{self.rank}", LEFT)


def watch_each_other(store: dist.Store, rank: int, world: int) -> None:
    """Beats from now on, and ends this process with one line when its neighbor is silent.

    The process ends at once because the main thread waits inside a collective; files are whole at every moment.

    Raises:
        InputError: `BENCH_RANK_SILENCE` is no number of seconds.
    """
    wanted = os.environ.get(SILENCE_VARIABLE, str(SILENCE))
    if not re.fullmatch(r"\d+(\.\d+)?", wanted) or not (silence := float(wanted)):
        raise InputError(f"{SILENCE_VARIABLE}={wanted!r}: a number of seconds above 0 is wanted, such as {SILENCE:g}")
    heart = Heartbeat(store.clone(), rank, world)  # A store serves one thread at a time.

    def run() -> None:
        with suppress(RuntimeError):  # The store is gone with the launcher, whose end is watched elsewhere.
            while (silent := heart.beat()) is None:
                time.sleep(silence / BEATS)
            sys.stderr.write(
                f"bench: error: rank {silent} of {world} has not answered for {silence:g} s; all end, and the same "
                f"command goes on from the last checkpoint ({SILENCE_VARIABLE}: seconds to wait)\n"
            )
            sys.stderr.flush()
            os._exit(1)

    atexit.register(heart.leave)
    threading.Thread(target=run, name="heartbeat", daemon=True).start()
