"""A table inside the project's README is kept equal to the results, and the prose around it stays."""

from pathlib import Path

import pytest
from fake_results import write_suite

from benchmark.errors import BenchError
from benchmark.leaderboard import build

PAGE = "# Title\n\nprose\n\n<!-- table: results/{} -->\nstale words\n<!-- end of table -->\n\nmore prose\n"


def test_the_table_is_made_anew_the_prose_stays_and_a_drift_is_found(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    readme.write_text(PAGE.format("cifar10/quick"))
    assert readme in build(results, check=True).stale
    assert "stale words" in readme.read_text()
    assert readme in build(results).stale
    text = readme.read_text()
    assert text.startswith("# Title\n\nprose\n\n<!-- table: results/cifar10/quick -->\n\n| method")
    assert text.endswith("<!-- end of table -->\n\nmore prose\n")
    assert "stale words" not in text
    assert "`gray`" in text
    assert not build(results, check=True).stale
    readme.write_text(text.replace("| `gray`", "| `grey`"))
    assert build(results, check=True).stale == [readme]


def test_other_tables_and_pages_without_one_are_left_alone(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    readme.write_text(PAGE.format("coco/paper"))
    build(results)
    assert readme.read_text() == PAGE.format("coco/paper")


def test_a_block_that_lost_its_end_is_named(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    readme.write_text("<!-- table: results/cifar10/quick -->\n| old |\n")
    with pytest.raises(BenchError, match="without '<!-- end of table -->'"):
        build(results)
