"""Photographs → the prepared arrays of `benchmark.data.prepared.Prepared`, once, in parallel, and resumable.

Worker processes read, decode and resize chunks of consecutive images. This process takes their results in order, drops
the grayscale photographs, and writes a file for each chunk, named by a hash of its originals and settings: a run that
was killed makes those alone that are not there. In the end the chunks become the arrays, the same bytes for any number
of workers; nothing larger than a few chunks is ever in memory.
"""

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from rich.console import Console

from benchmark.contracts.dataset import SPLITS, Dataset, Item, MissingDataError, signature_of
from benchmark.data.preparation.archives import Encoded
from benchmark.data.preparation.arrays import BLOCK_BYTES, Chunk, Content, alike, in_several_splits
from benchmark.data.preparation.chroma import ColorCount
from benchmark.data.preparation.decoding import decode
from benchmark.data.preparation.images import RULE, decoder_versions
from benchmark.data.preparation.profiles import CONVERTED
from benchmark.data.prepared import PRIOR_FILE, Damaged, LeftOut, Meta, Prepared, SplitMeta, write_meta
from benchmark.support.errors import BenchError
from benchmark.support.files import digest, file_sha256
from benchmark.support.progress import progress_bar

PLAIN_RULE = "pixels as the adapter of the data set gives them"
_CHUNK_IMAGES = 512  # at most; of large images, as many as fit BLOCK_BYTES
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def prepare(
    dataset: Dataset,
    folder: Path,
    *,
    name: str | None = None,
    workers: int | None = None,
    skip_corrupt: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Prepares a data set, unless it is prepared already from the same originals under the same settings.

    The work goes on in `<folder>.part`, which becomes `folder` when all is done.

    Args:
        dataset: what to prepare.
        folder: where the arrays shall be.
        name: what the prepared data set is called; default: the adapter's name.
        workers: processes that decode; None: one per processor core where that pays.
        skip_corrupt: leave files out that cannot be read, and record them, instead of stopping.
        quiet: no progress bar.

    Raises:
        MissingDataError: the originals are not there (and were not prepared before).
        BenchError: a file that cannot be read, by name; no room; nothing left of a split.
    """
    with _exclusive(folder):
        job = _Job(dataset, folder, name or dataset.name, skip_corrupt)
        if (done := job.up_to_date()) is not None:
            return done
        if job.fault:
            print(f"{folder}: {job.fault}; it is prepared again", file=sys.stderr)
        try:
            job.run(workers, quiet)
        except KeyboardInterrupt:
            raise BenchError(
                f"interrupted; {job.part} is kept, and the same command goes on where it stopped"
            ) from None
        except OSError as error:
            if error.errno in _FULL:
                raise _no_room(folder, error.strerror or "the disk is full") from None
            raise BenchError(f"cannot write {folder}: {error.strerror or error}") from None
        except BrokenProcessPool:
            raise BenchError(
                "a worker process was killed, perhaps for want of memory; the same command with fewer --workers goes on"
            ) from None
    return Prepared.open(folder)


def up_to_date(dataset: Dataset, folder: Path, name: str | None = None) -> Prepared | None:
    """What is prepared in a folder, if `prepare` would leave it as it is; else None."""
    return _Job(dataset, folder, name or dataset.name, skip_corrupt=False).up_to_date()


class _Job:
    """One preparation."""

    def __init__(self, dataset: Dataset, folder: Path, name: str, skip_corrupt: bool) -> None:
        self.dataset, self.folder, self.name, self.skip_corrupt = dataset, folder, name, skip_corrupt
        self.part = folder.with_name(folder.name + ".part")
        self.config: dict[str, Any] = dataset.config.model_dump(mode="json")
        self.size: int = dataset.config.image_size
        self.colors = ColorCount()  # of the training split
        self.fault: str | None = None  # of what `up_to_date` found in the folder

    def up_to_date(self) -> Prepared | None:
        """What is there, if it was made from these originals under these settings, or if the originals are gone."""
        try:
            prepared = Prepared.open(self.folder)
        except Damaged as error:
            self.fault = error.reason
            return None
        except BenchError:
            return None
        meta = prepared.meta
        if (meta.name, meta.config) != (self.name, self.config) or meta.rule not in (RULE, PLAIN_RULE):
            return None
        try:
            return prepared if meta.fingerprint == self.dataset.fingerprint() else None
        except MissingDataError:
            return prepared

    def run(self, workers: int | None, quiet: bool) -> None:
        """Everything from the chunks of an earlier run to the finished folder."""
        self._check_items()
        chunks = {split: dict(self._chunks(split)) for split in self.dataset.split_names}
        for path in self.part.glob("*"):
            if not any(path in of_split for of_split in chunks.values()):
                path.unlink()  # of an earlier run under other settings or of other originals, or half an array
        self._check_room()
        self.part.mkdir(parents=True, exist_ok=True)
        self._decode(chunks, workers, quiet)
        splits = {split: self._assemble(split, of_split) for split, of_split in chunks.items()}
        self._refuse_empty(splits)
        mean_ab = None
        if "train" in splits:
            mean_ab, prior = self.colors.statistics()
            np.save(self.part / PRIOR_FILE, prior)
        write_meta(self.part, self._meta(splits, mean_ab))
        self._put_in_place()

    def _rule(self) -> str:
        """What decides the bytes: a change of how files are decoded does not concern a data set that has none."""
        first = next((item.source for split in self.dataset.split_names for item in self.dataset.items(split)), None)
        return RULE if isinstance(first, Encoded) else PLAIN_RULE

    def _check_items(self) -> None:
        """Some items, and no id twice."""
        seen: dict[str, Item] = {}
        for split in self.dataset.split_names:
            for item in self.dataset.items(split):
                if item.id in seen:
                    first = seen[item.id].source.where
                    raise BenchError(f"two images have the id {item.id!r}: {first} and {item.source.where}; rename one")
                seen[item.id] = item
        if not seen:
            raise MissingDataError(f"{self.name}: no images found ({self.dataset.listing.layout})")

    def _check_room(self) -> None:
        existing = next(path for path in (self.part, *self.part.parents) if path.exists())
        there = sum(path.stat().st_size for path in self.part.glob("*"))
        images = sum(len(self.dataset.items(split)) for split in self.dataset.split_names)
        needed = images * self.size**2 * 3 - there
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise _no_room(self.folder, f"{needed:,} bytes are needed, {free:,} free")

    def _chunks(self, split: str) -> Iterator[tuple[Path, Sequence[Item]]]:
        """Runs of consecutive items, each with its file, named by all that decides what is in it."""
        settings = {"rule": self._rule(), "image_size": self.size, "decoder": decoder_versions()}
        items = self.dataset.items(split)
        length = max(1, min(_CHUNK_IMAGES, BLOCK_BYTES // (self.size**2 * 3)))
        for start in range(0, len(items), length):
            chunk = items[start : start + length]
            yield self.part / f"{split}-{digest([settings, signature_of(chunk)])}.npz", chunk

    def _decode(self, chunks: dict[str, dict[Path, Sequence[Item]]], workers: int | None, quiet: bool) -> None:
        """Makes the files of chunks that are not there, or damaged; of all splits in a row: workers never pause."""
        missing = {
            split: [path for path, items in of_split.items() if self._load(split, path, items) is None]
            for split, of_split in chunks.items()
        }
        todo = [chunks[split][path] for split, paths in missing.items() for path in paths]
        bars = progress_bar(Console(stderr=True, quiet=quiet), transient=True)
        with closing(decode(todo, self.size, workers)) as decoded, bars as progress:
            for split, paths in missing.items():
                total, rest = len(self.dataset.items(split)), sum(len(chunks[split][path]) for path in paths)
                task = progress.add_task(f"{self.name} {split}", total=total, completed=total - rest, figures="")
                for path, of_chunk in zip(paths, islice(decoded, len(paths)), strict=True):
                    items = chunks[split][path]
                    chunk = Chunk.of(items, of_chunk)
                    self._refuse_corrupt(split, items, chunk)  # before its file is written
                    chunk.save(path)
                    progress.advance(task, len(items))

    def _load(self, split: str, path: Path, items: Sequence[Item]) -> Chunk | None:
        """A chunk from its file, if it is there and whole."""
        if chunk := Chunk.load(path):
            self._refuse_corrupt(split, items, chunk)  # left out by an earlier run with --skip-corrupt
        return chunk

    def _refuse_corrupt(self, split: str, items: Sequence[Item], chunk: Chunk) -> None:
        for item in [] if self.skip_corrupt else items:
            if item.id in chunk.corrupt:
                raise BenchError(
                    f"cannot read {item.source.where} ({self.name}, {split} image {item.id!r}): "
                    f"{chunk.corrupt[item.id]}; repair or remove it, or leave it out with --skip-corrupt"
                )

    def _assemble(self, name: str, chunks: dict[Path, Sequence[Item]]) -> "_Split":
        """Writes a split's array. The file of a chunk goes when its images are in it: the room is not taken twice."""
        split = _Split(Content(self.colors if name == "train" else None))
        array = self.part / f"{name}.npy"
        with array.open("wb") as file:
            self._write_header(file, 0)  # whose length is the same for any number of images
            for path, items in chunks.items():
                if (chunk := self._load(name, path, items)) is None:
                    raise BenchError(f"{path} was written and is damaged: a failing disk? The same command goes on")
                split.add(items, chunk)
                file.write(chunk.images.data)
                file.flush()
                path.unlink(missing_ok=True)
            file.seek(0)
            self._write_header(file, len(split.kept))
            os.fsync(file.fileno())
        if self.dataset.listing.classes is not None:
            np.save(self.part / f"{name}_labels.npy", np.array([item.label for item in split.kept], dtype=np.int64))
        return split

    def _write_header(self, file: BinaryIO, images: int) -> None:
        shape = (images, self.size, self.size, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})

    def _refuse_empty(self, splits: dict[str, "_Split"]) -> None:
        for split, result in splits.items():
            if not result.kept:
                lost = len(result.left_out.grayscale), len(result.left_out.corrupt)
                raise BenchError(
                    f"{self.name}: no image is left for {split} ({lost[0]} grayscale, {lost[1]} unreadable, "
                    f"{len(self.dataset.items(split))} found; {self.dataset.listing.layout})"
                )

    def _meta(self, splits: dict[str, "_Split"], mean_ab: tuple[float, float] | None) -> Meta:
        dataset, listing = self.dataset, self.dataset.listing
        ids = {split: [item.id for item in result.kept] for split, result in splits.items()}
        contents = {split: result.content for split, result in splits.items()}
        shared = in_several_splits({split: content.keys for split, content in contents.items()}, ids)
        look_alike = alike(self.part, contents, ids)
        unreadable = sum(len(result.left_out.corrupt) for result in splits.values())
        notes = (
            dataset.note,
            listing.note,
            f"Unreadable files left out: {unreadable:,}." if unreadable else None,
            f"Photographs in more than one split: {len(shared):,}." if shared else None,
            f"Pairs of two splits that are alike to the eye: {len(look_alike):,}." if look_alike else None,
        )
        return Meta(
            schema=2,
            name=self.name,
            adapter=dataset.name,
            title=dataset.title,
            licence=dataset.licence,
            note=" ".join(filter(None, notes)) or None,
            config=self.config,
            image_size=self.size,
            classes=None if listing.classes is None else list(listing.classes),
            layout=listing.layout,
            fingerprint=dataset.fingerprint(),
            rule=self._rule(),
            decoder=decoder_versions(),
            mean_ab=mean_ab,
            splits={
                split: SplitMeta(
                    images=len(result.kept),
                    sha256=result.content.sha256,
                    left_out=result.left_out,
                    profiles_converted=list(result.profiles.values()).count(CONVERTED),
                    profiles_unusable={key: note for key, note in result.profiles.items() if note != CONVERTED},
                    ids=ids[split],
                )
                for split, result in splits.items()
            },
            files={path.name: file_sha256(path) for path in self.part.glob("*.npy") if path.stem not in SPLITS},
            in_several_splits=shared,
            alike_in_several_splits=look_alike,
        )

    def _put_in_place(self) -> None:
        old = self.folder.with_name(self.folder.name + ".old.part")
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.folder.rename(old)
        self.part.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


@dataclass(eq=False)
class _Split:
    """What became of a split's photographs."""

    content: Content  # of the array
    kept: list[Item] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=lambda: LeftOut(grayscale=[], corrupt={}))
    profiles: dict[str, str] = field(default_factory=dict)  # id → what became of its color profile

    def add(self, items: Sequence[Item], chunk: Chunk) -> None:
        """Takes note of the next chunk, of these items."""
        self.content.add(chunk.images)
        left_out = {*chunk.corrupt, *chunk.gray}
        self.kept += [item for item in items if item.id not in left_out]
        self.left_out.corrupt |= chunk.corrupt
        self.left_out.grayscale += chunk.gray
        self.profiles |= chunk.profiles


def _no_room(folder: Path, reason: str) -> BenchError:
    return BenchError(
        f"no room to prepare {folder}: {reason}; free some, and the same command goes on where it stopped"
    )


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One preparation of a folder at a time: a second process waits, and then finds it done."""
    import fcntl

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock").open("w")
    except OSError as error:
        raise BenchError(f"cannot write beside {folder}: {error.strerror}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
