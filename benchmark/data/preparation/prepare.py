"""Photographs → the prepared arrays of `benchmark.data.prepared.Prepared`, once, in parallel, and resumable.

Worker processes read, decode and resize chunks of consecutive images. This process takes their results in order, drops
the grayscale photographs, and appends the rest to the final file: the bytes are the same for any number of workers, and
nothing larger than a few chunks is ever in memory. After each chunk a line of a journal says how far the file is good;
a run that was killed goes on from there, for as long as the originals of the finished chunks are unchanged.
"""

import errno
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from benchmark.contracts.dataset import SPLITS, Dataset, Item, MissingDataError
from benchmark.data.preparation.archives import Encoded
from benchmark.data.preparation.arrays import BLOCK_BYTES, ArrayFile, Content, Entry, Journal, in_several_splits
from benchmark.data.preparation.chroma import ColorCount, grayscale
from benchmark.data.preparation.decoding import Decoded, decode
from benchmark.data.preparation.images import RULE, decoder_versions
from benchmark.data.preparation.profiles import CONVERTED
from benchmark.data.prepared import PRIOR_FILE, Damaged, LeftOut, Meta, Prepared, SplitMeta, write_meta
from benchmark.support.errors import BenchError
from benchmark.support.files import file_sha256
from benchmark.support.progress import progress_bar

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_RULE = "pixels as the adapter of the data set gives them"
JOURNAL_FILE = "journal.jsonl"
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

    Returns:
        The opened arrays.

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
        if (meta.name, meta.config) != (self.name, self._config()) or meta.rule not in (RULE, PLAIN_RULE):
            return None
        try:
            return prepared if meta.fingerprint == self.dataset.fingerprint() else None
        except MissingDataError:
            return prepared

    def run(self, workers: int | None, quiet: bool) -> None:
        """Everything from the journal of an earlier run to the finished folder."""
        self._check_items()
        self._check_room()
        settings = {"rule": self._rule(), "image_size": self.size, "adapter": self.dataset.name, "journal": 2}
        journal = Journal(self.part / JOURNAL_FILE, {**settings, "decoder": decoder_versions()})
        if not journal.resumes:
            shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True, exist_ok=True)
        bars = progress_bar(Console(stderr=True, quiet=quiet), transient=True)
        splits = {name: self._plan(name, journal) for name in SPLITS}
        chunks = [chunk for split in splits.values() for chunk in split.rest]
        with journal, closing(decode(chunks, self.size, workers)) as decoded, bars as progress:
            for split in splits.values():
                self._write_split(split, journal, decoded, progress)
        self._refuse_empty(splits)
        mean_ab, prior = self.colors.statistics()
        np.save(self.part / PRIOR_FILE, prior)
        write_meta(self.part, self._meta(splits, mean_ab))
        (self.part / JOURNAL_FILE).unlink()
        self._put_in_place()

    def _rule(self) -> str:
        """What decides the bytes: a change of how files are decoded does not concern a data set that has none."""
        first = next((item.source for split in SPLITS for item in self.dataset.items(split)), None)
        return RULE if isinstance(first, Encoded) else PLAIN_RULE

    def _config(self) -> dict[str, Any]:
        return self.dataset.config.model_dump(mode="json")

    def _check_items(self) -> None:
        """Some items, and no id twice."""
        seen: dict[str, Item] = {}
        for split in SPLITS:
            for item in self.dataset.items(split):
                if item.id in seen:
                    first = seen[item.id].source.where
                    raise BenchError(f"two images have the id {item.id!r}: {first} and {item.source.where}; rename one")
                seen[item.id] = item
        if not seen:
            raise MissingDataError(f"{self.name}: no images found ({self.dataset.listing.layout})")

    def _check_room(self) -> None:
        existing = next(path for path in (self.part, *self.part.parents) if path.exists())
        there = sum(path.stat().st_size for path in self.part.glob("*.npy"))
        images = sum(len(self.dataset.items(split)) for split in SPLITS)
        needed = images * self.size**2 * 3 - there
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise _no_room(self.folder, f"{needed:,} bytes are needed, {free:,} free")

    def _plan(self, split: str, journal: Journal) -> "_Split":
        items = self.dataset.items(split)
        length = max(1, min(_CHUNK_IMAGES, BLOCK_BYTES // (self.size**2 * 3)))
        chunks = [items[start : start + length] for start in range(0, len(items), length)]
        path = self.part / f"{split}.npy"
        done = journal.finished(split, chunks, path, self.size)
        content = Content(self.colors if split == "train" else None)
        return _Split(split, path, list(zip(chunks, done, strict=False)), chunks[len(done) :], content)

    def _write_split(self, split: "_Split", journal: Journal, decoded: Iterator[Decoded], progress: "Progress") -> None:
        """Writes one split; `decoded` gives the chunks of all splits in a row, so that workers never pause."""
        task = progress.add_task(f"{self.name} {split.name}", total=len(self.dataset.items(split.name)), figures="")
        written = sum(entry.kept for _, entry in split.done)
        with ArrayFile(split.path, self.size, written, split.content) as array:
            for chunk, entry in split.done:
                self._account(split, chunk, entry)
                progress.advance(task, len(chunk))
            for chunk, of_chunk in zip(split.rest, islice(decoded, len(split.rest)), strict=True):
                gray = grayscale(of_chunk.images)
                entry = Entry.of(split.name, chunk, of_chunk, gray)
                self._account(split, chunk, entry)  # raises for a corrupt file before anything is written
                array.append(of_chunk.images[~gray])
                journal.add(entry)
                progress.advance(task, len(chunk))
            array.finish()
        if self.dataset.listing.classes is not None:
            labels = np.array([item.label for item in split.kept], dtype=np.int64)
            np.save(self.part / f"{split.name}_labels.npy", labels)

    def _account(self, split: "_Split", chunk: Sequence[Item], entry: Entry) -> None:
        """Sorts a chunk's items into kept, grayscale and corrupt."""
        left_out = {*entry.corrupt, *entry.gray}
        for item in chunk:
            if item.id not in left_out:
                split.kept.append(item)
            elif item.id in entry.corrupt and not self.skip_corrupt:
                raise BenchError(
                    f"cannot read {item.source.where} ({self.name}, {split.name} image {item.id!r}): "
                    f"{entry.corrupt[item.id]}; repair or remove it, or leave it out with --skip-corrupt"
                )
        split.left_out.corrupt |= entry.corrupt
        split.left_out.grayscale += entry.gray
        split.profiles |= entry.profiles

    def _refuse_empty(self, splits: dict[str, "_Split"]) -> None:
        for split, result in splits.items():
            if not result.kept:
                lost = len(result.left_out.grayscale), len(result.left_out.corrupt)
                raise BenchError(
                    f"{self.name}: no image is left for {split} ({lost[0]} grayscale, {lost[1]} unreadable, "
                    f"{len(self.dataset.items(split))} found; {self.dataset.listing.layout})"
                )

    def _meta(self, splits: dict[str, "_Split"], mean_ab: tuple[float, float]) -> Meta:
        dataset, listing = self.dataset, self.dataset.listing
        ids = {split: [item.id for item in result.kept] for split, result in splits.items()}
        shared = in_several_splits({split: result.content.keys for split, result in splits.items()}, ids)
        unreadable = sum(len(result.left_out.corrupt) for result in splits.values())
        notes = (
            dataset.note,
            listing.note,
            f"Unreadable files left out: {unreadable:,}." if unreadable else None,
            f"Photographs in more than one split: {len(shared):,}." if shared else None,
        )
        return Meta(
            schema=2,
            name=self.name,
            adapter=dataset.name,
            title=dataset.title,
            licence=dataset.licence,
            note=" ".join(filter(None, notes)) or None,
            config=self._config(),
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
    """What is to be done for a split, and what became of its photographs."""

    name: str
    path: Path  # of its array
    done: list[tuple[Sequence[Item], Entry]]  # chunks that an earlier run has finished
    rest: list[Sequence[Item]]  # the other chunks
    content: Content  # of the array
    kept: list[Item] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=lambda: LeftOut(grayscale=[], corrupt={}))
    profiles: dict[str, str] = field(default_factory=dict)  # id → what became of its color profile


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
