"""The colors of many images: grayscale photographs, the mean color, the share of each of the 313 bins."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

GRAY_LIMIT = 5.0  # docs/protocol.md §1: max |a|, |b| of a grayscale photograph, Lab units


def grayscale(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of (N, S, S, 3) uint8 images are grayscale photographs: max |a|, |b| ≤ 5 everywhere (docs/protocol.md §1).

    Most images show a color on a grid of 16×16 of their pixels; only where none does are all pixels converted.
    """
    gray = np.ones(len(images), dtype=bool)
    for stride in (max(1, images.shape[1] // 16), 1):
        doubtful = np.flatnonzero(gray)
        for part in np.array_split(doubtful, max(1, len(doubtful) // 64)):
            gray[part] = _max_chroma(images[:, ::stride, ::stride][part]) <= GRAY_LIMIT
    return gray


def _max_chroma(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The largest |a| or |b| of each image (N, H, W, 3): (N,)."""
    import torch

    from benchmark.data.color import rgb_to_lab

    if not len(images):
        return np.empty(0, dtype=np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the cores are busy decoding, and threads of a parallel region wait for each other
    try:
        _, ab = rgb_to_lab(torch.from_numpy(np.ascontiguousarray(images)))
        return ab.abs().amax((1, 2, 3)).numpy()
    finally:
        torch.set_num_threads(threads)


class ColorCount:
    """How many pixels have each of the 2²⁴ colors, in 128 MiB.

    There are many fewer colors than pixels, so what is wanted of all pixels is computed once for each color.
    """

    def __init__(self) -> None:
        """No pixel yet."""
        self._table = np.zeros(1 << 24, dtype=np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Counts the pixels of images (…, 3)."""
        np.add.at(self._table, _packed(images), 1)

    def statistics(self) -> tuple[tuple[float, float], NDArray[np.float64]]:
        """Mean color and distribution over the 313 bins, over all pixels.

        Returns:
            The mean (a, b) in Lab units, and the share of pixels nearest to each bin, (313,) float64, sums to 1.
        """
        from benchmark.data.ab_bins import BINS, nearest_bin

        colors = np.flatnonzero(self._table > 0)  # A search of booleans is four times as fast as one of numbers.
        counts = self._table[colors]
        total, prior = np.zeros(2), np.zeros(BINS)
        pieces = max(1, len(colors) >> 18)
        for part, count in zip(np.array_split(colors, pieces), np.array_split(counts, pieces), strict=True):
            ab, weights = _ab_of(part), count.astype(np.float64)
            prior += np.bincount(nearest_bin(ab).flatten().numpy(), weights=weights, minlength=BINS)
            total += ab[0, :, 0].double().numpy() @ weights
        pixels = float(counts.sum())
        a, b = (round(float(value), 6) for value in total / pixels)  # beyond that, machines differ
        return (a, b), prior / pixels


def _packed(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Each pixel's color as one number R + 256·G + 65536·B, flat.

    Reads four bytes at a time, three apart: the fourth, of the next pixel, is masked out again.
    """
    data = np.append(images, np.uint8(0))
    words = np.ndarray(len(data) // 3, dtype="<u4", buffer=data, strides=(3,))
    return words & np.uint32(0xFFFFFF)


def _ab_of(colors: NDArray[np.int64]) -> "Tensor":
    """The chroma of colors packed as R + 256·G + 65536·B (n,): (1, 2, 1, n) float32, Lab units."""
    import torch

    from benchmark.data.color import rgb_to_lab

    rgb = np.stack([colors & 255, colors >> 8 & 255, colors >> 16], axis=-1).astype(np.uint8)
    return rgb_to_lab(torch.from_numpy(rgb)[None, None])[1]
