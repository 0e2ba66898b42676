"""A column's value follows from the images' values."""

import numpy as np
import pytest

from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.metric import psnr_of

IMAGES = 40


@pytest.fixture
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = {column for metric in METRICS.values() for column in metric.columns}
    return {name: rng.uniform(1, 90, IMAGES).astype(np.float32) for name in sorted(names)}


def test_most_columns_are_means(columns: dict[str, np.ndarray]) -> None:
    special = {"psnr_pooled", "auc_rebal", "delta_colorfulness"}
    for name, metric in METRICS.items():
        if metric.columns and name not in special:
            assert METRICS[name].pooled(columns) == pytest.approx(columns[name].astype(np.float64).mean())
            assert metric.has_image_values


def test_pooled_psnr_is_that_of_the_mean_error(columns: dict[str, np.ndarray]) -> None:
    assert METRICS["psnr_pooled"].pooled(columns) == pytest.approx(
        10 * np.log10(255**2 / columns["mse"].mean()), rel=1e-6
    )
    assert METRICS["psnr_pooled"].pooled({"mse": np.zeros(3, np.float32)}) == 100


def test_rebalanced_area_weighs_images_by_their_pixels(columns: dict[str, np.ndarray]) -> None:
    expected = np.average(columns["auc_rebal"], weights=columns["auc_rebal_weight"])
    assert METRICS["auc_rebal"].pooled(columns) == pytest.approx(expected, rel=1e-6)


def test_delta_colorfulness_is_the_difference_of_means(columns: dict[str, np.ndarray]) -> None:
    expected = abs(columns["colorfulness"].mean() - columns["colorfulness_target"].mean())
    assert METRICS["delta_colorfulness"].pooled(columns) == pytest.approx(expected, rel=1e-5)


def test_what_exists_for_sets_only_is_refused(columns: dict[str, np.ndarray]) -> None:
    with pytest.raises(KeyError, match="fid"):
        METRICS["fid"].pooled(columns)


def test_psnr_of_errors() -> None:
    np.testing.assert_allclose(psnr_of(np.array([0.0, 255.0**2, 1e-9, 65.025])), [100, 0, 100, 30])
