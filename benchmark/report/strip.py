"""The strip: a few photographs as each family colors them, committed with the rows whose models colored them.

`bench strip` (benchmark.photographs) draws it into `docs/strip`; a report shows it without any model at hand. A column
whose row is no longer current, or was measured with another model since, is left out.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from benchmark.contracts.result import Digest, Record
from benchmark.report.gallery import HARM, INPUT, TRUTH, Picture, Strip
from benchmark.results.tables import Table, collect, number
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import BenchError, first_fault
from benchmark.support.files import file_sha256

FOLDER, RECORD = Path("docs") / "strip", "strip.json"
ENDS = ("input", "truth")  # endings of the first and the last column's pictures
DRAW = "draw it again: bench strip"


class StripColumn(Record):
    """What colored one column."""

    name: str
    file: str  # ending of its pictures' names
    model_sha256: Digest
    row: str | None = None  # `<data>/<preset>/<method>/seed<k>` below results/
    model: str | None = None  # of a model without a row: its file in the project


class StripRecord(Record):
    """What `bench strip` drew."""

    photographs: str  # the data set
    terms: str
    ids: tuple[str, ...]  # of the photographs, in the order of the rows
    side: int  # pixels
    columns: tuple[StripColumn, ...]


@dataclass(frozen=True)
class DrawnStrip:
    """What a report shows of it."""

    strips: Sequence[Strip]  # a photograph each
    side: int  # pixels
    terms: str  # under which the photographs may be used
    sources: Mapping[str, str]  # column → its row, or its model


def picture_name(number: int, file: str) -> str:
    """The name of a picture's file: the number of its photograph, and its column's."""
    return f"{number}-{file}.webp"


def place_strip(root: Path, tables: Sequence[Table], out: Path) -> tuple[DrawnStrip | None, str]:
    """Copies the strip's current columns into a report.

    Args:
        root: the project's folder.
        tables: those of the report, which say the columns' scores.
        out: the folder for the pictures, one below the report's images.

    Returns:
        The strip, or None if there is none, and a line for each column that was left out.
    """
    path = root / FOLDER / RECORD
    if not path.is_file():
        return None, f"no strip of photographs is drawn; {DRAW}"
    try:
        record = StripRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise BenchError(f"{path}: {first_fault(error)}; {DRAW}") from None
    shas = current_models(root / "results", record.columns)
    current = [one for one in record.columns if _current(one, root, shas)]
    stale = [one.name for one in record.columns if one not in current]
    scores = {one.name: _score(one, tables) for one in current}
    named = [(INPUT, ENDS[0]), *((one.name, one.file) for one in current), (TRUTH, ENDS[1])]
    out.mkdir(parents=True)
    strips = []
    for k, id_ in enumerate(record.ids):
        pictures = []
        for name, file in named:
            shutil.copy(path.with_name(picture_name(k, file)), out)
            told = f"Photograph {id_}, {name}" if name in (INPUT, TRUTH) else f"Photograph {id_} as {name} colors it"
            place = f"{out.parent.name}/{out.name}/{picture_name(k, file)}"
            pictures.append(Picture(name, place, told, scores.get(name, {})))
        strips.append(Strip(id_, pictures, ()))
    rows = {one.name: one.row or one.model or "" for one in current}
    said = f"strip: left out {', '.join(stale)}, whose rows or models have changed; {DRAW}" if stale else ""
    return DrawnStrip(strips, record.side, f"{record.terms} (data set {record.photographs})", rows), said


def current_models(references: Path, columns: Sequence[StripColumn]) -> dict[str, str]:
    """Row → the SHA-256 of the model that it was measured with, of the current rows in these columns' tables."""
    folders = {Path(one.row).parents[1] for one in columns if one.row}
    measured = [one for folder in sorted(folders) for one in collect(references / folder).measured]
    return {
        one.path.relative_to(references).with_suffix("").as_posix(): str(
            one.result.provenance.config.get("model_sha256")
        )
        for one in measured
    }


def _current(column: StripColumn, root: Path, shas: dict[str, str]) -> bool:
    if column.row:
        return shas.get(column.row) == column.model_sha256
    model = root / (column.model or "")
    return model.is_file() and file_sha256(model) == column.model_sha256


def _score(column: StripColumn, tables: Sequence[Table]) -> dict[str, str]:
    """The mean over its row's test images, as the table prints it."""
    data, preset, method, _ = (column.row or "///").split("/")
    for table in tables:
        row = table.row(method) if (table.data, table.preset) == (data, preset) else None
        if row and (mean := row.cells[HARM].mean) is not None:
            metric = METRICS[HARM]
            return {HARM: f"{number(mean, metric.digits)} {metric.unit}"}
    return {}
