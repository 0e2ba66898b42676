"""A method's predictions are checked before they are scored or shown."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from benchmark.contracts.method import Method
from benchmark.photographs.app import color_upload
from benchmark.photographs.colorizer import Colorizer
from benchmark.running.conformance import tiny_images, tiny_info
from benchmark.running.stages import evaluation
from benchmark.scoring.evaluate import Evaluation, colorize, evaluate
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.prediction import BadPrediction
from benchmark.support.errors import BenchError, InputError

CPU = torch.device("cpu")
IMAGES, IDS = 6, [f"photo-{k}" for k in range(6)]


class Painter(Method):
    """A method that predicts what a test tells it to."""

    name = "painter"

    def __init__(self, paint: Callable[[Tensor], Any]) -> None:
        super().__init__(None, tiny_info())
        self.colorizer = nn.Identity()
        self.paint = paint
        self.asked = 0

    def predict_ab(self, L: Tensor) -> Tensor:
        self.asked += len(L)
        return self.paint(L)


def plain(L: Tensor) -> Tensor:
    return torch.cat([L, 50 - L], dim=1)[..., ::2, ::2]


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    """Returns a prediction with this value in one pixel of the brightest image."""

    def paint(L: Tensor) -> Tensor:
        ab = plain(L)
        ab[(L.mean(dim=(1, 2, 3)) == BRIGHTEST).nonzero()[:, 0], 1, 3, 4] = value
        return ab

    return paint


PHOTOGRAPHS = tiny_images(IMAGES)
PHOTOGRAPHS[4] = 250
BRIGHTEST = colorize(Painter(plain), torch.from_numpy(PHOTOGRAPHS)).target_lab[0].mean(dim=(1, 2, 3)).max()


def score(paint: Callable[[Tensor], Any], images: np.ndarray = PHOTOGRAPHS) -> Evaluation:
    scorer = Scorer(device=CPU, metrics=["psnr"])
    return evaluate(Painter(paint), images, scorer=scorer, device=CPU, ids=[f"photo-{k}" for k in range(len(images))])


@pytest.mark.parametrize(
    ("paint", "message"),
    [
        (with_value(float("nan")), "painter gives colors that are not finite for image photo-4; run: bench check"),
        (with_value(float("-inf")), "painter gives colors that are not finite for image photo-4"),
        (lambda L: plain(L).double() * 1e300, "painter gives colors that are not finite for image photo-0"),
        (lambda L: plain(L).round().long(), "painter gives colors of type torch.int64, .* for image photo-0"),
        (lambda L: plain(L) > 0, "painter gives colors of type torch.bool"),
        (lambda L: plain(L)[:, :1], r"colors of shape \(1, 1, 16, 16\), not \(1, 2, h, w\) for image photo-0"),
        (lambda L: torch.cat([plain(L), plain(L)]), r"colors of shape \(2, 2, 16, 16\), not \(1, 2, h, w\)"),
        (lambda L: plain(L)[0], r"colors of shape \(2, 16, 16\)"),
        (lambda L: plain(L)[..., :0], r"colors of shape \(1, 2, 16, 0\)"),
    ],
    ids=["nan", "infinite", "too large", "integer", "boolean", "channels", "batch", "rank", "empty"],
)
def test_what_are_no_colors_is_not_scored(paint: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(BadPrediction, match=message):
        score(paint)


def test_a_method_that_changes_its_input_changes_neither_output_nor_truth() -> None:
    rgb = torch.from_numpy(PHOTOGRAPHS)
    expected = colorize(Painter(lambda L: plain(L)), rgb)
    found = colorize(Painter(lambda L: (plain(L), L.mul_(0.5))[0]), rgb)
    assert torch.equal(found.predicted, expected.predicted)
    assert torch.equal(found.target_lab[0], expected.target_lab[0])


def noise(size: float) -> Callable[[Tensor], Tensor]:
    return lambda L: plain(L) + size * torch.rand_like(plain(L))


def drifting() -> Callable[[Tensor], Tensor]:
    state = {"calls": 0}

    def paint(L: Tensor) -> Tensor:
        state["calls"] += 1
        return plain(L) + 0.2 * (state["calls"] > 2)

    return paint


@pytest.mark.parametrize(
    ("paint", "message"),
    [
        (noise(10), r"gives image photo-0 other colors when asked again \(is dropout left on\?\), by up to 9\.\d+ Lab"),
        (noise(1e-4), "other colors when asked again"),
        (lambda L: plain(L) - L.mean(), "painter gives image photo-0 other colors in another batch, by up to"),
        (drifting(), "painter gives image photo-0 other colors in another batch, by up to 0.2 Lab units"),
        (lambda L: plain(L) if len(L) == 1 else plain(L)[..., ::2], "gives colors of another size in another batch"),
    ],
    ids=["random", "a little random", "of the batch", "of the calls before", "of another size"],
)
def test_colors_that_vary_are_not_scored(paint: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(BadPrediction, match=message):
        score(paint)


def test_a_larger_sample_is_asked_for_alone_too() -> None:
    many = np.resize(PHOTOGRAPHS[:, :8, :8], (1000, 8, 8, 3))
    with pytest.raises(BadPrediction, match="gives image photo-999 other colors alone than in a batch"):
        score(lambda L: plain(L) + (torch.arange(len(L)) == 1).view(-1, 1, 1, 1), many)


def test_the_arithmetic_of_other_batches_and_a_stray_bin_are_no_fault() -> None:
    def paint(L: Tensor) -> Tensor:
        ab = plain(L) + 1e-3 * len(L) / IMAGES  # larger than the effect of another order of summation
        ab[..., 0, 0] += 30.0 * (len(L) > 1)  # one pixel of 256 in one channel of two: a color between two bins
        ab[:, 1, 0, 0] -= 30.0 * (len(L) > 1)
        return ab

    with pytest.raises(BadPrediction, match="in another batch"):
        score(paint)  # 1 of 512 values is more than a thousandth
    large = np.repeat(np.repeat(PHOTOGRAPHS, 2, axis=1), 2, axis=2)
    assert score(paint, large).images == IMAGES  # 1 of 2,048 is less


@pytest.mark.parametrize(("images", "share"), [(66, 0.031), (225, 0.01), (1000, 0.005), (3000, 0.003)])
def test_the_sample_costs_little(images: int, share: float) -> None:
    painter = Painter(plain)
    scorer = Scorer(device=CPU, metrics=["clipped"])
    evaluate(painter, np.resize(PHOTOGRAPHS[:, :8, :8], (images, 8, 8, 3)), scorer=scorer, device=CPU)
    assert painter.asked - images <= share * images


def test_a_refused_evaluation_names_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    cell: Any = SimpleNamespace(name="own-entry on sample, preset quick, seed 0", method="own-entry")
    prepared: Any = SimpleNamespace(images=lambda split: PHOTOGRAPHS, ids=lambda split: IDS)
    context: Any = SimpleNamespace(device=CPU, console=Console(file=StringIO()), also=())
    monkeypatch.setattr(evaluation, "Scorer", lambda **settings: Scorer(device=CPU, metrics=["psnr"]))
    with pytest.raises(BenchError, match=r"own-entry on sample, .* is not scored: painter gives .* for image photo-4"):
        evaluation._score(Painter(with_value(float("nan"))), cell, prepared, context)


def test_what_is_shown_is_checked_too(tmp_path: Path) -> None:
    rgb = torch.from_numpy(PHOTOGRAPHS)
    with pytest.raises(BadPrediction, match="painter gives colors that are not finite for image 5 of 6"):
        colorize(Painter(with_value(float("nan"))), rgb)
    card: Any = SimpleNamespace(data=SimpleNamespace(image_size=32))
    broken = Colorizer(Painter(lambda L: plain(L) / 0), card, CPU)

    path = tmp_path / "photo.png"
    Image.fromarray(PHOTOGRAPHS[0]).save(path)
    with pytest.raises(BadPrediction, match="painter gives colors that are not finite"):
        broken(Image.open(path).convert("RGB"))
    with pytest.raises(InputError, match="This file cannot be colored: painter gives colors"):
        color_upload(path, {"painter": broken})
