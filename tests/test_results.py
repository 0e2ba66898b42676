"""Result files are read as they were written, and a broken one is named and never read as if it were whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import PROTOCOL
from benchmark.contracts.result import (
    SCHEMA,
    Cost,
    Provenance,
    Result,
    ResultError,
    Run,
    provenance,
    read_per_image,
    read_result,
    result_path,
    write_result,
)

SHA = "a" * 64
IMAGES = 40
MACHINE = {
    "cpu": "Test CPU",
    "instruction_set": "AVX2",
    "threads": 1,
    "torch": "2.15.0",
    "kind": "cpu",
    "device": "Test CPU, 1 threads",
    "precision": "fp32",
}


def make_result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "run": Run(method="cgan", adapter="cgan", data="sample", preset="quick", seed=0),
        "metrics": {"psnr": 23.25, "ssim": 0.93, "fid": 31.5, "top1": None},
        "notes": {"top1": "no labels"},
        "images": IMAGES,
        "cost": Cost(parameters=1000, train_seconds=12.5),
        "provenance": Provenance(
            command="bench run",
            config={"steps": 10},
            config_hash="c",
            packages={},
            data_sha256={"test": SHA},
            date="2026",
        ),
    }
    return Result(**(fields | changes))


def make_columns(images: int = IMAGES) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "psnr": rng.normal(24, 4, images),
        "ssim": rng.uniform(0.5, 1, images),
        "correct": rng.integers(0, 2, images),
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_result(tmp_path, make_result(), make_columns())


def test_round_trip(tmp_path: Path, written: Path) -> None:
    assert written == tmp_path / "sample/quick/cgan/seed0.json"
    result = read_result(written)
    assert result.model_copy(update={"per_image": None, "set_metrics": None}) == make_result()
    columns = read_per_image(written, result)
    assert list(columns) == ["correct", "psnr", "ssim"]
    for name, values in make_columns().items():
        assert columns[name].dtype == np.float32
        np.testing.assert_allclose(columns[name], values, rtol=2**-14)
    np.testing.assert_array_equal(columns["correct"], make_columns()["correct"])


def test_file_is_readable_and_sorted(written: Path) -> None:
    content = json.loads(written.read_text())
    assert content["schema"] == SCHEMA
    assert content["protocol"] == PROTOCOL
    assert content["metrics"] == {"psnr": 23.25, "ssim": 0.93, "fid": 31.5, "top1": None}
    assert list(content) == sorted(content)
    assert [path.name for path in sorted(written.parent.iterdir())] == ["seed0.json", "seed0.npz"]


def test_same_values_same_bytes(tmp_path: Path, written: Path) -> None:
    again = write_result(tmp_path / "again", make_result(), make_columns())
    assert again.read_bytes() == written.read_bytes()
    assert again.with_suffix(".npz").read_bytes() == written.with_suffix(".npz").read_bytes()


def test_ten_thousand_images_stay_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"column{k}": rng.gamma(4, 3, 10_000) for k in range(15)}
    path = write_result(tmp_path, make_result(images=10_000), columns)
    assert path.with_suffix(".npz").stat().st_size < 310_000


def test_overrides_are_recorded(tmp_path: Path) -> None:
    run = make_result().run.model_copy(update={"overrides": {"steps": 5}})
    path = write_result(tmp_path, make_result(run=run), make_columns())
    assert read_result(path).run.overrides == {"steps": 5}
    assert run.command == "bench run --method cgan --data sample --preset quick --seed 0 --set steps=5"


def test_optional_metrics_are_asked_for_again_by_the_command() -> None:
    run = make_result().run.model_copy(update={"also": ("lpips_vgg", "recall_judge")})
    assert run.command.endswith("--seed 0 --also lpips_vgg --also recall_judge")


def test_a_skipped_cell_never_takes_the_place_of_a_measured_one(tmp_path: Path, written: Path) -> None:
    skipped = make_result(status="skipped", reason="weights missing", metrics={}, notes={}, images=0)
    before = [path.read_bytes() for path in (written, written.with_suffix(".npz"))]
    assert write_result(tmp_path, skipped) == written
    assert [path.read_bytes() for path in (written, written.with_suffix(".npz"))] == before
    written.write_text("damaged")
    write_result(tmp_path, skipped)
    assert written.read_text() == "damaged"


def test_a_skipped_cell_is_measured_later_or_skipped_for_another_reason(tmp_path: Path) -> None:
    skipped = make_result(status="skipped", reason="weights missing", metrics={}, notes={}, images=0)
    path = write_result(tmp_path, skipped)
    write_result(tmp_path, skipped.model_copy(update={"reason": "size not supported"}))
    assert read_result(path).reason == "size not supported"
    assert read_per_image(path, read_result(path)) == {}
    write_result(tmp_path, make_result(), make_columns())
    assert read_result(path).status == "ok"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text[:200], "truncated"),
        (lambda text: "", "truncated"),
        (lambda text: text.replace("23.25", "NaN"), "NaN"),
        (lambda text: text.replace("23.25", "Infinity"), "Infinity"),
        (lambda text: text.replace("23.25", "1e999"), "metrics.psnr: Input should be a finite number"),
        (lambda text: text.replace("23.25", '"23.25"'), "metrics.psnr: Input should be a valid number"),
        (lambda text: text.replace('"schema": 1', '"schema": 7'), "layout 7, this program reads 1"),
        (lambda text: text.replace('"seed": 0', '"seed": null'), "run.seed: Input should be a valid integer"),
        (lambda text: text.replace('    "seed": 0\n', '    "sed": 0\n'), "run.seed: Field required"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "holds the run sample/quick/cgan/seed1"),
        (lambda text: text.replace('"preset": "quick"', '"preset": "paper"'), "holds the run sample/paper"),
        (lambda text: text.replace('"top1": "no labels"', ""), "metric top1 has no value and no note"),
        (lambda text: text.replace('"status": "ok"', '"status": "skipped"'), "skipped without a reason"),
        (lambda text: text.replace('"images": 40', '"images": 0'), "needs metrics, its number of images"),
        (lambda text: "[1]", "valid dictionary"),
    ],
)
def test_broken_result_is_named(written: Path, edit: Any, said: str) -> None:
    text = written.read_text()
    assert edit(text) != text
    written.write_text(edit(text))
    with pytest.raises(ResultError) as raised:
        read_result(written)
    assert str(written) in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_edited_metric_of_the_whole_set_stands_out(written: Path) -> None:
    text = written.read_text()
    content = json.loads(text)
    assert content["set_metrics"]["names"] == ["fid", "top1"]
    content["metrics"]["fid"] += 1e-9
    written.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="one of fid, top1 is not as measured"):
        read_result(written)
    del content["set_metrics"]
    content["provenance"]["machine"] = MACHINE
    written.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="the checksum that was written"):
        read_result(written)


def test_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"seed0\.json: cannot be read"):
        read_result(tmp_path / "seed0.json")


def test_broken_per_image_file_is_named(written: Path) -> None:
    result, arrays = read_result(written), written.with_suffix(".npz")
    arrays.write_bytes(arrays.read_bytes()[:-10])
    with pytest.raises(ResultError, match=r"seed0\.npz: SHA-256 differs"):
        read_per_image(written, result)
    arrays.unlink()
    with pytest.raises(ResultError, match=r"seed0\.npz: per-image values cannot be read"):
        read_per_image(written, result)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"psnr": np.full(IMAGES, np.nan)}, "column psnr holds a value that is not finite"),
        ({"psnr": np.full(IMAGES, np.inf)}, "not finite"),
        ({"psnr": np.zeros(IMAGES - 1)}, r"shape \(39,\)"),
    ],
)
def test_bad_columns_are_refused(tmp_path: Path, columns: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ResultError, match=said):
        write_result(tmp_path, make_result(), columns)
    assert not list(tmp_path.rglob("seed*"))


def test_not_finite_metric_is_refused(tmp_path: Path) -> None:
    smuggled = make_result().model_copy(update={"metrics": {"psnr": float("nan")}})
    with pytest.raises(ResultError, match=r"metrics\.psnr"):
        write_result(tmp_path, smuggled, make_columns())
    assert not result_path(tmp_path, smuggled.run).exists()


def test_provenance_names_the_installation() -> None:
    found = provenance(
        ["/somewhere/bench", "run"], {"steps": 1}, config_hash="h", data_sha256={"test": SHA}, device="CPU"
    )
    assert found.command == "bench run"
    assert found.packages["torch"][0].isdigit()
    assert found.date.endswith("+00:00")
    if found.commit is not None:  # None outside a git checkout
        assert len(found.commit) == 40
        assert isinstance(found.dirty, bool)
