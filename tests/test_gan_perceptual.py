"""The perceptual GAN has the right features, starts from its parent, and learns."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save

from benchmark.contracts.method import Batch, Method
from benchmark.contracts.registry import load_method
from benchmark.methods import _vgg, _vgg_training
from benchmark.methods._eccv16 import Eccv16
from benchmark.running.conformance import (
    CHECKS,
    Check,
    build,
    check_device,
    make_trainer,
    tiny_batch,
    tiny_images,
    tiny_info,
)
from benchmark.support import weights
from benchmark.support.errors import BenchError
from benchmark.training.classifier import accuracies, fit

SMALL: dict[str, Any] = {"width": 0.125, "discriminator_channels": 8}


def ab_error(method: Method, batch: Batch) -> float:
    """Returns the mean squared distance in ab of predictions on the training images."""
    with torch.no_grad():
        predicted = method.eval().predict_ab(batch.L)
    return float((predicted - batch.ab).square().sum(dim=1).mean())


@pytest.fixture
def own_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers a feature network for the made-up data, with random weights."""
    torch.manual_seed(0)
    state = _vgg.VGG(_vgg.OWN, ["relu4_2"]).state_dict()
    monkeypatch.setitem(_vgg.OWN_FILES, "tiny", ("vgg-tiny-v1", "0" * 64))
    monkeypatch.setattr("benchmark.methods.gan_perceptual.load_own", lambda name: state)


def test_vgg19_is_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision cannot be imported")
    with torch.device("meta"):
        published = models.vgg19(weights=None).features
        names = {f"features.{name}": value.shape for name, value in published.state_dict().items()}
    ours = _vgg.VGG(_vgg.VGG19, ["relu1_2", "relu5_4"])
    shapes = {name: value.shape for name, value in ours.state_dict().items()}
    assert shapes == {name: shape for name, shape in names.items() if name in shapes}
    assert set(names) == set(shapes)
    published = published.to_empty(device="cpu")
    published.load_state_dict({name.removeprefix("features."): value for name, value in ours.state_dict().items()})
    rgb = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = (rgb - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
            3, 1, 1
        )
        for found, layers in zip(ours(rgb), (4, 36), strict=True):
            torch.testing.assert_close(found, published[:layers](x))


def test_feature_loss_is_zero_for_the_truth_and_reaches_the_colors() -> None:
    torch.manual_seed(0)
    network = _vgg.VGG(_vgg.OWN, ["relu2_2", "relu4_2"])
    rgb = torch.rand(2, 3, 32, 32)
    predicted = rgb.flip(1).requires_grad_()
    assert _vgg.feature_loss(network, rgb, rgb) == 0
    loss = _vgg.feature_loss(network, predicted, rgb)
    loss.backward()
    assert loss > 0
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="no layer relu9_9; there are relu1_1"):
        _vgg.VGG(_vgg.OWN, ["relu9_9"])


def test_features_that_are_not_here_are_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    adapter: Any = load_method("gan-perceptual")
    assert "bench weights fetch vgg19" in str(adapter.skip(adapter.Config(), tiny_info()))
    unknown = replace(tiny_info(), name="tiny")
    assert "for 'tiny'" in str(adapter.skip(adapter.Config(features="own"), unknown))
    assert adapter.skip(adapter.Config(perceptual_weight=0.0), tiny_info()) is None
    with pytest.raises(BenchError, match="no feature network was trained for 'tiny'"):
        adapter(adapter.Config(features="own"), unknown).load_pretrained()  # no other network takes its place


def test_imagenet_features_come_from_the_verified_file(monkeypatch: pytest.MonkeyPatch) -> None:
    small = (4, 0, 4)
    monkeypatch.setattr("benchmark.methods.gan_perceptual.LAYERS", {"vgg19": (small, "relu2_1")})
    torch.manual_seed(0)
    state = _vgg.VGG(small, ["relu2_1"]).state_dict()
    monkeypatch.setattr(weights, "load", lambda name: {**state, "classifier.0.weight": torch.zeros(1)})
    adapter: Any = load_method("gan-perceptual")
    method = build(adapter, adapter.Config(**SMALL))
    assert torch.equal(method.get_submodule("features").state_dict()["features.0.weight"], state["features.0.weight"])


def test_starts_from_the_colors_of_its_parent() -> None:
    adapter: Any = load_method("gan-perceptual")
    config = adapter.Config(**SMALL, perceptual_weight=0.0, parent="eccv16-pretrained")
    assert adapter.parents(config) == ("eccv16-pretrained",)
    torch.manual_seed(7)
    parent = Eccv16(0.125).eval()
    method = build(adapter, config).eval()
    method.load_parents({"eccv16-pretrained": parent.state_dict()})
    L = tiny_batch().L
    with torch.no_grad():
        assert torch.equal(method.predict_ab(L), parent.colors(L, 0.38))
    with pytest.raises(BenchError, match=r"16 channels at first, width 0\.125 gives 8"):
        method.load_parents({"eccv16-pretrained": Eccv16(0.25).state_dict()})


# The check on torch's meta device is left out: conversion to sRGB turns autocast off, which that device does not have.
ON_THE_CPU = [check for check in CHECKS if check is not check_device]


@pytest.mark.slow
@pytest.mark.parametrize("check", ON_THE_CPU, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract_with_features(check: Check, own_features: None) -> None:
    adapter: Any = load_method("gan-perceptual")
    assert check(adapter, adapter.Config(**SMALL, features="own", finetune_share=0.5))


@pytest.mark.slow
@pytest.mark.parametrize("features", [True, False])
def test_overfits_eight_images(features: bool, own_features: None, tmp_path: Path) -> None:
    adapter: Any = load_method("gan-perceptual")
    settings = {**SMALL, "features": "own", "perceptual_weight": float(features), "finetune_share": 0.4}
    method = build(adapter, adapter.Config(**settings, generator_rate=2e-3, discriminator_rate=1e-3))
    batch = tiny_batch(8)
    error = ab_error(method, batch)
    make_trainer(method, 60, tmp_path, images=tiny_images(8), flip=False).run()
    assert ab_error(method, batch) < error / 5


@pytest.mark.slow
def test_a_feature_network_learns_labels_and_is_folded_exactly() -> None:
    images = torch.from_numpy(tiny_images(64))
    labels = torch.arange(64) % 2
    images[labels == 1] = 255 - images[labels == 1]  # orange becomes blue
    prepared: Any = SimpleNamespace(
        meta=SimpleNamespace(name="tiny", classes=["orange", "blue"]),
        images=lambda split: images.numpy(),
        labels=lambda split: labels.numpy(),
        sha256={},
    )
    torch.manual_seed(0)
    network = _vgg_training.Classifier(2)
    recipe = replace(_vgg_training.RECIPE, batch_size=16)
    fit(network, torch.optim.AdamW(network.parameters(), lr=2e-3), prepared, recipe, torch.device("cpu"))
    accuracy = accuracies(network, prepared, torch.device("cpu"))["test"]
    assert accuracy is not None
    assert accuracy > 90
    folded, scaled = _vgg_training.folded(network, images), images.movedim(-1, 1) / 255
    with torch.no_grad():
        (found,) = folded(scaled)
        expected = network.layers(scaled)
    torch.testing.assert_close(found, expected / expected.square().mean().sqrt(), atol=1e-4, rtol=1e-4)
    assert found.square().mean() == pytest.approx(1.0, rel=1e-4)
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_the_committed_networks_are_whole() -> None:
    assert "cifar10" in _vgg.OWN_FILES
    for name, (file, sha256) in _vgg.OWN_FILES.items():
        network = _vgg.VGG(_vgg.OWN, [_vgg_training.LAYER])
        network.load_features(_vgg.load_own(name))
        path = Path(_vgg.__file__).with_name(f"{file}.safetensors")
        assert path.stat().st_size <= 2_000_000
        record = json.loads(path.with_suffix(".json").read_text())
        assert (record["sha256"], record["data"], record["plan"]) == (sha256, name, list(_vgg.OWN))


def test_another_file_under_the_name_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vgg-tiny-v1.safetensors").write_bytes(save({"features.0.weight": torch.zeros(1)}))
    monkeypatch.setitem(_vgg.OWN_FILES, "tiny", ("vgg-tiny-v1", "0" * 64))
    monkeypatch.setattr(_vgg, "files", lambda package: tmp_path)
    with pytest.raises(BenchError, match=r"vgg-tiny-v1\.safetensors has SHA-256 .*, not 000000000000…"):
        _vgg.load_own("tiny")


def test_data_without_labels_trains_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlabelled:
        class meta:  # noqa: N801 - as the prepared data set has it
            name, classes = "coco", None

        def labels(self, split: str) -> None:
            return None

    monkeypatch.setattr(_vgg_training.Prepared, "open", lambda folder: Unlabelled())
    with pytest.raises(BenchError, match="coco has no labels"):
        _vgg_training.run(Path("data/coco-quick"))
