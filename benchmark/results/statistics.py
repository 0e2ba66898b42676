"""Intervals, tests and ranks, from values per seed and per test image. Why so, with figures: docs/statistics.md.

Two things are left to chance in a score: the test images, and the seed that a method was trained with. Every seed is
scored on the same images, and so is every method. So one resample of the images serves all seeds and all methods
(their differences stay paired), and the spread between seeds is added on top. Rows that start from one model, or one
from the other's, share the luck of its seed: they are paired by seed too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np

from benchmark.results.draws import DRAWS, image_weights, normal_draws, student_draws, variance_draws
from benchmark.results.scale import Bounds, Scale
from benchmark.scoring.metrics import METRICS

REFERENCE_DRAWS = 10_000  # of what differences would be if no two methods differed
REDRAWN = 2 / 3  # of these draws, those whose seed deviations are drawn anew: docs/statistics.md, "What was tried"
LEVEL = 0.95
Thing = TypeVar("Thing")


class Difference(NamedTuple):
    """One method's mean less another's, under one metric."""

    effect: float
    low: float  # of the 95 % interval
    high: float
    p: float  # two-sided, of "no difference"; 1 where nothing can be tested


class Rank(NamedTuple):
    """The ranks that a method may have: from one plus those shown better, to the number of all less those worse."""

    first: int
    last: int

    def leads(self, rows: int) -> bool:
        """Whether it may be the first of so many rows, and is in their upper half at worst."""
        return self.first == 1 and self.last <= rows / 2

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Estimate:
    """One method under one metric."""

    seeds: np.ndarray  # (K,) float64, the metric under each seed; with its sign where `folded`
    draws: np.ndarray | None = None  # (B, K) the same as the test images are resampled; None: metrics of whole sets
    numbers: tuple[int, ...] = ()  # the K seeds; () for 0, 1, …
    models: frozenset[str] = frozenset()  # keys of the models behind it: its own, and those that they started from
    trained: bool = True  # False: nothing was trained, so that another seed gives the same
    bounds: Bounds = (None, None)  # between which the metric lies
    folded: bool = False  # the metric is the size of what has a sign here

    @property
    def testable(self) -> bool:
        """Whether more is known of it than one training, which says nothing of the next."""
        return not self.trained or len(self.seeds) > 1

    @cached_property
    def values(self) -> np.ndarray:
        """(K,) the metric under each seed."""
        return np.abs(self.seeds) if self.folded else self.seeds

    @cached_property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.values.mean())

    @cached_property
    def image_draws(self) -> np.ndarray | None:
        """(B, K) the metric under each seed as the test images are resampled."""
        return np.abs(self.draws) if self.folded and self.draws is not None else self.draws

    @cached_property
    def residuals(self) -> np.ndarray:
        """(K,) whose squares sum to the variance of the mean due to the choice of seeds; 0 where that is unknown."""
        return _residuals(self.values)

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference of two metrics of one method, which share their seeds and images."""
        both = self.image_draws, other.image_draws
        draws = None if both[0] is None or both[1] is None else both[0] - both[1]
        return Estimate(self.values - other.values, draws, self.numbers, self.models, self.trained)

    def interval(self) -> tuple[float, float] | None:
        """The 95 % bootstrap interval of the mean: seeds redrawn, then test images; None where neither spread is known.

        Images are resampled with replacement. Three seeds cannot be: the extremes of three values, all that a resample
        of them reaches, cover the mean three times in four. They are redrawn from Student's t with K-1 degrees of
        freedom, which for normal seeds covers exactly. Both happen on a scale without ends, so no interval leaves the
        metric's range.
        """
        if self.draws is None and (len(self.seeds) < 2 or not self.trained):
            return None
        center, deviation = float(self.seeds.mean()), float(np.sqrt(np.square(_residuals(self.seeds)).sum()))
        scale = Scale(None, None) if self.folded else Scale(*self.bounds)
        drawn = scale.to(np.full(DRAWS, center) if self.draws is None else self.draws.mean(axis=1))
        if deviation > 0:
            drawn = drawn + scale.slope(center) * deviation * student_draws(len(self.seeds) - 1, len(drawn))
        shares = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        low, high = map(float, scale.back(np.quantile(drawn, shares, method="inverted_cdf")))
        if self.folded:
            return (0.0 if low < 0 < high else min(abs(low), abs(high))), max(abs(low), abs(high))
        return low, high


def resample(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Metrics over resampled test images, for every metric of `METRICS` whose columns are there.

    What `Metric.signed` gives for each seed and draw, but with one product of matrices for all.

    Args:
        columns: per-image column → (K, N): one value per seed and test image; all of the same K and N.

    Returns:
        Metric → (B, K) float64: the metric under each seed, with its sign where it is folded, in each of B draws.
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
    return {name: METRICS[name].combine(*(means[id(array)] for array in group)) for name, group in quantities.items()}


def compare(a: Estimate, b: Estimate, level: float = LEVEL) -> Difference:
    """Whether two methods, scored on the same test images, differ; `paired_tests` says how."""
    return paired_tests({"a": a, "b": b}, [("a", "b")], level)["a", "b"]


def paired_tests(
    estimates: Mapping[str, Estimate], pairs: Sequence[tuple[str, str]], level: float = LEVEL
) -> dict[tuple[str, str], Difference]:
    """Tests pairs of methods as one family: p is corrected for their number, intervals are not.

    A difference is divided by its standard error, and compared with draws of what that ratio would be if no two methods
    differed (a fiducial distribution: Student's t for each independent source of seeds, a normal distribution of the
    images' covariance). In two of three draws the deviations between seeds, and with them the standard error, are
    drawn too; without, the test is too cautious, and with that alone, too daring. The correction is Westfall and
    Young's step-down maximum (1993): pairs that share a method share its luck, which Holm's correction cannot know.

    Args:
        estimates: methods, scored on the same images.
        pairs: whom to compare with whom.
        level: of the intervals.
    """
    if not pairs:
        return {}
    names, ones = list(estimates), list(estimates.values())
    place = {name: k for k, name in enumerate(names)}
    first, second = (np.array([place[pair[side]] for pair in pairs], dtype=int) for side in (0, 1))
    effects = np.array([ones[a].mean - ones[b].mean for a, b in zip(first, second, strict=True)])
    covariance = _image_covariance(ones)
    of_images = (covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]).clip(min=0)
    values, axes = np.linalg.eigh(covariance)
    drawn = normal_draws(0, len(ones), REFERENCE_DRAWS) @ (axes * np.sqrt(values.clip(min=0))).T
    of_seeds, redrawn = np.zeros(len(pairs)), np.zeros((REFERENCE_DRAWS, len(pairs)))
    for source, (members, residuals) in enumerate(_sources(ones), 1):
        chi, again = variance_draws(source, min(len(ones[k].seeds) for k in members) - 1, REFERENCE_DRAWS)
        drawn += normal_draws(source, residuals.shape[1], REFERENCE_DRAWS) @ residuals.T / np.sqrt(chi)[:, None]
        variance = np.square(residuals[first] - residuals[second]).sum(axis=1)
        of_seeds += variance
        redrawn += (again / chi)[:, None] * variance
    redrawn[: round((1 - REDRAWN) * REFERENCE_DRAWS)] = of_seeds
    error = np.sqrt(of_seeds + of_images)
    known = np.array([ones[a].testable and ones[b].testable for a, b in zip(first, second, strict=True)]) & (error > 0)
    found = {
        pair: Difference(float(effect), *_untested(float(effect), ones[a], ones[b]))
        for pair, effect, a, b in zip(pairs, effects, first, second, strict=True)
    }
    if not known.any():
        return found
    ratios = np.abs(drawn[:, first] - drawn[:, second])[:, known] / np.sqrt(redrawn + of_images)[:, known]
    measured = np.abs(effects[known]) / error[known]
    reach = np.quantile(ratios, level, axis=0) * error[known]
    tested = [pair for pair, one in zip(pairs, known, strict=True) if one]
    for pair, at, p in zip(tested, reach, _step_down(measured, ratios), strict=True):
        effect = found[pair].effect
        found[pair] = Difference(effect, effect - float(at), effect + float(at), float(p))
    return found


def among(estimates: Mapping[str, Estimate]) -> dict[tuple[str, str], Difference]:
    """Every pair of methods tested as one family. Both orders of a pair are in the answer."""
    return _both_orders(paired_tests(estimates, list(combinations(estimates, 2))))


def against(estimates: Mapping[str, Estimate], standard: Estimate) -> dict[str, Difference]:
    """Every method tested against one standard, as one family."""
    pairs = [(name, "") for name in estimates]
    return {name: difference for (name, _), difference in paired_tests({**estimates, "": standard}, pairs).items()}


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number by Holm's step-down method (1979), in the given order."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(stepped, 1.0)[np.argsort(order)]


def pairwise(
    things: Mapping[str, Thing], test: Callable[[Thing, Thing], Difference]
) -> dict[tuple[str, str], Difference]:
    """Every pair tested alone, p corrected by Holm's method. Both orders of a pair are in the answer."""
    found = {(a, b): test(things[a], things[b]) for a, b in combinations(things, 2)}
    adjusted = holm([difference.p for difference in found.values()])
    return _both_orders(
        {pair: one._replace(p=float(p)) for (pair, one), p in zip(found.items(), adjusted, strict=True)}
    )


def shown(difference: Difference) -> bool:
    """Whether a difference is more than luck."""
    return difference.p < 1 - LEVEL


def ranks(
    names: Sequence[str], differences: Mapping[tuple[str, str], Difference], higher_is_better: bool
) -> dict[str, Rank]:
    """The range of ranks of each method, from the differences of all pairs in both orders; one alone has no rank."""
    if len(names) < 2:
        return {}
    sign = 1 if higher_is_better else -1
    found = {}
    for name in names:
        sides = [sign * one.effect > 0 for (a, _), one in differences.items() if a == name and shown(one)]
        found[name] = Rank(1 + sides.count(False), len(names) - sides.count(True))
    return found


def _residuals(values: np.ndarray) -> np.ndarray:
    """(…, K) what each seed adds to the mean's luck."""
    count = values.shape[-1]
    return np.asarray((values - values.mean(axis=-1, keepdims=True)) / np.sqrt(max(count * (count - 1), 1)))


def _sources(ones: Sequence[Estimate]) -> list[tuple[list[int], np.ndarray]]:
    """The independent sources of luck with seeds: methods that share a model, and (methods, seeds) their residuals."""
    groups: list[list[int]] = []
    for k, one in enumerate(ones):
        if one.trained and len(one.seeds) > 1:
            near = [group for group in groups if any(ones[j].models & one.models for j in group)]
            groups = [group for group in groups if group not in near] + [[*(j for group in near for j in group), k]]
    return [(group, _by_seed(ones, group, {j: ones[j].residuals for j in group})) for group in groups]


def _by_seed(ones: Sequence[Estimate], group: Sequence[int], values: Mapping[int, np.ndarray]) -> np.ndarray:
    """(…, methods, seeds): what the methods of a group have for each seed in one row each; 0 for all others."""
    numbers = {k: ones[k].numbers or tuple(range(len(ones[k].seeds))) for k in group}
    seeds = sorted({seed for found in numbers.values() for seed in found})
    placed = np.zeros((*values[group[0]].shape[:-1], len(ones), len(seeds)))
    for k, found in numbers.items():
        placed[..., k, [seeds.index(seed) for seed in found]] = values[k]
    return placed


def _image_covariance(ones: Sequence[Estimate]) -> np.ndarray:
    """(methods, methods): of the means, due to the choice of images.

    What an image does to one seed alone is left out, for the spread between seeds has it already.
    """
    means = [np.zeros(DRAWS) if one.image_draws is None else one.image_draws.mean(axis=1) for one in ones]
    covariance = np.atleast_2d(np.cov(means))
    for group, _ in _sources(ones):
        of_images = {
            k: np.zeros((DRAWS, len(ones[k].seeds))) if (draws := ones[k].image_draws) is None else draws for k in group
        }
        apart = {k: _residuals(draws - draws.mean(axis=0)) for k, draws in of_images.items()}
        placed = _by_seed(ones, group, apart)
        covariance -= np.einsum("bik,bjk->ij", placed, placed) / (DRAWS - 1)
    return covariance


def _untested(effect: float, a: Estimate, b: Estimate) -> tuple[float, float, float]:
    """Interval and p where there is no spread to test by: one training, or the same on every image and seed."""
    if not (a.testable and b.testable) or (a.draws is None and b.draws is None and not (a.trained or b.trained)):
        return -np.inf, np.inf, 1.0
    return effect, effect, float(effect == 0)


def _step_down(measured: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """(P,) p of measured ratios, corrected by the draws (B, P) of them all: the largest stands against the maximum."""
    order = np.argsort(-measured, kind="stable")
    largest = np.maximum.accumulate(ratios[:, order[::-1]], axis=1)[:, ::-1]
    p = (1 + (largest >= measured[order]).sum(axis=0)) / (1 + len(ratios))
    return np.asarray(np.maximum.accumulate(p)[np.argsort(order)])


def _both_orders(found: Mapping[tuple[str, str], Difference]) -> dict[tuple[str, str], Difference]:
    mirrored = {(b, a): Difference(-one.effect, -one.high, -one.low, one.p) for (a, b), one in found.items()}
    return {**found, **mirrored}
