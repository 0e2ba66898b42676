"""Noticing that a process of a training has stopped: frozen, suspended, or on a machine that is gone.

A collective cannot tell this from a rank that works: while rank 0 validates or prepares data, the others wait in one
for as long as that takes. So each process beats from a thread, and looks after the next one that has not yet left.
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

SILENCE_VARIABLE = "BENCH_RANK_SILENCE"  # seconds; raise it where processes starve for minutes and nothing is wrong
SILENCE = 60.0  # with the 30 s in which a launcher ends the others, a frozen rank costs less than two minutes
BEATS = 12  # within a silence
LEFT = 1 << 40  # more beats than any training has: this process came to its end


class Heartbeat:
    """The beats of one process, and the look at its neighbor. Silence is counted in own beats, not by the clock.

    A scheduler may suspend all processes of a job for hours; when they go on, nobody has missed anything.
    """

    def __init__(self, store: dist.Store, rank: int, world: int) -> None:
        """Begins to watch the next rank, through a store that all of them share."""
        self.store, self.rank, self.world = store, rank, world
        self.watched = (rank + 1) % world
        self.seen, self.missed = 0, 0

    def beat(self) -> int | None:
        """Beats once; returns the watched rank if it did not in the last `BEATS` of ours."""
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
    """Beats from now on, and ends this process with one line when its neighbor has fallen silent.

    The main thread cannot be told, as it waits inside a collective; files are whole at every moment.

    Raises:
        InputError: the environment asks for a silence that is no number of seconds.
    """
    wanted = os.environ.get(SILENCE_VARIABLE, str(SILENCE))
    if not re.fullmatch(r"\d+(\.\d+)?", wanted) or not (silence := float(wanted)):
        raise InputError(f"{SILENCE_VARIABLE}={wanted!r}: a number of seconds above 0 is wanted, such as {SILENCE:g}")
    heart = Heartbeat(store.clone(), rank, world)  # a store serves one thread at a time

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
