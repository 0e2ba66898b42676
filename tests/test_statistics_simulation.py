"""The simulation of docs/statistics.md draws what it says, and finds again what the tables of protocol 1 decided."""

import json
from pathlib import Path

import numpy as np
import pytest
from statistics_simulation import (
    DATA,
    FAMILIES,
    HEADLINE,
    current,
    decided_lines,
    deviation_lines,
    error_lines,
    family_error,
    ours,
    scene,
    trials,
)


@pytest.fixture(scope="module")
def tables() -> dict:
    return json.loads(DATA.read_text())["tables"]


def test_the_data_are_those_of_protocol_1(tables: dict) -> None:
    """14 of 60 pairs were decided on cifar10, 14 of 396 with the ablations, 11 of 30 on celeba, none on coco."""
    found = [(line[2], line[3]) for line in decided_lines(tables, 0) if "alone" not in line[1]]
    assert found == [("60", "14"), ("396", "14"), ("30", "11"), ("30", "0")]


def test_the_page_has_what_is_printed(tables: dict) -> None:
    page = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text()
    for line in decided_lines(tables, 0):
        assert f"| {' | '.join(line)} |" in page
    _, least, greatest, ratio = next(deviation_lines(tables, 0))
    assert f"({least.removesuffix(' dB')} to {greatest}" in page
    assert ratio == "15"


def test_trials_have_the_deviations_of_the_table(tables: dict) -> None:
    of = scene(tables["cifar10/quick"], "psnr")
    seeds = np.array([[one.seeds for one in ones] for ones in trials(of, 300, 5)])
    np.testing.assert_allclose(seeds.var(axis=2, ddof=1).mean(axis=0), of.deviations**2 + of.alone, rtol=0.2)
    assert set(HEADLINE) == set(tables["cifar10/quick"]["columns"]) & set(HEADLINE)


def test_equals_are_rarely_called_different(tables: dict) -> None:
    assert family_error(ours, trials(scene(tables["cifar10/quick"], "psnr"), 60, 3)) <= 0.12  # 6 % and luck


def test_todays_tables_are_read_too(tmp_path: Path) -> None:
    """Families alone, by the seeds that all of them have; a table that too few trainings made is left out."""
    folder = Path(__file__).parents[1] / "results" / "coco" / "quick"
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "quick").symlink_to(folder)
    (tmp_path / "other" / "quick" / "l2").mkdir(parents=True)
    tables = current(tmp_path)
    assert list(tables) == ["coco/quick"]
    table = tables["coco/quick"]
    assert {"l2", "cgan"} <= set(table["rows"]) <= set(FAMILIES)
    (seeds,) = {len(row) for row in table["columns"]["psnr"]["seeds"]}
    assert seeds >= 3
    lines = list(error_lines(tables, 2, ["psnr"]))
    assert [line[:2] for line in lines] == [["coco/quick", "`psnr`"]]
