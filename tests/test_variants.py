"""Other papers' evaluation codes give what a plain re-statement of each gives, and stand side by side."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from benchmark.paper.variants import pieces
from benchmark.paper.variants.codes import CODES, Code, Column
from benchmark.paper.variants.score import pairs_of, score_as, side_by_side
from benchmark.support.errors import InputError
from projects import bench, make_project

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return data.astronaut()[20:116, 150:262].copy()  # 96 high, 112 wide


@pytest.fixture(scope="module")
def output(truth: np.ndarray) -> np.ndarray:
    lab = rgb2lab(truth)
    lab[..., 1:] *= 0.4
    return (lab2rgb(lab) * 255).round().astype(np.uint8)


# The codes, re-stated plainly -----------------------------------------------------------------------------------------


def plain_psnr(first: np.ndarray, second: np.ndarray) -> float:
    squares = [(float(a) - float(b)) ** 2 for a, b in zip(first.ravel(), second.ravel(), strict=True)]
    return 20 * math.log10(255 / math.sqrt(sum(squares) / len(squares)))


def plain_ssim(first: np.ndarray, second: np.ndarray, window: np.ndarray, level: float, sample: bool) -> float:
    """Computes SSIM of one channel, window by window; `sample`: covariance with n - 1."""
    size = len(window)
    count = size * size
    factor = count / (count - 1) if sample else 1.0
    c1, c2 = (0.01 * level) ** 2, (0.03 * level) ** 2
    x, y = (sliding_window_view(one.astype(float), (size, size)) for one in (first, second))
    mean_x, mean_y = (x * window).sum((-1, -2)), (y * window).sum((-1, -2))
    var_x = factor * ((x * x * window).sum((-1, -2)) - mean_x**2)
    var_y = factor * ((y * y * window).sum((-1, -2)) - mean_y**2)
    both = factor * ((x * y * window).sum((-1, -2)) - mean_x * mean_y)
    ssim = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(ssim.mean())


def plain_colorfulness(image: np.ndarray) -> float:
    red, green, blue = (image[..., k].astype(float) for k in range(3))
    rg, yb = abs(red - green), abs(0.5 * (red + green) - blue)
    return math.sqrt(rg.std() ** 2 + yb.std() ** 2) + 0.3 * math.sqrt(rg.mean() ** 2 + yb.mean() ** 2)


def gaussian_window() -> np.ndarray:
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def test_ddcolor(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    def squashed(image: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
        resized = torch.nn.functional.interpolate(tensor, (256, 256), mode="bilinear", align_corners=False)
        return resized[0].permute(1, 2, 0).numpy().round().astype(np.uint8)

    first, second = squashed(output), squashed(truth)
    found = scores("ddcolor", [output], [truth], tmp_path)
    assert found["psnr"] == pytest.approx(plain_psnr(first[4:-4, 4:-4], second[4:-4, 4:-4]), abs=1e-3)
    window = gaussian_window()
    channels = [plain_ssim(first[..., k], second[..., k], window, 255, sample=False) for k in range(3)]
    assert found["ssim"] == pytest.approx(np.mean(channels), abs=1e-4)
    assert found["cf"] == pytest.approx(plain_colorfulness(first), rel=1e-3)
    assert found["delta_cf"] == pytest.approx(abs(plain_colorfulness(first) - plain_colorfulness(second)), rel=1e-2)
    assert found["fid"] is None


def test_ct2(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    found = scores("ct2", [output], [truth], tmp_path)
    converted = (255 * np.clip(lab2rgb(rgb2lab(truth).astype(np.float32)), 0, 1)).astype(np.uint8)
    assert (converted != truth).any()
    assert found["psnr"] == pytest.approx(plain_psnr(output, truth))
    assert found["psnr_convert"] == pytest.approx(plain_psnr(output, converted))
    window = np.full((7, 7), 1 / 49)
    for name, reference in (("ssim", truth), ("ssim_convert", converted)):
        channels = [plain_ssim(output[..., k], reference[..., k], window, 225, sample=True) for k in range(3)]
        assert found[name] == pytest.approx(np.mean(channels), abs=1e-6)
    assert found["cf"] == pytest.approx(plain_colorfulness(output))


def test_colorformer_leaves_out_exact_matches_and_grays(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    gray = np.repeat(truth[..., :1], 3, axis=2)
    found = scores("colorformer", [output, truth, gray], [truth, truth, truth], tmp_path)
    assert found["psnr"] == pytest.approx((plain_psnr(output, truth) + plain_psnr(gray, truth)) / 2)
    assert found["cf"] == pytest.approx((plain_colorfulness(output) + plain_colorfulness(truth)) / 2)


def test_unicolor_drops_what_is_after_the_last_hundred(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    def squashed(image: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize((256, 256), how))

    first, second = (squashed(image, Image.Resampling.BILINEAR) for image in (output, truth))
    found = scores("unicolor", [output], [truth], tmp_path)
    assert found["psnr"] == pytest.approx(plain_psnr(first, second))
    assert found["cf"] == pytest.approx(plain_colorfulness(squashed(output, Image.Resampling.BICUBIC)))
    assert found["ssim"] is None  # there are no hundred images
    pool = CODES["unicolor"].columns["ssim"].pool
    assert pool(np.array([0.5] * 200 + [0.0] * 99)) == 0.5
    window = gaussian_window()
    channels = [plain_ssim(first[..., k], second[..., k], window, 255, sample=False) for k in range(3)]
    assert pieces.ssim_gaussian(first, second) == pytest.approx(np.mean(channels), abs=1e-6)


def test_chromagan(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    error = rgb2lab(output)[..., 1:] - rgb2lab(truth)[..., 1:]
    expected = 10 * math.log10(255**2 / float((error**2).mean()))
    assert scores("chromagan", [output], [truth], tmp_path)["psnr"] == pytest.approx(expected)


def scores(code: str, outputs: list[np.ndarray], truths: list[np.ndarray], folder: Path) -> dict[str, float | None]:
    pairs = pairs_of(written(folder / "outputs", outputs), written(folder / "truths", truths))
    return {name: score.value for name, score in score_as([code], pairs, CPU)[code].items()}


def written(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{k:03}.png")
    return folder


# Folders --------------------------------------------------------------------------------------------------------------


def test_a_code_that_needs_one_size_has_no_value_for_two(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    small = np.asarray(Image.fromarray(output).resize((64, 64)))
    pairs = pairs_of(written(tmp_path / "outputs", [small]), written(tmp_path / "truths", [truth]))
    found = score_as(list(CODES), pairs, CPU)
    assert found["ct2"]["psnr"].value is None
    assert found["ct2"]["psnr"].says == "output and truth differ in size"
    assert found["colorbench"]["psnr"].value is None
    assert found["unicolor"]["psnr"].value is not None
    text = side_by_side(found)
    assert text.splitlines()[-1].startswith("| between them")


def test_what_several_columns_share_is_computed_once(
    output: np.ndarray, truth: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, measures = [], []

    def half(picture: np.ndarray) -> np.ndarray:
        fits.append(picture)
        return picture[::2]

    def levels(first: np.ndarray, second: np.ndarray) -> float:
        measures.append(len(first))
        return float(first.mean())

    columns = {
        "a": Column("", levels, fit=half),
        "b": Column("", levels, fit=half),
        "c": Column("", levels),
        "d": Column("", levels, fit_truth=pieces.through_lab),
    }
    monkeypatch.setattr("benchmark.paper.variants.score.CODES", {"x": Code("", columns), "y": Code("", columns)})
    pairs = pairs_of(written(tmp_path / "outputs", [output]), written(tmp_path / "truths", [truth]))
    score_as(["x", "y"], pairs, CPU)
    assert len(fits) == 2  # output and truth
    assert measures == [48, 96, 96]


def test_the_suites_own_columns_stand_beside(output: np.ndarray, truth: np.ndarray, tmp_path: Path) -> None:
    found = scores("colorbench", [output, truth], [truth, output], tmp_path)
    assert found["psnr"] == pytest.approx(plain_psnr(output, truth), abs=1e-4)
    assert found["auc_rebal"] is None  # no training split to weigh by
    assert found["delta_cf"] == pytest.approx(0, abs=1e-5)


def test_missing_outputs_and_unknown_codes_are_named(truth: np.ndarray, tmp_path: Path) -> None:
    outputs, truths = written(tmp_path / "outputs", [truth]), written(tmp_path / "truths", [truth, truth])
    with pytest.raises(InputError, match=r"lacks 1 of 2 images, 001 first"):
        pairs_of(outputs, truths)
    with pytest.raises(InputError, match="is not a folder"):
        pairs_of(tmp_path / "nowhere", truths)
    with pytest.raises(InputError, match=r"unknown evaluation code 'ddcolour'.*ddcolor"):
        score_as(["ddcolour"], pairs_of(truths, truths), CPU)


@pytest.mark.pipeline
def test_the_commands(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    assert bench("data", "prepare", "sample", cwd=project).returncode == 0
    from benchmark.data.prepared import Prepared

    prepared = Prepared.open(project / "data/sample-tiny")
    for name, image in zip(prepared.ids("test"), prepared.images("test"), strict=True):
        path = tmp_path / "same" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    done = bench("score", str(tmp_path / "same"), "--data", "sample", "--as", "ddcolor", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "| `psnr`" in done.stdout or "| psnr" in done.stdout
    assert "piddnad/DDColor" in done.stdout
    done = bench("variants", str(tmp_path / "same"), "--data", "sample", cwd=project)
    assert done.returncode == 0, done.stderr
    assert all(code in done.stdout for code in CODES)
    done = bench("score", str(tmp_path / "same"), "--data", "sample", cwd=project)
    assert done.returncode == 2
    assert "--name" in done.stderr
