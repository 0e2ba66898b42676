"""Tiles of the color photographs that ship inside scikit-image: a demonstration that needs no download.

The right quarter of each photograph is test. The lowest quarter of the rest is validation, and what remains is cut into
overlapping tiles for training; an unused strip separates the splits. Eight photographs do not represent the world, and
the tiles of one photograph are alike, so scores on them only show that the machinery works. rocket.jpg, in Adobe RGB,
is converted to sRGB like any file.

Licences are those in the docstrings of `skimage.data`: public domain (astronaut and hubble: NASA; rocket: SpaceX), CC0
(chelsea, coffee, retina), no known restrictions (ihc); motorcycle is of the Middlebury 2014 stereo data sets.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from benchmark.contracts.dataset import SPLITS, Dataset, DatasetConfig, Item, Listing
from benchmark.data.preparation.images import square, to_rgb

from ._layouts import inside_scikit_image, limited

# The wheel's color photographs, without motorcycle_right, which shows the scene of motorcycle_left from 20 cm aside.
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
GAP = 1 / 32  # share of the side that is left unused between two splits: 9 to 44 pixels
TEST_SHARE, VAL_SHARE = 1 / 4, 1 / 4
EDITION = 2  # of a tile's pixels: a change of how they are made from a photograph raises it, and prepares them again


class SampleConfig(DatasetConfig):
    """Settings of the sample."""

    image_size: int = Field(64, ge=8, le=256, description="S; tiles are S×S")
    tile: float = Field(
        0.25, gt=0.05, le=0.45, description="side of the square that becomes a tile, share of the photograph's height"
    )
    overlap: float = Field(0.75, ge=0, le=0.9, description="overlap of neighboring training tiles; half in the others")


class Tile(NamedTuple):
    """A square of a photograph."""

    path: str
    left: int
    top: int
    side: int

    @property
    def where(self) -> str:
        """The tile's place, for messages."""
        return f"{self.path} at ({self.left}, {self.top})"

    @property
    def signature(self) -> str:
        """A text that changes with the tile's pixels; a file's size is enough: only a new scikit-image changes it."""
        return f"{EDITION}.{Path(self.path).stat().st_size}.{self.left}.{self.top}.{self.side}"

    def load(self, size: int) -> NDArray[np.uint8]:
        """Returns the square, resized to (size, size, 3)."""
        box = (self.left, self.top, self.left + self.side, self.top + self.side)
        return np.asarray(square(to_rgb(_photograph(self.path).crop(box)), size))  # so each tile is counted


class Sample(Dataset):
    """Tiles of scikit-image's photographs, split by region."""

    name = "sample"
    Config = SampleConfig
    title = "Tiles of the color photographs inside scikit-image"
    licence = "public domain or CC0, by photograph; see the docstrings of skimage.data"
    homepage = "https://scikit-image.org/docs/stable/api/skimage.data.html"
    note = "A demonstration on tiles of eight photographs: no evidence for or against any method."

    def find(self) -> Listing:
        """Cuts the photographs of the installed scikit-image; nothing is ever downloaded."""
        items: dict[str, list[Item]] = {split: [] for split in SPLITS}
        for path in inside_scikit_image(self, PHOTOGRAPHS):
            with Image.open(path) as photograph:
                width, height = photograph.size
            for split in SPLITS:
                items[split] += self._tiles(path, split, width, height)
        return Listing(
            limited(items, self.config),
            "scikit-image's photographs, cut by region: right quarter test, lower left validation",
        )

    def _tiles(self, path: Path, split: str, width: int, height: int) -> Iterator[Item]:
        left, top, right, bottom = region(split, width, height)
        side = min(round(self.config.tile * height), right - left, bottom - top)
        overlap = self.config.overlap if split == "train" else self.config.overlap / 2
        for y in _starts(top, bottom, side, overlap):
            for x in _starts(left, right, side, overlap):
                identity = f"{path.stem}-{x:04d}-{y:04d}"
                yield Item(identity, identity, Tile(str(path), x, y, side))


def region(split: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a split's part of a photograph; `GAP` separates the parts."""
    test_left, val_top = round(width * (1 - TEST_SHARE)), round(height * (1 - VAL_SHARE))
    if split == "test":
        return test_left, 0, width, height
    right = test_left - round(width * GAP)
    return (0, val_top, right, height) if split == "val" else (0, 0, right, val_top - round(height * GAP))


def _starts(low: int, high: int, side: int, overlap: float) -> list[int]:
    """Returns where tiles start that cover [low, high] evenly and share at least `overlap` of their side."""
    steps = int(np.ceil((high - low - side) / (side * (1 - overlap))))
    return sorted({round(start) for start in np.linspace(low, high - side, steps + 1)})


@lru_cache(maxsize=1)
def _photograph(path: str) -> Image.Image:
    """Returns a decoded photograph, and keeps it, because the tiles of one photograph follow each other."""
    with Image.open(path) as image:
        image.load()
        return image
