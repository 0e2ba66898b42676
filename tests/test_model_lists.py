"""The committed list names the best model of each trained row, chosen on validation images alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_results import write_method

from benchmark.contracts.curves import Curves
from benchmark.results.tables import build
from benchmark.share.packing import Address, read_listed
from benchmark.support.errors import BenchError


def train(
    root: Path, method: str, last: Mapping[int, float | None], data: str = "cifar10", preset: str = "quick"
) -> None:
    """Writes a method whose trainings ended with these validation PSNRs (None: without a curve), one for each seed."""
    for seed, psnr in last.items():
        curves = (
            None
            if psnr is None
            else Curves(
                images=(8, 16), psnr=(25.0, psnr), colorfulness=(9.0, 9.0), colorfulness_truth=9.0, validation_images=64
            )
        )
        config = {"model_sha256": f"{seed}" * 64}
        write_method(root, method, 3.0 - seed, (seed,), curves=curves, config=config, data=data, preset=preset)


def listed(root: Path) -> str:
    build(root)
    path = root / "cifar10/quick/models.sha256"
    return path.read_text() if path.is_file() else ""


def test_validation_chooses_the_seed_and_not_the_test_split(tmp_path: Path) -> None:
    train(tmp_path, "l2", {0: 23.0, 1: 24.0, 2: 23.5})  # seed 0 has the highest PSNR of the test split
    train(tmp_path, "cgan", {1: 24.0, 2: 24.0})  # alike
    train(tmp_path, "eccv16", {0: None})
    write_method(tmp_path, "gray", seeds=(0,), role="floor")
    write_method(tmp_path, "theirs", seeds=(0,), external=True)
    lines = [
        f"{seed * 64}  cifar10/quick/{name}/seed{seed}/model.safetensors\n"
        for name, seed in (("cgan", "1"), ("l2", "1"))
    ]
    assert listed(tmp_path) == "".join(lines)
    assert read_listed(tmp_path) == {Address("cifar10", "quick", name, 1): "1" * 64 for name in ("cgan", "l2")}


def test_the_list_is_checked_and_goes_with_the_models(tmp_path: Path) -> None:
    train(tmp_path, "l2", {0: 23.0})
    assert listed(tmp_path)
    path = tmp_path / "cifar10/quick/models.sha256"
    once = path.read_text()
    path.write_text("edited")
    assert [one.name for one in build(tmp_path, check=True).stale] == ["models.sha256"]
    with pytest.raises(BenchError, match=r"models\.sha256: 'edited' is no line of this list; run: bench leaderboard"):
        read_listed(tmp_path)
    for twice_or_outside in (once * 2, f"{'0' * 64}  ../../x/seed0/model.safetensors\n", "0" * 64 + "  quick\n"):
        path.write_text(twice_or_outside)
        with pytest.raises(BenchError, match="is no line of this list"):
            read_listed(tmp_path)
    train(tmp_path, "l2", {0: None})
    assert listed(tmp_path) == ""
    assert not path.exists()


def test_a_transfer_and_own_results_have_no_list(tmp_path: Path) -> None:
    train(tmp_path, "l2", {0: 23.0}, data="kodak", preset="transfer-cifar10-quick")
    train(tmp_path / "own", "l2", {0: 23.0})
    build(tmp_path)
    build(tmp_path / "own", references=tmp_path)
    assert not list(tmp_path.rglob("models.sha256"))
