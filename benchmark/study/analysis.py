"""Computes rates with Wilson's interval, tests, ranks and agreement from judgments; docs/study.md gives the reasons.

Answers of one person are alike, and so are answers to one photograph. If they were treated as independent, they would
look too certain: a plain Wilson interval of 95 % covers the truth in 80 to 90 % of studies whose people or photographs
differ. So the variance of a rate comes from its sums by person and by photograph (two-way clustering, Cameron, Gelbach
& Miller 2011), and Wilson's interval uses the number of independent trials that would have this variance (Rao & Scott
1992), with one design effect for all methods of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from krippendorff import alpha
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from benchmark.results.statistics import LEVEL, Difference, Rank, holm, pairwise, ranks
from benchmark.study.schema import RATED, TRUTH, Judgments, StudyResult

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Sample(NamedTuple):
    """Judgments of one method's pictures."""

    values: Floats  # (n,)
    participants: Ints  # (n,)
    photographs: Ints  # (n,)


@dataclass(frozen=True)
class Opinion:
    """People's judgment of one method, in percent for rates and 1–5 for ratings."""

    mean: float
    low: float  # lower end of the 95 % interval
    high: float
    judgments: int
    above_chance: float | None = None  # two-sided p of "people guess" after Holm; None for ratings and for the truth


@dataclass(frozen=True)
class Column:
    """One column of a table, made from people's judgments."""

    name: str
    opinions: Mapping[str, Opinion]  # method → opinion; TRUTH too if it was judged
    differences: Mapping[tuple[str, str], Difference]  # every pair of methods in both orders, p after Holm
    ranks: Mapping[str, Rank]
    agreement: float | None  # Krippendorff's α; None if no picture was judged twice
    chance: float | None = None  # percent
    design_effect: float = field(default=1.0)


def analyse(result: StudyResult) -> dict[str, Column]:
    """Returns every column that a study fills."""
    return {name: _column(name, judged, result) for name, judged in result.judgments.items() if judged.values}


def _column(name: str, judged: Judgments, result: StudyResult) -> Column:
    samples = split(judged, result.sources)
    methods = [source for source in samples if source != TRUTH]
    rated = name in RATED
    differences = pairwise({method: samples[method] for method in methods}, partial(compare, rated=rated))
    scale = 1.0 if rated else 100.0
    scaled = {pair: Difference(d.effect * scale, d.low * scale, d.high * scale, d.p) for pair, d in differences.items()}
    chance = None if rated else 1 / (result.alternatives or 2) if name == "fooled_pick" else 0.5
    effect = 1.0 if rated else design_effect(list(samples.values()))
    p_values = [against_chance(samples[method], chance, effect) for method in methods] if chance else []
    corrected = dict(zip(methods, holm(p_values), strict=True)) if chance else {}
    opinions = {}
    for source, sample in samples.items():
        low, high = mean_interval(sample) if rated else rate_interval(sample, effect)
        p = float(corrected[source]) if source in corrected else None
        opinions[source] = Opinion(
            float(sample.values.mean()) * scale, low * scale, high * scale, len(sample.values), p
        )
    return Column(
        name,
        opinions,
        scaled,
        ranks(methods, differences, higher_is_better=True),
        agreement(judged, ordinal=rated),
        None if chance is None else 100 * chance,
        effect,
    )


def split(judged: Judgments, sources: Sequence[str]) -> dict[str, Sample]:
    """Returns the judgments of each method that has any, in the order of `sources`."""
    source = np.array(judged.sources, dtype=np.int64)
    columns = [np.array(judged.values, dtype=np.float64), np.array(judged.participants), np.array(judged.photographs)]
    return {name: Sample(*(column[source == k] for column in columns)) for k, name in enumerate(sources) if k in source}


# rates ----------------------------------------------------------------------------------------------------------------


def wilson(rate: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Returns Wilson's score interval (1927) of a rate over independent trials, whose number may be fractional."""
    from statsmodels.stats.proportion import proportion_confint  # takes as long to import as pandas

    low, high = proportion_confint(rate * trials, trials, 1 - level, method="wilson")
    return min(rate, float(low)), max(rate, float(high))  # rounding moves the ends at rates of 0 and 1


def design_effect(samples: Sequence[Sample]) -> float:
    """Returns the variance of rates divided by that of as many independent trials, at least 1."""
    clustered = sum(
        clustered_variance(_influence(sample), sample.participants, sample.photographs) for sample in samples
    )
    plain = sum(sample.values.var() / len(sample.values) for sample in samples)
    return max(1.0, float(clustered / plain)) if plain > 0 else 1.0


def rate_interval(sample: Sample, effect: float) -> tuple[float, float]:
    """Returns Wilson's interval at the effective number of trials."""
    return wilson(float(sample.values.mean()), len(sample.values) / effect)


def against_chance(sample: Sample, chance: float, effect: float) -> float:
    """Returns the two-sided p of "the rate is `chance`" by the score test, the inverse of Wilson's interval."""
    from statsmodels.stats.proportion import proportions_ztest

    trials = len(sample.values) / effect
    return float(proportions_ztest(sample.values.mean() * trials, trials, chance, prop_var=chance)[1])


# means and differences ------------------------------------------------------------------------------------------------


def clustered_variance(influence: Floats, participants: Ints, photographs: Ints) -> float:
    """Returns the variance of a sum whose terms are alike within a person and within a photograph.

    It is the variance by person, plus that by photograph, less that by both (Cameron, Gelbach & Miller 2011), but not
    below any of the three, because that difference can be negative in small samples.

    Args:
        influence: the amount by which each judgment moves the estimate, (n,); it sums to 0.
        participants: the participant of each judgment, (n,).
        photographs: the photograph of each judgment, (n,).
    """
    by_person, by_photograph = _squared_sums(influence, participants), _squared_sums(influence, photographs)
    both = _squared_sums(influence, participants * (1 + int(photographs.max())) + photographs)
    return max(by_person + by_photograph - both, by_person, by_photograph, both)


def _squared_sums(influence: Floats, groups: Ints) -> float:
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, influence)
    return float((sums**2).sum() * (len(sums) / (len(sums) - 1) if len(sums) > 1 else 1))


def _influence(sample: Sample) -> Floats:
    return (sample.values - sample.values.mean()) / len(sample.values)


def _freedom(*samples: Sample) -> int:
    """Returns the degrees of freedom: the number of persons or of photographs, whichever is smaller, less one."""
    people = np.unique(np.concatenate([sample.participants for sample in samples]))
    photographs = np.unique(np.concatenate([sample.photographs for sample in samples]))
    return max(1, min((count for count in (len(people), len(photographs)) if count > 1), default=1) - 1)


def mean_interval(sample: Sample, level: float = LEVEL) -> tuple[float, float]:
    """Returns Student's interval of a mean rating, cut to the scale."""
    error = np.sqrt(clustered_variance(_influence(sample), sample.participants, sample.photographs))
    reach = float(stdtrit(_freedom(sample), (1 + level) / 2) * error)
    return max(1.0, float(sample.values.mean()) - reach), min(5.0, float(sample.values.mean()) + reach)


def compare(a: Sample, b: Sample, rated: bool, level: float = LEVEL) -> Difference:
    """Compares people's judgments of two methods, paired where the same people judged both, or the same photographs.

    The variance of rates is at least that of independent trials with one success and one failure added to each, because
    three participants who were never fooled do not prove that nobody is.
    """
    effect = float(a.values.mean() - b.values.mean())
    influence = np.concatenate([_influence(a), -_influence(b)])
    people, photographs = (np.concatenate(pair) for pair in zip(a[1:], b[1:], strict=True))
    variance = clustered_variance(influence, people, photographs)
    if not rated:
        variance = max(variance, _cautious_variance(a) + _cautious_variance(b))
    if variance == 0:
        return Difference(effect, effect, effect, float(effect == 0))
    error, freedom = np.sqrt(variance), _freedom(a, b)
    reach = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Difference(effect, effect - reach, effect + reach, 2 * float(stdtr(freedom, -abs(effect) / error)))


def _cautious_variance(sample: Sample) -> float:
    trials = len(sample.values) + 2
    rate = (sample.values.sum() + 1) / trials
    return rate * (1 - rate) / trials


# agreement ------------------------------------------------------------------------------------------------------------


def agreement(judged: Judgments, ordinal: bool) -> float | None:
    """Returns Krippendorff's α over every picture that at least two people judged."""
    units = np.stack([judged.photographs, judged.sources], axis=1)
    _, unit = np.unique(units, axis=0, return_inverse=True)
    return krippendorffs_alpha(unit.ravel(), np.array(judged.values), ordinal)


def krippendorffs_alpha(units: Ints, values: Ints, ordinal: bool = False) -> float | None:
    """Returns Krippendorff's α ("Computing Krippendorff's Alpha-Reliability", 2011): 1 is agreement, 0 is chance.

    Unlike Fleiss' κ it does not require that every unit be judged equally often.

    Args:
        units: the judged unit of each judgment, (n,).
        values: the value that it was given, (n,).
        ordinal: whether values are ranks; otherwise they are names.

    Returns:
        α, or None if no unit was judged twice or every value is the same.
    """
    _, value = np.unique(values, return_inverse=True)
    _, unit = np.unique(units, return_inverse=True)
    counts = np.zeros((unit.max() + 1, value.max() + 1))
    np.add.at(counts, (unit, value), 1)
    counts = counts[counts.sum(axis=1) > 1]
    counts = counts[:, counts.any(axis=0)]
    if counts.shape[1] < 2:
        return None
    return float(alpha(value_counts=counts, level_of_measurement="ordinal" if ordinal else "nominal"))
