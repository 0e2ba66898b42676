"""A table's parts as lines of text cells, in whichever style: what Markdown, LaTeX and the terminal lay out."""

from collections.abc import Callable, Sequence
from functools import partial

from benchmark.results.tables.style import (
    COST_HEADS,
    NOTHING,
    Style,
    cell_text,
    cost_texts,
    device_text,
    head,
    in_units,
    number,
)
from benchmark.results.tables.table import Row, Table
from benchmark.results.tables.verdicts import HEADLINE
from benchmark.scoring.metrics import Metric

Grid = tuple[list[str], list[list[str]]]  # heads, lines


def headline(table: Table) -> list[Metric]:
    """The metrics of the first, short table."""
    return [metric for metric in table.metrics if metric.name in HEADLINE]


def row_name(row: Row, style: Style) -> str:
    """The method's name; external ones are marked, and ablations name what they vary."""
    said = "external" if row.run.external else f"of {row.varies}" if row.varies else ""
    return style.name(row.name) + (f" {style.aside(said)}" if said else "")


def seeds_text(row: Row) -> str:
    """How many seeds; ‡ marks a method that too few stand for."""
    return f"{len(row.seeds)}{'‡' if row.few_seeds else ''}"


def gray_text(row: Row, table: Table) -> str:
    """Whether a method beats `gray`."""
    if row.run.role != "method" or table.floor is None:
        return NOTHING
    return f"not in {', '.join(row.not_above_floor)} †" if row.not_above_floor else "yes"


def sections(table: Table) -> list[tuple[str, Sequence[Row]]]:
    """The parts of a table that are set apart."""
    parts = {
        "methods": table.rows,
        "ablations, each against the entry that it varies": table.ablations,
        "baselines": table.baselines,
        "ceilings, shown the true colors": table.ceilings,
    }
    return [(title, rows) for title, rows in parts.items() if rows]


def _grid(table: Table, style: Style, columns: Sequence[tuple[str, Callable[[Row], str]]]) -> Grid:
    """One line per row, with a cell for each head, and one with a title above each part but the first."""
    lines: list[list[str]] = []
    for title, rows in sections(table):
        if title != "methods":
            lines.append([style.aside(title), *[""] * len(columns)])
        lines += [[row_name(row, style), *[text(row) for _, text in columns]] for row in rows]
    return ["method", *[name for name, _ in columns]], lines


def _values(metrics: Sequence[Metric], style: Style) -> list[tuple[str, Callable[[Row], str]]]:
    def text(row: Row, metric: Metric) -> str:
        return cell_text(row.cells[metric.name], metric.digits, style)

    return [(style.plain(head(metric)), partial(text, metric=metric)) for metric in metrics]


def main_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of the first table."""
    columns = [
        ("mean rank", lambda row: style.plain(NOTHING if row.mean_rank is None else number(row.mean_rank, 1))),
        *_values(headline(table), style),
        ("beats gray", lambda row: style.plain(gray_text(row, table))),
        ("seeds", lambda row: style.plain(seeds_text(row))),
        ("budget images", lambda row: style.plain(in_units(row.cost.budget_images))),
        ("N", lambda row: style.plain(f"{row.images:,}")),
    ]
    return _grid(table, style, columns)


def metric_grid(table: Table, metrics: Sequence[Metric], style: Style) -> Grid:
    """Heads and lines of a table of some metrics."""
    return _grid(table, style, _values(metrics, style))


def rank_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of the ranks, for the methods that have any."""
    metrics = [metric for metric in table.metrics if any(row.cells[metric.name].rank for row in table.rows)]
    ranked = [row for row in table.rows if any(cell.rank for cell in row.cells.values())]
    lines = [[row_name(row, style), *[str(row.cells[m.name].rank or NOTHING) for m in metrics]] for row in ranked]
    return ["method", *[style.plain(metric.name) for metric in metrics]], lines


def cost_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of what each row costs."""

    def figure(row: Row, column: int) -> str:
        return style.plain([*cost_texts(row.cost), device_text(row.cost.device or NOTHING)][column])

    heads = (*COST_HEADS, "device")
    return _grid(table, style, [(name, partial(figure, column=column)) for column, name in enumerate(heads)])
