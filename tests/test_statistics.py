"""On synthetic data intervals cover the known truth, and tests find true differences and no others."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from benchmark.results.statistics import DRAWS, Estimate, compare, holm, image_weights, pairwise, ranks, resample
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


def estimated(values: np.ndarray) -> Estimate:
    return Estimate(values.mean(axis=1), resample({"ssim": values})["ssim"], values.shape[1])


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
        low, high = Estimate(np.array(each), resample({"mse": mse})["psnr_pooled"], IMAGES).interval() or (0.0, 0.0)
        return low <= truth <= high

    assert 0.90 <= share(200, covers) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.3), (3, 0.0), (5, 0.3), (1, 0.0)])
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


def test_more_images_do_not_turn_luck_into_a_difference() -> None:
    """Two trainings of one method under one seed each differ; tested over three seeds each, they do not."""

    def lucky(rng: np.random.Generator, seeds: int) -> bool:
        hardness = rng.normal(0, 3, 5000)
        a, b = (estimated(scores(rng, seeds, spread=0.3, hardness=hardness, noise=0.5)) for _ in range(2))
        return compare(a, b).p < 0.05

    assert share(30, lambda rng: lucky(rng, seeds=1)) > 0.7
    assert share(30, lambda rng: lucky(rng, seeds=3)) < 0.2


def test_paired_test_over_images_equals_the_t_test() -> None:
    """With one seed each, compare() is SciPy's paired t test up to the bootstrap's own error."""
    rng = np.random.default_rng(0)
    hardness = rng.normal(0, 3, IMAGES)
    a, b = scores(rng, 1, mean=0.12, hardness=hardness), scores(rng, 1, hardness=hardness)
    found, expected = compare(estimated(a), estimated(b)), stats.ttest_rel(a[0], b[0])
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=0.2)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.01)


def test_test_over_seeds_alone_is_welchs() -> None:
    a, b = np.array([20.1, 20.4, 19.8]), np.array([22.0, 24.1, 23.0])
    found, expected = compare(Estimate(a), Estimate(b)), stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.effect == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_interval_over_seeds_alone_is_students() -> None:
    seeds = np.array([20.1, 20.4, 19.8])
    expected = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert Estimate(seeds).interval() == pytest.approx(expected, rel=2e-3)


def test_one_seed_of_a_set_metric_says_nothing() -> None:
    alone, other = Estimate(np.array([20.0])), Estimate(np.array([30.0, 31.0, 32.0]))
    assert alone.interval() is None
    assert not alone.testable
    assert compare(alone, other).p == 1


def test_same_scores_do_not_differ() -> None:
    values = scores(np.random.default_rng(0), 1)
    assert compare(estimated(values), estimated(values)).p == 1
    shifted = compare(
        Estimate(np.array([2.0]), np.full(DRAWS, 2.0), 9), Estimate(np.array([1.0]), np.full(DRAWS, 1.0), 9)
    )
    assert (shifted.effect, shifted.p) == (1.0, 0.0)


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
        return any(difference.p < 0.05 for difference in pairwise(equals, compare).values())

    assert share(100, found) <= 0.1


def test_ranks_are_shared_unless_told_apart() -> None:
    rng = np.random.default_rng(1)
    hardness = rng.normal(0, 3, IMAGES)
    means = {"a": 5.0, "b": 5.0, "c": 3.0, "d": 0.0}
    found = {name: estimated(scores(rng, mean=mean, spread=0.05, hardness=hardness)) for name, mean in means.items()}
    assert ranks(found, higher_is_better=True) == {"a": 1, "b": 1, "c": 3, "d": 4}
    assert ranks(found, higher_is_better=False) == {"d": 1, "c": 2, "a": 3, "b": 3}
    assert ranks({"a": found["a"]}, higher_is_better=True) == {"a": 1}


def test_pairs_are_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    means = {"a": 0.0, "b": 9.0, "c": 18.0}
    found = pairwise({name: estimated(scores(rng, mean=mean)) for name, mean in means.items()}, compare)
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
                METRICS[name].pooled({column: np.repeat(values[k], count) for column, values in columns.items()})
                for k in range(2)
            ]
            for count in np.rint(image_weights(30) * 30).astype(int)
        ]
        expected = np.mean(drawn, axis=1)
        np.testing.assert_allclose(draws, expected, rtol=1e-10, err_msg=name)


def test_resample_does_with_some_of_the_columns() -> None:
    assert set(resample({"ssim": np.ones((2, 5)), "auc_rebal": np.ones((2, 5))})) == {"ssim"}
