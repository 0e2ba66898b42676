"""Measures the truthfulness of the study's statistics, for docs/study.md: `python tests/speed/bench_study.py`.

It counts in simulated studies how often 95 % intervals of a fooling rate cover the truth, and how often tests call
equal methods different at 5 %, for ours and the usual ways. It exits with 1 if ours leave 92–99 % and 0–6 %.
"""

import sys
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmark.study.analysis import Sample, compare, design_effect, rate_interval, wilson

STUDIES, PAIRS, PHOTOGRAPHS = 1000, 20, 20
RATES = (0.05, 0.30, 0.30)  # rates of three methods, of which the last two are equal
# name → participants, and the standard deviations (in log-odds) of people's credulity and of pictures' deceptiveness
SCENES = {
    "all alike": (16, 0.0, 0.0),
    "people differ": (16, 0.7, 0.0),
    "both": (16, 0.7, 0.7),
    "40 people": (40, 0.7, 0.7),
}


def study(people: int, between_people: float, between_pictures: float, rng: np.random.Generator) -> list[Sample]:
    """Simulates a study in which everyone sees each photograph once, with one of the methods."""
    credulity = rng.normal(0, between_people, people)
    deceptiveness = rng.normal(0, between_pictures, (PHOTOGRAPHS, len(RATES)))
    participant = np.repeat(np.arange(people), PAIRS)
    photograph = np.concatenate([rng.permutation(PHOTOGRAPHS)[:PAIRS] for _ in range(people)])
    method = np.concatenate([rng.permutation(np.resize(np.arange(len(RATES)), PAIRS)) for _ in range(people)])
    base = np.log(np.array(RATES) / (1 - np.array(RATES)))
    odds = base[method] + credulity[participant] + deceptiveness[photograph, method]
    fooled = (rng.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return [Sample(fooled[method == k], participant[method == k], photograph[method == k]) for k in range(len(RATES))]


def true_rates(between_people: float, between_pictures: float) -> np.ndarray:
    """Returns the rates, averaged over people and pictures."""
    spread = np.random.default_rng(1).normal(0, np.hypot(between_people, between_pictures), 200_000)
    base = np.log(np.array(RATES) / (1 - np.array(RATES)))
    return (1 / (1 + np.exp(-(base + spread[:, None])))).mean(axis=0)


def our_interval(samples: list[Sample], k: int) -> tuple[float, float]:
    return rate_interval(samples[k], design_effect(samples))


def plain_wilson(samples: list[Sample], k: int) -> tuple[float, float]:
    return wilson(float(samples[k].values.mean()), len(samples[k].values))


def our_test(a: Sample, b: Sample) -> float:
    return compare(a, b, rated=False).p


def fisher(a: Sample, b: Sample) -> float:
    table = [[s.values.sum(), len(s.values) - s.values.sum()] for s in (a, b)]
    return float(stats.fisher_exact(table).pvalue)


def chi_squared(a: Sample, b: Sample) -> float:
    table = np.array([[s.values.sum(), len(s.values) - s.values.sum()] for s in (a, b)])
    return float(stats.chi2_contingency(table, correction=False).pvalue) if table.sum(axis=0).all() else 1.0


def coverage(interval: Callable[[list[Sample], int], tuple[float, float]], scene: tuple[int, float, float]) -> float:
    """Returns the share of all methods' intervals that hold the true rate."""
    rng, truth = np.random.default_rng(0), true_rates(*scene[1:])
    covered = []
    for _ in range(STUDIES):
        samples = study(*scene, rng)
        covered += [low <= truth[k] <= high for k in range(len(RATES)) for low, high in [interval(samples, k)]]
    return float(np.mean(covered))


def false_alarms(test: Callable[[Sample, Sample], float], scene: tuple[int, float, float]) -> float:
    """Returns how often two equal methods are called different."""
    rng = np.random.default_rng(0)
    return float(np.mean([test(*study(*scene, rng)[1:]) < 0.05 for _ in range(STUDIES)]))


def main() -> int:
    """Prints all figures; returns 1 if a bound is missed."""
    missed = False
    print(f"{STUDIES} studies, {PAIRS} pairs each\n{'':32}" + "".join(f"{scene:>16}" for scene in SCENES))
    for name, interval in {"ours": our_interval, "plain Wilson": plain_wilson}.items():
        shares = [coverage(interval, scene) for scene in SCENES.values()]
        print(f"{'covered by, ' + name:32}" + "".join(f"{share:16.1%}" for share in shares))
        missed |= name == "ours" and not all(0.92 <= share <= 0.99 for share in shares)
    for name, test in {"ours": our_test, "Fisher's exact test": fisher, "chi-squared": chi_squared}.items():
        shares = [false_alarms(test, scene) for scene in SCENES.values()]
        print(f"{'false alarms of, ' + name:32}" + "".join(f"{share:16.1%}" for share in shares))
        missed |= name == "ours" and max(shares) > 0.06
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
