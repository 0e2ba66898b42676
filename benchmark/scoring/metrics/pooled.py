"""How the value of a column follows from per-image columns: NumPy only, so that statistics need no torch.

A metric's value is a function of the means of a few per-image quantities (`moments`, `from_means`). A bootstrap draws
images again and again and asks for the value of each draw: the means change, the rest stays.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.scoring.metrics import METRICS

PSNR_CAP = 100.0  # dB, of an exact match


def psnr_of(mse: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of mean squared errors on the 0–255 scale; at most 100, which 0 gets."""
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(255.0**2 / np.asarray(mse, np.float64)), PSNR_CAP)


def moments(name: str, per_image: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The per-image quantities whose means decide a metric.

    Args:
        name: a metric of `METRICS` that has `columns`.
        per_image: at least the metric's `columns`, each (..., N), finite.

    Returns:
        One or two arrays (..., N).

    Raises:
        KeyError: the metric has no columns (it exists for whole sets only), or one of them is missing.
    """
    if not METRICS[name].columns:
        raise KeyError(f"{name} does not follow from per-image values")
    columns = [np.asarray(per_image[column], np.float64) for column in METRICS[name].columns]
    if name == "auc_rebal":  # each image's area counts as much as its pixels weigh
        values, masses = columns
        return [values * masses, masses]
    return columns


def from_means(name: str, means: Sequence[np.ndarray]) -> np.ndarray:
    """The value of a metric from the means of its `moments`; any shape, the same for all."""
    if name == "psnr_pooled":
        return psnr_of(means[0])
    if name == "auc_rebal":
        return np.asarray(means[0] / means[1])
    if name == "delta_colorfulness":
        return np.abs(means[0] - means[1])
    return means[0]


def pooled(name: str, per_image: Mapping[str, np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """The value of a metric over a set of images.

    Args:
        name: a metric of `METRICS` that has `columns`.
        per_image: at least the metric's `columns`, each (N,), finite.
        weights: how often each image counts, (N,) or (draws, N), not negative; None counts each once.

    Returns:
        (), or (draws,) where weights are (draws, N).

    Raises:
        KeyError: as `moments`.
    """
    quantities = moments(name, per_image)
    counts = np.ones(len(quantities[0])) if weights is None else np.asarray(weights, np.float64)
    return from_means(name, [np.asarray(counts @ quantity / counts.sum(axis=-1)) for quantity in quantities])
