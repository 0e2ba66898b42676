"""`bench score` takes images that another program colored through the same code into the same table."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.color import gray_of
from benchmark.data.prepared import Prepared
from projects import bench, make_project

pytestmark = pytest.mark.pipeline
DATA = ("--data", "sample")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("project"))
    done = bench("run", "--method", "gray", *DATA, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def prepared(project: Path) -> Prepared:
    return Prepared.open(project / "data/sample-tiny")


def write_images(folder: Path, images: np.ndarray, ids: list[str]) -> Path:
    for name, pixels in zip(ids, images, strict=True):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def result(project: Path, name: str) -> dict:
    return json.loads((project / f"runs/results/sample/tiny/{name}/seed0.json").read_text())


def test_the_truth_itself_scores_perfectly(project: Path, prepared: Prepared, tmp_path: Path) -> None:
    folder = write_images(tmp_path, prepared.images("test"), prepared.ids("test"))
    done = bench("score", str(folder), *DATA, "--name", "truth", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "truth (external)" in done.stdout
    metrics = result(project, "truth")["metrics"]
    perfect = {
        "psnr": 100,
        "ssim": 1,
        "auc": 100,
        "delta_e00": 0,
        "delta_colorfulness": 0,
        "mae_r": 0,
    }
    for name, value in perfect.items():
        assert metrics[name] == pytest.approx(value, abs=1e-4), name
    assert metrics["clipped"] is None
    assert metrics["auc_rebal"] is None
    assert "effective number of images" in result(project, "truth")["notes"]["auc_rebal"]
    assert metrics["fid"] is None
    assert "bench weights fetch inception" in result(project, "truth")["notes"]["fid"]


@pytest.mark.slow
def test_gray_copies_score_as_the_gray_row(project: Path, prepared: Prepared, tmp_path: Path) -> None:
    folder = write_images(tmp_path, gray_of(prepared.images("test")), prepared.ids("test"))
    assert bench("score", str(folder), *DATA, "--name", "graycopy", cwd=project).returncode == 0
    ours, theirs = result(project, "gray")["metrics"], result(project, "graycopy")["metrics"]
    assert {**theirs, "clipped": ours["clipped"]} == ours


def test_every_fault_is_listed_and_nothing_is_scored_until_told(
    project: Path, prepared: Prepared, tmp_path: Path
) -> None:
    ids = prepared.ids("test")
    folder = write_images(tmp_path, prepared.images("test")[:-2], ids[:-2])
    write_images(folder, prepared.images("test")[:1], ["stranger"])
    Image.new("RGB", (9, 7)).save(folder / f"{ids[0]}.png")
    (folder / f"{ids[1]}.png").write_bytes(b"not an image")
    done = bench("score", str(folder), *DATA, "--name", "partial", cwd=project)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for words in (
        f"2 missing: {ids[-2]}, {ids[-1]}",
        "1 not of this test split: stranger",
        "9×7 pixels, not 16×16",
        "unreadable",
        "Nothing was scored; --go-on scores the 8 that fit",
    ):
        assert words in done.stderr
    assert not (project / "runs/results/sample/tiny/partial").exists()
    told = bench("score", str(folder), *DATA, "--name", "partial", "--go-on", cwd=project)
    assert told.returncode == 0, told.stderr
    assert result(project, "partial")["images"] == 8
    assert "partial was scored on 8 of 12 images: not ranked" in told.stdout


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("cgan", True, "a method of the suite has this name"),
        ("a/b", True, "is not a legal name"),
        ("mine", False, "is not a folder"),
        ("mine", True, "holds no image"),
    ],
)
def test_bad_input_is_one_line(project: Path, tmp_path: Path, name: str, make: bool, words: str) -> None:
    folder = tmp_path / "images"
    if make:
        folder.mkdir()
    done = bench("score", str(folder), *DATA, "--name", name, cwd=project)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
