"""Siggraph17 agrees with a restatement of its layer table, under the released file's names, and has its size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.contracts.registry import load_method
from benchmark.methods.siggraph17 import Siggraph17Network
from benchmark.running.conformance import tiny_info
from benchmark.support import weights

# Names and shapes of siggraph17-df00044c.pth: block → layers by place; (out, in) is a 3×3 convolution, N a BatchNorm.
BLOCKS: dict[str, dict[int, Any]] = {
    "model1": {0: (64, 4), 2: (64, 64), 4: "N"},
    "model2": {0: (128, 64), 2: (128, 128), 4: "N"},
    "model3": {0: (256, 128), 2: (256, 256), 4: (256, 256), 6: "N"},
    "model4": {0: (512, 256), 2: (512, 512), 4: (512, 512), 6: "N"},
    "model5": {0: (512, 512), 2: (512, 512), 4: (512, 512), 6: "N"},
    "model6": {0: (512, 512), 2: (512, 512), 4: (512, 512), 6: "N"},
    "model7": {0: (512, 512), 2: (512, 512), 4: (512, 512), 6: "N"},
    "model3short8": {0: (256, 256)},
    "model8": {1: (256, 256), 3: (256, 256), 5: "N"},
    "model2short9": {0: (128, 128)},
    "model9": {1: (128, 128), 3: "N"},
    "model1short10": {0: (128, 64)},
    "model10": {1: (128, 128)},
}
OTHERS = {
    "model8up.0": (512, 256, 4, 4),
    "model9up.0": (256, 128, 4, 4),
    "model10up.0": (128, 128, 4, 4),
    "model_class.0": (529, 256, 1, 1),
    "model_out.0": (2, 128, 1, 1),
}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights under the released names, with which activations keep their size."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    found: dict[str, Tensor] = {}
    for block, layers in BLOCKS.items():
        channels = 0
        for place, layer in layers.items():
            name = f"{block}.{place}"
            if layer == "N":
                found |= {f"{name}.weight": 1 + drawn(channels, scale=0.1), f"{name}.bias": drawn(channels, scale=0.1)}
                found |= {f"{name}.running_mean": 0.5 + drawn(channels, scale=0.1)}
                found |= {f"{name}.running_var": 1 + torch.rand(channels, generator=generator)}
                found |= {f"{name}.num_batches_tracked": torch.tensor(7)}
            else:
                channels, into = layer
                found[f"{name}.weight"] = drawn(channels, into, 3, 3, scale=(2 / (9 * into)) ** 0.5)
                found[f"{name}.bias"] = drawn(channels, scale=0.1)
    for name, shape in OTHERS.items():
        found[f"{name}.weight"] = drawn(*shape, scale=(1 / (shape[1] * shape[2] * shape[3])) ** 0.5)
        found[f"{name}.bias"] = drawn(shape[1] if "up" in name else shape[0], scale=0.1)
    return found


def restated(state: dict[str, Tensor], L: Tensor) -> Tensor:
    """The released forward pass, layer by layer: no hints, ab in Lab units."""

    def convolution(x: Tensor, name: str, dilation: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2 * dilation, dilation=dilation)

    def normalised(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias)

    def down(x: Tensor, block: str) -> Tensor:
        dilation = 2 if block in ("model5", "model6") else 1
        for place, layer in BLOCKS[block].items():
            name = f"{block}.{place}"
            x = normalised(x, name) if layer == "N" else F.relu(convolution(x, name, dilation))
        return x

    def raised(x: Tensor, level: int, skip: Tensor) -> Tensor:
        name = f"model{level}up.0"
        x = F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1)
        return F.relu(x + convolution(skip, f"model{11 - level}short{level}.0"))

    one = down(torch.cat([(L - 50) / 100, torch.zeros(len(L), 3, *L.shape[2:])], dim=1), "model1")
    two = down(one[:, :, ::2, ::2], "model2")
    three = down(two[:, :, ::2, ::2], "model3")
    x = three[:, :, ::2, ::2]
    for block in ("model4", "model5", "model6", "model7"):
        x = down(x, block)
    x = raised(x, 8, three)
    x = F.relu(convolution(F.relu(convolution(x, "model8.1")), "model8.3"))
    x = raised(normalised(x, "model8.5"), 9, two)
    x = raised(normalised(F.relu(convolution(x, "model9.1")), "model9.3"), 10, one)
    x = F.leaky_relu(convolution(x, "model10.1"), 0.2)
    return 110 * torch.tanh(convolution(x, "model_out.0"))


def test_the_network_is_its_layer_table_under_the_released_names(state: dict[str, Tensor]) -> None:
    network = Siggraph17Network()
    network.load_state_dict(state)
    L = 100 * torch.rand(1, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = network.eval()(L), restated(state, L)
        assert network(L[..., :29, :37]).shape == (1, 2, 29, 37)
    assert expected.std() > 1
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    held = sum(value.numel() * value.element_size() for value in state.values())
    assert 0 < weights.WEIGHTS["colorization-2017"].size - held < 60_000  # the rest is names


def test_it_is_skipped_or_loaded_as_released(
    state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    adapter: Any = load_method("siggraph17")
    assert adapter.skip(adapter.Config(), tiny_info()) == (
        "siggraph17-df00044c.pth missing: bench weights fetch colorization-2017"
    )
    monkeypatch.setattr(weights, "load", lambda name: state)
    method = adapter(adapter.Config(), tiny_info())
    method.load_pretrained()
    assert method.optimizers("train") == {}
    assert torch.equal(method.colorizer.state_dict()["model1.0.weight"], state["model1.0.weight"])
