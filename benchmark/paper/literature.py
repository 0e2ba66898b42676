"""Writes docs/published.md: what is in print (`published.csv`), who reports it of whom, and what contradicts itself.

Nothing is measured here and nothing is ranked. The figures are transcribed, each with its source; they are of other
test sets, sizes, networks and evaluation codes, and stand beside each other so that this is seen.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import Field, model_validator

from benchmark.contracts.result import Record
from benchmark.results.tables import NOTHING, markdown_grid, update_files
from benchmark.support import yaml
from benchmark.support.templates import environment

PAGE = "published.md"
TABLE, CONTRADICTIONS = "published.csv", "contradictions.yaml"
SCORES = {"fid": "FID", "cf": "CF", "dcf": "ΔCF", "psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS"}
IN_MATRIX = ("fid", "psnr", "cf")  # scores of which it is shown who reports them of whom
OWN = "its authors"
LEAST_ROWS = 2  # of a test set that has a table of its own


class Figure(Record):
    """A row of `published.csv`: the scores of one system on one test set by one reporter, as they are printed."""

    method: str
    data: str
    n_images: int | None
    geometry: str
    fid: str  # "" where none is printed; text, so that no digit is lost
    fid_variant: str
    cf: str
    dcf: str
    psnr: str
    ssim: str
    lpips: str
    other: str
    reported_by: str
    kind: str  # own, or who ran it again
    source: str
    note: str

    @model_validator(mode="before")
    @classmethod
    def _empty_number(cls, row: Mapping[str, str]) -> dict[str, str | None]:
        return {**row, "n_images": row["n_images"] or None}

    @property
    def system(self) -> str:
        """The system's name without what is said of it in parentheses."""
        return re.sub(r" \(.*", "", self.method)

    @property
    def own(self) -> bool:
        """Whether its authors report it."""
        return self.kind.startswith("own")


class Printed(Record):
    """One side of a contradiction."""

    reported_by: str
    fid: float | None = None
    cf: float | None = None
    dcf: float | None = None
    psnr: float | None = None

    @property
    def scores(self) -> dict[str, float]:
        """The scores that are given."""
        return {name: value for name in SCORES if (value := getattr(self, name, None)) is not None}


class Contradiction(Record):
    """Figures of one thing that differ."""

    system: str
    data: str
    figures: list[Printed] = Field(min_length=2)
    cause: str


def load_figures() -> list[Figure]:
    """Reads `published.csv`."""
    text = files("benchmark.paper").joinpath(TABLE).read_text(encoding="utf-8")
    return [Figure.model_validate(row) for row in csv.DictReader(io.StringIO(text))]


def load_contradictions() -> list[Contradiction]:
    """Reads `contradictions.yaml`."""
    text = files("benchmark.paper").joinpath(CONTRADICTIONS).read_text(encoding="utf-8")
    return [Contradiction.model_validate(one) for one in yaml.load(text, CONTRADICTIONS)]


def build_literature(root: Path, check: bool = False) -> list[Path]:
    """Writes `docs/published.md`.

    Args:
        root: the project's folder, which holds `docs/`.
        check: whether to write nothing.

    Returns:
        The page's path, if the page differed from the data.
    """
    return update_files({root / "docs" / PAGE: page(load_figures(), load_contradictions())}, check)


def page(figures: Sequence[Figure], contradictions: Sequence[Contradiction]) -> str:
    """Returns the text of `docs/published.md`."""
    by_data: dict[str, list[Figure]] = {}
    for one in figures:
        by_data.setdefault(one.data, []).append(one)
    large = {data: rows for data, rows in by_data.items() if len(rows) >= LEAST_ROWS}
    single = [row for rows in by_data.values() if len(rows) < LEAST_ROWS for row in rows]
    again = {one.system for one in figures if not one.own} & {one.system for one in figures if one.own}
    return (
        environment("benchmark.paper")
        .get_template("literature.md.j2")
        .render(
            rows=len(figures),
            systems=len({one.method for one in figures}),
            own=sum(one.own for one in figures),
            again=sorted(again),
            matrices={SCORES[score]: _matrix(figures, score) for score in IN_MATRIX},
            contradictions=_contradictions(contradictions),
            tables={data: _table(rows) for data, rows in large.items()},
            single=_table(single, with_data=True),
            sources=_sources(figures),
        )
    )


def _matrix(figures: Sequence[Figure], score: str) -> str:
    """Returns who reports a score of whom: a line per system of which two reporters have one, a column per reporter."""
    cells: dict[str, dict[str, list[str]]] = {}
    for one in figures:
        if value := getattr(one, score):
            reporter = OWN if one.own else one.reported_by
            cells.setdefault(one.system, {}).setdefault(reporter, []).append(f"{value} ({_where(one)})")
    shown = {system: row for system, row in cells.items() if len(row) > 1}
    reporters = list(dict.fromkeys([OWN, *(reporter for row in shown.values() for reporter in row)]))
    lines = [
        [system, *("; ".join(row[reporter]) if reporter in row else NOTHING for reporter in reporters)]
        for system, row in sorted(shown.items())
    ]
    return markdown_grid(["system", *reporters], lines, left=1 + len(reporters))


def _where(one: Figure) -> str:
    return one.data.removeprefix("ImageNet ").removesuffix(" val")


def _contradictions(found: Sequence[Contradiction]) -> str:
    lines = []
    for one in found:
        told = "; ".join(f"{_scores(side)} {side.reported_by}" for side in one.figures)
        lines.append([one.system, one.data, told, one.cause])
    return markdown_grid(("system", "test set", "who prints what", "what is known of the cause"), lines, left=4)


def _scores(side: Printed) -> str:
    return ", ".join(f"{SCORES[name]} {value:g}" for name, value in side.scores.items())


def _table(rows: Sequence[Figure], with_data: bool = False) -> str:
    heads = ["system", *(["test set"] if with_data else []), "reported by", "N", "geometry", *SCORES.values(), "more"]
    lines = [
        [
            one.method,
            *([one.data] if with_data else []),
            one.reported_by + ("" if one.own else f": {one.kind}"),
            f"{one.n_images:,}" if one.n_images else NOTHING,
            one.geometry or NOTHING,
            *(getattr(one, name) or NOTHING for name in SCORES),
            "; ".join(filter(None, [one.other, one.note])),
        ]
        for one in rows
    ]
    return markdown_grid(heads, lines, left=len(heads))


def _sources(figures: Sequence[Figure]) -> dict[str, list[str]]:
    """Returns where each reporter's figures were read → the networks of its FID, as far as they are told."""
    found: dict[str, dict[str, None]] = {}
    for one in figures:
        found.setdefault(f"{one.reported_by}: {one.source}", {}).update(dict.fromkeys(filter(None, [one.fid_variant])))
    return {source: list(variants) for source, variants in found.items()}
