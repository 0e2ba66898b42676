"""Photographs → the prepared arrays of `benchmark.dataset.Prepared`, once, in parallel, and resumable.

Worker processes read, decode and resize chunks of consecutive images. This process takes their results in order, drops
the grayscale photographs, and appends the rest to the final file: the bytes are the same for any number of workers, and
nothing larger than a few chunks is ever in memory. After each chunk a line of a journal says how far the file is good;
a run that was killed goes on from there, for as long as the originals of the finished chunks are unchanged.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark import PROTOCOL
from benchmark.chroma import ColorCount, grayscale
from benchmark.dataset import (
    META_FILE,
    PRIOR_FILE,
    SPLITS,
    Dataset,
    Item,
    LeftOut,
    Meta,
    MissingDataError,
    Prepared,
    SplitMeta,
    signature_of,
)
from benchmark.decoding import Decoded, Decoder
from benchmark.errors import BenchError
from benchmark.files import write_atomically
from benchmark.images import RULE

if TYPE_CHECKING:
    from rich.progress import Progress

JOURNAL_FILE = "journal.jsonl"
_CHUNK_BYTES = 4 << 20  # of pixels: what travels from a worker at once
_CHUNK_IMAGES = 512
_HEADER = 128  # bytes of a .npy header for (N, S, S, 3) uint8; numpy leaves room for any N
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

    def up_to_date(self) -> Prepared | None:
        """What is there, if it was made from these originals under these settings, or if the originals are gone."""
        try:
            prepared = Prepared.open(self.folder)
        except BenchError:
            return None
        meta = prepared.meta
        if (meta.name, meta.protocol, meta.rule, meta.config) != (self.name, PROTOCOL, RULE, self._config()):
            return None
        try:
            return prepared if meta.fingerprint == self.dataset.fingerprint() else None
        except MissingDataError:
            return prepared

    def run(self, workers: int | None, quiet: bool) -> None:
        """Everything from the journal of an earlier run to the finished folder."""
        self._check_items()
        self._check_room()
        settings = {"protocol": PROTOCOL, "rule": RULE, "image_size": self.size, "adapter": self.dataset.name}
        journal = _Journal(self.part / JOURNAL_FILE, settings)
        if not journal.resumes:
            shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True, exist_ok=True)
        with journal, Decoder(self.size, workers, self.part) as decoder, _progress(quiet) as progress:
            plans = [self._plan(split, journal) for split in SPLITS]
            decoded = decoder.decode([chunk for plan in plans for chunk in plan.rest])
            splits = {plan.split: self._write_split(plan, journal, decoded, progress) for plan in plans}
        self._refuse_empty(splits)
        mean_ab, prior = self.colors.statistics()
        np.save(self.part / PRIOR_FILE, prior)
        (self.part / META_FILE).write_text(self._meta(splits, mean_ab).model_dump_json(by_alias=True, indent=1) + "\n")
        (self.part / JOURNAL_FILE).unlink()
        self._put_in_place()

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

    def _plan(self, split: str, journal: "_Journal") -> "_Plan":
        items = self.dataset.items(split)
        length = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // (self.size**2 * 3)))
        chunks = [items[start : start + length] for start in range(0, len(items), length)]
        path = self.part / f"{split}.npy"
        done = journal.finished(split, chunks, rows=_rows_in(path, self.size))
        return _Plan(split, path, list(zip(chunks, done, strict=False)), chunks[len(done) :])

    def _write_split(
        self, plan: "_Plan", journal: "_Journal", decoded: Iterator[Decoded], progress: "Progress"
    ) -> "_SplitResult":
        """Writes one split; `decoded` gives the chunks of all splits in a row, so that workers never pause."""
        split, result = plan.split, _SplitResult()
        task = progress.add_task(f"{self.name} {split}", total=len(self.dataset.items(split)))
        with _ArrayFile(plan.path, self.size, rows=sum(entry.kept for _, entry in plan.done)) as array:
            for chunk, entry in plan.done:
                self._account(split, chunk, entry, result)
                progress.advance(task, len(chunk))
            if split == "train":
                self._count_written(plan.path, array.rows)
            for chunk, (images, corrupt) in zip(plan.rest, islice(decoded, len(plan.rest)), strict=True):
                gray = grayscale(images)
                entry = _Entry.of(split, chunk, corrupt, gray)
                self._account(split, chunk, entry, result)  # raises for a corrupt file before anything is written
                kept = images[~gray] if gray.any() else images
                array.append(kept)
                if split == "train":
                    self.colors.add(kept)
                journal.add(entry)
                progress.advance(task, len(chunk))
            result.sha256 = array.finish()
        if self.dataset.listing.classes is not None:
            np.save(self.part / f"{split}_labels.npy", np.array([item.label for item in result.kept], dtype=np.int64))
        return result

    def _count_written(self, path: Path, rows: int) -> None:
        """Counts the colors of what an earlier run has written."""
        step = max(1, _CHUNK_BYTES // (self.size**2 * 3))
        for start in range(0, rows, step):
            shape, offset = (min(step, rows - start), self.size, self.size, 3), _HEADER + start * self.size**2 * 3
            self.colors.add(np.memmap(path, np.uint8, "r", offset, shape))

    def _account(self, split: str, chunk: Sequence[Item], entry: "_Entry", result: "_SplitResult") -> None:
        """Sorts a chunk's items into kept, grayscale and corrupt."""
        for place, reason in entry.corrupt.items():
            item = chunk[int(place)]
            if not self.skip_corrupt:
                raise BenchError(
                    f"cannot read {item.source.where} ({self.name}, {split} image {item.id!r}): {reason}; "
                    "repair or remove it, or leave it out with --skip-corrupt"
                )
            result.left_out.corrupt[item.id] = reason
        left_out = {*map(int, entry.corrupt), *entry.gray}
        result.left_out.grayscale += [chunk[place].id for place in entry.gray]
        result.kept += [item for place, item in enumerate(chunk) if place not in left_out]

    def _refuse_empty(self, splits: dict[str, "_SplitResult"]) -> None:
        for split, result in splits.items():
            if not result.kept:
                lost = len(result.left_out.grayscale), len(result.left_out.corrupt)
                raise BenchError(
                    f"{self.name}: no image is left for {split} ({lost[0]} grayscale, {lost[1]} unreadable, "
                    f"{len(self.dataset.items(split))} found; {self.dataset.listing.layout})"
                )

    def _meta(self, splits: dict[str, "_SplitResult"], mean_ab: tuple[float, float]) -> Meta:
        dataset, listing = self.dataset, self.dataset.listing
        return Meta(
            schema=1,
            protocol=PROTOCOL,
            name=self.name,
            adapter=dataset.name,
            title=dataset.title,
            licence=dataset.licence,
            note=" ".join(filter(None, (dataset.note, listing.note))) or None,
            config=self._config(),
            image_size=self.size,
            classes=None if listing.classes is None else list(listing.classes),
            layout=listing.layout,
            fingerprint=dataset.fingerprint(),
            rule=RULE,
            decoder=decoder_versions(),
            mean_ab=mean_ab,
            splits={
                split: SplitMeta(
                    images=len(result.kept),
                    sha256=result.sha256,
                    left_out=result.left_out,
                    ids=[item.id for item in result.kept],
                )
                for split, result in splits.items()
            },
        )

    def _put_in_place(self) -> None:
        old = self.folder.with_name(self.folder.name + ".old.part")
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.folder.rename(old)
        self.part.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


class _Plan(NamedTuple):
    """What is to be done for a split."""

    split: str
    path: Path  # of its array
    done: list[tuple[Sequence[Item], "_Entry"]]  # chunks that an earlier run has finished
    rest: list[Sequence[Item]]  # the other chunks


class _SplitResult:
    """What became of a split's photographs."""

    def __init__(self) -> None:
        self.kept: list[Item] = []
        self.left_out = LeftOut(grayscale=[], corrupt={})
        self.sha256 = ""


class _Entry(NamedTuple):
    """A line of the journal: a finished chunk."""

    split: str
    signature: str  # of its items: what it was made from
    kept: int  # images written
    gray: list[int]  # places in the chunk
    corrupt: dict[str, str]  # place in the chunk → reason

    @classmethod
    def of(cls, split: str, chunk: Sequence[Item], corrupt: dict[int, str], gray: NDArray[np.bool_]) -> "_Entry":
        readable = [place for place in range(len(chunk)) if place not in corrupt]
        return cls(
            split=split,
            signature=signature_of(chunk),
            kept=int((~gray).sum()),
            gray=[readable[place] for place in np.flatnonzero(gray)],
            corrupt={str(place): reason for place, reason in corrupt.items()},
        )


class _Journal:
    """The finished chunks of a preparation: a line with the settings, then one JSON line for each chunk."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Reads what an earlier run left; of one under other settings, nothing."""
        self.path, self.settings = path, settings
        lines = list(_json_lines(path))
        self.resumes = bool(lines) and lines[0] == settings
        self._entries = [_Entry(*line) for line in lines[1:]] if self.resumes else []

    def __enter__(self) -> "_Journal":
        self._rewrite()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finished(self, split: str, chunks: Sequence[Sequence[Item]], rows: int) -> list[_Entry]:
        """The entries of the first chunks that need not be made again; the others are forgotten.

        Args:
            split: which.
            chunks: its items, in chunks.
            rows: images that the array's file holds.
        """
        entries = [entry for entry in self._entries if entry.split == split]
        good = []
        for entry, chunk in zip(entries, chunks, strict=False):
            rows -= entry.kept
            if rows < 0 or entry.signature != signature_of(chunk):
                break
            good.append(entry)
        if len(good) < len(entries):
            self._entries = [entry for entry in self._entries if entry.split != split] + good
            self._file.close()
            self._rewrite()
        return good

    def add(self, entry: _Entry) -> None:
        """Notes a chunk whose images are in the array's file."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def _rewrite(self) -> None:
        content = "".join(json.dumps(line) + "\n" for line in (self.settings, *self._entries))
        write_atomically(self.path, content.encode())
        self._file = self.path.open("a", encoding="utf-8")


def _json_lines(path: Path) -> Iterator[Any]:
    """The lines of a journal up to the first that is not whole."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _rows_in(path: Path, size: int) -> int:
    """How many images an array's file of an earlier run holds."""
    return max(0, path.stat().st_size - _HEADER) // (size**2 * 3) if path.exists() else 0


class _ArrayFile:
    """A .npy file of (N, S, S, 3) uint8 that grows by appending; N is known, and written, at the end."""

    def __init__(self, path: Path, size: int, rows: int) -> None:
        self.path, self.size, self.rows = path, size, rows
        self._digest = hashlib.sha256()

    def __enter__(self) -> "_ArrayFile":
        """Keeps the first `rows` images of an earlier run."""
        self._file = self.path.open("r+b" if self.path.exists() and self.rows else "w+b")
        self._file.seek(0)
        self._write_header()
        remaining = self.rows * self.size**2 * 3
        self._file.truncate(_HEADER + remaining)
        self._file.seek(_HEADER)
        while remaining and (block := self._file.read(min(remaining, 1 << 22))):
            self._digest.update(block)
            remaining -= len(block)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, images: NDArray[np.uint8]) -> None:
        """Writes images (n, S, S, 3) behind those that are there. Out of memory's hands when this returns."""
        data = np.ascontiguousarray(images).data
        self._file.write(data)
        self._file.flush()
        self._digest.update(data)
        self.rows += len(images)

    def finish(self) -> str:
        """Writes the final header and all to the disk; the SHA-256 of the array's bytes."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def _write_header(self) -> None:
        shape = (self.rows, self.size, self.size, 3)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        if self._file.tell() != _HEADER:
            raise RuntimeError(f"numpy writes a header of {self._file.tell()} bytes, not {_HEADER}")


def decoder_versions() -> dict[str, str | None]:
    """Versions of what decides the prepared bytes."""
    import PIL
    from PIL import features

    turbo = features.version("libjpeg_turbo")
    jpeg = {"libjpeg-turbo": turbo} if turbo else {"libjpeg": features.version("jpg")}
    return {"pillow": PIL.__version__, **jpeg, "libwebp": features.version("webp"), "numpy": np.__version__}


def _no_room(folder: Path, reason: str) -> BenchError:
    return BenchError(
        f"no room to prepare {folder}: {reason}; free some, and the same command goes on where it stopped"
    )


@contextmanager
def _progress(quiet: bool) -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        yield progress


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


def verify(prepared: Prepared) -> Iterable[tuple[str, bool]]:
    """Reads every array and compares its SHA-256 with meta.json: yields (split, whether it is right)."""
    for split in SPLITS:
        images, digest = prepared.images(split), hashlib.sha256()
        rows = max(1, (4 << 20) // (prepared.meta.image_size**2 * 3))
        for start in range(0, len(images), rows):
            digest.update(np.ascontiguousarray(images[start : start + rows]).data)
        yield split, digest.hexdigest() == prepared.sha256[split]
