"""Intervals, paired tests and ranks, from values per seed and per test image. Why so: docs/statistics.md.

Two things are left to chance in a score: the test images, and the seed that a method was trained with. Every seed is
scored on the same images, and so is every method. So one resample of the images serves all seeds and all methods
(their differences stay paired), and the spread between seeds is added on top. A comparison that resampled images alone
would call two trainings of one method different as soon as there are enough images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t: what scipy.stats.t calls, without its 0.7 s of import

from benchmark.scoring.metrics import METRICS

DRAWS = 1000
LEVEL = 0.95
RESAMPLING_SEED = 2016
CHUNK_BYTES = 2**26
Thing = TypeVar("Thing")


class Difference(NamedTuple):
    """One method's mean less another's, under one metric."""

    effect: float
    low: float  # of the 95 % interval
    high: float
    p: float  # two-sided, of "no difference"; 1 where nothing can be tested


@dataclass(frozen=True)
class Estimate:
    """One method under one metric."""

    seeds: np.ndarray  # (K,) float64, the metric under each seed
    draws: np.ndarray | None = None  # (B,) its mean over seeds as the test images are resampled; None: set metrics
    images: int = 0  # N, resampled

    @property
    def testable(self) -> bool:
        """Whether images or seeds tell of its spread."""
        return self.draws is not None or len(self.seeds) > 1

    @cached_property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.seeds.mean())

    @cached_property
    def seed_variance(self) -> float:
        """Variance of the mean due to the choice of seeds; 0 where one seed leaves it unknown."""
        count = len(self.seeds)
        return float(self.seeds.var(ddof=1) / count) if count > 1 else 0.0

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference of two metrics of one method, which share their seeds and images."""
        draws = None if self.draws is None or other.draws is None else self.draws - other.draws
        return Estimate(self.seeds - other.seeds, draws, self.images)

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The bootstrap interval of the mean: seeds redrawn, then test images; None where neither spread is known.

        Images are resampled with replacement. Three seeds cannot be: the extremes of three values, all that a resample
        of them reaches, cover the mean three times in four. They are redrawn from Student's t with K-1 degrees of
        freedom, which for normal seeds covers exactly.
        """
        count = len(self.seeds)
        if not self.testable:
            return None
        draws = np.full(DRAWS, self.mean) if self.draws is None else self.draws
        if count > 1:
            draws = draws + np.sqrt(self.seed_variance) * _student_draws(count - 1, len(draws))
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


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


def resample(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Metrics over resampled test images, for every metric of `METRICS` whose columns are there.

    What `Metric.pooled` gives for each seed and draw, but with one product of matrices for all.

    Args:
        columns: per-image column → (K, N): one value per seed and test image; all of the same K and N.

    Returns:
        Metric → (B,) float64, the mean over seeds in each of B draws.
    """
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    quantities = {
        name: metric.moments_of(arrays)
        for name, metric in METRICS.items()
        if metric.columns and arrays.keys() >= set(metric.columns)
    }
    once = {id(array): array for group in quantities.values() for array in group}  # metrics may share a column
    if not once:
        return {}
    stacked = np.concatenate(list(once.values()))
    drawn = image_weights(stacked.shape[1]) @ stacked.T
    means = dict(zip(once, np.split(drawn, len(once), axis=1), strict=True))
    return {
        name: METRICS[name].combine(*(means[id(array)] for array in group)).mean(axis=1)
        for name, group in quantities.items()
    }


def compare(a: Estimate, b: Estimate, level: float = LEVEL) -> Difference:
    """Whether two methods, scored on the same test images, differ: a test paired by image, unpaired by seed.

    Welch's t with three sources of variance: the seeds of each method (seed 0 of one has nothing to do with seed 0 of
    the other), and the test images, whose part is the variance of the difference between the two over one and the same
    resamples. Degrees of freedom after Satterthwaite. With one seed each it is a test over images alone, and speaks of
    the two trained models.
    """
    effect = a.mean - b.mean
    parts = [(a.seed_variance, len(a.seeds) - 1), (b.seed_variance, len(b.seeds) - 1)]
    if a.draws is not None and b.draws is not None:
        parts.append((float(np.var(a.draws - b.draws, ddof=1)), a.images - 1))
    elif len(a.seeds) == 1 or len(b.seeds) == 1:
        return Difference(effect, -np.inf, np.inf, 1.0)  # neither images nor seeds to judge by
    variance = sum(part for part, _ in parts)
    if variance == 0:  # the same difference on every image and under every seed
        return Difference(effect, effect, effect, float(effect == 0))
    freedom = variance**2 / sum(part**2 / max(degrees, 1) for part, degrees in parts)
    error = np.sqrt(variance)
    reach = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Difference(effect, effect - reach, effect + reach, 2 * float(stdtr(freedom, -abs(effect) / error)))


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number by Holm's step-down method (1979), in the given order."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def pairwise(
    things: Mapping[str, Thing], test: Callable[[Thing, Thing], Difference]
) -> dict[tuple[str, str], Difference]:
    """Every pair tested, p corrected for the number of pairs. Both orders of a pair are in the answer."""
    found = {(a, b): test(things[a], things[b]) for a, b in combinations(things, 2)}
    answer = {}
    for (a, b), p in zip(found, holm([difference.p for difference in found.values()]), strict=True):
        effect, low, high, _ = found[a, b]
        answer[a, b] = Difference(effect, low, high, float(p))
        answer[b, a] = Difference(-effect, -high, -low, float(p))
    return answer


def ranks(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, int]:
    """One plus the number of methods that are shown to be better: methods not told apart from the best share rank 1."""
    differences, sign, alpha = pairwise(estimates, compare), 1 if higher_is_better else -1, 1 - LEVEL
    return {
        name: 1 + sum(sign * d.effect < 0 and d.p < alpha for (a, _), d in differences.items() if a == name)
        for name in estimates
    }


@lru_cache(maxsize=32)
def _student_draws(freedom: int, draws: int) -> np.ndarray:
    """(draws,) of Student's t, one from each of as many equal shares of it, in random order: even tails from 1,000."""
    shares = (np.random.default_rng(RESAMPLING_SEED).permutation(draws) + 0.5) / draws
    return stdtrit(freedom, shares)
