"""What a report says of one method across its tables: what it is, from its file and its entry, and its rows."""

import ast
import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.contracts import registry
from benchmark.contracts.config import Params
from benchmark.report.chapter import Chapter, Training
from benchmark.report.gallery import EVENLY, INPUT, TRUTH, Strip
from benchmark.results.tables import Row


@dataclass(frozen=True)
class Place:
    """One method in one table."""

    chapter: Chapter
    row: Row

    @property
    def training(self) -> Training | None:
        """How it was trained, where its model is at hand."""
        return next((one for one in self.chapter.trainings if one.method == self.row.name), None)

    @property
    def strips(self) -> list[Strip]:
        """Its pictures of the first images of the gallery, between what it was given and the truth."""
        shown = (INPUT, self.row.name, TRUTH)
        strips = self.chapter.gallery.strips[:EVENLY]
        narrow = [one._replace(pictures=[p for p in one.pictures if p.method in shown]) for one in strips]
        return [one for one in narrow if len(one.pictures) == len(shown)]


@dataclass(frozen=True)
class About:
    """One method in every table of a report."""

    name: str
    kind: str  # "family", "ablation", "reference"
    varies: str | None
    paragraphs: Sequence[str]  # of its file's docstring
    entry: str  # its departures from the adapter's defaults, as params.yaml has them
    places: Sequence[Place]

    @property
    def id(self) -> str:
        """Of its page."""
        return f"method-{self.name}"


def about_methods(chapters: Sequence[Chapter], params: Params) -> list[About]:
    """Every method of a report: families in the order of the tables, each followed by its ablations, then the rest."""
    places: dict[str, list[Place]] = {}
    for chapter in chapters:
        for row in chapter.table.all_rows:
            places.setdefault(row.name, []).append(Place(chapter, row))
    kinds = ("family", "ablation", "reference")
    names = list(places)

    def order(name: str) -> tuple[bool, int, int, str]:
        row = places[name][0].row
        of = row.varies if row.varies in places else name
        return row.kind == "reference", names.index(of), kinds.index(row.kind), name

    return [_about(name, places[name], params) for name in sorted(names, key=order)]


def _about(name: str, places: Sequence[Place], params: Params) -> About:
    row = places[0].row
    file = None if row.run.external else registry.source_file("method", row.run.adapter)
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file else None
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(told or "").split("\n\n")]
    if row.run.external:
        paragraphs = ["Colored by another program; its images were scored here."]
    entry = params.entries.get(name) or {}
    return About(
        name,
        row.kind,
        row.varies,
        [p for p in paragraphs if p],
        ", ".join(f"{k}: {v}" for k, v in entry.items()),
        places,
    )
