"""Tables follow from the result files alone, say which methods are better, and name what they leave out."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_results import IMAGES, fake_columns, fake_result, write_method, write_skipped, write_suite
from rich.console import Console

from benchmark import PROTOCOL
from benchmark.contracts.curves import Curves
from benchmark.contracts.result import Cost, read_per_image, read_result, write_result
from benchmark.paper.claims import build_claims
from benchmark.paper.findings import build_findings
from benchmark.paper.published import build_published
from benchmark.results.tables import Table, as_json, build, build_table, footnotes, print_table
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import InputError

FORMS = ("md", "csv", "tex")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with tables, which no test may change."""
    root = tmp_path_factory.mktemp("results")
    write_suite(root)
    write_method(root, "photoshop", 0.5, seeds=(0,), external=True)
    write_method(root, "cgan", 2.0, seeds=(0,), data="sample", images=40)
    write_skipped(root, "gan-perceptual", "VGG-19 weights missing")
    build(root)
    return root


@pytest.fixture(scope="module")
def table(suite: Path) -> Table:
    return build_table(suite / "cifar10/quick")


def read_csv(root: Path, folder: str = "cifar10/quick") -> dict[str, dict[str, str]]:
    text = (root / folder / "leaderboard.csv").read_text()
    return {line["method"]: line for line in csv.DictReader(io.StringIO(text))}


def markdown(root: Path, folder: str = "cifar10/quick") -> str:
    return (root / folder / "leaderboard.md").read_text()


# What a table says


def test_order_and_ranks(table: Table) -> None:
    assert [row.name for row in table.rows][2:] == ["l2", "photoshop", "eccv16"]
    assert {row.name: str(row.cells["psnr"].rank or "") for row in table.all_rows} == {
        "cgan": "1–2", "classification": "1–2", "l2": "3", "photoshop": "", "eccv16": "4",
        "gray": "", "mean-color": "", "oracle-bins": "",
    }  # fmt: skip
    assert {row.name for row in table.rows if row.cells["psnr"].best} == {"cgan", "classification"}
    assert table.decided == (25, 30)  # of 6 pairs in 5 columns the two equals are not told apart
    assert not any(row.cells["colorfulness"].rank for row in table.rows)  # colorfulness has no better side


def test_a_row_below_gray_is_bold_nowhere(tmp_path: Path) -> None:
    """It may lead in a column, as a vivid wrong color leads in colorfulness, and in no page is it emphasized."""
    write_method(tmp_path, "l2", -1.0)
    write_method(tmp_path, "cgan", -3.0)
    build(tmp_path)
    before = build_table(tmp_path / "cifar10/quick").row("l2")
    assert before is not None
    assert before.cells["psnr"].best  # of gray nothing is known
    write_method(tmp_path, "gray", 0.0, seeds=(0,), role="floor")
    build(tmp_path)
    row = build_table(tmp_path / "cifar10/quick").row("l2")
    assert row is not None
    assert str(row.cells["psnr"].rank) == "1"
    assert not any(cell.best for cell in row.cells.values())
    assert "**" not in (tmp_path / "README.md").read_text().partition("\n| ")[2]
    rows = markdown(tmp_path).partition("| method")[2].partition("Protocol 2")[0]
    assert "**" not in rows


def test_means_and_intervals(table: Table) -> None:
    row = table.row("l2")
    assert row is not None
    cell = row.cells["psnr"]
    assert cell.mean is not None
    assert cell.interval is not None
    assert cell.interval[0] < cell.mean < cell.interval[1]
    assert row.seeds == (0, 1, 2)
    assert row.cost.train_seconds == 76.0


def test_methods_that_do_not_beat_gray_are_marked(suite: Path, table: Table) -> None:
    assert {row.name: row.not_above_floor for row in table.rows if row.not_above_floor} == {
        "eccv16": ["psnr", "ssim", "auc"]
    }
    text = markdown(suite)
    assert re.search(r"`eccv16` .*\d† \[.*not in psnr, ssim, auc †", text)
    assert "†: not shown to beat `gray`, no color at all, in this column; psnr, ssim, auc alone are tested so." in text


def test_better_than_gray_by_luck_is_marked(tmp_path: Path) -> None:
    """A mean a little above gray's is not enough: the paired test must say so."""
    write_method(tmp_path, "gray", 0.0, seeds=(0,), role="floor")
    write_method(tmp_path, "l2", 0.01, spread=0.3)
    [table] = build(tmp_path).tables
    assert table.rows[0].not_above_floor == ["psnr", "ssim", "auc"]


def test_baselines_and_ceilings_stand_apart(suite: Path) -> None:
    lines = [line for line in markdown(suite).splitlines() if line.startswith("| ")]
    names = [line.split("|")[1].strip() for line in lines]
    main = names[: names.index("`oracle-bins`") + 1]
    assert main[main.index("*baselines*") :] == [
        "*baselines*", "`gray`", "`mean-color`", "*ceilings, shown the true colors*", "`oracle-bins`",
    ]  # fmt: skip


def test_external_rows_are_marked(suite: Path) -> None:
    assert "`photoshop` *external*" in markdown(suite)
    assert "bench score DIR --name photoshop --data cifar10 --preset quick" in markdown(suite)
    assert read_csv(suite)["photoshop"]["external"] == "true"


def test_caption_notes_and_commands(suite: Path) -> None:
    text = markdown(suite)
    assert f"Protocol {PROTOCOL}; test split of `cifar10`, preset `quick`: 300 images, SHA-256 `0123456789ab`." in text
    assert "Measured on: Test CPU." in text
    assert "`gan-perceptual` is not in the table: VGG-19 weights missing." in text
    assert "n/a: `fid` (fid weights missing)." in text
    assert "`colorfulness` of the true images: 30." in text
    assert "bench run --method l2 --data cifar10 --preset quick --seed 0" in text
    assert "no evidence" in markdown(suite, "sample/quick")


def test_few_seeds_are_marked(suite: Path, table: Table) -> None:
    assert "‡ fewer than 5 seeds of a method or 3 of an ablation (`cgan`, `classification`," in markdown(suite)
    told = footnotes(replace(table, seeds_wanted=3))
    assert any(note.startswith("‡ fewer than 3 seeds (`cgan`, ") for note in told), "as many of either"
    lines = read_csv(suite)
    assert lines["photoshop"]["psnr_low"] < lines["photoshop"]["psnr"]  # the interval is over images alone
    assert "`photoshop`: images of another program, compared on the images alone, without a rank." in markdown(suite)
    assert re.search(r"`cgan` .* 3‡ ", markdown(suite))
    assert re.search(r"`(gray|photoshop)` .* 1 ", markdown(suite))  # neither varies between seeds


def test_metrics_of_the_whole_set(tmp_path: Path) -> None:
    """They have no per-image values, so interval and test are over seeds alone, and one seed has neither."""
    for seed, fid in enumerate((20.0, 20.5, 21.0)):
        write_method(tmp_path, "cgan", seeds=(seed,), metrics={"fid": fid})
        write_method(tmp_path, "l2", seeds=(seed,), metrics={"fid": fid + 30})
    write_method(tmp_path, "eccv16", seeds=(0,), metrics={"fid": 1.0})
    build(tmp_path)
    lines = read_csv(tmp_path)
    assert [lines[name]["fid_rank"] for name in ("cgan", "l2", "eccv16")] == ["1–2", "2–3", ""]
    assert lines["eccv16"]["fid_low"] == ""
    assert (
        "`fid`: scores of the whole set; interval and test over seeds alone, without the choice of images."
        in markdown(tmp_path)
    )


def test_missing_seeds_and_missing_gray_are_said(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan")
    write_method(tmp_path, "l2", seeds=(0, 2))
    built = build(tmp_path)
    assert built.messages == ["cifar10/quick: l2 lacks seeds that other methods have: 1"]
    assert "bench run --method l2 --data cifar10 --preset quick --seed 1" in markdown(tmp_path)
    assert "Whether a method beats a picture without any color is not known" in markdown(tmp_path)


def test_partial_rows_are_not_ranked(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan")
    write_method(tmp_path, "photoshop", 3.0, seeds=(0,), images=IMAGES - 20, external=True)
    build(tmp_path)
    assert read_csv(tmp_path)["photoshop"]["psnr_rank"] == ""
    assert "`photoshop` was scored on 280 of 300 images: not ranked." in markdown(tmp_path)


def test_a_single_cell_makes_a_table(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", seeds=(0,))
    [table] = build(tmp_path).tables
    assert [row.name for row in table.rows] == ["cgan"]
    assert "**" not in "".join(line for line in markdown(tmp_path).splitlines() if line.startswith("| `cgan`"))


# Where the numbers come from


def test_a_table_says_what_made_it(suite: Path, table: Table) -> None:
    """Four methods trained for 75, 76 and 77 s, and 16 results have 300 images that take 3 s to color."""
    text = markdown(suite)
    assert "- Time: 16 cells, 15.2 min of training (the longest 1.28 min: `" in text
    assert "and 48 s of coloring the test images" in text
    assert "- Seeds: 0, 1, 2." in text
    assert "300 test images of 32×32 pixels; SHA-256 of the prepared arrays: test `0123456789ab`." in text
    assert "- Software: torch 2.15.0." in text
    assert "- Code: commit `c0ffeec`." in text
    assert "bench run --method l2 --data cifar10 --preset quick --seed 0  # and --seed 1, --seed 2\n" in text
    assert table.origin.longest is not None


def test_rows_of_other_machines_say_so_and_are_repeated_as_they_ran(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", seeds=(0, 1), machine="CPU, 2 threads")
    write_method(tmp_path, "cgan", seeds=(2,), machine="CPU, 1 threads", options=" --threads 1 --device auto")
    write_method(tmp_path, "l2", machine="GPU", options=" --device=cuda", dirty=True)
    build(tmp_path)
    text = markdown(tmp_path)
    assert "Measured on: CPU, 1 thread: `cgan`; CPU, 2 threads: `cgan`; GPU: `l2`. Times of different machines" in text
    assert "bench run --method cgan --data cifar10 --preset quick --seed 0  # and --seed 1\n" in text
    assert "bench run --method cgan --data cifar10 --preset quick --seed 2 --threads 1\n" in text
    assert "--method l2 --data cifar10 --preset quick --seed 0 --device cuda  # and --seed 1, --seed 2\n" in text
    assert "with changes not committed then: `l2`." in text
    assert "1 threads" not in text


def test_what_the_prepared_data_says_of_itself_stands_above_the_table(tmp_path: Path) -> None:
    part = "500 of 202,599 faces."
    write_method(tmp_path, "cgan", data="celeba", config={"data_note": part})
    write_method(tmp_path, "cgan", data="celeba", seeds=(3,))  # old results do not carry the note
    [table] = build(tmp_path).tables
    assert table.note == part
    assert [row.seeds for row in table.rows] == [(0, 1, 2, 3)]
    assert f"**{part}**" in markdown(tmp_path, "celeba/quick")


# Which files may share a table


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: edit(path, lambda c: c.update(protocol=7)), "l2/seed1.json: of protocol 7"),
        (lambda path: edit(path, lambda c: c["metrics"].update(psnr=float("nan"))), "seed1.json: not valid JSON.*NaN"),
        (
            lambda path: edit(path, lambda c: c["metrics"].update(psnr=30.5)),
            "psnr is 30.5, but its per-image values say",
        ),
        (lambda path: edit(path, lambda c: c["run"].pop("seed")), "seed1.json: run.seed: Field required"),
        (lambda path: edit(path, lambda c: c["run"].update(preset="paper")), "holds the run cifar10/paper/l2/seed1"),
        (
            lambda path: edit(path, lambda c: c["run"].update(overrides={"steps": 3})),
            "seed1.json: run with --set steps",
        ),
        (
            lambda path: edit(path, lambda c: c["provenance"]["data_sha256"].update(test="b" * 64)),
            "seed1.json: of other test images than most rows",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "seed1.json: not valid JSON, truncated perhaps"),
        (
            lambda path: path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:-9]),
            "seed1.npz: SHA-256 differs",
        ),
        (lambda path: path.with_suffix(".npz").unlink(), "seed1.npz: per-image values cannot be read"),
    ],
)
def test_what_must_not_stand_in_a_table_is_named(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    write_method(tmp_path, "cgan")
    spoil(write_method(tmp_path, "l2")[1])
    built = build(tmp_path)
    assert re.search(said, built.messages[0])
    assert read_csv(tmp_path)["l2"]["seeds"] == "0 2"


def test_an_edit_of_every_seed_beyond_what_rounding_explains_is_left_out(tmp_path: Path) -> None:
    """An SSIM raised by 0.0018 once passed, and stood outside its own interval."""
    write_method(tmp_path, "cgan")
    for path in write_method(tmp_path, "l2"):
        edit(path, lambda content: content["metrics"].update(ssim=content["metrics"]["ssim"] + 0.0018))
    built = build(tmp_path)
    assert [row.name for row in built.tables[0].all_rows] == ["cgan"]
    assert len([message for message in built.messages if "but its per-image values say" in message]) == 3
    assert "`l2/seed0.json`" in markdown(tmp_path)


def test_a_value_taken_out_by_hand_is_left_out(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan")
    path = write_method(tmp_path, "l2", seeds=(0,))[0]
    edit(path, lambda content: content["metrics"].update(psnr=None) or content["notes"].update(psnr="no"))
    assert "psnr is None, but its per-image values say" in build(tmp_path).messages[0]


def test_means_follow_from_per_image_values_even_where_two_nearly_cancel(tmp_path: Path) -> None:
    """The rounding of two means of 30 moves their difference of 0.01 by more than 1e-4 of it."""
    columns = fake_columns(0.0, IMAGES, np.random.default_rng(1))
    columns["colorfulness"] = columns["colorfulness_target"] + 0.01
    path = write_result(tmp_path, fake_result("cgan", 0, columns), columns)
    [table] = build(tmp_path).tables
    stored = read_per_image(path, read_result(path))
    assert table.rows[0].cells["psnr"].mean == float(METRICS["psnr"].pooled(stored))
    assert table.rows[0].cells["psnr"].mean != read_result(path).metrics["psnr"]


def test_what_html_would_read_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> & `<b>`"
    write_method(tmp_path, "cgan", config={"data_note": evil}, machine="<img src=x>")
    write_skipped(tmp_path, "gan-perceptual", evil)
    build(tmp_path)
    text = markdown(tmp_path)
    outside_code = re.sub(r"```.*?```|`[^`]*`|<!--.*?-->", "", text, flags=re.DOTALL)
    assert "<" not in outside_code
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; `<b>`" in text


def test_a_project_without_results_has_pages_that_say_so(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- table: results/cifar10/quick -->\nold\n<!-- end of table -->\n")
    built = build(tmp_path / "results")
    assert "no results in" in built.messages[0]
    assert "No results yet" in (tmp_path / "results/README.md").read_text()
    assert "No current rows" in (tmp_path / "README.md").read_text()
    assert build(tmp_path / "results", check=True).stale == []
    assert build_published(tmp_path / "results") == [tmp_path / "results/published.md"]
    assert "No current rows; protocol 1's tables: [docs/history" in build_claims(tmp_path / "results").page
    (tmp_path / "docs").mkdir()
    assert "No current rows; protocol 1's tables: [docs/history" in build_findings(tmp_path).page.read_text()


def test_nothing_fit_for_a_table(tmp_path: Path) -> None:
    for path in write_method(tmp_path, "cgan"):
        edit(path, lambda content: content.update(protocol=7))
    built = build(tmp_path)
    assert len(built.messages) == 3
    assert "No current rows; protocol 1's tables: [docs/history/protocol-1.md](../../../docs/" in markdown(tmp_path)
    assert f"- Left out, of protocol 7, not of {PROTOCOL}: `cgan/seed0.json`, `cgan" in markdown(tmp_path)
    assert read_csv(tmp_path) == {}


def test_presets_and_data_sets_have_tables_of_their_own(suite: Path) -> None:
    assert list(read_csv(suite, "sample/quick")) == ["cgan"]
    readme = (suite / "README.md").read_text()
    assert "[cifar10/quick](cifar10/quick/leaderboard.md)" in readme
    assert "[sample/quick](sample/quick/leaderboard.md)" in readme
    assert re.search(r"\| +`c\w+` \d+\.\d\d, 0\.\d\d ahead, rank 1–2 \|", readme)
    assert re.search(r"\| +25 of 30 \|", readme)


def test_methods_side_by_side_across_the_tables(suite: Path, tmp_path: Path) -> None:
    across = (suite / "README.md").read_text().partition("## Across the tables")[2]
    psnr = across.partition("### psnr\n")[2].partition("###")[0]
    lines = [[cell.strip() for cell in line.split("|")] for line in psnr.splitlines() if line.startswith("|")]
    cells = {line[1]: line[2:-1] for line in lines}
    assert re.fullmatch(r"25\.\d\d \(1–2\)", cells["`cgan`"][0])
    assert re.fullmatch(r"2\d\.\d\d", cells["`cgan`"][1])  # one training has no rank
    assert re.fullmatch(r"2\d\.\d\d† \(4\)", cells["`eccv16`"][0])
    assert cells["`eccv16`"][1] == "–"
    assert list(cells)[-3:] == ["`gray`", "`mean-color`", "`oracle-bins`"]
    write_method(tmp_path, "cgan")
    build(tmp_path)
    assert "Across" not in (tmp_path / "README.md").read_text()


def test_the_overview_says_of_its_leaders_what_their_tables_say(tmp_path: Path) -> None:
    """A method that leads the others is still marked where it is not shown to beat gray; one alone leads nobody."""
    for method, quality in (("l2", -1.0), ("cgan", -3.0)):
        write_method(tmp_path, method, quality, config={"data_note": "A demonstration."})
    write_method(tmp_path, "gray", seeds=(0,), role="floor", config={"data_note": "A demonstration."})
    write_method(tmp_path, "l2", data="coco")
    build(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert re.search(r"\| `l2` \d+\.\d\d†, \d\.\d\d ahead, rank 1 ", page)  # below gray: not bold
    assert "- cifar10/quick: A demonstration." in page
    psnr = page.partition("### psnr\n")[2].partition("###")[0]
    line = next(line for line in psnr.splitlines() if line.startswith("| `l2`"))
    assert re.search(r"\| +\d+\.\d\d† \(1\) +\| +\d+\.\d\d \|$", line)


def test_a_method_that_was_trained_once_has_a_place_in_the_overview_and_no_rank(tmp_path: Path) -> None:
    for method, quality, seeds in (("l2", 1.0, (0, 1, 2)), ("cgan", -3.0, (0, 1, 2)), ("eccv16", 3.0, (0,))):
        write_method(tmp_path, method, quality, seeds=seeds)
    build(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert re.search(r"\| `eccv16` \d+\.\d\d, \d\.\d\d ahead, rank – ", page)
    assert "**`" not in page
    write_method(tmp_path, "eccv16", -5.0, seeds=(0,))
    build(tmp_path)
    assert re.search(r"\| `l2` \d+\.\d\d, \d\.\d\d ahead, rank 1–2 ", (tmp_path / "README.md").read_text())


def test_unknown_names(suite: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown data set with results 'cifar' \(did you mean 'cifar10'\?\)"):
        build(suite, data="cifar")
    with pytest.raises(InputError, match="unknown preset with results 'papr'"):
        build(suite, data="cifar10", preset="papr")
    with pytest.raises(InputError, match="no results in"):
        build(tmp_path, data="cifar10")


# The files


def test_twice_the_same_bytes(suite: Path, tmp_path: Path) -> None:
    write_suite(tmp_path)
    build(tmp_path)
    first = {form: (tmp_path / f"cifar10/quick/leaderboard.{form}").read_bytes() for form in FORMS}
    for form in FORMS:
        (tmp_path / f"cifar10/quick/leaderboard.{form}").unlink()
    build(tmp_path)
    assert first == {form: (tmp_path / f"cifar10/quick/leaderboard.{form}").read_bytes() for form in FORMS}
    assert build(suite).stale == []


def test_check_writes_nothing(tmp_path: Path) -> None:
    write_suite(tmp_path)
    stale = build(tmp_path, check=True).stale
    assert {path.name for path in stale if path.parent.name == "quick"} == {f"leaderboard.{form}" for form in FORMS}
    assert not any(path.exists() for path in stale)
    build(tmp_path)
    assert build(tmp_path, check=True).stale == []
    (tmp_path / "cifar10/quick/leaderboard.csv").write_text("edited")
    assert [path.name for path in build(tmp_path, check=True).stale] == ["leaderboard.csv"]


def test_one_table_leaves_the_others_in_the_overview(suite: Path, tmp_path: Path) -> None:
    write_suite(tmp_path)
    write_method(tmp_path, "cgan", data="sample", images=40)
    build(tmp_path)
    whole = (tmp_path / "README.md").read_text()
    assert [table.data for table in build(tmp_path, data="sample").tables] == ["sample"]
    assert (tmp_path / "README.md").read_text() == whole


def test_latex_has_as_many_cells_as_columns(suite: Path) -> None:
    text = (suite / "cifar10/quick/leaderboard.tex").read_text()
    body = text.partition("\\midrule")[2].partition("\\bottomrule")[0]
    columns = len(re.findall(r"\{(l[r]+)\}", text)[0])
    assert {line.count(" & ") + 1 for line in body.splitlines() if line.endswith("\\\\")} == {columns}
    assert not re.search(r"(?<!\\)[_%#]", text.partition("\n")[2])


def test_json_holds_numbers(table: Table) -> None:
    [content] = json.loads(as_json([table]))
    row = next(row for row in content["rows"] if row["method"] == "l2")
    assert isinstance(row["metrics"]["psnr"]["mean"], float)
    assert row["metrics"]["fid"] == {
        "mean": None,
        "interval": None,
        "rank": None,
        "note": "fid weights missing",
        "versus": 0,
    }


def test_printed_plain_and_to_a_terminal(table: Table) -> None:
    plain, terminal = io.StringIO(), io.StringIO()
    print_table(table, "l2", Console(file=plain))
    print_table(table, "l2", Console(file=terminal, force_terminal=True, width=140))
    assert re.search(r"^> l2 ", plain.getvalue(), flags=re.MULTILINE)
    assert "\x1b[" not in plain.getvalue()
    assert "> l2" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    for printed in (plain.getvalue(), terminal.getvalue()):
        assert "psnr ↑" in printed
        assert "not shown to beat gray" in printed


@pytest.mark.parametrize(
    ("width", "left_out"), [(200, []), (72, ["intervals", "N", "budget images"]), (40, ["beats gray"])]
)
def test_a_narrow_terminal_loses_intervals_then_columns_and_says_which(
    table: Table, width: int, left_out: list[str]
) -> None:
    shown = io.StringIO()
    print_table(table, console=Console(file=shown, force_terminal=True, width=width, no_color=True))
    drawn, _, told = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).partition("Left out for want of width: ")
    assert "…" not in drawn
    assert max(map(len, drawn.splitlines())) <= width
    assert told.split(".")[0].split(", ")[: len(left_out)] == left_out or left_out[-1] in told
    assert ("[" in drawn) == (not left_out)


def test_what_dvc_shows_follows_the_rows(tmp_path: Path) -> None:
    write_suite(tmp_path)
    table = build(tmp_path).tables[0]
    folder = tmp_path / "metrics/cifar10-quick"
    assert {path.stem for path in folder.glob("*")} == {row.name for row in table.all_rows}
    flat = json.loads((folder / "l2.json").read_text())
    row = table.row("l2")
    assert row is not None
    assert flat["psnr"] == pytest.approx(row.cells["psnr"].mean, rel=1e-5)
    assert all(isinstance(value, float) for value in flat.values())
    for path in (tmp_path / "cifar10/quick/l2").glob("*"):
        path.unlink()
    assert folder / "l2.json" in build(tmp_path, check=True).stale
    build(tmp_path)
    assert not (folder / "l2.json").exists()  # what is no row any more has no metrics
    write_method(tmp_path, "l2", data="sample")
    build(tmp_path)
    shutil.rmtree(tmp_path / "sample")
    gone = {tmp_path / "metrics/sample-quick/l2.json", tmp_path / "plots/sample-quick/curves.csv"}
    assert gone <= {*build(tmp_path, check=True).stale}
    build(tmp_path)
    assert not any(path.exists() for path in gone)  # nor has a table that is none any more


def test_curves_are_those_of_the_results(tmp_path: Path) -> None:
    curves = {"images": (16, 32), "psnr": (22.5, 23.5), "colorfulness": (3.0, 4.0), "colorfulness_truth": 9.0}
    write_method(tmp_path, "l2", seeds=(0,), curves=Curves(**curves, validation_images=8))
    write_method(
        tmp_path, "cgan", seeds=(0,), curves=Curves(**curves, validation_images=8), cost=Cost(budget_images=100)
    )
    build(tmp_path)
    lines = (tmp_path / "plots/cifar10-quick/curves.csv").read_text().splitlines()
    assert lines[0] == "method,seed,images,psnr,colorfulness,distance"
    assert sorted(lines[1:]) == ["cgan,0,100,23.5,4,", "cgan,0,84,22.5,3,", "l2,0,16,22.5,3,", "l2,0,32,23.5,4,"]


def test_needs_neither_torch_nor_pandas(suite: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from benchmark.results.tables import build\n"
        f"build(Path({str(suite)!r}))\n"
        "sys.exit(', '.join({'torch', 'pandas', 'skimage', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""
