"""bf16 and torch.compile change the arithmetic of a training, but never what is trained."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark.contracts.method import Method
from benchmark.contracts.registry import load_method
from benchmark.contracts.result import read_result
from benchmark.data.color import rgb_to_lab
from benchmark.running.conformance import build, make_trainer
from projects import bench, make_project


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
