"""Optional metrics equal their libraries and definitions, and leave everything else alone unless they are asked for."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lpips
import numpy as np
import pytest
import torch
import torchvision
from click.testing import CliRunner
from torch import Tensor, nn

from benchmark.cli import main, options
from benchmark.contracts.result import read_result
from benchmark.results.tables import build_table
from benchmark.scoring.metrics import METRICS, optional, sets, usual
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.optional import JudgeCoverage, LpipsVgg, precision_and_recall
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.metrics.sets import Source
from benchmark.support import weights
from benchmark.support.errors import BenchError, InputError
from projects import bench, make_project

CPU = torch.device("cpu")
GRAY = ("--method", "gray", "--data", "sample")
OPTIONAL = ("lpips_vgg", "precision_judge", "recall_judge")


def images(seed: int, count: int = 3, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)


# Off by default -----------------------------------------------------------------------------------------------------


def test_they_are_measured_only_when_asked_for() -> None:
    assert {name for name, metric in METRICS.items() if metric.optional} == set(OPTIONAL)
    assert not set(usual()) & set(OPTIONAL)
    assert usual(["recall_judge"]) == (*usual(), "recall_judge")
    scorer = Scorer(device=CPU)
    assert tuple(metric.name for metric in scorer.metrics) == usual()
    assert scorer.compute().values.keys() == set(usual())


@pytest.mark.parametrize("name", ["lpips_vg", "psnr"])
def test_what_is_no_optional_metric_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown optional metric '{name}'.*legal: {', '.join(OPTIONAL)}"):
        usual([name])


def test_without_weights_or_judge_they_say_why() -> None:
    scorer = Scorer(device=CPU, metrics=OPTIONAL)
    scorer.update(images(0), images(1))
    assert scorer.compute().notes == {
        "lpips_vgg": "n/a (VGG-16 weights missing: bench weights fetch vgg16)",
        "precision_judge": "n/a (the data set has no judge)",
        "recall_judge": "n/a (the data set has no judge)",
    }


# LPIPS, with random weights of VGG-16's convolutions ----------------------------------------------------------------


def test_lpips_vgg_equals_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            layer.bias = nn.Parameter(0.1 * torch.randn_like(layer.weight[:, 0, 0, 0]))
    torch.save(nn.ModuleDict({"features": layers}).state_dict(), tmp_path / "vgg16.pth")
    # The package makes the whole network and takes its convolutions; the rest would be nine tenths of the time.
    monkeypatch.setattr(torchvision.models, "vgg16", lambda pretrained: SimpleNamespace(features=layers))
    reference = lpips.LPIPS(net="vgg", verbose=False)
    other = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    monkeypatch.setattr(torchvision.models, "vgg16", lambda pretrained: SimpleNamespace(features=other))
    monkeypatch.setattr(weights, "path", lambda name: tmp_path / f"{name}.pth")
    first, second = images(0), images(1)
    metric = LpipsVgg(Source(CPU))
    metric.update(Pair(first[:2], second[:2]))
    metric.update(Pair(first[2:], first[2:]))
    found = metric.compute().per_image["lpips_vgg"]
    expected = [reference(*(lpips.im2tensor(one[k].numpy()) for one in (first, second))).item() for k in range(2)]
    np.testing.assert_allclose(found, [*expected, 0], rtol=1e-4)
    assert min(expected) > 0.01


# Precision and recall -----------------------------------------------------------------------------------------------


def by_definition(outputs: np.ndarray, truths: np.ndarray) -> tuple[float, float]:
    def share(points: np.ndarray, centers: np.ndarray) -> float:
        radii = [np.sort(np.linalg.norm(centers - center, axis=1))[3] for center in centers]  # the 0th is itself
        inside = [(np.linalg.norm(centers - point, axis=1) <= radii).any() for point in points]
        return 100 * float(np.mean(inside))

    return share(outputs, truths), share(truths, outputs)


@pytest.mark.parametrize("rows", [2000, 7])
def test_precision_and_recall_equal_their_definition(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "_ROWS", rows)
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 0.6, (40, 5)), rng.normal(0, 1, (60, 5))
    found = precision_and_recall(torch.from_numpy(narrow), torch.from_numpy(wide))
    assert found == pytest.approx(by_definition(narrow, wide))
    assert found[0] > found[1] > 0  # few colors, all of them likely
    assert precision_and_recall(torch.from_numpy(wide), torch.from_numpy(wide)) == (100, 100)
    assert precision_and_recall(torch.from_numpy(narrow), torch.from_numpy(wide + 100)) == (0, 0)


def test_without_the_library_they_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.metric_prc", None)
    with pytest.raises(BenchError, match=r"torch-fidelity, which is not installed: pip install -e '\.\[metrics\]'"):
        precision_and_recall(torch.zeros(4, 1), torch.zeros(4, 1))


class Means:
    """A judge whose features are an image's mean color."""

    name, sha256, dimensions, batch_sizes = "means", "0" * 64, 3, (4, 4)

    def features(self, batch: Tensor) -> Tensor:
        return batch.float().mean(dim=(1, 2))


def test_the_judge_decides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "load_judge", lambda name, device: Means() if name == "known" else None)
    known: Any = SimpleNamespace(meta=SimpleNamespace(name="known"))
    unknown: Any = SimpleNamespace(meta=SimpleNamespace(name="other"))
    with pytest.raises(NotAvailable, match="no judge"):
        JudgeCoverage(Source(CPU, unknown))
    monkeypatch.setattr(Source, "reference", None)
    outputs, truths = images(0, 30, 4), images(1, 30, 4)
    metric = JudgeCoverage(Source(CPU, known))
    for start in range(0, 30, 7):
        metric.update(Pair(outputs[start : start + 7], truths[start : start + 7]))
    few = metric.compute()
    assert few.values == {}
    assert few.notes["recall_judge"] == "30 images, fewer than 1,000"
    monkeypatch.setattr(sets, "FRECHET_IMAGES", 30)
    found, features = metric.compute(), [Means().features(one).double().numpy() for one in (outputs, truths)]
    assert tuple(found.values.values()) == pytest.approx(by_definition(*features))
    floor = precision_and_recall(*sets.halves(Means().features(truths)))
    assert found.notes["precision_judge"] == f"N = 30; means; two halves of the truth: {floor[0]:.1f} %"
    assert found.notes["recall_judge"] == f"N = 30; means; two halves of the truth: {floor[1]:.1f} %"
    part = np.arange(5, 20)
    assert tuple(metric.of(part).values()) == pytest.approx(by_definition(*(one[part] for one in features)))


def test_without_the_library_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    done = CliRunner().invoke(main, ["run", *GRAY, "--also", "recall_judge"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "--also recall_judge: it needs torch-fidelity" in done.stderr
    assert not (tmp_path / "data").exists()


# From the command line to the table ---------------------------------------------------------------------------------


@pytest.mark.pipeline
def test_a_run_measures_them_when_asked(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    folder = project / "runs/results/sample/tiny"

    def metrics() -> dict[str, Any]:
        return dict(json.loads((folder / "gray/seed0.json").read_text())["metrics"])

    refused = bench("run", *GRAY, "--also", "lpips_vg", cwd=project)
    assert refused.returncode == 2
    assert "unknown optional metric 'lpips_vg' (did you mean 'lpips_vgg'?)" in refused.stderr
    usually = bench("run", *GRAY, cwd=project)
    assert usually.returncode == 0, usually.stderr
    assert not metrics().keys() & set(OPTIONAL)
    assert not build_table(folder).absent.keys() & set(OPTIONAL)
    asked = bench("evaluate", *GRAY, "--also", "lpips_vgg", cwd=project)
    assert "scored again: lpips_vgg asked for" in asked.stderr
    run = read_result(folder / "gray/seed0.json").run
    assert run.command.endswith("--seed 0 --also lpips_vgg")
    assert metrics()["lpips_vgg"] is None
    table = build_table(folder)
    assert table.absent["lpips_vgg"] == "n/a (VGG-16 weights missing: bench weights fetch vgg16)"
    assert "recall_judge" not in table.absent
    for also in (["--also", "lpips_vgg"], []):
        assert "scored already" in bench("evaluate", *GRAY, *also, cwd=project).stderr
