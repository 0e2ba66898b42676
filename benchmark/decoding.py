"""Decodes chunks of images in worker processes, in order. Imports little, for every worker imports it anew."""

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

from benchmark.archives import Encoded
from benchmark.errors import InputError
from benchmark.images import BadImage

if TYPE_CHECKING:
    from benchmark.dataset import Item, Source

CHUNK_SUFFIX = ".chunk"
_SMALL = 256  # images that one process decodes before others have started


class Decoded(NamedTuple):
    """A decoded chunk."""

    images: NDArray[np.uint8]  # (n, S, S, 3): the readable ones, in order
    corrupt: dict[int, str]  # place in the chunk → why it could not be read


def decode_chunk(sources: "Sequence[Source]", size: int) -> Decoded:
    """Reads, decodes and resizes consecutive images."""
    images = np.empty((len(sources), size, size, 3), dtype=np.uint8)
    corrupt, count = {}, 0
    for place, source in enumerate(sources):
        try:
            images[count] = source.load(size)
            count += 1
        except BadImage as error:
            corrupt[place] = str(error)
        except OSError as error:
            corrupt[place] = error.strerror or str(error)
    return Decoded(images[:count], corrupt)


class Decoder:
    """Decodes chunks of items, in order: in this process, or in workers that are started once, when first needed.

    Workers hand pixels over in files, which are removed at once and as a rule never reach the disk: through a pipe, 64
    KiB at a time, two processes would wait for each other all the while on a busy machine.
    """

    def __init__(self, size: int, workers: int | None, scratch: Path) -> None:
        """Starts nothing yet.

        Args:
            size: S of the images.
            workers: processes; None: as many as there are cores, where that pays.
            scratch: folder for the files.
        """
        if workers is not None and workers < 1:
            raise InputError(f"--workers {workers}: at least 1")
        self.size, self.workers, self.scratch = size, workers, scratch
        self._pool: ProcessPoolExecutor | None = None
        self._number = 0

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for path in self.scratch.glob(f"*{CHUNK_SUFFIX}"):
            path.unlink()

    def decode(self, chunks: "Sequence[Sequence[Item]]") -> Iterator[Decoded]:
        """The chunks' images, chunk by chunk."""
        jobs = ([item.source for item in chunk] for chunk in chunks)
        workers = min(len(chunks), self.workers or _useful_workers(chunks))
        if workers <= 1:
            yield from (decode_chunk(job, self.size) for job in jobs)
            return
        pending: deque[_Pending] = deque()
        for job in jobs:
            pending.append(self._submit(job, workers))
            if len(pending) > 2 * workers:
                yield self._collect(pending.popleft())
        while pending:
            yield self._collect(pending.popleft())

    def _submit(self, job: "Sequence[Source]", workers: int) -> "_Pending":
        if self._pool is None:
            # "spawn": forking a process that runs threads (torch's) can lock up.
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, spawn, initializer=_start_worker)
        self._number += 1
        path = self.scratch / f"{self._number:09d}{CHUNK_SUFFIX}"
        return _Pending(len(job), path, self._pool.submit(decode_chunk_to_file, job, self.size, path))

    def _collect(self, pending: "_Pending") -> Decoded:
        corrupt = pending.corrupt.result()
        shape = (pending.images - len(corrupt), self.size, self.size, 3)
        images = np.fromfile(pending.path, dtype=np.uint8).reshape(shape)
        pending.path.unlink()
        return Decoded(images, corrupt)


class _Pending(NamedTuple):
    """A chunk that a worker decodes."""

    images: int
    path: Path  # where their pixels will be
    corrupt: Future[dict[int, str]]


def decode_chunk_to_file(sources: "Sequence[Source]", size: int, path: Path) -> dict[int, str]:
    """Decodes a chunk in a worker process and leaves its pixels in a file; returns what could not be read."""
    images, corrupt = decode_chunk(sources, size)
    path.write_bytes(images.data)  # unlike tofile, says when the disk is full
    return corrupt


def _useful_workers(chunks: "Sequence[Sequence[Item]]") -> int:
    images = sum(map(len, chunks))
    if images < _SMALL or not isinstance(chunks[0][0].source, Encoded):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    """Workers leave Ctrl-C to the parent, and do not outlive one that was killed."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
