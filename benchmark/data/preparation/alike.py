"""Photographs of two splits that are the same to the eye although their bytes differ: encoded or resized once more.

Each image has a perceptual key, the mean colors of a 4×4 grid, which encoding again hardly moves. Images of two splits
whose keys are near are compared pixel by pixel. (An average of gray levels as bits, as in common perceptual hashes, has
many more pairs to compare: it knows no color.)
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

GRID = 4  # cells along a side
NEAR = 3.0  # levels: root mean square between the keys of two images that are compared
SAME = 0.15  # mean squared difference of two images that are the same, as share of their smaller variance
# Of 193 photographs of 64² encoded again as JPEG of quality 75 the keys moved by 1.3 at most, the pixels by 0.02 in the
# median and by 0.07 at the 95th percentile; of no two different photographs in 107,485 are both as near.
_COMPARED = 4  # images at most that one is compared with, the nearest
_AXES = 8  # principal axes along which near keys are looked for; a search tree is of no use in 48 dimensions


def keys_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The keys of images (n, S, S, 3): (n, 48), levels 0 to 255; the last S mod 4 rows and columns do not count."""
    count, side = len(images), images.shape[1] // GRID
    inner = images[:, : GRID * side, : GRID * side]
    rows = inner.reshape(count, GRID, side, GRID * side * 3).sum(2, dtype=np.uint32)
    cells = rows.reshape(count, GRID, GRID, side, 3).sum(3, dtype=np.uint32)
    return (cells.reshape(count, GRID**2 * 3) / side**2).astype(np.float32)


def alike_in_several_splits(
    keys: Mapping[str, NDArray[np.float32]],
    images: Mapping[str, NDArray[np.uint8]],
    ids: Mapping[str, Sequence[str]],
) -> list[list[str]]:
    """Pairs of images of two splits that are the same to the eye, and not byte by byte.

    Args:
        keys: split → `keys_of` its images.
        images: split → (N, S, S, 3), of which a few are read.
        ids: split → the images' ids.

    Returns:
        Each pair as two `split/id`.
    """
    pairs = []
    for one, other in combinations(keys, 2):
        for k, m in _near(keys[one], keys[other]):
            if _same_to_the_eye(images[one][k], images[other][m]):
                pairs.append([f"{one}/{ids[one][k]}", f"{other}/{ids[other][m]}"])
    return pairs


def _near(one: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Indices of keys that are near each other, in order."""
    from scipy.spatial import KDTree

    if not (len(one) and len(other)):
        return
    centered = np.concatenate([one, other]).astype(np.float64)
    centered -= centered.mean(0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, -_AXES:]  # projected keys are never farther apart than keys
    projected = centered @ axes
    swapped = len(one) > len(other)
    few, many = (projected[len(one) :], projected[: len(one)]) if swapped else np.split(projected, [len(one)])
    limit = NEAR * np.sqrt(one.shape[1])
    found = KDTree(many).query(few, k=[*range(1, _COMPARED + 1)], distance_upper_bound=limit)[1]
    pairs = [(k, int(m)) for k, row in enumerate(found) for m in row if m < len(many)]
    for k, m in sorted((m, k) if swapped else (k, m) for k, m in pairs):
        if np.square(one[k] - other[m]).mean() <= NEAR**2:
            yield k, m


def _same_to_the_eye(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    difference = np.square(one.astype(np.int32) - other).mean()
    return 0 < difference <= SAME * min(image.var(axis=(0, 1), dtype=np.float64).mean() for image in (one, other))
