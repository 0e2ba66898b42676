"""`bench data …` prints, writes and exits as a user expects, with one line for each error."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from data_files import Few, encoded, gray_picture, photographs, picture, write_files
from PIL import Image

from benchmark.cli import main
from benchmark.contracts.dataset import SPLITS, Pixels
from benchmark.data.preparation.pictures import contact_sheet
from benchmark.data.preparation.prepare import prepare
from projects import TINY, make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, a folder of photographs in it, and no data set anywhere else."""
    preset = TINY["presets"]["tiny"]
    small = {**preset, "data": {**preset["data"], "folder": {"image_size": 16}}}
    folder = make_project(tmp_path / "project", {**TINY, "presets": {"tiny": small}})
    write_files(folder / "photos", {**photographs(19), "faded.png": encoded(gray_picture(), "PNG")})
    monkeypatch.chdir(folder)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return folder


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", *arguments])


def test_prepare_verify_and_show(project: Path) -> None:
    made = bench("prepare", "folder:photos")
    assert made.exit_code == 0, made.output
    assert "folder-photos-tiny: train 16, val 2, test 1 images; left out: 1 grayscale\n" in made.stdout
    assert bench("prepare", "folder:photos").stdout == f"up to date: {made.stdout}"
    verified = bench("verify", "folder:photos")
    assert verified.exit_code == 0
    assert [line.split()[0] for line in verified.stdout.splitlines()] == ["ok"] * 5
    shown = bench("show", "folder:photos")
    assert shown.exit_code == 0, shown.output
    facts = yaml.safe_load(shown.stdout)
    assert facts["licence"] == "that of the photographs' owners"
    assert facts["prepared"]["splits"]["test"]["left_out"]["grayscale"] == ["faded"]
    assert "split by hash" in facts["prepared"]["layout"]
    sheet = Image.open(project / "runs" / "data" / "folder-photos-tiny" / "contact_sheet.png")
    assert min(sheet.size) > 300


def test_json_says_what_the_text_says(project: Path) -> None:
    made = json.loads(bench("prepare", "folder:photos", "--json").stdout)
    assert made["up_to_date"] is False
    assert json.loads(bench("prepare", "folder:photos", "--json").stdout) == {**made, "up_to_date": True}
    assert {split: made["splits"][split]["images"] for split in SPLITS} == {"train": 16, "val": 2, "test": 1}
    assert made["splits"]["test"]["left_out"] == {"grayscale": ["faded"], "corrupt": {}}
    verified = json.loads(bench("verify", "folder:photos", "--json").stdout)
    assert verified["right"] is True
    assert set(verified["files"].values()) == {True}
    shown = json.loads(bench("show", "folder:photos", "--json").stdout)
    assert shown["prepared"] == {name: value for name, value in made.items() if name != "up_to_date"}
    assert all(Path(path).is_file() for path in shown["pictures"])
    assert json.loads(bench("show", "coco", "--json").stdout)["prepared"] is None
    listed = {each["name"]: each for each in json.loads(bench("list", "--json").stdout)}
    assert listed["folder"]["prepared"] == ["folder-photos-tiny"]
    assert listed["celeba"]["originals"] == "bench data fetch celeba"
    checked = json.loads(bench("check", "folder:photos", "--json").stdout)
    assert {verdict["check"]: verdict["passed"] for verdict in checked}["listing"] is True


def test_a_photograph_in_several_splits_is_told(project: Path) -> None:
    folder = write_files(project / "split", {f"train/{n}.jpg": data for n, data in photographs(5).items()})
    write_files(folder, {"test/copy.jpg": photographs(1)["000001.jpg"], "test/other.jpg": encoded(picture(99))})
    assert "in several splits: 1" in bench("prepare", "folder:split").stdout
    again = bench("verify", "folder:split")
    assert again.exit_code == 0
    assert "test/test/copy" in again.stdout.splitlines()[-1]
    assert again.stdout.splitlines()[-1].startswith("note  in several splits: ")
    assert "Photographs in more than one split: 1." in bench("show", "folder:split").stdout
    meta = project / "data" / "folder-split-tiny" / "meta.json"
    meta.write_text(meta.read_text().replace("test/test/copy", "test/test/other"))
    assert bench("verify", "folder:split").stdout.count("WRONG") == 1


def test_settings_and_corrupt_files(project: Path) -> None:
    (project / "photos" / "broken.jpg").write_bytes(b"nonsense")
    refused = bench("prepare", "folder:photos", "--set", "image_size=8")
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert "broken.jpg" in refused.stderr
    made = bench("prepare", "folder:photos", "--set", "image_size=8", "--skip-corrupt", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert "1 unreadable" in made.stdout
    assert "broken: not an image file" not in made.stdout
    shown = bench("show", "folder:photos", "--set", "image_size=8", "--out", "pictures")
    assert "not an image file" in shown.stdout
    assert yaml.safe_load(shown.stdout)["prepared"]["image_size"] == 8
    assert (project / "pictures" / "contact_sheet.png").is_file()


def test_list_says_what_is_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("prepare", "folder:photos")
    write_files(project / "elsewhere" / "coco", photographs(5))
    monkeypatch.setenv("BENCH_DATA", str(project / "elsewhere"))
    listed = bench("list")
    assert listed.exit_code == 0, listed.output
    lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
    assert "bench data fetch celeba" in lines["celeba"]
    assert "here" in lines["coco"]
    assert "folder-photos-tiny" in lines["folder"]
    assert "–" in lines["folder"]
    assert "here" in lines["sample"]


def test_verify_fails_where_something_is_wrong_or_nothing_is_there(project: Path) -> None:
    nothing = bench("verify", "folder:photos")
    assert nothing.exit_code == 1
    assert "nothing to verify" in nothing.stdout
    bench("prepare", "folder:photos")
    path = project / "data" / "folder-photos-tiny" / "train.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x99")
    wrong = bench("verify", "folder:photos")
    assert wrong.exit_code == 1
    assert "WRONG" in wrong.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("prepare", "celebra"), 2, "unknown data set 'celebra' (did you mean 'celeba'?)"),
        (("prepare", "folder"), 2, "which folder"),
        (("prepare", "folder:nowhere"), 1, "does not exist"),
        (("prepare", "coco"), 1, "bench data fetch coco"),
        (("prepare", "coco", "--root", "nowhere"), 2, "nowhere does not exist"),
        (("prepare", "sample", "--preset", "qick"), 2, "unknown preset 'qick'"),
        (("prepare", "sample", "--set", "image_sise=8"), 2, "image_size"),
        (("prepare", "sample", "--set", "image_size=2"), 2, "image_size"),
        (("fetch", "sample"), 1, "nothing to download"),
        (("fetch", "coco", "val2016.zip"), 2, "unknown file 'val2016.zip' (did you mean 'val2017.zip'?)"),
        (("fetch", "coco", "--mirror", "nonsense"), 2, "is no URL"),
        (("show", "cifar"), 2, "unknown data set 'cifar'"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], code: int, message: str, project: Path) -> None:
    result = bench(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.splitlines()[-1].startswith("bench: error:")
    assert "Traceback" not in result.output


def test_a_contact_sheet_shows_photographs_of_every_split(tmp_path: Path) -> None:
    red, green, blue = (
        Pixels(np.full((16, 16, 3), color, dtype=np.uint8)) for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))
    )
    prepared = prepare(Few({"train": [red] * 50, "val": [green], "test": [blue] * 2}), tmp_path / "out", quiet=True)
    sheet = np.asarray(Image.open(contact_sheet(prepared, tmp_path / "sheet.png")))
    counts = [int((sheet == color).all(-1).sum()) // 96**2 for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    assert counts == [36, 1, 2]
    assert sheet.shape[0] == 5 * 100 - 4  # the sheet has no empty rows


def test_many_classes_are_shortened(project: Path) -> None:
    names = {f"{split}/class{n:02d}/{split}.jpg": n for n in range(30) for split in ("train", "val", "test")}
    write_files(project / "classes", {name: encoded(picture(n)) for name, n in names.items()})
    bench("prepare", "folder:classes")
    shown = bench("show", "folder:classes").stdout
    assert "class19" in shown
    assert "class20" not in shown.partition("in_several_splits")[0]
    assert shown.count("… and 10 more") == 2
