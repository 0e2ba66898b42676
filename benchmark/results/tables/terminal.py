"""The first table for a terminal: with colors and lines, or as plain text where there is none."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from tabulate import tabulate

from benchmark.results.columns import TableCell
from benchmark.results.tables.grids import headline, main_grid, row_name, sections
from benchmark.results.tables.notes import caption, footnotes
from benchmark.results.tables.style import TEXT, head, interval_text, value_text
from benchmark.results.tables.table import Row, Table

WORDS = 13  # columns for what a row does not beat gray in
DROPPED = ("N", "budget images", "mean rank", "seeds")  # in this order where a terminal is narrow, then metrics


def print_table(table: Table, highlight: str | None = None, console: Any = None) -> None:
    """Prints the first table, an arrow at the row `highlight`: with colors and lines to a terminal, else plain.

    A narrow terminal gets it without intervals, then without columns, and a line says what is left out.
    """
    from rich.console import Console

    console = console or Console()
    left_out: list[str] = []
    if console.is_terminal:
        drawn, left_out = _fitted(table, highlight, console)
        console.print(drawn)
    else:
        heads, lines = main_grid(table, TEXT)
        lines = [[f"{_mark(line[0], table, highlight)} {line[0]}", *line[1:]] for line in lines]
        print(tabulate(lines, heads, tablefmt="simple", disable_numparse=True), file=console.file)
    told = (
        f"Left out for want of width: {', '.join(left_out)}. A wider terminal or a pipe has them." if left_out else ""
    )
    notes = [*filter(None, [told, table.note]), *caption(table)[:1], *footnotes(table)]
    console.print("\n".join(note.replace("`", "") for note in notes), markup=False, highlight=False, soft_wrap=True)


def _fitted(table: Table, highlight: str | None, console: Any) -> tuple[Any, list[str]]:
    """The table as wide as it fits, and what it had to leave out: intervals first, then columns."""
    heads = main_grid(table, TEXT)[0][1:]
    metrics = [head(metric) for metric in headline(table)]
    dropped: list[str] = []
    for name in ("", "intervals", *DROPPED, *reversed(metrics[1:]), "beats gray"):
        dropped += [name] if name else []
        drawn = _rich_table(table, highlight, [one for one in heads if one not in dropped], "intervals" not in dropped)
        if console.measure(drawn, options=console.options.update(width=1000)).maximum <= console.width:
            break
    return drawn, dropped


def _rich_table(table: Table, highlight: str | None, heads: Sequence[str], intervals: bool) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    metrics = {head(metric): metric for metric in headline(table)}
    texts, lines = main_grid(table, TEXT)
    plain = {line[0]: dict(zip(texts, line, strict=True)) for line in lines}
    drawn = RichTable(title=f"{table.data}, preset {table.preset}", box=box.SIMPLE_HEAD, title_justify="left")
    for title in ("method", *heads):
        broken = title.replace("_", "_\n", 1) if title in metrics else title.replace(" ", "\n")
        drawn.add_column(broken, justify="left" if title == "method" else "right", no_wrap=True)

    def cell(row: Row, title: str) -> Any:
        if title not in metrics:
            return fill(plain[row_name(row, TEXT)][title], WORDS)
        return _rich_cell(row.cells[metrics[title].name], metrics[title].digits, intervals)

    for _, rows in sections(table):
        for row in rows:
            marked = row.name == highlight
            name = f"{_mark(row.name, table, highlight)} {row_name(row, TEXT)}".replace(" (", "\n  (")
            drawn.add_row(
                Text(name, style="bold" if marked else ""),
                *[cell(row, title) for title in heads],
                style="on grey19" if marked else "",
            )
        drawn.add_section()
    return drawn


def _mark(name: str, table: Table, highlight: str | None) -> str:
    return ">" if name == highlight else "*" if name in table.own else " "


def _rich_cell(cell: TableCell, digits: int, interval: bool) -> Any:
    from rich.text import Text

    value = Text(value_text(cell, digits), style="bold green" if cell.best else "")
    told = interval_text(cell, digits) if interval else ""
    return value.append(f"\n{told}", style="dim") if told else value
