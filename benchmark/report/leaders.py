"""Who leads a table, and by how much: what the first screen of a report says."""

from typing import NamedTuple

from benchmark.results.tables import Table, headline, number
from benchmark.scoring.metrics import Metric


class Leader(NamedTuple):
    """The family with the best mean under one metric."""

    metric: Metric
    name: str
    value: str
    ahead: str  # of the next family's mean; empty where there is no other
    rank: str  # that it may have by the paired tests
    shown: bool  # to be better than every other, and not below gray in psnr
    mark: str  # † where it is not shown to beat a picture without any color


def leaders(table: Table) -> dict[str, Leader]:
    """Headline metric → its leader, where a family has a value."""
    found = {}
    for metric in headline(table):
        cells = {row.name: row.cells[metric.name] for row in table.rows}
        means = {name: cell.mean for name, cell in cells.items() if cell.mean is not None and cell.rank}
        if not metric.direction or not means:
            continue
        first, *others = sorted(means, key=lambda name: means[name], reverse=metric.direction == "higher")
        ahead = number(abs(means[first] - means[others[0]]), metric.digits) if others else ""
        rank = str(cells[first].rank)
        value = number(means[first], metric.digits)
        mark = "†" if cells[first].below_floor else ""
        shown = bool(others) and rank == "1" and cells[first].best
        found[metric.name] = Leader(metric, first, value, ahead, rank, shown, mark)
    return found


def decided_text(table: Table) -> str:
    """How many pairs of methods × headline columns are shown to differ; empty without pairs."""
    shown, pairs = table.decided
    return f"{shown} of {pairs} ({shown / pairs:.0%})" if pairs else ""
