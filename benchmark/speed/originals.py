"""Finds or writes the image files that the plain loop reads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.contracts.dataset import Dataset
from benchmark.data.preparation.archives import FileSource
from benchmark.data.prepared import Prepared

QUALITY = 95  # quality of the JPEG files written here
_PIXELS = 1 << 27  # most pixels to write: 2,048 images of 256², or all of CIFAR-10


def image_files(dataset: Dataset, prepared: Prepared, folder: Path) -> tuple[list[Path], str]:
    """Returns the training split as image files.

    Args:
        dataset: the data set; its originals are used if they are files.
        prepared: the same data set, prepared; its images are written as JPEG files if the originals are no files.
        folder: the folder for files that are written.

    Returns:
        The files, and a sentence that says what they are.
    """
    wanted = set(prepared.ids("train"))
    items = [item for item in dataset.items("train") if item.id in wanted]
    paths = [Path(item.source.path) for item in items if isinstance(item.source, FileSource)]
    if len(paths) == len(wanted):
        return paths, f"the data set's own {len(paths):,} files"
    images = prepared.images("train")
    written = write_jpegs(images[: max(1, _PIXELS // images[0, ..., 0].size)], folder)
    size = images.shape[1]
    return written, f"{len(written):,} JPEG files of {size}×{size}, quality {QUALITY}, written from the prepared images"


def write_jpegs(images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], folder: Path) -> list[Path]:
    """Writes images (H, W, 3) uint8 as numbered JPEG files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06d}.jpg" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(np.asarray(image)).save(path, quality=QUALITY)
    return paths
