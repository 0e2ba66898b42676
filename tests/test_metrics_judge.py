"""The judge: training, its file, and which one it is."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import benchmark.scoring.networks.judge
from benchmark.scoring.networks.judge import (
    JUDGES,
    JudgeNetwork,
    JudgeTraining,
    _vary,
    _whiten,
    load_judge,
    read_judge,
    train_judge,
    write_judge,
)
from benchmark.support.errors import BenchError

CPU = torch.device("cpu")


def colored_noise(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of three classes, told apart by their color only: (N, 16, 16, 3) uint8, (N,)."""
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


@pytest.fixture(scope="module")
def trained(prepared: Any) -> tuple[JudgeNetwork, dict[str, Any]]:
    return train_judge(prepared, device=CPU, training=JudgeTraining(epochs=3, batch_size=32, learning_rate=0.05))


def test_a_judge_learns_colors_and_says_how(trained: tuple[JudgeNetwork, dict[str, Any]]) -> None:
    _, record = trained
    assert record["accuracy"]["test"] > 80
    assert record["accuracy"]["val"] is None
    assert record["training"]["epochs"] == 3
    assert record["classes"] == ["red", "green", "blue"]


def test_the_file_holds_the_very_judge_that_was_measured(
    prepared: Any, trained: tuple[JudgeNetwork, dict[str, Any]], tmp_path: Path
) -> None:
    network, record = trained
    path = write_judge(tmp_path / "judge-noise-v1.safetensors", network, record)
    judge = read_judge(path)
    images = torch.from_numpy(prepared.images("test"))
    guesses = judge.classify(judge.features(images)).numpy()
    assert 100 * (guesses == prepared.labels("test")).mean() == pytest.approx(record["accuracy"]["test"], abs=0.01)
    written = json.loads(path.with_suffix(".json").read_text())
    assert written["sha256"] == judge.sha256
    assert written["bytes"] == path.stat().st_size < 2_000_000
    assert judge.name == "judge-noise-v1"
    assert judge.features(images[:2]).shape == (2, judge.dimensions)


def test_another_file_is_not_the_judge_of_the_protocol(
    trained: tuple[JudgeNetwork, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_judge(tmp_path / "judge-noise-v1.safetensors", *trained)
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


def test_data_without_labels_have_no_judge(prepared: Any) -> None:
    unlabelled = SimpleNamespace(**{**vars(prepared), "labels": lambda split: None})
    with pytest.raises(BenchError, match="noise has no labels"):
        train_judge(unlabelled, device=CPU)  # type: ignore[arg-type]


def test_too_few_images_are_named(prepared: Any) -> None:
    with pytest.raises(BenchError, match="320 training images do not fill one batch of 512"):
        train_judge(prepared, device=CPU, training=JudgeTraining(batch_size=512))


def test_whitened_patches_are_uncorrelated() -> None:
    images = torch.from_numpy(colored_noise(50, 0)[0])
    layer = torch.nn.Conv2d(3, benchmark.scoring.networks.judge.WHITENED, 2, bias=False)
    _whiten(layer, images)
    responses = layer((images.permute(0, 3, 1, 2).float() - 120) / 64)[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(responses), torch.eye(12), atol=0.05, rtol=0)


def test_training_images_are_moved_and_mirrored_whole() -> None:
    image = torch.arange(5 * 6 * 3, dtype=torch.uint8).view(1, 5, 6, 3)
    seen = {bytes(one.numpy()) for one in _vary(image.repeat(400, 1, 1, 1), 1, torch.Generator().manual_seed(0))}
    padded = np.pad(image[0].numpy(), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    moved = [padded[top : top + 5, left : left + 6] for top in range(3) for left in range(3)]
    assert seen == {bytes(np.ascontiguousarray(one)) for whole in moved for one in (whole, whole[:, ::-1])}
