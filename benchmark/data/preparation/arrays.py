"""The files of a preparation: images, written by appending, each looked at once on its way, and how far it has come.

What is known of a split from looking at it: the SHA-256 of its bytes and of each image, and, where asked for, how often
each color occurs.
"""

import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.dataset import Item, signature_of
from benchmark.data.preparation.chroma import ColorCount
from benchmark.data.preparation.decoding import Decoded
from benchmark.support.files import write_atomically

BLOCK_BYTES = 4 << 20  # of pixels: what is in memory at once
_HEADER = 128  # bytes of a .npy header for (N, S, S, 3) uint8; numpy leaves room for any N


class Content:
    """What is known of a split's images, which it is shown in order."""

    def __init__(self, colors: ColorCount | None = None) -> None:
        """Nothing seen yet; `colors` counts along."""
        self._digest = hashlib.sha256()
        self._colors = colors
        self.keys: list[bytes] = []  # the SHA-256 of each image

    def add(self, images: NDArray[np.uint8]) -> None:
        """Looks at the next images (n, S, S, 3), which are contiguous."""
        self._digest.update(images.data)
        self.keys += [hashlib.sha256(image.data).digest() for image in images]
        if self._colors is not None:
            self._colors.add(images)

    @property
    def sha256(self) -> str:
        """Of the bytes seen, in hex."""
        return self._digest.hexdigest()


def in_several_splits(keys: Mapping[str, Sequence[bytes]], ids: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Photographs that stand in more than one split, byte by byte the same once they are prepared.

    Args:
        keys: split → the SHA-256 of each image.
        ids: split → the images' ids.

    Returns:
        Each such photograph as the `split/id`s that show it, in order.
    """
    splits = Counter(key for of_split in keys.values() for key in set(of_split))
    shared: dict[bytes, list[str]] = {}
    for split, of_split in keys.items():
        for key, identity in zip(of_split, ids[split], strict=True):
            if splits[key] > 1:
                shared.setdefault(key, []).append(f"{split}/{identity}")
    return list(shared.values())


def _checksum(path: Path, size: int, start: int, count: int) -> int | None:
    """CRC-32 of the images [start, start + count) in an array's file; None if they are not in it."""
    image = size**2 * 3
    if not path.exists() or path.stat().st_size < _HEADER + (start + count) * image:
        return None
    return zlib.crc32(np.fromfile(path, np.uint8, count * image, offset=_HEADER + start * image).data)


def blocks(path: Path, size: int, rows: int) -> Iterator[NDArray[np.uint8]]:
    """The first `rows` images (n, S, S, 3) of an array's file in runs of a few.

    They are read, not mapped: pages of a map that were looked at would count as this process's memory.
    """
    step = max(1, BLOCK_BYTES // (size**2 * 3))
    with path.open("rb") as file:
        file.seek(_HEADER)
        for start in range(0, rows, step):
            count = min(step, rows - start)
            yield np.fromfile(file, np.uint8, count * size**2 * 3).reshape(count, size, size, 3)


@dataclass(eq=False)
class ArrayFile:
    """A .npy file of (N, S, S, 3) uint8 that grows by appending; N is known, and written, at the end."""

    path: Path
    size: int  # S
    rows: int  # images in it: at first those of an earlier run that are kept
    content: Content  # is shown every image, those of the earlier run too

    def __enter__(self) -> "ArrayFile":
        self._file = self.path.open("r+b" if self.path.exists() and self.rows else "w+b")
        self._write_header()
        self._file.truncate(_HEADER + self.rows * self.size**2 * 3)
        self._file.flush()
        for block in blocks(self.path, self.size, self.rows):
            self.content.add(block)
        self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, images: NDArray[np.uint8]) -> None:
        """Writes images (n, S, S, 3) behind those that are there. Out of memory's hands when this returns."""
        images = np.ascontiguousarray(images)
        self._file.write(images.data)
        self._file.flush()
        self.content.add(images)
        self.rows += len(images)

    def finish(self) -> None:
        """Writes the final header, and all to the disk."""
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write_header(self) -> None:
        shape = (self.rows, self.size, self.size, 3)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        if self._file.tell() != _HEADER:
            raise RuntimeError(f"numpy writes a header of {self._file.tell()} bytes, not {_HEADER}")


class Entry(NamedTuple):
    """A line of the journal: a finished chunk."""

    split: str
    signature: str  # of its items: what it was made from
    kept: int  # images written
    checksum: int  # CRC-32 of them: a machine that lost power may have written the journal, and zeros for images
    gray: list[str]  # ids of grayscale photographs, which were left out
    corrupt: dict[str, str]  # id → why it could not be read
    profiles: dict[str, str]  # id of an image that was written → what became of its color profile

    @classmethod
    def of(cls, split: str, chunk: Sequence[Item], decoded: Decoded, gray: NDArray[np.bool_]) -> "Entry":
        """The line for a chunk; `gray` says of each decoded image whether it is left out as a grayscale photograph."""
        ids = [item.id for item in chunk]
        readable = [identity for place, identity in enumerate(ids) if place not in decoded.corrupt]
        left_out = [identity for identity, is_gray in zip(readable, gray, strict=True) if is_gray]
        return cls(
            split=split,
            signature=signature_of(chunk),
            kept=len(readable) - len(left_out),
            checksum=zlib.crc32(np.ascontiguousarray(decoded.images[~gray]).data),
            gray=left_out,
            corrupt={ids[place]: reason for place, reason in decoded.corrupt.items()},
            profiles={ids[place]: note for place, note in decoded.profiles.items() if ids[place] not in left_out},
        )


class Journal:
    """The finished chunks of a preparation, from which a run that was killed goes on.

    It is a file with a line of settings, then one JSON line for each chunk.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Reads what an earlier run left; of one under other settings, nothing."""
        self.path, self.settings = path, settings
        lines = list(_json_lines(path))
        self.resumes = bool(lines) and lines[0] == settings
        self._entries = [Entry(*line) for line in lines[1:]] if self.resumes else []

    def __enter__(self) -> "Journal":
        content = "".join(json.dumps(line) + "\n" for line in (self.settings, *self._entries))
        write_atomically(self.path, content.encode())
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finished(self, split: str, chunks: Sequence[Sequence[Item]], path: Path, size: int) -> list[Entry]:
        """The entries of a split's first chunks that need not be made again; the others are forgotten.

        The array's file is at `path`, and its images are (size, size, 3).
        """
        entries = [entry for entry in self._entries if entry.split == split]
        good, start = [], 0
        for entry, chunk in zip(entries, chunks, strict=False):
            written = _checksum(path, size, start, entry.kept)
            if written != entry.checksum or entry.signature != signature_of(chunk):
                break
            start += entry.kept
            good.append(entry)
        self._entries = [entry for entry in self._entries if entry.split != split] + good
        return good

    def add(self, entry: Entry) -> None:
        """Notes a chunk whose images are in the array's file."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _json_lines(path: Path) -> Iterator[Any]:
    """The lines of a journal up to the first that is not whole."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
