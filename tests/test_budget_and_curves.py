"""A result knows what its training cost, parents included, on which device it ran, and how it went."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import write_method
from pydantic import ValidationError

from benchmark.contracts import registry
from benchmark.contracts.config import read_params, resolve
from benchmark.contracts.curves import CURVE_POINTS, Curves
from benchmark.contracts.result import read_result
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.results.curves import passings, still_improving
from benchmark.results.tables import build_table, footnotes
from benchmark.training.progress import Row, curves_of
from projects import FAMILY, REPOSITORY, bench, make_project


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_result_has_its_own_budget_with_its_parents_and_the_device_that_trained(tmp_path: Path) -> None:
    project = make_project(tmp_path, FAMILY)
    done = bench("run", "--method", "gan-l1", "--data", "sample", cwd=project)
    assert done.returncode == 0, done.stderr
    folder = project / "models/sample/tiny/gan-l1/seed0"
    (record_file,) = project.glob("**/gan-l1*/**/training.json")
    record = json.loads(record_file.read_text())
    record_file.write_text(json.dumps(record | {"device": "the GPU that trained"}))
    result_file = project / "runs/results/sample/tiny/gan-l1/seed0.json"
    result_file.unlink()
    assert bench("evaluate", "--method", "gan-l1", "--data", "sample", cwd=project).returncode == 0, folder
    result = read_result(result_file)
    assert (result.cost.budget_images, result.cost.budget_steps) == (48, 12)
    assert result.cost.device == "the GPU that trained"
    assert result.curves is not None
    assert result.curves.images == (12, 24)
    assert result.curves.distance is None
    params = read_params(project)
    cell = resolve(params, method="gan-l1", data="sample", preset="tiny")
    assert Currency(params, Workspace(project)).budget(cell) == (48, 12)


@pytest.mark.parametrize("preset", ["smoke", "quick", "standard"])
def test_every_family_of_a_table_sees_the_same_images_in_the_same_steps(preset: str, tmp_path: Path) -> None:
    params = read_params(REPOSITORY)
    currency = Currency(params, Workspace(tmp_path))
    for data in (*(set(registry.names("dataset")) - {"folder"}), "folder:/photographs"):
        budgets: dict[tuple[int, int], list[str]] = {}
        for entry in params.entries.keys() - params.varied.keys():
            cell = resolve(params, method=entry, data=data, preset=preset)
            if cell.method_class.role == "method":
                budgets.setdefault(currency.budget(cell), []).append(entry)
        assert len(budgets) == 1, f"{data}, preset {preset}: {budgets}"


def rows(count: int, **values: float) -> list[Row]:
    scores = {"val_psnr": 20.0, "val_colorfulness": 5.0, "val_colorfulness_truth": 30.0, **values}
    return [{**scores, "step": 10 * (k + 1), "phase": "train"} for k in range(count)]


def test_curves_keep_evenly_spaced_validations_and_the_last() -> None:
    few = curves_of([{"step": 1, "phase": "train", "loss": 1.0}, *rows(4)], 16, 64)
    assert few is not None
    assert few.images == (160, 320, 480, 640)
    many = curves_of(rows(95), 1, 64)
    assert many is not None
    assert len(many.images) == CURVE_POINTS
    assert many.images[-1] == 950
    assert {b - a for a, b in zip(many.images, many.images[1:], strict=False)} <= {30, 40}
    assert curves_of([], 16, 64) is None
    judged = curves_of(rows(2, val_fd_judge=3.0), 1, 64)
    assert judged is not None
    assert (judged.distance, judged.distance_metric) == ((3.0, 3.0), "fd_judge")
    both = curves_of(rows(2, val_kid_lite=1.0, val_fd_lite=3.0), 1, 64)
    assert both is not None
    assert both.distance_metric == "fd_lite"  # Fréchet's where there are enough images for it


def curve(psnr: np.ndarray, distance: np.ndarray | None = None) -> Curves:
    return Curves(
        images=tuple(range(1, len(psnr) + 1)),
        psnr=tuple(psnr.tolist()),
        colorfulness=tuple(psnr.tolist()),
        colorfulness_truth=1.0,
        distance=None if distance is None else tuple(distance.tolist()),
        distance_metric=None if distance is None else "fd_judge",
        validation_images=64,
    )


def test_a_row_is_still_improving_while_its_curves_rise() -> None:
    x = np.linspace(0, 1, 10)
    noise = np.random.default_rng(0).normal(0, 0.02, (3, 10))
    rising, settled = 20 + x, 20 + np.minimum(x, 0.5)
    assert still_improving([curve(rising)]) == ("psnr",)
    assert still_improving([curve(rising + one) for one in noise]) == ("psnr",)
    assert still_improving([curve(settled + one) for one in noise]) == ()
    assert still_improving([curve(20 + 0.05 * x)]) == ()  # it rises, but by too little to be news
    assert still_improving([curve(settled, 10 - 5 * x)]) == ("distance",)
    assert still_improving([curve(settled, 5 + 5 * x)]) == ()
    assert still_improving([curve(rising[:3])]) is None
    assert still_improving([]) is None


def test_a_table_says_which_rows_were_still_improving(tmp_path: Path) -> None:
    rising = np.linspace(20, 21, 10)
    write_method(tmp_path, "l2", curves=curve(rising))
    write_method(tmp_path, "cgan", curves=curve(rising * 0 + 20, 10 / rising**4))
    write_method(tmp_path, "eccv16", curves=curve(rising * 0 + 20))
    write_method(tmp_path, "classification", curves=curve(rising[::-1]))
    write_method(tmp_path, "gray", seeds=(0,), role="floor")
    told = [note for note in footnotes(build_table(tmp_path / "cifar10" / "quick")) if "budget ended" in note]
    assert told == [
        "Still improving on validation images when the budget ended: `cgan` (distance), `l2` (psnr).",
        "Mean psnr on validation images was falling when the budget ended: `classification`.",
    ]


def test_who_passes_whom_and_where() -> None:
    flat, late = curve(np.full(8, 20.0)), curve(np.linspace(19, 21.45, 8))
    assert list(passings({"flat": [flat], "late": [late, late]})) == [("late", "flat", late.images[3])]
    child = late.model_copy(update={"images": tuple(100 + images for images in late.images)})
    assert list(passings({"flat": [flat], "child": [child]})) == []  # no validation in common
    near = curve(np.array([20.04, 19.97, 20.0, 20.01, 20.0, 20.0, 20.0, 20.04]))
    assert list(passings({"flat": [flat], "near": [near]})) == []
    again = curve(np.array([19.0, 21.0, 19.0, 21.0, 19.0, 21.0, 21.0, 21.0]))
    assert list(passings({"flat": [flat], "again": [again]})) == [("again", "flat", again.images[5])]


def test_noise_alone_is_seldom_called_progress() -> None:
    """At its level of 5 %, where noise is large enough to pass the least rise."""
    random = np.random.default_rng(1)
    for seeds, points in ((1, 8), (3, 8), (3, 25), (5, 30)):
        found = [
            still_improving([curve(random.normal(20, 1, points)) for _ in range(seeds)]) == ("psnr",)
            for _ in range(600)
        ]
        assert 0.02 < np.mean(found) < 0.08


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"psnr": (1.0,)}, "unequal lengths"),
        ({"images": (20, 10)}, "do not increase"),
        ({"distance": (1.0, 1.0)}, "both distance and distance_metric"),
        ({"psnr": (1.0, float("nan"))}, "finite"),
    ],
)
def test_curves_that_cannot_be_are_refused(changes: dict[str, Any], told: str) -> None:
    whole: dict[str, Any] = {
        "images": (10, 20),
        "psnr": (1.0, 2.0),
        "colorfulness": (1.0, 2.0),
        "colorfulness_truth": 3.0,
    }
    Curves(**{**whole, "validation_images": 64})
    with pytest.raises(ValidationError, match=told):
        Curves(**{**whole, "validation_images": 64, **changes})
