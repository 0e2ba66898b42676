"""`results/README.md`: every table, who leads it, and how each method fares across the tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from benchmark.contracts.result import Role
from benchmark.results.columns import columns
from benchmark.results.tables.markdown import markdown_grid
from benchmark.results.tables.style import NOTHING, head, number
from benchmark.results.tables.verdicts import HEADLINE
from benchmark.scoring.metrics import Metric
from benchmark.support.templates import environment

FRONT_SHOWN = 2
ACROSS = ("mean_rank", "psnr", "ssim", "auc", "auc_rebal")  # shown for all tables side by side
ROLES = get_args(Role)


def overview(tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> str:
    """`results/README.md`, from folder `<data>/<preset>` → the lines of its CSV file."""
    metrics = [
        columns()[name] for name in HEADLINE if any(line.get(name) for lines in tables.values() for line in lines)
    ]
    heads = ["data, preset", "images", "methods", "decided", "in front", *map(head, metrics)]
    rows = [_overview_line(folder, lines, metrics) for folder, lines in tables.items()]
    across = {name: grid for name in ACROSS if (grid := _across(name, tables))} if len(tables) > 1 else {}
    notes = {
        _name(folder): lines[0]["data_note"] for folder, lines in tables.items() if lines and lines[0].get("data_note")
    }
    template = environment("benchmark.results.tables").get_template("overview.md.j2")
    return template.render(tables=markdown_grid(heads, rows) if rows else "", across=across, notes=notes)


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _families(lines: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [line for line in lines if line.get("kind") == "family"]


def _across(column: str, tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> str:
    """One column of every table side by side, in the order of the first; nothing if no table has it."""
    shown = [line for lines in tables.values() for line in lines if line.get("kind") in ("family", "reference")]
    order = {line["method"]: line["role"] for line in shown}
    names = sorted(order, key=lambda name: ROLES.index(order[name]))  # methods first; a stable sort
    cells = {
        folder: {line["method"]: _cell_across(line, column, len(_families(lines)) > 1) for line in lines}
        for folder, lines in tables.items()
    }
    held = [folder for folder, found in cells.items() if any(text != NOTHING for text in found.values())]
    lines = [[f"`{name}`", *[cells[folder].get(name, NOTHING) for folder in held]] for name in names]
    lines = [line for line in lines if any(text != NOTHING for text in line[1:])]
    return markdown_grid(["method", *map(_name, held)], lines) if lines else ""


def _cell_across(line: Mapping[str, str], column: str, others: bool) -> str:
    """Value and gray's mark: bold where it is shown to beat the others and not below gray; else with its ranks."""
    if not line.get(column):
        return NOTHING
    digits = columns()[column].digits if column in columns() else 1
    value = number(float(line[column]), digits) + _dagger(line, column)
    rank = line.get(f"{column}_rank") if others else None
    return f"**{value}**" if _won(line, column) else f"{value} ({rank})" if rank else value


def _won(line: Mapping[str, str], column: str) -> bool:
    """Whether a method is shown to beat every other one, and its table has it in bold."""
    return line.get(f"{column}_rank") == "1" and column in line["bold"].split()


def _dagger(line: Mapping[str, str], column: str) -> str:
    """The mark of a method that is not shown to beat gray, or nothing."""
    return "†" if column in line["not_above_gray"].split() else ""


def _overview_line(folder: Path, lines: Sequence[Mapping[str, str]], metrics: Sequence[Metric]) -> list[str]:
    name, families = _name(folder), _families(lines)
    images = max((int(line["images"]) for line in lines if line.get("images")), default=0)
    front = [f"`{line['method']}` {float(line['mean_rank']):.1f}" for line in families if line["mean_rank"]]
    facts = [f"{images:,}", str(len(families)), families[0]["decided"] if families else NOTHING]
    leaders = [_leader(families, metric) for metric in metrics]
    return [f"[{name}]({name}/leaderboard.md)", *facts, ", ".join(front[:FRONT_SHOWN]) or NOTHING, *leaders]


def _leader(families: Sequence[Mapping[str, str]], metric: Metric) -> str:
    """Who has the best mean, by how much, its ranks and gray's mark; bold as in `_cell_across`."""
    measured = [line for line in families if line.get(metric.name)]
    measured.sort(key=lambda line: float(line[metric.name]), reverse=metric.direction == "higher")
    if not measured:
        return NOTHING
    first, second = measured[0], measured[1] if measured[1:] else None
    text = f"`{first['method']}` {number(float(first[metric.name]), metric.digits)}{_dagger(first, metric.name)}"
    if second is None:
        return text
    rank, lead = first.get(f"{metric.name}_rank"), abs(float(first[metric.name]) - float(second[metric.name]))
    shown = f"**{text}**" if _won(first, metric.name) else text
    return f"{shown}, {number(lead, metric.digits)} ahead, rank {rank or NOTHING}"
