"""The command line works from end to end on tiny tiles: runs, up-to-date checks, tables, and bad input."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import PROTOCOL
from projects import bench, make_project, make_run_project

pytestmark = pytest.mark.pipeline

CGAN = ("--method", "cgan", "--data", "sample")
RESULT = Path("runs/results/sample/tiny/cgan/seed0.json")
MODEL = Path("models/sample/tiny/cgan/seed0/model.safetensors")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which gray and cgan have been run."""
    return make_run_project(tmp_path_factory.mktemp("project"), "gray", "cgan")


def test_a_run_prints_its_row_and_where_everything_lies(project: Path) -> None:
    done = bench("run", *CGAN, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "> cgan" in done.stdout
    assert "gray" in done.stdout
    assert "trained already" in done.stderr  # the second run does nothing again
    assert "scored already" in done.stderr
    picture = next(line.rpartition(": ")[2] for line in done.stdout.splitlines() if line.startswith("picture"))
    height, width, _ = np.asarray(Image.open(picture)).shape
    assert (height, width) == (3 * 16 + 4, 8 * 16 + 14)
    assert (project / RESULT).is_file()
    assert (project / MODEL).is_file()


def test_the_result_says_where_it_comes_from(project: Path) -> None:
    result = json.loads((project / RESULT).read_text())
    origin = result["provenance"]
    assert result["protocol"] == PROTOCOL
    assert result["status"] == "ok"
    assert {"psnr", "ssim", "auc"} <= result["metrics"].keys()
    assert result["images"] == 12
    assert origin["config"]["training"]["steps"] == 6
    assert origin["packages"]["torch"]
    assert len(origin["data_sha256"]["test"]) == 64
    assert result["cost"]["parameters"] > 0
    assert result["cost"]["macs"] > 0
    assert result["cost"]["train_seconds"] > 0


def test_the_history_and_the_pictures_show_how_it_went(project: Path) -> None:
    lines = (project / MODEL.parent / "history.csv").read_text().splitlines()
    columns = lines[0].split(",")
    assert {"step", "phase", "generator_loss", "discriminator_loss", "val_psnr", "val_auc"} <= set(columns)
    run = next((project / "runs").glob("sample-tiny-cgan-*"))
    assert sorted(path.name for path in (run / "pictures").iterdir()) == ["step0000003.png", "step0000006.png"]
    assert list((run / "tensorboard").iterdir())
    assert not list(run.glob("checkpoint*"))


def test_the_same_command_elsewhere_gives_the_same_numbers_and_the_same_model(project: Path, tmp_path: Path) -> None:
    other = make_project(tmp_path / "other")
    assert bench("run", *CGAN, cwd=other).returncode == 0
    first, second = (json.loads((folder / RESULT).read_text()) for folder in (project, other))
    assert first["metrics"] == second["metrics"]
    assert first["per_image"] == second["per_image"]
    assert (project / MODEL).read_bytes() == (other / MODEL).read_bytes()


def test_tables_are_regenerated_byte_for_byte_and_checked(project: Path) -> None:
    table = project / "runs/results/sample/tiny/leaderboard.md"
    before = table.read_bytes()
    assert bench("leaderboard", "--own", cwd=project).returncode == 0
    assert table.read_bytes() == before
    assert bench("leaderboard", "--own", "--check", cwd=project).returncode == 0
    table.write_bytes(before + b"forged\n")
    done = bench("leaderboard", "--own", "--check", cwd=project)
    assert done.returncode == 1
    assert "leaderboard.md" in done.stderr
    assert bench("leaderboard", "--own", cwd=project).returncode == 0
    assert table.read_bytes() == before


def test_list_shows_everything_by_name(project: Path) -> None:
    done = bench("list", cwd=project)
    assert done.returncode == 0, done.stderr
    for word in ("cgan", "gray", "cifar10", "sample-tiny", "psnr", "inception", "missing"):
        assert word in done.stdout
    found = json.loads(bench("list", "--json", cwd=project).stdout)
    assert {"methods", "data", "presets", "metrics", "weights"} <= found.keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--method", "cgn", "--data", "sample"), "unknown method 'cgn' (did you mean 'cgan'?); legal:"),
        (("run", "--method", "cgan", "--data", "cifar"), "unknown data set 'cifar' (did you mean 'cifar10'?)"),
        (("run", *CGAN, "--preset", "tinny"), "unknown preset 'tinny' (did you mean 'tiny'?); legal: tiny"),
        (("run", *CGAN, "--set", "lamda=3"), "unknown key of --set 'lamda'"),
        (("run", *CGAN, "--set", "steps=many"), "steps: Input should be a valid integer"),
        (("leaderboard", "--own", "--data", "celebb"), "unknown data set with results 'celebb'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(project: Path, arguments: tuple[str, ...], words: str) -> None:
    done = bench(*arguments, cwd=project)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(project: Path) -> None:
    done = bench("--debug", "run", "--method", "cgn", "--data", "sample", cwd=project)
    assert "Traceback" in done.stderr


def test_data_that_is_not_there_is_one_line_that_says_what_to_do(project: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {**os.environ, "BENCH_DATA": str(empty)}
    done = bench("run", "--method", "l2", "--data", "cifar10", cwd=project, env=env)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "cifar-10" in done.stderr
    assert "bench data fetch cifar10" in done.stderr


def test_a_damaged_model_is_trained_again_and_a_damaged_result_measured_again(project: Path) -> None:
    model, result = project / MODEL, project / RESULT
    whole, numbers = model.read_bytes(), json.loads(result.read_text())["metrics"]
    model.write_bytes(whole[:-100])
    result.write_text(result.read_text()[:-50])
    done = bench("run", *CGAN, cwd=project)
    assert done.returncode == 0, done.stderr
    assert model.read_bytes() == whole
    assert json.loads(result.read_text())["metrics"] == numbers


def test_outside_a_project_it_says_so(tmp_path: Path) -> None:
    done = bench("list", cwd=tmp_path)
    assert done.returncode == 2
    assert "no params.yaml in" in done.stderr
