"""Keeps a table inside a page of prose, README or one of docs/, equal to the results that it is made of.

<!-- table: results/cifar10/quick -->                                    the leaderboard's first table
<!-- table: results/cifar10/quick columns: psnr auc rows: l2 cgan -->    a part of it; trivial rows are always there
<!-- end of table -->
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from benchmark.results.columns import columns as every_column
from benchmark.results.tables.grids import Grid, main_grid, metric_grid
from benchmark.results.tables.markdown import MARKDOWN, markdown_grid
from benchmark.results.tables.notes import ABLATION_MARKS, caption, footnotes, left_out, nothing_current, seeds_of
from benchmark.results.tables.table import Table
from benchmark.support.errors import BenchError, unknown
from benchmark.support.templates import md

Value = TypeVar("Value")
OPENING = "<!-- table: results/"
OPTIONS = r"(?: columns: ([^:>]+?))?(?: rows: ([^:>]+?))?"
BLOCK = re.compile(rf"({OPENING}([^/ ]+)/([^/ ]+){OPTIONS} -->\n).*?(<!-- end of table -->)", re.DOTALL)


def embed(page: str, tables: Sequence[Table], every: bool = True, folder: str = "results") -> str:
    """The page with the table of each `<!-- table: results/<data>/<preset> … -->` block made anew.

    Unless `tables` are `every` one that there is, blocks of others stay as they are. `folder` is where the results lie,
    seen from the page.

    Raises:
        BenchError: a block without its end, or with an option that is none: the table in it would never be renewed.
        InputError: a column that does not exist.
    """
    if page.count(OPENING) != len(BLOCK.findall(page)):
        raise BenchError(
            f"a page has {OPENING!r} without '<!-- end of table -->' after it, or with options other than"
            " 'columns: NAMES' and 'rows: NAMES', in this order; put that line right"
        )
    by_name = {(table.data, table.preset): table for table in tables}

    def fill(block: re.Match[str]) -> str:
        opening, data, preset, columns, rows, end = block.groups()
        table = by_name.get((data, preset))
        if table is None:
            return f"{opening}\n{nothing_current(folder.removesuffix('results'))}\n\n{end}" if every else block[0]
        if columns or rows or not table.all_rows:
            return f"{opening}\n{part(table, (columns or '').split(), (rows or '').split(), folder)}\n{end}"
        return f"{opening}\n{_text(table, main_grid(table, MARKDOWN), footnotes(table))}\n{end}"

    return BLOCK.sub(fill, page)


def part(table: Table, columns: Sequence[str], rows: Sequence[str] = (), folder: str = "results") -> str:
    """A part of a table as Markdown, with what must be known of this part alone.

    Of all columns and rows where none are named; rows stand in the table's order, trivial ones are always there.
    `folder` is where the results lie, seen from the page. InputError: a column does not exist.
    """
    if not table.all_rows:
        return _list([nothing_current(folder.removesuffix("results")), *left_out(table)])
    shown = _restricted(table, columns, rows)
    floor = " and its mean `psnr` is not below gray's" if table.floor else ""
    marks = f" {ABLATION_MARKS}" if shown.ablations else ""
    notes = [
        f"Mean over seeds ({seeds_of(shown)}), 95 % interval over seeds and images; bold: no method is shown to be "
        f"better, the row's range of ranks ends in the better half{floor}.{marks}",
        *footnotes(shown, marked=False),
    ]
    known = {row.name for row in shown.all_rows} | table.skipped.keys()
    notes += [f"`{name}` is not measured yet." for name in rows if name not in known]
    if more := len(table.all_rows) - len(shown.all_rows):
        page = f"{folder}/{table.data}/{table.preset}/leaderboard.md"
        notes.append(f"{more} more row{'s' if more > 1 else ''}: [the whole table]({page}).")
    return _text(shown, metric_grid(shown, shown.metrics, MARKDOWN), notes)


def _restricted(table: Table, columns: Sequence[str], rows: Sequence[str]) -> Table:
    """The table as if it had these columns and methods only; an empty list stands for all."""
    legal = every_column()
    for name in columns:
        if name not in legal:
            raise unknown("column of a table in a page", name, legal)

    def chosen(by_name: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
        return {name: value for name, value in by_name.items() if not names or name in names}

    return replace(
        table,
        metrics=[legal[name] for name in columns if legal[name] in table.metrics] or table.metrics,
        rows=[row for row in table.rows if not rows or row.name in rows],
        ablations=[row for row in table.ablations if not rows or row.name in rows],
        absent=chosen(table.absent, columns),
        truth=chosen(table.truth, columns),
        skipped=chosen(table.skipped, rows),
        missing_seeds=chosen(table.missing_seeds, rows),
    )


def _text(table: Table, grid: Grid, notes: Sequence[str]) -> str:
    return f"{markdown_grid(*grid)}\n\n{_list([*filter(None, [table.note]), *caption(table)[:1], *notes])}"


def _list(notes: Sequence[str]) -> str:
    return "".join(f"- {md(note)}\n" for note in notes)
