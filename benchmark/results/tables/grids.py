"""A table's parts as lines of text cells, in whichever style: what Markdown, LaTeX and the terminal lay out."""

from collections.abc import Callable, Sequence

from benchmark.results.tables.style import (
    COST_HEADS,
    NOTHING,
    Style,
    cell_text,
    cost_texts,
    device_text,
    head,
    number,
)
from benchmark.results.tables.table import SEEDS_WANTED, Row, Table
from benchmark.scoring.metrics import Metric

HEADLINE = ("psnr", "ssim", "auc", "auc_rebal", "lpips_alex", "fid", "top1", "delta_colorfulness", "fooled")
Grid = tuple[list[str], list[list[str]]]  # heads, lines


def headline(table: Table) -> list[Metric]:
    """The metrics of the first, short table."""
    return [metric for metric in table.metrics if metric.name in HEADLINE]


def row_name(row: Row, style: Style) -> str:
    """The method's name; external ones are marked."""
    return style.name(row.name) + (f" {style.aside('external')}" if row.run.external else "")


def seeds_text(row: Row) -> str:
    """How many seeds; ‡ marks a method that too few stand for."""
    few = row.run.role == "method" and len(row.seeds) < SEEDS_WANTED
    return f"{len(row.seeds)}{'‡' if few else ''}"


def gray_text(row: Row, table: Table) -> str:
    """Whether a method beats `gray`."""
    if row.run.role != "method" or table.floor is None:
        return NOTHING
    return f"not in {', '.join(row.not_above_floor)} †" if row.not_above_floor else "yes"


def sections(table: Table) -> list[tuple[str, Sequence[Row]]]:
    """The parts of a table that are set apart."""
    parts = [
        ("methods", table.rows),
        ("baselines", table.baselines),
        ("ceilings, shown the true colors", table.ceilings),
    ]
    return [(title, rows) for title, rows in parts if rows]


def _grid(table: Table, heads: Sequence[str], line: Callable[[Row], list[str]], style: Style) -> list[list[str]]:
    """Lines of text cells: one per row, and one with a title above each part but the first."""
    lines: list[list[str]] = []
    for title, rows in sections(table):
        if title != "methods":
            lines.append([style.aside(title), *[""] * (len(heads) - 1)])
        lines += [line(row) for row in rows]
    return lines


def main_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of the first table."""
    metrics = headline(table)
    heads = ["method", "mean rank", *[style.plain(head(metric)) for metric in metrics], "beats gray", "seeds", "N"]

    def line(row: Row) -> list[str]:
        cells = [cell_text(row.cells[metric.name], metric.digits, style) for metric in metrics]
        mean_rank = NOTHING if row.mean_rank is None else number(row.mean_rank, 1)
        facts = [gray_text(row, table), seeds_text(row), f"{row.images:,}"]
        return [row_name(row, style), style.plain(mean_rank), *cells, *map(style.plain, facts)]

    return heads, _grid(table, heads, line, style)


def metric_grid(table: Table, metrics: Sequence[Metric], style: Style) -> Grid:
    """Heads and lines of a table of some metrics."""
    heads = ["method", *[style.plain(head(metric)) for metric in metrics]]

    def line(row: Row) -> list[str]:
        return [row_name(row, style), *[cell_text(row.cells[m.name], m.digits, style) for m in metrics]]

    return heads, _grid(table, heads, line, style)


def rank_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of the ranks, for the methods that have any."""
    metrics = [metric for metric in table.metrics if any(row.cells[metric.name].rank for row in table.rows)]
    heads = ["method", *[style.plain(metric.name) for metric in metrics]]
    ranked = [row for row in table.rows if row.mean_rank is not None]
    lines = [[row_name(row, style), *[str(row.cells[m.name].rank or NOTHING) for m in metrics]] for row in ranked]
    return heads, lines


def cost_grid(table: Table, style: Style) -> Grid:
    """Heads and lines of what each row costs."""
    heads = ["method", *COST_HEADS, "device"]

    def line(row: Row) -> list[str]:
        figures = [*cost_texts(row.cost), device_text(row.cost.device or NOTHING)]
        return [row_name(row, style), *map(style.plain, figures)]

    return heads, _grid(table, heads, line, style)
