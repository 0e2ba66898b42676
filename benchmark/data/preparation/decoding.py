"""Decodes chunks of images in worker processes, in order. Imports little, for every worker imports it anew."""

import math
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.preparation.archives import Encoded
from benchmark.data.preparation.images import BadImage
from benchmark.data.preparation.profiles import noting
from benchmark.support.errors import InputError

if TYPE_CHECKING:
    from benchmark.contracts.dataset import Item, Source

SLOTS_FILE = "decoded.slots"
_SMALL = 256  # images that one process decodes before others have started
_AHEAD = 4  # chunks that are decoded or wait to be fetched, beside one for each worker


class Decoded(NamedTuple):
    """A decoded chunk. Its images are good until the next chunk is asked for."""

    images: NDArray[np.uint8]  # (n, S, S, 3): the readable ones, in order
    found: "Findings"


class Findings(NamedTuple):
    """What is to be said of a chunk's images, by place in the chunk."""

    corrupt: dict[int, str]  # → why it could not be read
    profiles: dict[int, str]  # of those that could → `CONVERTED`, or why the color profile could not be used


def decode_chunk(sources: "Sequence[Source]", images: NDArray[np.uint8]) -> Findings:
    """Reads, decodes and resizes consecutive images.

    Args:
        sources: the n images.
        images: (n or more, S, S, 3) uint8, whose first places are filled with those that can be read, in order.
    """
    found, count = Findings({}, {}), 0
    with noting() as notes:
        for place, source in enumerate(sources):
            notes.clear()
            try:
                images[count] = source.load(images.shape[1])
                count += 1
                if notes:
                    found.profiles[place] = notes[-1]
            except BadImage as error:
                found.corrupt[place] = str(error)
            except OSError as error:
                found.corrupt[place] = error.strerror or str(error)
    return found


class Decoder:
    """Decodes chunks of items, in order: in this process, or in workers that are started once, when first needed.

    Workers put pixels where this process reads them: into the slots of a file that all of them map. Nothing is copied
    on the way, and as a rule nothing of it reaches the disk. (Through a pipe, 64 KiB at a time, processes would wait
    for each other all the while on a busy machine; shared memory proper is often 64 MiB in containers.)
    """

    def __init__(self, size: int, workers: int | None, scratch: Path) -> None:
        """Starts nothing yet.

        Args:
            size: S of the images.
            workers: processes; None: as many as there are cores, where that pays.
            scratch: folder for the file.
        """
        if workers is not None and workers < 1:
            raise InputError(f"--workers {workers}: at least 1")
        self.size, self.workers, self.path = size, workers, scratch / SLOTS_FILE
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self.path.unlink(missing_ok=True)

    def decode(self, chunks: "Sequence[Sequence[Item]]") -> Iterator[Decoded]:
        """The chunks' images, chunk by chunk."""
        if not chunks:
            return
        jobs = [[item.source for item in chunk] for chunk in chunks]
        workers = min(len(chunks), self.workers or _useful_workers(chunks))
        places = max(map(len, jobs))
        if workers > 1:
            yield from self._in_workers(jobs, places, workers)
            return
        images = np.empty((places, self.size, self.size, 3), dtype=np.uint8)
        for job in jobs:
            found = decode_chunk(job, images)
            yield Decoded(images[: len(job) - len(found.corrupt)], found)

    def _in_workers(self, jobs: "Sequence[Sequence[Source]]", places: int, workers: int) -> Iterator[Decoded]:
        shape = (workers + _AHEAD, places, self.size, self.size, 3)
        slots = _make_slots(self.path, shape)
        # "spawn": forking a process that runs threads (torch's) can lock up.
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(self.path, shape))
        free, pending = deque(range(len(slots))), deque[_Pending]()
        for job in jobs:
            if not free:
                yield self._collect(slots, pending[0])
                free.append(pending.popleft().slot)
            slot = free.popleft()
            pending.append(_Pending(len(job), slot, self._pool.submit(decode_into_slot, job, slot)))
        for one in pending:
            yield self._collect(slots, one)

    def _collect(self, slots: NDArray[np.uint8], pending: "_Pending") -> Decoded:
        found = pending.found.result()
        return Decoded(slots[pending.slot, : pending.images - len(found.corrupt)], found)


class _Pending(NamedTuple):
    """A chunk that a worker decodes."""

    images: int
    slot: int  # where their pixels will be
    found: Future[Findings]


def _make_slots(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Room for chunks, (slots, places, S, S, 3), in a file; taken now, for a map cannot say that the disk is full."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        else:  # not on macOS
            file.truncate(math.prod(shape))
    return np.memmap(path, np.uint8, "r+", shape=shape)


_slots: NDArray[np.uint8]  # of a worker process


def decode_into_slot(sources: "Sequence[Source]", slot: int) -> Findings:
    """Decodes a chunk in a worker process."""
    return decode_chunk(sources, _slots[slot])


def _useful_workers(chunks: "Sequence[Sequence[Item]]") -> int:
    images = sum(map(len, chunks))
    if images < _SMALL or not isinstance(chunks[0][0].source, Encoded):
        return 1
    return usable_cores()


def usable_cores() -> int:
    """The processor cores that this process may use: a scheduler may have given it some of the machine's only."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(path: Path, shape: tuple[int, ...]) -> None:
    """Workers leave Ctrl-C to the parent, and do not outlive one that was killed."""
    import signal

    global _slots
    _slots = np.memmap(path, np.uint8, "r+", shape=shape)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
