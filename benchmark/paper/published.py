"""Sets what the sources report (`published.yaml`) beside what this suite measures, unranked, as protocols differ."""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import Field, field_validator

from benchmark.contracts.result import Record
from benchmark.results.tables import NOTHING, markdown_grid, number, update_files
from benchmark.scoring.metrics import METRICS
from benchmark.support import yaml
from benchmark.support.templates import environment

PAGE = "published.md"
DEMONSTRATIONS = ("sample",)  # data sets whose scores are no evidence, so they stand beside no source


class Published(Record):
    """One system of one source."""

    source: str
    system: str
    reported_on: str  # the data, in the source's words
    data: str | None = None  # our name of the data set
    like: tuple[str, ...] = ()  # our data sets of such images, where the source's own is not here or not named
    beside: str | None = None  # our entry of the same method
    metrics: dict[str, float] = Field(default_factory=dict)
    note: str = ""

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: dict[str, float]) -> dict[str, float]:
        if unknown := metrics.keys() - METRICS.keys():
            raise ValueError(f"not metrics of ours: {', '.join(sorted(unknown))}")
        return metrics


def load_published() -> list[Published]:
    """Reads `published.yaml`."""
    entries = yaml.load(
        files("benchmark.paper").joinpath("published.yaml").read_text(encoding="utf-8"), "published.yaml"
    )
    return [Published.model_validate(entry) for entry in entries]


def build_published(results_root: Path, check: bool = False) -> list[Path]:
    """Writes `published.md` from the `leaderboard.csv` files below the results folder.

    Args:
        results_root: the results folder.
        check: whether to write nothing.

    Returns:
        The page's path, if the page differed from the tables.
    """
    lines = {}
    for path in sorted(results_root.glob("*/*/leaderboard.csv")):
        lines[path.parent] = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    return update_files({results_root / PAGE: page(lines)}, check)


def page(tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> str:
    """Returns the text of `results/published.md`.

    Args:
        tables: folder `<data>/<preset>` → the lines of its `leaderboard.csv`.
    """
    rows = load_published()
    lines = [line for row in rows for line in _lines(row, tables)]
    heads = ("source", "system", "data there", "metric", "reported there", "measured here", "`gray` here", "difference")
    notes = [f"{row.source}, {row.system}: {row.note}" for row in rows if row.note]
    return (
        environment("benchmark.paper")
        .get_template("published.md.j2")
        .render(table=markdown_grid(heads, lines, left=4), notes=notes)
    )


def _lines(row: Published, tables: Mapping[Path, Sequence[Mapping[str, str]]]) -> list[list[str]]:
    """Returns one line per metric and table of ours with the method, or one per metric where there is no such table."""
    ours = [
        (folder, line)
        for folder, rows in tables.items()
        if folder.parent.name not in DEMONSTRATIONS
        for line in rows
        if row.beside and line["method"] == row.beside and line["status"] == "ok"
    ]
    lines = []
    for name, value in row.metrics.items():
        told = [row.source, row.system, row.reported_on, name, f"{value:g}"]
        for folder, line in ours:
            if line.get(name):
                measured, difference = _beside(row, name, value, folder, line)
                lines.append([*told, measured, _gray(tables[folder], name), difference])
        if not any(line.get(name) for _, line in ours):
            lines.append([*told, NOTHING, NOTHING, NOTHING])
    return lines or [[row.source, row.system, row.reported_on, *[NOTHING] * 5]]


def _gray(rows: Sequence[Mapping[str, str]], metric: str) -> str:
    """Returns what a picture without any color scores on the same images."""
    found = [line[metric] for line in rows if line.get("role") == "floor" and line.get(metric)]
    return number(float(found[0]), METRICS[metric].digits) if found else NOTHING


def _beside(row: Published, metric: str, value: float, folder: Path, line: Mapping[str, str]) -> list[str]:
    """Returns our value with its interval and place, and the difference if the data set is the same."""
    digits = METRICS[metric].digits
    low, high = line.get(f"{metric}_low"), line.get(f"{metric}_high")
    interval = f" [{number(float(low), digits)}, {number(float(high), digits)}]" if low and high else ""
    data, preset = folder.parts[-2:]
    ours = float(line[metric])
    difference = f"{ours - value:+.{digits}f}" if row.data == data else NOTHING
    return [f"{number(ours, digits)}{interval} `{row.beside}` on {data}/{preset}", difference]
