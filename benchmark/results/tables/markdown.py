"""A table as a page of Markdown."""

import re
from collections.abc import Sequence

from tabulate import tabulate

from benchmark.results.tables.grids import cost_grid, main_grid, metric_grid, rank_grid
from benchmark.results.tables.notes import caption, commands, footnotes, nothing_current, origins
from benchmark.results.tables.style import Style
from benchmark.results.tables.table import Table
from benchmark.results.tables.verdicts import HEADLINE
from benchmark.support.templates import environment, md

MORE_PER_TABLE = 6  # metrics side by side, with their intervals, before a page gets too wide
INTERVAL = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\]")
MARKDOWN = Style(str, lambda text: f"**{text}**", lambda text: f"`{text}`", lambda text: f"*{text}*")


def markdown(table: Table) -> str:
    """The table as a Markdown document."""
    further = [metric for metric in table.metrics if metric.name not in HEADLINE]
    chunks = [further[start : start + MORE_PER_TABLE] for start in range(0, len(further), MORE_PER_TABLE)]
    return (
        environment("benchmark.results.tables")
        .get_template("leaderboard.md.j2")
        .render(
            table=table,
            main=markdown_grid(*main_grid(table, MARKDOWN)),
            further=[markdown_grid(*metric_grid(table, chunk, MARKDOWN)) for chunk in chunks],
            ranks=markdown_grid(*rank_grid(table, MARKDOWN)) if any(row.mean_rank for row in table.rows) else "",
            nothing_current=nothing_current("../../../"),
            cost=markdown_grid(*cost_grid(table, MARKDOWN)),
            caption=caption(table),
            footnotes=footnotes(table),
            origins=origins(table),
            commands=commands(table),
        )
    )


def markdown_grid(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """A pipe table whose columns line up, so that it is read in an editor too. The first `left` columns are text.

    Intervals do not break in the middle when a page is too narrow.
    """
    align = ["left"] * left + ["right"] * (len(heads) - left)
    lines = [[INTERVAL.sub("[\\1,\u00a0\\2]", md(text)).replace("|", "\\|") for text in line] for line in lines]
    return tabulate(lines, heads, tablefmt="pipe", colalign=align if lines else None, disable_numparse=True)
