"""Decodes chunks of images in worker processes, in order. Imports little, for every worker imports it anew."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.preparation.archives import Encoded
from benchmark.data.preparation.images import BadImage
from benchmark.data.preparation.profiles import noting
from benchmark.support.errors import InputError

if TYPE_CHECKING:
    from benchmark.contracts.dataset import Item, Source

_SMALL = 256  # images that one process decodes before others have started
_AHEAD = 4  # chunks that wait to be decoded or fetched, beside one for each worker; this bounds the memory


class Decoded(NamedTuple):
    """A decoded chunk."""

    images: NDArray[np.uint8]  # (n, S, S, 3): the readable ones, in order
    corrupt: dict[int, str]  # place in the chunk → why the image could not be read
    profiles: dict[int, str]  # place → `CONVERTED`, or why the readable image's color profile could not be used


def decode_chunk(sources: "Sequence[Source]", size: int) -> Decoded:
    """Reads, decodes and resizes consecutive images to (size, size, 3); those that cannot be read are told of."""
    images, count = np.empty((len(sources), size, size, 3), dtype=np.uint8), 0
    corrupt, profiles = dict[int, str](), dict[int, str]()
    with noting() as notes:
        for place, source in enumerate(sources):
            notes.clear()
            try:
                images[count] = source.load(size)
                count += 1
                if notes:
                    profiles[place] = notes[-1]
            except BadImage as error:
                corrupt[place] = str(error)
            except OSError as error:
                corrupt[place] = error.strerror or str(error)
    return Decoded(images[:count], corrupt, profiles)


def decode(chunks: "Sequence[Sequence[Item]]", size: int, workers: int | None) -> Generator[Decoded, None, None]:
    """Decodes runs of consecutive items to (S, S, 3), in order, in worker processes that end when this is closed.

    `workers` None: as many as there are cores, where that pays. InputError: less than one worker.
    """
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: at least 1")
    jobs = [[item.source for item in chunk] for chunk in chunks]
    workers = min(len(chunks), workers or _useful_workers(chunks))
    if workers <= 1:
        yield from (decode_chunk(job, size) for job in jobs)
        return
    # The workers are spawned, because forking a process that runs threads (torch's) can lock up.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        pending = deque[Future[Decoded]]()
        for job in jobs:
            if len(pending) == workers + _AHEAD:
                yield pending.popleft().result()
            pending.append(pool.submit(decode_chunk, job, size))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _useful_workers(chunks: "Sequence[Sequence[Item]]") -> int:
    if sum(map(len, chunks)) < _SMALL or not isinstance(chunks[0][0].source, Encoded):
        return 1
    return usable_cores()


def usable_cores() -> int:
    """The processor cores that this process may use: a scheduler may have given it some of the machine's only."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    """Workers leave Ctrl-C to the parent, and do not outlive one that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
