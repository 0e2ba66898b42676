"""Released ONNX and TorchScript files become rows by settings alone, and each fault of a file is one line."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
import yaml
from torch import Tensor, nn

from benchmark.contracts.config import read_params, resolve
from benchmark.contracts.registry import load_method
from benchmark.contracts.workspace import Workspace
from benchmark.data.color import lab_to_srgb
from benchmark.results.currency import Currency
from benchmark.running.conformance import CHECKS, build, check_method, tiny_batch, tiny_info
from benchmark.support.errors import BenchError, InputError
from projects import TINY, bench, make_project

MEAN_AND_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photographs, by torchvision's docs
ADAPTER: Any = load_method("released")


class Small(nn.Module):
    """Two channels of color from one channel of lightness or three of gray, by one convolution with a bias."""

    def __init__(self, channels: int = 1, out: int = 2, factor: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, out, 1)
        weight = torch.tensor([0.2, -0.1, 0.4])[:out, None, None, None].repeat(1, channels, 1, 1)
        bias = torch.tensor([1.0, 2.0, 3.0])[:out]
        self.layer.load_state_dict({"weight": factor * weight, "bias": factor * bias})

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Halves(nn.Module):
    """A network for squares of 16 alone, with several outputs at half the resolution."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        small = nn.functional.avg_pool2d(x.reshape(1, 1, 16, 16), 2)
        return torch.cat([small, -small], dim=1), x


def torchscript(path: Path, network: nn.Module) -> Path:
    torch.jit.save(torch.jit.script(network.eval()), path)
    return path


def onnx_file(path: Path, network: Small, *, fixed: int | None = None) -> Path:
    """Writes the same network as a graph of one node; with `fixed`, for one square of this side alone."""
    onnx = pytest.importorskip("onnx", reason="small ONNX models are made with the package onnx")
    pytest.importorskip("onnxruntime", reason="ONNX needs onnxruntime: pip install -e '.[released]'")
    make, (out, channels) = onnx.helper, network.layer.weight.shape[:2]
    tensors = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in network.state_dict().items()]
    sides = [fixed, fixed] if fixed else ["h", "v"]
    ends = [
        make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, count, *sides])
        for name, count in (("seen", channels), ("colors", out))
    ]
    node = make.make_node("Conv", ["seen", "layer.weight", "layer.bias"], ["colors"])
    graph = make.make_graph([node], "small", ends[:1], ends[1:], tensors)
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=10), path)
    return path


WRITERS: dict[str, Callable[[Path, Small], Path]] = {"small.pt": torchscript, "small.onnx": onnx_file}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "weights"


def colors(path: Path, L: Tensor | None = None, **settings: Any) -> Tensor:
    method = build(ADAPTER, ADAPTER.Config(file=str(path), **settings)).eval()
    with torch.inference_mode():
        return method.predict_ab(tiny_batch().L if L is None else L)


@pytest.mark.parametrize("name", WRITERS)
def test_both_formats_hold_the_contract(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, Small())
    verdicts = list(check_method(ADAPTER, ADAPTER.Config(file=str(path))))
    assert len(verdicts) == len(CHECKS)
    assert not [verdict for verdict in verdicts if not verdict.passed]
    found = colors(path)
    L = tiny_batch().L
    torch.testing.assert_close(found, torch.cat([0.2 * L + 1, -0.1 * L + 2], dim=1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", WRITERS)
def test_settings_scale_what_goes_in_and_comes_out(tmp_path: Path, name: str) -> None:
    L = tiny_batch().L
    scaled: dict[str, Any] = {"input_scale": 0.01, "input_shift": -0.5, "output_scale": 110.0, "output_shift": 0.5}
    found = colors(WRITERS[name](tmp_path / name, Small(factor=0.1)), **scaled)
    expected = torch.cat([0.02 * (L / 100 - 0.5) + 0.1, -0.01 * (L / 100 - 0.5) + 0.2], dim=1) * 110 + 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    gray = lab_to_srgb(L, torch.zeros(len(L), 2, *L.shape[2:]))
    mean, deviation = (torch.tensor(MEAN_AND_DEVIATION[k])[:, None, None] for k in range(2))
    seen = (gray - mean) / deviation
    three = WRITERS[name](tmp_path / f"three-{name}", Small(3))
    total = seen.sum(dim=1, keepdim=True)
    torch.testing.assert_close(
        colors(three, input="rgb", imagenet=True),
        torch.cat([0.2 * total + 1, -0.1 * total + 2], dim=1),
        atol=1e-4,
        rtol=0,
    )


def test_colors_of_rgb_are_taken_and_its_lightness_is_dropped(tmp_path: Path) -> None:
    class Paint(nn.Module):
        def forward(self, x: Tensor) -> Tensor:  # red whatever it sees, in levels of 0 to 255 and beyond
            return torch.cat([0 * x[:, :1] + 300, 0 * x[:, :1], 0 * x[:, :1] - 20], dim=1)

    path = torchscript(tmp_path / "paint.pt", Paint())
    found = colors(path, input="rgb", input_scale=255, output="rgb", output_scale=1 / 255)
    assert found[..., 0, 0][0].tolist() == pytest.approx([80.09, 67.20], abs=0.02)  # pure red in Lab


def test_a_fixed_size_is_seen_and_colors_stay_at_the_networks(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "halves.pt", Halves())
    even = torch.full((3, 1, 24, 40), 37.0)
    found = colors(path, even, size=16)
    assert found.shape == (3, 2, 8, 8)
    torch.testing.assert_close(found[:, 0], torch.full((3, 8, 8), 37.0))
    with pytest.raises(BenchError, match=r"halves.pt does not take \(1, 1, 24, 40\): .*shape .* is invalid"):
        colors(path, even)


def test_an_onnx_of_one_size_says_so(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "fixed.onnx", Small(), fixed=16)
    assert colors(path, size=16).shape == (4, 2, 16, 16)
    with pytest.raises(BenchError, match=r"fixed.onnx does not take \(1, 1, 32, 32\): .*; set input and size"):
        colors(path)


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (Small(out=3), {}, r"small.pt gives \(1, 3, 32, 32\) for a picture of 32×32, not \(1, 2, h, w\)"),
        (Small(), {"output": "rgb"}, r"gives \(1, 2, 32, 32\) .* not \(1, 3, h, w\); set output to ab or rgb"),
        (Small(factor=float("nan")), {}, "gives values that are not finite"),
        (Small(3), {}, r"does not take \(1, 1, 32, 32\)"),
    ],
)
def test_a_networks_fault_is_one_line(tmp_path: Path, network: nn.Module, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchError, match=words) as raised:
        colors(torchscript(tmp_path / "small.pt", network), **settings)
    assert "\n" not in str(raised.value)


def test_another_format_is_refused_without_running_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    checkpoint, archive, words = (tmp_path / name for name in ("weights.pth", "small.pt", "words.onnx"))
    torch.save({"state": Trap()}, checkpoint)
    with ZipFile(torchscript(tmp_path / "whole.pt", Small())) as whole, ZipFile(archive, "w") as changed:
        for name in whole.namelist():
            trap = name.endswith(("data.pkl", "constants.pkl"))
            changed.writestr(name, pickle.dumps(Trap(), 2) if trap else whole.read(name))
    words.write_text("no network")
    pytest.importorskip("onnxruntime")
    for path in (checkpoint, archive, words):
        with pytest.raises(BenchError, match=f"{path.name} is neither TorchScript .* nor ONNX in one file: "):
            colors(path)
    assert not (tmp_path / "sprung").exists()
    torch.load(checkpoint, weights_only=False)
    assert (tmp_path / "sprung").exists()  # the trap works


def test_weights_beside_the_file_are_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "here" / "apart.onnx", Small())
    import onnx

    onnx.save(onnx.load(path), path, save_as_external_data=True, location="apart.data", size_threshold=0)
    assert (tmp_path / "here" / "apart.data").is_file()
    with pytest.raises(BenchError, match=r"apart.onnx is neither TorchScript .* nor ONNX in one file"):
        colors(path)


def test_it_is_skipped_without_a_file_or_its_runtime(
    tmp_path: Path, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (verdict,) = check_method(ADAPTER)
    assert verdict.passed
    assert "no file is named: --set file=NAME.onnx" in verdict.detail
    reason = "absent.onnx missing: neither a file here nor in the folder of bench weights"
    assert ADAPTER.skip(ADAPTER.Config(file="absent.onnx"), tiny_info()) == reason
    with pytest.raises(BenchError, match=reason):
        colors(Path("absent.onnx"))
    (folders / "some.onnx").write_bytes(b"\x08")  # found by its name alone
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = "ONNX needs onnxruntime: pip install -e '.[released]'"
    assert ADAPTER.skip(ADAPTER.Config(file="some.onnx"), tiny_info()) == reason


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"imagenet: .* --set input=rgb"):
        ADAPTER.Config(imagenet=True)
    path = torchscript(tmp_path / "small.pt", Small())
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ADAPTER.Config(file=str(path), sha256=right) == ADAPTER.Config(file=str(path))
    with pytest.raises(InputError, match=f"has the SHA-256 {right}, not 00ff; take the file that is meant"):
        ADAPTER.Config(file=str(path), sha256="00ff")
    config = ADAPTER.Config(file=str(path))
    torchscript(path, Small(factor=2))
    with pytest.raises(BenchError, match=f"no longer the file whose SHA-256 begins {right[:12]}"):
        build(ADAPTER, config)


def test_weights_are_counted_and_stay_in_the_file(tmp_path: Path) -> None:
    method = build(ADAPTER, ADAPTER.Config(file=str(torchscript(tmp_path / "small.pt", Small()))))
    assert method.colorizer.state_dict() == {}
    assert sum(p.numel() for p in method.colorizer.parameters()) == 4
    assert method.optimizers("train") == {}


def test_a_changed_file_is_another_row(tmp_path: Path) -> None:
    params: dict[str, Any] = {**TINY, "entries": {**TINY["entries"], "small": {"adapter": "released", "file": "s.pt"}}}
    project = make_project(tmp_path / "project", params)
    currency = Currency(read_params(project), Workspace(project))

    def identity() -> dict[str, Any]:
        cell = resolve(currency.params, method="small", data="sample", preset="tiny")
        return currency.identity(cell).settings["method"]

    assert identity()["sha256"] == ""  # not here yet
    torchscript(tmp_path / "weights" / "s.pt", Small())
    first = identity()
    assert len(first["sha256"]) == 64
    assert first["file"] == "s.pt"
    assert identity() == first
    torchscript(tmp_path / "weights" / "s.pt", Small(factor=2))
    assert identity()["sha256"] not in ("", first["sha256"])


@pytest.mark.slow
def test_a_file_becomes_a_row_without_a_line_of_code(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    torchscript(project / "small.pt", Small())
    command = ("run", "--method", "released", "--data", "sample", "--set", "file=small.pt")
    done = bench(*command, "--set", "trained_on=ImageNet", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "released" in done.stdout
    colored = bench("run", "--method", "released", "--data", "sample", cwd=project)
    assert "no file is named" in colored.stdout + colored.stderr
    refused = bench(*command, "--set", "output=rgb", cwd=project)
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
    assert yaml.safe_load((project / "params.yaml").read_text()) == TINY
