"""bf16 and torch.compile change the arithmetic of a training, but never what is trained."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.contracts.method import Method
from benchmark.contracts.registry import load_method
from benchmark.contracts.result import read_result
from benchmark.data.color import rgb_to_lab
from benchmark.running.conformance import build, make_trainer
from benchmark.scoring.prediction import predicted_ab
from benchmark.support.precision import resolved_precision
from projects import bench, make_project

BACKENDS: Any = torch.backends


def l2() -> Method:
    adapter = load_method("l2")
    return build(adapter, adapter.Config(**{"base_channels": 4}))


def trained(folder: Path, **settings: Any) -> tuple[dict[str, Tensor], list[float]]:
    method = l2()
    outcome = make_trainer(method, 4, folder, log_every=1, **settings).run()
    return method.colorizer.state_dict(), [
        float(row["colorizer_loss"]) for row in outcome.history if "colorizer_loss" in row
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler (g++)")
def test_compiled_networks_train_alike_under_the_same_names(tmp_path: Path) -> None:
    plain, losses = trained(tmp_path / "plain", compile="never")
    compiled, compiled_losses = trained(tmp_path / "compiled", compile="always")
    assert compiled.keys() == plain.keys()
    assert compiled_losses == pytest.approx(losses, rel=1e-3)


def test_auto_is_float32_and_not_compiled_on_a_cpu(tmp_path: Path) -> None:
    weights, _ = trained(tmp_path / "auto")
    same, _ = trained(tmp_path / "told", precision="fp32", compile="never")
    assert all(torch.equal(weights[name], same[name]) for name in same)


@pytest.mark.parametrize(
    ("name", "settings", "compiled"),
    [
        ("l2", {}, {"colorizer"}),
        ("cgan", {}, {"colorizer"}),  # gradients of D's weights are not computed in G's update
        ("classification", {}, {"colorizer"}),  # and its loss stays as it is
        ("gan-perceptual", {"features": "own"}, {"colorizer", "features"}),
    ],
)
def test_only_networks_whose_gradients_stay_the_same_are_compiled(
    name: str, settings: dict[str, Any], compiled: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network, **options: asked.append(network))
    adapter = load_method(name)
    method = build(adapter, adapter.Config(**settings))
    make_trainer(method, 4, tmp_path, compile="always")
    assert {child for child, network in method.named_children() if network in asked} == compiled


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler (g++)")
def test_a_compiled_generator_gets_the_same_gradients_from_a_discriminator(tmp_path: Path) -> None:
    adapter = load_method("cgan")
    config = adapter.Config(**{"base_channels": 4, "discriminator_channels": 4, "dropout": 0.0})
    gradients = []
    for choice in ("never", "always"):
        method = build(adapter, config)
        make_trainer(method, 1, tmp_path / choice, compile=choice).train_step()
        gradients.append({name: weight.grad for name, weight in method.named_parameters()})
    plain, compiled = gradients
    assert plain.keys() == compiled.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(compiled[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize(("emulated", "precision"), [(False, "bf16"), (True, "fp32")])
def test_auto_is_bf16_only_on_gpus_that_compute_in_it(
    emulated: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or not emulated
    )
    assert resolved_precision("auto", torch.device("cuda")) == precision
    assert resolved_precision("bf16", torch.device("cuda")) == "bf16"  # who asks for it gets it


class Watching(nn.Module):
    """A stand-in for a network that notes the arithmetic of the moment."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.found: set[str] = set()

    def forward(self, L: Tensor) -> Tensor:
        self.found |= {BACKENDS.cudnn.conv.fp32_precision, BACKENDS.cuda.matmul.fp32_precision}
        return self.network(L)


def test_float32_is_never_tf32_in_training_and_prediction(tmp_path: Path) -> None:
    method, before = l2(), BACKENDS.cudnn.conv.fp32_precision
    method.colorizer = watching = Watching(method.colorizer)
    trainer = make_trainer(method, 4, tmp_path)
    trainer.train_step()
    assert watching.found == {"ieee"}
    watching.found.clear()
    predicted_ab(method.eval(), torch.zeros(1, 1, 32, 32))
    assert watching.found == {"ieee"}
    assert BACKENDS.cudnn.conv.fp32_precision == before


def test_bf16_trains_in_other_arithmetic_and_repeats(tmp_path: Path) -> None:
    half, losses = trained(tmp_path / "half", precision="bf16")
    again, _ = trained(tmp_path / "again", precision="bf16")
    _, exact = trained(tmp_path / "exact", precision="fp32")
    assert all(torch.equal(half[name], again[name]) for name in half)
    assert all(value.dtype != torch.bfloat16 for value in half.values())
    assert losses != exact
    assert losses == pytest.approx(exact, rel=0.05)


def test_lab_is_float32_whatever_the_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        L, ab = rgb_to_lab(torch.full((1, 2, 2, 3), 200, dtype=torch.uint8))
    assert L.dtype == ab.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.pipeline
def test_the_options_are_short_for_settings_and_keep_out_of_the_table(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    done = bench("run", "--method", "l2", "--data", "sample", "--precision", "bf16", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "in no table" in done.stdout
    (path,) = project.glob("runs/overrides-*/sample/tiny/l2/seed0.json")
    assert not (project / "results").exists()
    assert read_result(path).run.overrides == {"training.precision": "bf16"}
    assert (
        "'fp16' is not one of"
        in bench("run", "--method", "l2", "--data", "sample", "--precision", "fp16", cwd=project).stderr
    )
