"""Baselines, the ceiling and the U-Net classifier predict what they should."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from benchmark.contracts.method import Batch, Method
from benchmark.contracts.registry import load_method
from benchmark.data import ab_bins
from benchmark.methods._classification import BinLoss, BinsConfig
from benchmark.running.conformance import build, make_trainer, tiny_batch, tiny_images, tiny_info


def ab_error(method: Method, batch: Batch) -> float:
    """Returns the mean squared distance in ab of predictions on the training images."""
    with torch.no_grad():
        predicted = method.eval().predict_ab(batch.L)
    return float((predicted - batch.ab).square().sum(dim=1).mean())


def test_gray_has_no_color_and_mean_color_one() -> None:
    L = tiny_batch().L
    gray, mean = (build(load_method(name), load_method(name).Config()) for name in ("gray", "mean-color"))
    assert torch.equal(gray.predict_ab(L), torch.zeros(4, 2, 32, 32))
    assert torch.equal(mean.predict_ab(L), torch.tensor([2.0, 5.0]).view(1, 2, 1, 1).expand(4, 2, 32, 32))
    assert (gray.role, mean.role) == ("floor", "baseline")
    assert gray.optimizers("train") == mean.optimizers("train") == {}


def test_oracle_bins_is_off_by_less_than_half_a_bin() -> None:
    batch = tiny_batch()
    oracle: Any = build(load_method("oracle-bins"), load_method("oracle-bins").Config())
    predicted = oracle.predict_ab_knowing(batch.L, batch.ab)
    assert oracle.role == "ceiling"
    assert (predicted % 10 == 0).all()
    distance = (predicted - batch.ab).square().sum(1).sqrt()
    assert distance.max() <= 5 * 2**0.5 + 1e-4
    with pytest.raises(TypeError, match="needs the true colors"):
        oracle.predict_ab(batch.L)


def test_classification_predicts_the_annealed_mean_of_its_logits() -> None:
    adapter: Any = load_method("classification")
    L = tiny_batch().L
    found = {}
    for temperature in (0.38, "mean", "mode"):
        method = build(adapter, adapter.Config(base_channels=4, temperature=temperature)).eval()
        with torch.no_grad():
            logits = method.colorizer(L / 50 - 1)
            found[temperature] = method.predict_ab(L)
        assert logits.shape == (4, 313, 32, 32)
        assert torch.equal(found[temperature], ab_bins.decode(logits, temperature))
    assert not torch.equal(found[0.38], found["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("rebalance", [False, True])
def test_overfits_eight_images(rebalance: bool, tmp_path: Path) -> None:
    adapter: Any = load_method("classification")
    method = build(adapter, adapter.Config(base_channels=8, learning_rate=1e-2, rebalance=rebalance))
    batch = tiny_batch(8)
    error = ab_error(method, batch)
    make_trainer(method, 80, tmp_path, images=tiny_images(8), flip=False).run()
    assert ab_error(method, batch) < error / 5


def test_rebalancing_weighs_each_pixel_by_its_nearest_bin() -> None:
    data, ab = tiny_info(), tiny_batch().ab
    logits = torch.randn(4, 313, 32, 32, generator=torch.Generator().manual_seed(0))
    loss = BinLoss(BinsConfig(rebalance=True), data)
    weights = ab_bins.class_weights(ab_bins.smooth_prior(data.ab_prior), 0.5).float()
    expected = ab_bins.soft_cross_entropy(logits, ab_bins.soft_encode(ab), weights[ab_bins.nearest_bin(ab)])
    torch.testing.assert_close(loss(logits, ab), expected)
    plain = BinLoss(BinsConfig(), data)
    torch.testing.assert_close(plain(logits, ab), ab_bins.soft_cross_entropy(logits, ab_bins.soft_encode(ab)))
    assert torch.allclose(plain.bin_weights, torch.ones(313))


@pytest.mark.parametrize("rebalance", [False, True])
def test_the_loss_by_pixel_is_the_loss(rebalance: bool) -> None:
    ab, draw = tiny_batch().ab, torch.randn(4, 313, 32, 32, generator=torch.Generator().manual_seed(0))
    adapter: Any = load_method("classification")
    method: Any = build(adapter, adapter.Config(rebalance=rebalance))
    found = []
    for loss in (method.loss, BinLoss(method.config, tiny_info())):
        logits = draw.contiguous(memory_format=torch.channels_last).detach().requires_grad_()
        value = loss(logits, ab)
        value.backward()
        found.append((value, logits.grad))
    assert type(method.loss) is not BinLoss
    torch.testing.assert_close(found[0], found[1])


def test_defaults_are_the_papers_and_nonsense_is_refused() -> None:
    adapter: Any = load_method("classification")
    config = adapter.Config()
    assert (config.neighbors, config.sigma, config.temperature, config.rebalance) == (5, 5.0, 0.38, False)
    for settings in ({"neighbors": 0}, {"sigma": 0.0}, {"temperature": "warm"}, {"temperature": 0.0}, {"colour": 1}):
        with pytest.raises(ValidationError):
            adapter.Config(**settings)
