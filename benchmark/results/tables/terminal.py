"""The first table for a terminal: with colors and lines, or as plain text where there is none."""

from typing import Any

from tabulate import tabulate

from benchmark.results.columns import TableCell
from benchmark.results.tables.grids import gray_text, headline, main_grid, row_name, sections, seeds_text
from benchmark.results.tables.notes import caption, footnotes
from benchmark.results.tables.style import TEXT, head, interval_text, value_text
from benchmark.results.tables.table import Table


def print_table(table: Table, highlight: str | None = None, console: Any = None) -> None:
    """Prints the first table, an arrow at the row `highlight`: with colors and lines to a terminal, else plain."""
    from rich.console import Console

    console = console or Console()
    if console.is_terminal:
        console.print(_rich_table(table, highlight, max(3, (console.width - 45) // 19)))
    else:
        heads, lines = main_grid(table, TEXT)
        lines = [[f"{_mark(line[0], table, highlight)} {line[0]}", *line[1:]] for line in lines]
        print(tabulate(lines, heads, tablefmt="simple", disable_numparse=True), file=console.file)
    notes = [*filter(None, [table.note]), *caption(table)[:1], *footnotes(table)]
    console.print("\n".join(note.replace("`", "") for note in notes), markup=False, highlight=False, soft_wrap=True)


def _rich_table(table: Table, highlight: str | None, columns: int) -> Any:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    metrics = headline(table)[:columns]  # as many as fit, with their intervals
    drawn = RichTable(title=f"{table.data}, preset {table.preset}", box=box.SIMPLE_HEAD, title_justify="left")
    for title in ("method", *map(head, metrics), "beats gray", "seeds"):
        drawn.add_column(title, justify="left" if title == "method" else "right", no_wrap=title != "beats gray")
    for _, rows in sections(table):
        for row in rows:
            marked = row.name == highlight
            cells = [_rich_cell(row.cells[metric.name], metric.digits) for metric in metrics]
            name = Text(f"{_mark(row.name, table, highlight)} {row_name(row, TEXT)}", style="bold" if marked else "")
            drawn.add_row(name, *cells, gray_text(row, table), seeds_text(row), style="on grey19" if marked else "")
        drawn.add_section()
    return drawn


def _mark(name: str, table: Table, highlight: str | None) -> str:
    return ">" if name == highlight else "*" if name in table.own else " "


def _rich_cell(cell: TableCell, digits: int) -> Any:
    from rich.text import Text

    value = Text(value_text(cell, digits), style="bold green" if cell.best else "")
    return value.append(f"\n{interval_text(cell, digits)}", style="dim") if cell.interval else value
