"""What a metric is: the one object that the scorer, pooling, resampling, tables and report go by. No torch is imported.

A metric of single images names a function and the space in which that function wants to see them. A metric of whole
sets names a class that takes in batches and computes at the end. `register` makes either known everywhere.
"""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.support.errors import unknown

Space = Literal["rgb", "lab", "weighted_lab", "gamut"]  # the properties of `benchmark.scoring.metrics.pair.Pair`


class NotAvailable(ValueError):
    """A metric cannot be had of these images or on this machine; the message says why, and stands in its note."""


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
    """One mean less another."""
    return first - second


def themselves(*columns: np.ndarray) -> Sequence[np.ndarray]:
    """The moments of a plain mean."""
    return columns


def the_mean(mean: np.ndarray) -> np.ndarray:
    """A plain mean from the mean."""
    return mean


@dataclass(frozen=True)
class Metric:
    """One column of every table. Its name stands for exactly one variant (protocol §2).

    The value over a set of images is `combine(*means)`: the means over the images of what `moments(*columns)` makes of
    the stored per-image columns. A resample of the images changes the means and nothing else.
    """

    name: str
    label: str  # for the heads of tables
    unit: str  # "" for a pure number
    direction: Literal["higher", "lower"] | None  # which is better; None where neither is
    digits: int  # decimals in tables
    description: str
    space: Space = "rgb"
    # Given what `Pair` holds in that space, the function returns (B,) values, or a mapping of columns to them. Metrics
    # that name the same function share one call. "module:function" is imported when it is needed.
    per_image: str | Callable[..., Any] | None = None
    measured_by: str | Callable[..., Any] | None = None  # for whole sets: see `benchmark.scoring.metrics.sets`
    columns: tuple[str, ...] = ()  # per-image columns that are stored; () for sets, (name,) where a function is given
    moments: Callable[..., Sequence[np.ndarray]] = themselves
    combine: Callable[..., np.ndarray] = the_mean
    needs: tuple[str, ...] = ()  # pretrained files, by their names in `benchmark.support.weights`
    weight: str = ""  # the per-image column by which images weigh; "" where all weigh the same
    bounds: tuple[float | None, float | None] = (None, None)  # least and largest value; no interval leaves them
    folded: bool = False  # the value is the size of what `combine` gives, whose sign only intervals look at
    optional: bool = False  # measured only when asked for, and in no table without a row that has it

    def __post_init__(self) -> None:
        """Gives a metric of single images its own column, where it names none."""
        if self.per_image and not self.columns:
            object.__setattr__(self, "columns", (self.name,))

    @property
    def has_image_values(self) -> bool:
        """Whether each image has a value of its own (then in a per-image column of this name)."""
        return self.name in self.columns

    def moments_of(self, per_image: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The quantities, each (..., N) float64, whose means over the images decide the value.

        They are made of the metric's `columns`, each (..., N), finite. KeyError if it has none, or one is missing.
        """
        if not self.columns:
            raise KeyError(f"{self.name} does not follow from per-image values")
        return self.moments(*(np.asarray(per_image[column], np.float64) for column in self.columns))

    def effective_images(self, per_image: Mapping[str, np.ndarray]) -> float:
        """How many images of equal weight would be as good as these (Kish 1965): (Σw)² / Σw², at most N."""
        weights = np.asarray(per_image[self.weight], np.float64)
        return float(weights.sum() ** 2 / np.square(weights).sum())

    def pooled(self, per_image: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value over a set of images, (), from at least the metric's `columns`, each (N,), finite.

        KeyError if it has none, or one is missing.
        """
        found = self.signed(per_image)
        return np.abs(found) if self.folded else found

    def signed(self, per_image: Mapping[str, np.ndarray]) -> np.ndarray:
        """As `pooled`, with the sign that a folded metric leaves out."""
        return self.combine(*(np.asarray(quantity.mean()) for quantity in self.moments_of(per_image)))


METRICS: dict[str, Metric] = {}
"""Every metric by name, in the order of the tables' columns."""


def usual(also: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of the metrics that are measured: all but the optional ones, and of these those that are asked for.

    Raises:
        InputError: there is no such optional metric.
    """
    for name in also:
        if name not in METRICS or not METRICS[name].optional:
            raise unknown("optional metric", name, [one.name for one in METRICS.values() if one.optional])
    return tuple(name for name, metric in METRICS.items() if name in also or not metric.optional)


def register(metric: Metric) -> Metric:
    """Makes a metric known everywhere; ValueError if its name is taken or another function fills one of its columns."""
    if metric.name in METRICS:
        raise ValueError(f"there is a metric {metric.name!r} already")
    for other in METRICS.values():
        shared = set(metric.columns) & set(other.columns)
        if shared and (other.per_image, other.measured_by) != (metric.per_image, metric.measured_by):
            raise ValueError(f"{metric.name}: the column {min(shared)!r} is that of {other.name}")
    METRICS[metric.name] = metric
    return metric


def loaded(reference: str | Any) -> Any:
    """What a metric names: a function or class itself, or "module:name" to import now."""
    return pkgutil.resolve_name(reference) if isinstance(reference, str) else reference
