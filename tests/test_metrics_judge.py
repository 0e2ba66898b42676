"""The judge is trained, saved, and recognised by its hash."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import benchmark.scoring.networks.judge
from benchmark.running.judge import make_judge, whiten
from benchmark.scoring.networks.judge import JUDGES, WHITENED, load_judge, read_judge
from benchmark.support.errors import BenchError
from benchmark.training.classifier import Recipe, vary

CPU = torch.device("cpu")


def colored_noise(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (N, 16, 16, 3) uint8 of three classes that differ only in color, and labels (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return (rng.normal(110, 30, (count, 16, 16, 3)) + 50 * np.eye(3)[labels][:, None, None]).clip(0, 255).astype(
        np.uint8
    ), labels


@pytest.fixture(scope="module")
def prepared() -> Any:
    splits = {name: colored_noise(count, seed) for seed, (name, count) in enumerate({"train": 320, "test": 90}.items())}
    splits["val"] = (np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.int64))
    return SimpleNamespace(
        meta=SimpleNamespace(name="noise", classes=["red", "green", "blue"]),
        images=lambda split: splits[split][0],
        labels=lambda split: splits[split][1],
        sha256={"train": "a" * 64},
    )


RECIPE = Recipe(epochs=3, batch_size=32, smoothing=0.2, shift=2, seed=0)


def make(prepared: Any, path: Path, recipe: Recipe = RECIPE) -> Path:
    return make_judge(prepared, path, recipe, CPU, lambda text: None, learning_rate=0.05)


@pytest.fixture(scope="module")
def trained(prepared: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(prepared, tmp_path_factory.mktemp("judge") / "judge-noise-v1.safetensors")


def test_a_judge_learns_colors_and_says_how(trained: Path) -> None:
    record = json.loads(trained.with_suffix(".json").read_text())
    assert record["accuracy"]["test"] > 80
    assert record["accuracy"]["val"] is None
    assert record["training"]["epochs"] == 3
    assert record["training"]["learning_rate"] == 0.05
    assert record["classes"] == ["red", "green", "blue"]
    assert record["command"] == "bench judge train noise --seed 0 --epochs 3"


def test_the_file_holds_the_very_judge_that_was_measured(prepared: Any, trained: Path) -> None:
    judge = read_judge(trained)
    record = json.loads(trained.with_suffix(".json").read_text())
    images = torch.from_numpy(prepared.images("test"))
    guesses = judge.classify(judge.features(images)).numpy()
    assert 100 * (guesses == prepared.labels("test")).mean() == pytest.approx(record["accuracy"]["test"], abs=0.01)
    assert record["sha256"] == judge.sha256
    assert record["bytes"] == trained.stat().st_size < 2_000_000
    assert judge.name == "judge-noise-v1"
    assert judge.features(images[:2]).shape == (2, judge.dimensions)


@pytest.mark.slow
def test_the_same_seed_makes_the_same_judge(prepared: Any, trained: Path, tmp_path: Path) -> None:
    again = make(prepared, tmp_path / "again.safetensors")
    assert again.read_bytes() == trained.read_bytes()
    other = make(prepared, tmp_path / "other.safetensors", replace(RECIPE, seed=1))
    assert other.read_bytes() != trained.read_bytes()


def test_another_file_is_not_the_judge_of_the_protocol(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / trained.name
    path.write_bytes(trained.read_bytes())
    monkeypatch.setattr(benchmark.scoring.networks.judge, "__file__", str(tmp_path / "judge.py"))
    monkeypatch.setitem(JUDGES, "noise", ("judge-noise-v1", read_judge(path).sha256))
    assert load_judge("noise") is not None
    monkeypatch.setitem(JUDGES, "noise", ("judge-noise-v1", "0" * 64))
    with pytest.raises(BenchError, match="is not the judge of the protocol"):
        load_judge("noise")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BenchError, match="is no judge's file"):
        load_judge("noise")
    assert load_judge("coco") is None


@pytest.mark.parametrize("data", JUDGES)
def test_a_committed_judge_is_the_one_that_its_record_describes(data: str) -> None:
    judge = load_judge(data)
    assert judge is not None
    path = Path(benchmark.scoring.networks.judge.__file__).with_name(f"{judge.name}.safetensors")
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["sha256"], record["data"]) == (judge.sha256, data)
    assert record["accuracy"]["test"] >= 85
    assert path.stat().st_size <= 2_000_000
    assert sum(parameter.numel() for parameter in judge.network.parameters()) == record["parameters"] < 1_000_000


def test_data_without_labels_have_no_judge(prepared: Any, tmp_path: Path) -> None:
    unlabelled = SimpleNamespace(**{**vars(prepared), "labels": lambda split: None})
    with pytest.raises(BenchError, match="noise has no labels"):
        make(unlabelled, tmp_path / "judge.safetensors")
    assert not list(tmp_path.iterdir())


def test_too_few_images_are_named(prepared: Any, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="320 training images do not fill one batch of 512"):
        make(prepared, tmp_path / "judge.safetensors", replace(RECIPE, batch_size=512))


def test_whitened_patches_are_uncorrelated() -> None:
    images = torch.from_numpy(colored_noise(50, 0)[0])
    layer = torch.nn.Conv2d(3, WHITENED, 2, bias=False)
    whiten(layer, images)
    responses = layer((images.permute(0, 3, 1, 2).float() - 120) / 64)[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(responses), torch.eye(12), atol=0.05, rtol=0)


def test_training_images_are_moved_and_mirrored_whole() -> None:
    image = torch.arange(5 * 6 * 3, dtype=torch.uint8).view(1, 5, 6, 3)
    seen = {bytes(one.numpy()) for one in vary(image.repeat(400, 1, 1, 1), 1, torch.Generator().manual_seed(0))}
    padded = np.pad(image[0].numpy(), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    moved = [padded[top : top + 5, left : left + 6] for top in range(3) for left in range(3)]
    assert seen == {bytes(np.ascontiguousarray(one)) for whole in moved for one in (whole, whole[:, ::-1])}
