"""A table inside README or a page of docs/ is kept equal to the results, and the prose around it stays."""

import json
from pathlib import Path

import pytest
from fake_results import write_method, write_suite

from benchmark.results.tables import build
from benchmark.support.errors import BenchError, InputError

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


def test_pages_of_docs_have_tables_too(tmp_path: Path) -> None:
    results, page, without = tmp_path / "results", tmp_path / "docs" / "house.md", tmp_path / "docs" / "other.md"
    write_suite(results)
    page.parent.mkdir()
    page.write_text(PAGE.format("cifar10/quick columns: psnr rows: l2"))
    without.write_text("no table\n")
    assert page in build(results).stale
    assert "](../results/cifar10/quick/leaderboard.md)" in page.read_text()
    assert without.read_text() == "no table\n"
    assert not build(results, check=True).stale


def test_a_table_that_was_not_asked_for_stays_as_it_is(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    write_method(results, "cgan", data="sample")
    readme.write_text(PAGE.format("sample/quick"))
    build(results, data="cifar10")
    assert readme.read_text() == PAGE.format("sample/quick")


def test_a_table_without_current_rows_says_so(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    write_method(results, "cgan", data="sample", protocol=7)
    for name in ("coco/paper", "sample/quick", "sample/quick columns: psnr"):
        readme.write_text(PAGE.format(name))
        build(results)
        told = readme.read_text()
        assert "No current rows; protocol 1's tables: [docs/history/protocol-1.md](docs/history/protocol-1.md)." in told
        assert "stale words" not in told
        assert ("Left out, of protocol 7" in told) == name.startswith("sample")


def test_a_block_that_lost_its_end_is_named(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    readme.write_text("<!-- table: results/cifar10/quick -->\n| old |\n")
    with pytest.raises(BenchError, match="without '<!-- end of table -->'"):
        build(results)


def test_a_part_of_a_table_fits_a_page(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    write_method(results, "l2-wide", 1.5, seeds=(0,))
    readme.write_text(PAGE.format("cifar10/quick columns: auc psnr rows: l2 cgan unborn"))
    build(results)
    text = readme.read_text()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert table[0] == ["method", "auc ↑", "psnr ↑"]
    assert [line[0] for line in table[2:]] == [
        "`cgan`", "`l2`", "*baselines*", "`gray`", "`mean-color`", "*ceilings, shown the true colors*", "`oracle-bins`",
    ]  # fmt: skip
    assert "- Mean over seeds (0, 1, 2), 95 % interval" in text
    assert "`unborn` is not measured yet." in text
    assert "3 more rows: [the whole table](results/cifar10/quick/leaderboard.md)." in text
    assert "fid" not in text  # notes on columns and rows that are not shown are left out too
    assert "l2-wide" not in text
    assert not build(results, check=True).stale


def test_a_part_of_a_table_has_the_ablations_that_it_names(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    entries = {"cgan": {}, **{name: {"adapter": "cgan", "varies": "cgan"} for name in ("cgan-l1", "cgan-slow")}}
    suite = {"preset": "quick", "data": ["cifar10"], "methods": ["cgan"], "seeds": [0]}
    (tmp_path / "params.yaml").write_text(json.dumps({"suite": suite, "entries": entries, "presets": {"quick": {}}}))
    for name in entries:
        write_method(results, name, adapter="cgan")
    readme.write_text(PAGE.format("cifar10/quick columns: psnr rows: cgan cgan-slow"))
    build(results)
    text = readme.read_text()
    assert "| `cgan-slow`" in text
    assert "cgan-l1" not in text
    assert "1 more row: [the whole table]" in text


def test_wrong_options_are_named(tmp_path: Path) -> None:
    results, readme = tmp_path / "results", tmp_path / "README.md"
    write_suite(results)
    readme.write_text(PAGE.format("cifar10/quick columns: psnrr"))
    with pytest.raises(InputError, match=r"unknown column of a table in a page 'psnrr' \(did you mean 'psnr'\?\)"):
        build(results)
    readme.write_text(PAGE.format("cifar10/quick width: 3"))
    with pytest.raises(BenchError, match="options other than 'columns: NAMES' and 'rows: NAMES'"):
        build(results)
