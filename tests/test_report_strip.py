"""The strip of photographs is drawn from current rows alone, of photographs that anybody may show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_project import make_context, make_report_project, model_sha256, report_on

from benchmark.contracts.config import resolve
from benchmark.contracts.dataset import Dataset
from benchmark.photographs import strip
from benchmark.report import FOLDER, RECORD, StripRecord
from benchmark.support.errors import InputError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two families, whose models color everything red."""

    def red(path: Path, device: object) -> Callable[[Image.Image], np.ndarray]:
        return lambda photograph: np.full((photograph.height, photograph.width, 3), (200, 0, 0), dtype=np.uint8)

    monkeypatch.setattr(strip, "load_colorizer", red)
    return make_report_project(tmp_path / "project", ("l2", "cgan"), ("first",), image_size=16)


def draw(project: Path, count: int = 3) -> Path:
    context = make_context(project)
    return strip.draw_strip(context.params, context.workspace, "sample", "first", dataset(project), count)


def dataset(project: Path) -> Dataset:
    cell = resolve(make_context(project).params, method=None, data="sample", preset="first")
    return cell.dataset_class(cell.data_config, None)


def test_it_names_the_row_of_each_column_and_a_report_shows_it(project: Path) -> None:
    record = StripRecord.model_validate_json(draw(project).read_text())
    assert [one.row for one in record.columns] == ["sample/first/cgan/seed0", "sample/first/l2/seed0", None]
    assert record.columns[1].model_sha256 == model_sha256(project, "l2")
    assert record.columns[2].model == "methods/house-v3.safetensors"
    pictures = sorted(path.name for path in (project / FOLDER).glob("*.webp"))
    assert len(pictures) == 3 * (3 + 2) + 1
    assert Image.open(project / FOLDER / strip.SHEET).height > 5 * strip.SHEET_SIDE
    assert np.asarray(Image.open(project / FOLDER / "0-l2.webp"))[0, 0, 0] > 150
    home = report_on(project, project / "report").page.read_text().split('id="cifar10-quick"')[0]
    assert home.count('<figure data-method="l2">') == 3
    assert '<figure data-method="house-v3">' not in home  # the file is not in this project
    assert "Terms: public domain or CC0" in home


def test_photographs_are_chosen_by_hash_over_the_whole_split(project: Path) -> None:
    items = dataset(project).items("test")
    chosen = strip.chosen(items, 4)
    places = [list(items).index(item) * 4 // len(items) for item in chosen]
    assert places == [0, 1, 2, 3]
    assert strip.chosen(items, 4) == chosen
    assert len(strip.chosen(items[:2], 4)) == 2


@pytest.mark.parametrize("harm", ["model", "row"])
def test_a_row_without_its_model_or_that_is_stale_is_refused(project: Path, harm: str) -> None:
    if harm == "model":
        (project / "models/sample/first/l2/seed0/training.json").write_text('{"model_sha256": "another"}')
        told = r"results/sample/first cannot be drawn whole; l2: the model in .* is not the one that was scored; run:"
    else:
        for path in (project / "results/sample/first").glob("*/seed0.json"):
            path.write_text(path.read_text().replace('"protocol": 2', '"protocol": 1'))
        told = "results/sample/first has no current row of a method"
    before = (project / FOLDER / RECORD).read_text()
    with pytest.raises(InputError, match=told):
        draw(project)
    assert (project / FOLDER / RECORD).read_text() == before


def test_photographs_that_may_not_be_shown_and_too_many_bytes_are_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strip, "MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"3 photographs take .* bytes, over 100; show fewer"):
        draw(project)
    monkeypatch.setattr(type(dataset(project)), "licence", "research only")
    with pytest.raises(InputError, match=r"sample may not be shown \(research only\); name a data set under CC0"):
        draw(project)
