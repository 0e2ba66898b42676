"""Eccv16 agrees with a restatement of its layer table, with the released file's keys, and with the published size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmark.contracts.method import parameter_count
from benchmark.contracts.registry import load_method
from benchmark.data.ab_bins import decode
from benchmark.methods._eccv16 import Eccv16
from benchmark.running.conformance import build, make_trainer, tiny_batch, tiny_images, tiny_info
from benchmark.support import weights
from benchmark.support.files import file_sha256

# Names and shapes of colorization_release_v2-9b330a0b.pth by block: (out, in) is a convolution, N is a BatchNorm.
RELEASED: dict[str, list[Any]] = {
    "model1": [(64, 1), (64, 64), "N"],
    "model2": [(128, 64), (128, 128), "N"],
    "model3": [(256, 128), (256, 256), (256, 256), "N"],
    "model4": [(512, 256), (512, 512), (512, 512), "N"],
    "model5": [(512, 512), (512, 512), (512, 512), "N"],
    "model6": [(512, 512), (512, 512), (512, 512), "N"],
    "model7": [(512, 512), (512, 512), (512, 512), "N"],
}


def released_state(seed: int = 0) -> dict[str, Tensor]:
    """Returns random weights under the released names, with which activations keep their size."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    state: dict[str, Tensor] = {}
    for block, layers in RELEASED.items():
        for place, layer in enumerate(layers):
            name, channels = f"{block}.{2 * place}", state[f"{block}.{2 * place - 2}.bias"].shape[0] if place else 0
            if layer == "N":
                state |= {f"{name}.weight": 1 + drawn(channels, scale=0.1), f"{name}.bias": drawn(channels, scale=0.1)}
                state |= {f"{name}.running_mean": 0.5 + drawn(channels, scale=0.1)}
                state |= {f"{name}.running_var": 1 + torch.rand(channels, generator=generator)}
                state |= {f"{name}.num_batches_tracked": torch.tensor(7)}
            else:
                out, into = layer
                state[f"{name}.weight"] = drawn(out, into, 3, 3, scale=(2 / (9 * into)) ** 0.5)
                state[f"{name}.bias"] = drawn(out, scale=0.1)
    for name, shape in {
        "0": (512, 256, 4, 4),
        "2": (256, 256, 3, 3),
        "4": (256, 256, 3, 3),
        "6": (313, 256, 1, 1),
    }.items():
        state[f"model8.{name}.weight"] = drawn(*shape, scale=(2 / (shape[1] * shape[2] * shape[3])) ** 0.5)
        state[f"model8.{name}.bias"] = drawn(313 if name == "6" else 256, scale=0.1)
    state["model_out.weight"] = drawn(2, 313, 1, 1, scale=0.3)
    return state


def published_forward(L: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Computes the released network's colors (B, 2, H, W), layer by layer as in its table."""

    def convolve(x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        return F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, dilation, dilation))

    def normalise(x: Tensor, name: str) -> Tensor:
        moments = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, *moments, state[f"{name}.weight"], state[f"{name}.bias"])

    x = (L - 50) / 100
    x = normalise(convolve(convolve(x, "model1.0"), "model1.2", stride=2), "model1.4")
    x = normalise(convolve(convolve(x, "model2.0"), "model2.2", stride=2), "model2.4")
    x = normalise(convolve(convolve(convolve(x, "model3.0"), "model3.2"), "model3.4", stride=2), "model3.6")
    x = normalise(convolve(convolve(convolve(x, "model4.0"), "model4.2"), "model4.4"), "model4.6")
    for block in ("model5", "model6"):
        for layer in (0, 2, 4):
            x = convolve(x, f"{block}.{layer}", dilation=2)
        x = normalise(x, f"{block}.6")
    x = normalise(convolve(convolve(convolve(x, "model7.0"), "model7.2"), "model7.4"), "model7.6")
    x = F.relu(F.conv_transpose2d(x, state["model8.0.weight"], state["model8.0.bias"], stride=2, padding=1))
    x = convolve(convolve(x, "model8.2"), "model8.4")
    x = F.conv2d(x, state["model8.6.weight"], state["model8.6.bias"]).softmax(1)
    x = F.conv2d(x, state["model_out.weight"])
    return 110 * F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


@pytest.mark.slow
@torch.no_grad()
def test_takes_the_released_file_unchanged_and_gives_its_colors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = released_state()
    file = tmp_path / "colorization_release_v2-9b330a0b.pth"
    torch.save(state, file)
    entry = weights.Pretrained(
        "colorization-v2", weights.WEIGHTS["colorization-v2"].url, file.stat().st_size, file_sha256(file), ""
    )
    monkeypatch.setitem(weights.WEIGHTS, "colorization-v2", entry)
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    adapter: Any = load_method("eccv16")
    config = adapter.Config(pretrained=True, width=0.25)  # the width is the released one anyway
    assert adapter.skip(config, tiny_info()) is None
    method = build(adapter, config).eval()
    assert method.optimizers("train") == {}
    assert set(method.colorizer.state_dict()) == set(state)
    L = 100 * torch.rand(1, 1, 40, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(method.predict_ab(L), published_forward(L, state), atol=2e-3, rtol=1e-4)
    odd = L[..., :33, :47]  # the released network gives 40×48 for it, padding with zeros
    torch.testing.assert_close(
        method.predict_ab(odd), published_forward(odd, state)[..., :33, :47], atol=2e-3, rtol=1e-4
    )


def test_released_weights_that_are_not_here_are_a_reason_to_skip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    adapter: Any = load_method("eccv16")
    reason = adapter.skip(adapter.Config(pretrained=True), tiny_info())
    assert "colorization_release_v2-9b330a0b.pth" in str(reason)
    assert "bench weights fetch colorization-v2" in str(reason)
    assert adapter.skip(adapter.Config(), tiny_info()) is None


def test_has_the_published_size() -> None:
    with torch.device("meta"):
        network = Eccv16.__new__(Eccv16)
        network.initialise = lambda: None
        Eccv16.__init__(network)
        # The released file has 128,976,165 bytes: 4 for each of these, names, and BatchNorm's statistics.
        assert 32.2e6 < parameter_count(network) < 32.25e6
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, 256, 256))
    assert counter.get_total_flops() / 2 == pytest.approx(41.8e9, rel=0.005)


def test_width_scales_the_channels_and_the_decoding_stays() -> None:
    torch.manual_seed(0)
    network = Eccv16(0.125).eval()
    assert parameter_count(network) < 32.2e6 / 30
    L = tiny_batch().L
    with torch.no_grad():
        logits = network(L)
        assert logits.shape == (4, 313, 8, 8)
        for temperature in (0.38, "mean"):
            torch.testing.assert_close(
                network.mean(logits, temperature), decode(logits, temperature), atol=1e-3, rtol=1e-4
            )
        assert network.colors(L, "mode").shape == (4, 2, 32, 32)
        assert network.colors(L[..., :30, :21], 0.38).shape == (4, 2, 30, 21)
    assert not network.model_out.weight.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["subsampled", "averaged"])
def test_overfits_eight_images(labels: str, tmp_path: Path) -> None:
    """The ab error falls at least fivefold, at the resolution and the places where the labels are taken."""
    adapter: Any = load_method("eccv16")
    method: Any = build(adapter, adapter.Config(width=0.125, learning_rate=2e-3, weight_decay=0.0, labels=labels))
    L, ab = tiny_batch(8)
    wanted = ab[..., ::4, ::4] if labels == "subsampled" else F.avg_pool2d(ab, 4)

    def error() -> float:
        with torch.no_grad():
            network = method.eval().colorizer
            return float((network.mean(network(L), 0.38) - wanted).square().sum(dim=1).mean())

    before = error()
    make_trainer(method, 60, tmp_path, images=tiny_images(8), flip=False).run()
    assert error() < before / 5
