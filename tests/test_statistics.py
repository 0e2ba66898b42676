"""On synthetic data intervals cover the known truth, and tests find true differences and no others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.results.draws import DRAWS, image_weights
from benchmark.results.statistics import (
    Estimate,
    Rank,
    against,
    among,
    compare,
    holm,
    pairwise,
    ranks,
    resample,
)
from benchmark.scoring.metrics import METRICS

IMAGES = 200


def scores(
    rng: np.random.Generator,
    seeds: int = 3,
    *,
    mean: float = 0.0,
    spread: float = 0.2,
    hardness: np.ndarray | None = None,
    noise: float = 1.0,
) -> np.ndarray:
    """Returns scores (K, N): a mean plus each seed's luck, each image's hardness (drawn if not given) and noise."""
    if hardness is None:
        hardness = rng.normal(0, 3, IMAGES)
    return mean + rng.normal(0, spread, (seeds, 1)) + hardness + rng.normal(0, noise, (seeds, len(hardness)))


def estimated(values: np.ndarray, **facts: Any) -> Estimate:
    return Estimate(values.mean(axis=1), resample({"ssim": values})["ssim"], **facts)


def alone(values: np.ndarray) -> Estimate:
    """Returns what is known of a model of which no seed tells more: images alone."""
    return estimated(values, trained=False)


def share(trials: int, happens: Callable[[np.random.Generator], bool]) -> float:
    return float(np.mean([happens(np.random.default_rng(trial)) for trial in range(trials)]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "spread"),
    [(3, 1.0), (3, 0.2), (3, 0.0), (5, 0.5), (2, 0.5), (1, 0.0)],
    ids=["seeds decide", "both", "images decide", "five seeds", "two seeds", "one seed"],
)
def test_interval_covers_the_truth(seeds: int, spread: float) -> None:
    def covers(rng: np.random.Generator) -> bool:
        low, high = estimated(scores(rng, seeds, mean=7.0, spread=spread)).interval() or (np.nan, np.nan)
        return low <= 7.0 <= high

    assert 0.90 <= share(200, covers) <= 0.99


def test_interval_of_a_pooled_metric_covers_the_truth() -> None:
    """The PSNR of the mean squared error is no mean over images; exponential errors of mean 100 make 28.13 dB."""
    truth = 10 * np.log10(255**2 / 100)

    def covers(rng: np.random.Generator) -> bool:
        mse = np.repeat(rng.exponential(100, (1, IMAGES)), 2, axis=0)
        each = [float(METRICS["psnr_pooled"].pooled({"mse": row})) for row in mse]
        low, high = Estimate(np.array(each), resample({"mse": mse})["psnr_pooled"]).interval() or (0.0, 0.0)
        return low <= truth <= high

    assert 0.90 <= share(200, covers) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.3), (3, 0.0), (5, 0.3)])
def test_no_difference_is_rarely_found(seeds: int, spread: float) -> None:
    def found(rng: np.random.Generator) -> bool:
        hardness = rng.normal(0, 3, IMAGES)
        a, b = (estimated(scores(rng, seeds, spread=spread, hardness=hardness)) for _ in range(2))
        return compare(a, b).p < 0.05

    assert share(400, found) <= 0.075  # 5 % and two standard errors


def test_a_difference_is_found_and_covered() -> None:
    """Only pairing shows half a point between methods, because images differ far more."""

    def trial(rng: np.random.Generator) -> tuple[bool, bool]:
        hardness = rng.normal(0, 3, IMAGES)
        better, worse = (
            estimated(scores(rng, mean=mean, spread=0.05, hardness=hardness, noise=0.5)) for mean in (0.5, 0.0)
        )
        found = compare(better, worse)
        return found.p < 0.05 and found.effect > 0, found.low <= 0.5 <= found.high

    trials = np.array([trial(np.random.default_rng(k)) for k in range(200)])
    assert trials[:, 0].mean() >= 0.95
    assert 0.90 <= trials[:, 1].mean() <= 0.99


def test_one_training_has_no_verdict() -> None:
    """Two trainings of one method differ as soon as there are enough images."""
    rng = np.random.default_rng(0)
    hardness = rng.normal(0, 3, 5000)
    one, other = (estimated(scores(rng, 1, mean=mean, hardness=hardness)) for mean in (9.0, 0.0))
    assert compare(one, other) == (one.mean - other.mean, -np.inf, np.inf, 1.0)
    assert compare(one, alone(scores(rng, 1, hardness=hardness))).p == 1
    assert one.interval() is not None


def test_paired_test_over_images_equals_the_t_test() -> None:
    """Where no seed decides anything, compare() is SciPy's paired t test up to the draws' own error."""
    rng = np.random.default_rng(0)
    hardness = rng.normal(0, 3, IMAGES)
    a, b = scores(rng, 1, mean=0.12, hardness=hardness), scores(rng, 1, hardness=hardness)
    found, expected = compare(alone(a), alone(b)), stats.ttest_rel(a[0], b[0])
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=0.2)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.02)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_against_what_no_seed_decides_the_test_is_students(count: int) -> None:
    values = np.random.default_rng(count).normal(0.5, 0.3, count)
    found = compare(Estimate(values), Estimate(np.array([0.0]), trained=False))
    expected = stats.ttest_1samp(values, 0.0)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=0.05)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=0.05)


def test_two_sources_of_seeds_lie_between_the_careful_and_the_daring() -> None:
    """Student's t with K-1 degrees of freedom is never too daring, with 2K-2 right for equal deviations alone."""
    a, b = np.array([20.1, 20.4, 19.8]), np.array([22.0, 23.1, 22.7])
    found = compare(Estimate(a), Estimate(b))
    ratio = abs(a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 3)
    assert 2 * stats.t.sf(ratio, 4) < found.p < 2 * stats.t.sf(ratio, 2)
    assert found.effect == pytest.approx(a.mean() - b.mean())


def test_rows_that_share_a_model_are_paired_by_seed() -> None:
    """A child is worse than its parent by 0.5 under each seed, while both vary by 3 together."""
    luck = np.array([-3.0, 0.5, 2.5])
    parent = Estimate(20 + luck, models=frozenset({"p"}))
    child = Estimate(19.5 + luck + [0.1, -0.1, 0.02], models=frozenset({"c", "p"}))
    stranger = Estimate(child.seeds, models=frozenset({"s"}))
    expected = stats.ttest_rel(child.seeds, parent.seeds)
    assert compare(child, parent).p == pytest.approx(expected.pvalue, rel=0.3)
    assert compare(stranger, parent).p > 0.5
    swapped = Estimate(child.seeds, numbers=(2, 1, 0), models=child.models)  # seeds are told apart by their numbers
    assert compare(swapped, parent).p > 0.5


def test_pairs_that_share_a_noisy_method_are_one_piece_of_luck() -> None:
    """Holm's correction counts four pairs of a noisy method four times; the step-down maximum knows that it is one."""
    rng = np.random.default_rng(5)
    steady = {str(k): Estimate(rng.normal(0, 0.001, 5)) for k in range(4)}
    noisy = Estimate(np.array([3.0, 4.1, 2.4, 3.9, 2.9]))
    alone_p = compare(noisy, steady["0"]).p
    assert against(steady, noisy)["0"].p < 1.2 * alone_p
    assert holm([alone_p] * 4)[0] == pytest.approx(4 * alone_p)


def test_interval_over_seeds_alone_is_students() -> None:
    seeds = np.array([20.1, 20.4, 19.8])
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert Estimate(seeds).interval() == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("bounds", "seeds"),
    [((0.0, 100.0), (0.2, 3.0, 9.0)), ((0.0, None), (0.1, 5.0, 30.0)), ((-1.0, 1.0), (0.95, 0.99, 0.7))],
)
def test_no_interval_leaves_the_range_of_its_metric(
    bounds: tuple[float | None, float | None], seeds: tuple[float, ...]
) -> None:
    free, kept = (Estimate(np.array(seeds), bounds=ends).interval() for ends in ((None, None), bounds))
    assert free is not None
    assert kept is not None
    low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
    assert free[0] < low or free[1] > high
    assert low < kept[0] < np.mean(seeds) < kept[1] < high


def test_equal_values_of_what_was_not_trained_are_no_interval() -> None:
    assert Estimate(np.full(3, 13.2), trained=False).interval() is None


def test_at_the_end_of_its_range_a_value_is_its_own_interval() -> None:
    nothing = Estimate(np.zeros(3), np.zeros((DRAWS, 3)), bounds=(0.0, 100.0))
    assert nothing.interval() == (0.0, 0.0)
    rounded = Estimate(np.full(3, 100.0), np.full((DRAWS, 3), np.nextafter(100.0, 101.0)), bounds=(0.0, 100.0))
    assert rounded.interval() == (100.0, 100.0), "a mean of hundreds is off by a bit"


def test_a_folded_metric_has_the_interval_of_what_has_a_sign() -> None:
    around = Estimate(np.array([-1.0, 2.0, 1.5]), folded=True)
    above = Estimate(np.array([5.0, 5.1, 4.9]), folded=True)
    below = Estimate(-above.seeds, folded=True)
    assert around.mean == 1.5
    assert around.interval()[0] == 0.0  # type: ignore[index]
    assert above.interval() == pytest.approx(below.interval(), rel=0.01)
    assert compare(above, below).effect == 0


def test_one_seed_of_a_set_metric_says_nothing() -> None:
    single, other = Estimate(np.array([20.0])), Estimate(np.array([30.0, 31.0, 32.0]))
    assert single.interval() is None
    assert not single.testable
    assert compare(single, other).p == 1


def test_same_scores_do_not_differ() -> None:
    values = scores(np.random.default_rng(0), 1)
    assert compare(alone(values), alone(values)).p == 1
    two, one = (Estimate(np.full(1, value), np.full((DRAWS, 1), value), trained=False) for value in (2.0, 1.0))
    assert (compare(two, one).effect, compare(two, one).p) == (1.0, 0.0)


def test_holm() -> None:
    """Holm's step-down multiplies sorted p by 4, 3, 2, 1; the results never fall and are at most 1."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).size == 0


def test_families_of_equals_rarely_show_a_difference() -> None:
    """Six equal methods make fifteen pairs, and in at most one family of twenty is any pair called different."""

    def found(rng: np.random.Generator) -> bool:
        hardness = rng.normal(0, 3, 200)
        equals = {str(k): estimated(scores(rng, hardness=hardness)) for k in range(6)}
        return any(difference.p < 0.05 for difference in among(equals).values())

    assert share(100, found) <= 0.1


def test_ranks_are_shared_unless_told_apart() -> None:
    rng = np.random.default_rng(1)
    hardness = rng.normal(0, 3, IMAGES)
    means = {"a": 5.0, "b": 5.0, "c": 3.0, "d": 0.0}
    found = among(
        {name: estimated(scores(rng, mean=mean, spread=0.05, hardness=hardness)) for name, mean in means.items()}
    )
    up, down = (ranks(list(means), found, higher_is_better=higher) for higher in (True, False))
    assert up == {"a": Rank(1, 2), "b": Rank(1, 2), "c": Rank(3, 3), "d": Rank(4, 4)}
    assert {name: str(rank) for name, rank in down.items()} == {"d": "1", "c": "2", "a": "3–4", "b": "3–4"}
    assert ranks(["a"], {}, higher_is_better=True) == {}  # there is nobody to be first of


def test_a_noisy_method_does_not_rank_first() -> None:
    """Its mean is the worst; nothing is shown of it, so that it may have any rank."""
    rng = np.random.default_rng(1)
    ones = {name: Estimate(rng.normal(mean, 0.05, 5)) for name, mean in {"a": 5.0, "b": 4.0}.items()}
    ones["noisy"] = Estimate(np.array([-6.0, 7.0, 5.0, -2.0, 6.0]))
    found = ranks(list(ones), among(ones), higher_is_better=True)
    assert {name: str(rank) for name, rank in found.items()} == {"a": "1–2", "b": "2–3", "noisy": "1–3"}


def test_pairs_are_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    means = {"a": 0.0, "b": 9.0, "c": 18.0}
    ones = {name: estimated(scores(rng, mean=mean)) for name, mean in means.items()}
    for found in (among(ones), pairwise(ones, compare)):
        assert len(found) == 6
        for (a, b), difference in found.items():
            mirrored = found[b, a]
            assert (difference.effect, difference.low, difference.p) == (-mirrored.effect, -mirrored.high, mirrored.p)


def test_image_weights_are_resamples_with_replacement() -> None:
    weights = image_weights(50) * 50
    assert weights.shape == (DRAWS, 50)
    np.testing.assert_allclose(weights.sum(axis=1), 50)
    np.testing.assert_allclose(weights, weights.round(), atol=1e-12)
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.05)  # the variance of a multinomial count
    np.testing.assert_array_equal(image_weights(50), weights / 50)


def test_resample_is_pooled_in_every_draw() -> None:
    """One product of matrices gives what `pooled` gives for each seed and draw."""
    rng = np.random.default_rng(3)
    names = sorted({column for metric in METRICS.values() for column in metric.columns})
    columns = {name: rng.gamma(3, 2, (2, 30)) for name in names}
    found = resample(columns)
    assert set(found) == {name for name, metric in METRICS.items() if metric.columns}
    for name, draws in found.items():
        drawn = [
            [
                METRICS[name].signed({column: np.repeat(values[k], count) for column, values in columns.items()})
                for k in range(2)
            ]
            for count in np.rint(image_weights(30) * 30).astype(int)
        ]
        np.testing.assert_allclose(draws, drawn, rtol=1e-10, err_msg=name)


def test_resample_does_with_some_of_the_columns() -> None:
    assert set(resample({"ssim": np.ones((2, 5)), "auc_rebal": np.ones((2, 5))})) == {"ssim"}
