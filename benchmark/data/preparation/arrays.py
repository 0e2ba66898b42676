"""The files of prepared images: written by appending, every image looked at once on its way.

What is known of a split from looking at it: the SHA-256 of its bytes and of each image, and, where asked for, how often
each color occurs.
"""

import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.data.preparation.chroma import ColorCount

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


def checksum(path: Path, size: int, start: int, count: int) -> int | None:
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


class ArrayFile:
    """A .npy file of (N, S, S, 3) uint8 that grows by appending; N is known, and written, at the end."""

    def __init__(self, path: Path, size: int, rows: int, content: Content) -> None:
        """Opens nothing yet.

        Args:
            path: of the file.
            size: S.
            rows: images of an earlier run to keep: the first that are in the file.
            content: is shown every image, those of the earlier run too.
        """
        self.path, self.size, self.rows, self.content = path, size, rows, content

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
