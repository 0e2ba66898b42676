"""Measures the speed and truthfulness of the statistics: `python tests/speed/bench_statistics.py`.

1. It compares intervals and ranks of 10 methods × 3 seeds × 10,000 images × every per-image metric with the same
   bootstrap written draw by draw, and exits with 1 above 2 s.
2. It counts how often intervals cover the truth, and how often tests find a difference where there is none, on
   synthetic scores, for ours and the usual ways (docs/statistics.md). It exits with 1 outside 90–99 % and 0–7.5 %.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmark.results.statistics import DRAWS, Estimate, among, compare, ranks, resample
from benchmark.scoring.metrics import METRICS

METHODS, SEEDS, IMAGES, TRIALS = 10, 3, 10_000, 1000
SECONDS_WANTED = 2.0
SMALL = 500  # images of a synthetic test split, whose hardness has a standard deviation of 3
SCENES = {"images decide": 0.0, "both": 0.15, "seeds decide": 1.0}  # name → standard deviation between seeds


def draw(rng: np.random.Generator, spread: float, hardness: np.ndarray) -> np.ndarray:
    """Draws scores (SEEDS, N) of a method of mean 0, with one training per seed."""
    shape = (SEEDS, len(hardness))
    return rng.normal(0, spread, (SEEDS, 1)) + hardness + rng.normal(0, 1, shape)


def our_estimate(scores: np.ndarray) -> Estimate:
    return Estimate(scores.mean(axis=1), resample({"ssim": scores})["ssim"])


def our_interval(scores: np.ndarray, _: np.random.Generator) -> tuple[float, float]:
    return our_estimate(scores).interval() or (np.nan, np.nan)


def resampled_seeds(scores: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the interval of the textbook's hierarchical bootstrap, which resamples seeds, then images."""
    images = scores.shape[1]
    weights = rng.multinomial(images, np.full(images, 1 / images), DRAWS) / images
    means = weights @ scores.T
    low, high = np.quantile(np.take_along_axis(means, rng.integers(0, SEEDS, means.shape), 1).mean(1), [0.025, 0.975])
    return float(low), float(high)


def images_alone(scores: np.ndarray, _: np.random.Generator) -> tuple[float, float]:
    """Returns the interval over images of the means over seeds."""
    low, high = stats.t.interval(0.95, scores.shape[1] - 1, scores.mean(), stats.sem(scores.mean(axis=0)))
    return float(low), float(high)


def our_test(a: np.ndarray, b: np.ndarray) -> float:
    return compare(our_estimate(a), our_estimate(b)).p


def paired_t(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.ttest_rel(a.mean(axis=0), b.mean(axis=0)).pvalue)


def wilcoxon(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.wilcoxon(a.mean(axis=0), b.mean(axis=0)).pvalue)


def coverage(interval: Callable[..., tuple[float, float]], spread: float) -> float:
    """Returns the share of trials whose interval holds the true mean."""
    hits = 0
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        low, high = interval(draw(rng, spread, rng.normal(0, 3, SMALL)), rng)
        hits += low <= 0 <= high
    return hits / TRIALS


def false_positives(test: Callable[[np.ndarray, np.ndarray], float], spread: float) -> float:
    """Returns the share of trials in which two methods of the same mean are called different at 5 %."""
    hits = 0
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        hardness = rng.normal(0, 3, SMALL)
        hits += test(draw(rng, spread, hardness), draw(rng, spread, hardness)) < 0.05
    return hits / TRIALS


def speed() -> float:
    """Returns the seconds for a whole table, and prints them beside a draw-by-draw bootstrap of one column."""
    rng = np.random.default_rng(0)
    names = [name for name, metric in METRICS.items() if metric.columns == (name,)]
    methods = [{name: rng.gamma(3, 2, (SEEDS, IMAGES)) for name in names} for _ in range(METHODS)]
    began = time.perf_counter()
    drawn = [resample(columns) for columns in methods]
    for name in names:
        estimates = {
            str(k): Estimate(columns[name].mean(axis=1), draws[name])
            for k, (columns, draws) in enumerate(zip(methods, drawn, strict=True))
        }
        for estimate in estimates.values():
            estimate.interval()
        ranks(list(estimates), among(estimates), higher_is_better=True)
    ours = time.perf_counter() - began
    column = methods[0][names[0]]
    began = time.perf_counter()
    for _ in range(DRAWS):
        column[:, rng.integers(0, IMAGES, IMAGES)].mean(axis=1)
    plain = (time.perf_counter() - began) * METHODS * len(names)
    print(f"{METHODS} methods × {SEEDS} seeds × {IMAGES:,} images × {len(names)} metrics: {ours:.2f} s; ", end="")
    print(f"draw by draw {plain:.0f} s ({plain / ours:.0f}×)")
    return ours


def main() -> int:
    """Prints all figures; returns 1 if a bound is missed."""
    missed = speed() > SECONDS_WANTED
    intervals = {"ours": our_interval, "seeds resampled": resampled_seeds, "images alone": images_alone}
    tests = {"ours": our_test, "paired t over images": paired_t, "Wilcoxon over images": wilcoxon}
    print(f"\n{TRIALS} trials, {SEEDS} seeds, {SMALL} images\n{'':32}" + "".join(f"{scene:>16}" for scene in SCENES))
    for name, interval in intervals.items():
        shares = [coverage(interval, spread) for spread in SCENES.values()]
        print(f"{'covered by, ' + name:32}" + "".join(f"{share:16.1%}" for share in shares))
        missed |= name == "ours" and not all(0.90 <= share <= 0.99 for share in shares)
    for name, test in tests.items():
        shares = [false_positives(test, spread) for spread in SCENES.values()]
        print(f"{'false alarms of, ' + name:32}" + "".join(f"{share:16.1%}" for share in shares))
        missed |= name == "ours" and max(shares) > 0.075
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
