"""The picture of `bench compare` shows rows of images with their names."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from data_files import picture
from PIL import Image

from benchmark.cli import main
from benchmark.data.prepared import Prepared
from benchmark.photographs.compare import GAP, draw, scores_text
from benchmark.results.currency import read_whole
from benchmark.support.montage import ABOVE, LEFT
from projects import TINY, make_project

SIZE = 32


def rows(*names: str) -> dict[str, np.ndarray]:
    return {name: np.full((3, 16, 16, 3), 40 * number + 40, np.uint8) for number, name in enumerate(names)}


def test_a_row_per_name_and_a_column_per_image() -> None:
    picture = draw(rows("gray", "l2"), SIZE)
    assert picture.size == (LEFT + 3 * (SIZE + GAP) - GAP, 2 * (SIZE + GAP) - GAP)
    assert [picture.getpixel((LEFT + 5, y)) for y in (5, SIZE + GAP + 5)] == [(40,) * 3, (80,) * 3]


def test_a_long_name_is_not_cut_off() -> None:
    picture = draw(rows("gan-perceptual-own-lambda-100"), SIZE)
    left = picture.width - 3 * (SIZE + GAP) + GAP
    assert left > LEFT
    label = np.asarray(picture.crop((0, 0, left, SIZE)).convert("L"))
    assert label[:, -2:].min() == 255, "the name reaches into the images"
    assert label.min() < 128


def test_the_terms_of_the_photographs_stand_below() -> None:
    bare, named = draw(rows("gray", "l2"), SIZE), draw(rows("gray", "l2"), SIZE, "sample: CC0")
    assert named.size == (bare.width, bare.height + ABOVE)
    below = np.asarray(named.crop((0, bare.height, named.width, named.height)).convert("L"))
    assert below.min() < 128
    assert draw(rows("gray"), SIZE, "x" * 100).width > bare.width


def test_small_images_are_enlarged_by_whole_pixels() -> None:
    checks = {"x": np.indices((16, 16)).sum(0)[None, ..., None].repeat(3, -1).astype(np.uint8) % 2 * 255}
    pixels = np.asarray(draw(checks, SIZE).crop((LEFT, 0, LEFT + SIZE, SIZE)))
    assert set(np.unique(pixels)) == {0, 255}
    assert Image.fromarray(pixels).getpixel((0, 0)) == Image.fromarray(pixels).getpixel((1, 1))


def test_scores_of_the_shown_images_are_told() -> None:
    shown = {"gray": picture(1, 32, 32)[None] // 2, "same": picture(1, 32, 32)[None], "truth": picture(1, 32, 32)[None]}
    lines = scores_text(shown).splitlines()
    assert lines[0].split() == ["PSNR", "↑", "SSIM", "↑", "AuC", "↑", "ΔE00", "↓", "CF"]
    assert [line.split()[0] for line in lines[2:5]] == ["gray", "same", "truth"]
    assert lines[3].split()[1:5] == ["100.00", "1.0000", "100.00", "0.00"]
    assert lines[4].split()[1:5] == ["–"] * 4
    assert lines[5].startswith("of these 1 images alone; ")


def test_before_training_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    done = CliRunner().invoke(main, ["compare", "--data", "sample", "--methods", "gray,l2", "-o", "picture.png"])
    assert done.exit_code == 2
    assert done.stderr == (
        "bench: error: gray on sample, preset tiny, seed 0 is not trained; "
        "run: bench run --method gray --data sample --preset tiny --seed 0\n"
    )
    assert not (tmp_path / "picture.png").exists()


def test_the_worst_images_of_the_first_method_come_worst_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_project(tmp_path, TINY | {"entries": {"gray": {}, "oracle-bins": {}}}))
    for name in ("gray", "oracle-bins"):
        assert CliRunner().invoke(main, ["run", "--method", name, "--data", "sample"]).exit_code == 0
    truth, orders = Prepared.open(tmp_path / "data/sample-tiny").images("test"), []
    for first, second in (("gray", "oracle-bins"), ("oracle-bins", "gray")):
        asked = ["compare", "--data", "sample", "--methods", f"{first},{second}", "--images", "12", "--size", "16"]
        done = CliRunner().invoke(main, [*asked, "--worst", "-o", "worst.png"])
        assert done.exit_code == 0, done.output
        psnr = read_whole(tmp_path / f"runs/results/sample/tiny/{first}/seed0.json").columns["psnr"]
        orders.append(np.argsort(psnr, kind="stable").tolist())
        bottom = np.asarray(Image.open("worst.png"))[3 * (16 + GAP) :][:16]  # the row of the truth
        shown = [bottom[:, LEFT + k * (16 + GAP) :][:, :16] for k in range(12)]
        assert np.array_equal(shown, truth[orders[-1]])
    assert orders[0] != orders[1], "a choice by the other method would have passed"
