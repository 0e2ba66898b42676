"""Leaderboards: every table under `results/`, from the committed result files alone, the same bytes every time."""

import csv
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.results.columns import Measured
from benchmark.results.tables.collect import collect, tables_in
from benchmark.results.tables.embed import OPENING, embed, part
from benchmark.results.tables.grids import gray_text, headline, sections, seeds_text
from benchmark.results.tables.latex import latex
from benchmark.results.tables.markdown import markdown, markdown_grid
from benchmark.results.tables.models import MODEL_SUMS, model_sums
from benchmark.results.tables.notes import caption, commands, footnotes, nothing_current
from benchmark.results.tables.numbers import as_json, csv_text, curves_csv, metrics_json
from benchmark.results.tables.overview import overview
from benchmark.results.tables.style import (
    ARROWS,
    COST_HEADS,
    NOTHING,
    cell_text,
    cost_texts,
    device_text,
    head,
    interval_text,
    number,
)
from benchmark.results.tables.table import Row, Table, build_table
from benchmark.results.tables.terminal import print_table
from benchmark.results.tables.verdicts import FLOOR_TEST, HEADLINE, SEEDS_WANTED
from benchmark.support.errors import InputError, unknown
from benchmark.support.files import update_files
from benchmark.support.progress import tracked

__all__ = [
    "ARROWS", "COST_HEADS", "FLOOR_TEST", "HEADLINE", "MODEL_SUMS", "NOTHING", "SEEDS_WANTED", "Built", "Measured",
    "Row", "Table", "as_json", "build", "build_table", "caption", "cell_text", "collect", "commands", "cost_texts",
    "device_text", "footnotes", "gray_text", "head", "headline", "interval_text", "markdown_grid", "merged",
    "nothing_current", "number", "part", "print_table", "sections", "seeds_text", "tables_in",
    "update_files",
]  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What `build` did."""

    tables: Sequence[Table]
    left_out: Sequence[str]  # one line each: which result file is in no table, and why
    messages: Sequence[str]  # these, and seeds that are missing
    stale: Sequence[Path]  # files that differed from what the results say (rewritten, unless only checked)


def build(
    results_root: Path,
    data: str | None = None,
    preset: str | None = None,
    check: bool = False,
    references: Path | None = None,
) -> Built:
    """Writes `leaderboard.{md,csv,tex}` beside the results, `README.md` at their root, and what DVC shows of them.

    Beside committed results `models.sha256` lists the best models.

    Tables inside README and the pages of docs/ are made anew, too.

    Args:
        results_root: the results folder.
        data: only tables of this data set.
        preset: only tables of this preset.
        check: write nothing, only say which files are out of date.
        references: where `results_root` holds own results, the root of the committed ones, which stand beside them.

    Raises:
        InputError: there are no results of that name, or no own ones. A project without any has empty pages.
    """
    folders = tables_in(results_root, data, preset)
    if not folders and (data or preset or references):
        raise _nothing(results_root, data, preset)
    places = [(folder, references and references / folder.relative_to(results_root)) for folder in folders]
    tables = [build_table(*place) for place in tracked(places, "tables")]
    for_dvc = results_root.parent if references else results_root
    contents = _shown_before(for_dvc, tables, every=not (data or preset or references))
    for (folder, beside), table in zip(places, tables, strict=True):
        forms = {"md": markdown(table), "csv": csv_text(table), "tex": latex(table)}
        contents |= {folder / f"leaderboard.{form}": text for form, text in forms.items()}
        contents |= {} if references else {folder / MODEL_SUMS: model_sums(table)}
        measured = table.own if beside and beside.is_dir() else {row.name for row in table.all_rows}
        contents |= _for_dvc(table, measured, for_dvc)
        contents |= {} if beside is None else {_plots(table, results_root.parent) / "table.csv": forms["csv"]}
    contents |= {} if references else _page(results_root, contents)
    contents |= _pages(results_root.parent, tables, every=not (data or preset))
    left_out = [str(one) for table in tables for one in table.left_out]
    missing = [
        f"{table.data}/{table.preset}: {method} lacks seeds that other methods have: {', '.join(map(str, seeds))}"
        for table in tables
        for method, seeds in table.missing_seeds.items()
    ]
    messages = [*left_out, *missing] if folders else [str(_nothing(results_root, None, None))]
    return Built(tables, left_out, messages, update_files(contents, check))


def _pages(root: Path, tables: Sequence[Table], every: bool) -> dict[Path, str]:
    """The project's pages of prose with tables in them, which are kept equal to the results too."""
    found = {}
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = path.read_bytes().decode() if path.is_file() else ""
        if OPENING in text:
            found[path] = embed(text, tables, every, folder="results" if path.parent == root else "../results")
    return found


def merged(own: Path, references: Path, data: str | None = None, preset: str | None = None) -> list[Table]:
    """The tables of own results and references together: where both have a cell, the own one counts.

    Raises:
        InputError: there are no results of that name, or none at all.
    """
    roots = (own, references)
    names = sorted({folder.relative_to(root) for root in roots for folder in tables_in(root, data, preset)})
    if not names:
        raise _nothing(references if tables_in(references) else own, data, preset)
    return [build_table(own / name, references / name) for name in tracked(names, "tables")]


def _shown_before(root: Path, tables: Sequence[Table], every: bool) -> dict[Path, str | None]:
    """What DVC was shown of these tables, or of `every` one: None stands for a file that goes unless it is made."""
    names = {f"{table.data}-{table.preset}" for table in tables}
    files = [*root.glob("metrics/*/*.json"), *root.glob("plots/*/curves.csv")]
    return dict.fromkeys(path for path in files if every or path.parent.name in names)


def _for_dvc(table: Table, measured: Container[str], root: Path) -> dict[Path, str]:
    """Flat metrics of the rows that were measured, and curves."""
    folder = root / "metrics" / f"{table.data}-{table.preset}"
    files = {folder / f"{row.name}.json": metrics_json(row, table) for row in table.all_rows if row.name in measured}
    return files | {_plots(table, root) / "curves.csv": curves_csv(table)}


def _plots(table: Table, root: Path) -> Path:
    return root / "plots" / f"{table.data}-{table.preset}"


def _page(root: Path, fresh: Mapping[Path, str | None]) -> dict[Path, str]:
    """The page that speaks of every table, from the CSV files: those just made, and those that were not asked for."""
    others = [path for folder in tables_in(root) if (path := folder / "leaderboard.csv").is_file()]
    made = {path: text for path, text in fresh.items() if text and path.name == "leaderboard.csv"}
    texts = {path: path.read_text(encoding="utf-8") for path in others} | made
    lines = {path.parent: list(csv.DictReader(io.StringIO(text))) for path, text in sorted(texts.items())}
    return {root / "README.md": overview(lines)}


def _nothing(root: Path, data: str | None, preset: str | None) -> InputError:
    folders = tables_in(root)
    if not folders:
        return InputError(f"no results in {root}; bench run makes own ones (--own), and references with --record")
    if data and data not in {folder.parent.name for folder in folders}:
        return unknown("data set with results", data, {folder.parent.name for folder in folders})
    return unknown("preset with results", str(preset), {folder.name for folder in folders})
