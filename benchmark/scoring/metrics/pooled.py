"""How the values of some metrics follow from means over images: NumPy only, so that statistics need no torch."""

from collections.abc import Sequence

import numpy as np

PSNR_CAP = 100.0  # dB, of an exact match


def psnr_of(mse: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of mean squared errors on the 0–255 scale; at most 100, which 0 gets."""
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(255.0**2 / np.asarray(mse, np.float64)), PSNR_CAP)


def weighted(values: np.ndarray, weights: np.ndarray) -> Sequence[np.ndarray]:
    """The moments of a mean in which each image counts as much as it weighs; `ratio` combines their means."""
    return [values * weights, weights]


def ratio(mean_product: np.ndarray, mean_weight: np.ndarray) -> np.ndarray:
    """The weighted mean from the means of `weighted`."""
    return np.asarray(mean_product / mean_weight)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far two means are apart."""
    return np.abs(first - second)
