"""The random draws behind intervals and tests: resamples of the images, and deviations between seeds.

They are the same at every call, so what is compared under them is compared by the same luck. Why so many and so even:
docs/statistics.md.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaincinv, ndtri, stdtrit  # scipy.stats takes 0.7 s to import

DRAWS = 1000  # resamples of the test images
RESAMPLING_SEED = 2016
CHUNK_BYTES = 2**26


@lru_cache(maxsize=2)  # 80 MB for 10,000 images
def image_weights(images: int, draws: int = DRAWS) -> np.ndarray:
    """(draws, images) float64: how often each image comes, divided by their number, in resamples with replacement.

    The same at every call: what is compared under them is compared on the same resamples.
    """
    rng = np.random.default_rng(RESAMPLING_SEED)
    weights = np.empty((draws, images))
    rows = max(1, CHUNK_BYTES // (8 * images))  # at a time, to bound the memory for the indices
    for start in range(0, draws, rows):
        part = weights[start : start + rows]
        chosen = rng.integers(0, images, part.shape) + images * np.arange(len(part))[:, None]
        part[:] = np.bincount(chosen.ravel(), minlength=part.size).reshape(part.shape)
    weights /= images
    return weights


@lru_cache(maxsize=64)  # 80 kB for each column
def normal_draws(source: int, count: int, draws: int) -> np.ndarray:
    """(draws, count) of a normal distribution, other ones for each source of luck, the same at every call."""
    return np.asarray(ndtri(_even_shares((source, 0), count, draws)))


@lru_cache(maxsize=64)
def variance_draws(source: int, freedom: int, draws: int) -> np.ndarray:
    """(2, draws) of a variance over what it estimates, twice; the same at every call."""
    return np.asarray(gammaincinv(freedom / 2, _even_shares((source, 1), 2, draws)).T * 2 / freedom)


@lru_cache(maxsize=32)
def student_draws(freedom: int, draws: int) -> np.ndarray:
    """(draws,) of Student's t."""
    return np.asarray(stdtrit(freedom, _even_shares((), 1, draws)[:, 0]))


def _even_shares(stream: tuple[int, ...], count: int, draws: int) -> np.ndarray:
    """(draws, count) of a uniform distribution, one from each of as many equal shares, in random orders: even tails."""
    rng = np.random.default_rng([RESAMPLING_SEED, *stream])
    return np.stack([(rng.permutation(draws) + 0.5) / draws for _ in range(count)], axis=1)
