"""The files of a preparation: one for each chunk of images while it runs, and the arrays that they become.

What is known of a split from looking at its images: the SHA-256 of its bytes and of each image, each
image's perceptual key and, where asked for, how often each color occurs.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.dataset import Item
from benchmark.data.preparation.alike import GRID, alike_in_several_splits, keys_of
from benchmark.data.preparation.chroma import ColorCount, grayscale
from benchmark.data.preparation.decoding import Decoded
from benchmark.support.files import load_array

BLOCK_BYTES = 4 << 20  # of pixels: what is in memory at once


class Content:
    """What is known of a split's images, which it is shown in order."""

    def __init__(self, colors: ColorCount | None = None) -> None:
        """Nothing seen yet; `colors` counts along."""
        self._digest = hashlib.sha256()
        self._colors = colors
        self.keys: list[bytes] = []  # the SHA-256 of each image
        self._looks: list[NDArray[np.float32]] = []

    def add(self, images: NDArray[np.uint8]) -> None:
        """Looks at the next images (n, S, S, 3), which are contiguous."""
        self._digest.update(images.data)
        self.keys += [hashlib.sha256(image.data).digest() for image in images]
        self._looks.append(keys_of(images))
        if self._colors is not None:
            self._colors.add(images)

    @property
    def sha256(self) -> str:
        """Of the bytes seen, in hex."""
        return self._digest.hexdigest()

    @property
    def looks(self) -> NDArray[np.float32]:
        """The perceptual key of each image, (N, 48)."""
        return np.concatenate([np.empty((0, GRID**2 * 3), np.float32), *self._looks])


def in_several_splits(keys: Mapping[str, Sequence[bytes]], ids: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Photographs that stand in more than one split, byte by byte the same once they are prepared.

    From split → the SHA-256 of each image, and split → the images' ids. Each such photograph is given as the
    `split/id`s that show it, in order.
    """
    splits = Counter(key for of_split in keys.values() for key in set(of_split))
    shared: dict[bytes, list[str]] = {}
    for split, of_split in keys.items():
        for key, identity in zip(of_split, ids[split], strict=True):
            if splits[key] > 1:
                shared.setdefault(key, []).append(f"{split}/{identity}")
    return list(shared.values())


def alike(folder: Path, contents: Mapping[str, Content], ids: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Pairs of images of two splits that are the same to the eye alone; the arrays lie in the folder."""
    images = {split: load_array(folder / f"{split}.npy", mapped=True) for split in contents}
    return alike_in_several_splits({split: content.looks for split, content in contents.items()}, images, ids)


def blocks(path: Path, size: int, rows: int) -> Iterator[NDArray[np.uint8]]:
    """The first `rows` images (n, S, S, 3) of an array's file in runs of a few.

    They are read, not mapped: pages of a map that were looked at would count as this process's memory.
    """
    step = max(1, BLOCK_BYTES // (size**2 * 3))
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        for start in range(0, rows, step):
            count = min(step, rows - start)
            yield np.fromfile(file, np.uint8, count * size**2 * 3).reshape(count, size, size, 3)


class Chunk(NamedTuple):
    """What became of consecutive photographs."""

    images: NDArray[np.uint8]  # (n, S, S, 3): those that are kept, in order
    gray: list[str]  # ids of grayscale photographs, which are left out
    corrupt: dict[str, str]  # id → why it could not be read
    profiles: dict[str, str]  # id of a kept image → what became of its color profile

    @classmethod
    def of(cls, items: Sequence[Item], decoded: Decoded) -> "Chunk":
        """The chunk of these items, which were decoded."""
        ids = [item.id for item in items]
        readable = [identity for place, identity in enumerate(ids) if place not in decoded.corrupt]
        is_gray = grayscale(decoded.images)
        gray = [identity for identity, left_out in zip(readable, is_gray, strict=True) if left_out]
        return cls(
            images=decoded.images[~is_gray],
            gray=gray,
            corrupt={ids[place]: reason for place, reason in decoded.corrupt.items()},
            profiles={ids[place]: note for place, note in decoded.profiles.items() if ids[place] not in gray},
        )

    @classmethod
    def load(cls, path: Path) -> "Chunk | None":
        """The chunk that `save` wrote; None where there is none, or a damaged one (the format has checksums)."""
        try:
            with np.load(path) as file:
                return cls(file["images"], *json.loads(str(file["facts"])))
        except Exception:  # numpy raises whatever the bytes make it
            return None

    def save(self, path: Path) -> None:
        """Writes the chunk whole, on the disk when this returns, or not at all."""
        images, *facts = self
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, images=images, facts=np.array(json.dumps(facts)))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
