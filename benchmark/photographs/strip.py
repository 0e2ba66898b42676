"""Draws the strip of the report's first screen, for `bench strip`: photographs as each family of a table colors them.

Photographs keep their lightness; the networks see them as `bench colorize` shows them. They are chosen by hash, their
terms must let anybody show them, and every column names its row, so that a report leaves out what is no longer true.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmark.contracts import registry
from benchmark.contracts.config import Params
from benchmark.contracts.dataset import Dataset, Item
from benchmark.contracts.workspace import Workspace
from benchmark.data.color import gray_of
from benchmark.photographs.colorizer import BROUGHT, Colorizer, load_colorizer
from benchmark.report import ENDS, FOLDER, RECORD, StripColumn, StripRecord, Trained, find_trained, picture_name
from benchmark.results import tables
from benchmark.support.errors import InputError
from benchmark.support.files import file_sha256, write_atomically
from benchmark.support.montage import montage
from benchmark.training.record import MODEL_FILE

SIDE, QUALITY = 256, 82  # pixels of the square pictures, and WebP's quality
MOST_BYTES = 1_500_000  # of all pictures together: they are committed
SHEET, SHEET_SIDE, SHEET_PHOTOGRAPHS = "sheet.webp", 112, 7  # README's picture: a row for each column of the strip
SHOWABLE = ("cc0", "public domain")  # terms under which anybody may show a photograph


def draw_strip(params: Params, space: Workspace, data: str, preset: str, dataset: Dataset, photographs: int) -> Path:
    """Colors photographs with the models of a table's families and with the model that the package brings.

    Args:
        params: the project's.
        space: where results and models are.
        data: the data set of the table; its committed rows alone count.
        preset: the preset of the table.
        dataset: what test photographs are shown of.
        photographs: how many.

    Returns:
        The record that was written; the pictures lie beside it.

    Raises:
        InputError: the photographs may not be shown, no family has a current row whose model is here, or the pictures
            are too large together.
    """
    if not any(words in dataset.licence.lower() for words in SHOWABLE):
        raise InputError(
            f"{dataset.name} may not be shown ({dataset.licence}); name a data set under CC0, such as sample"
        )
    items = chosen(dataset.items("test"), photographs)
    pixels = [item.source.load(SIDE) for item in items]
    contents = {ENDS[0]: list(gray_of(np.stack(pixels))), ENDS[1]: pixels}
    columns = []
    for column, colorizer in _columns(params, space, data, preset):
        columns.append(column)
        contents[column.file] = [colorizer(Image.fromarray(one)) for one in pixels]
    files = {picture_name(k, file): _webp(one) for file, group in contents.items() for k, one in enumerate(group)}
    files[SHEET] = _webp(np.asarray(_sheet(contents, dataset.licence)))
    if (total := sum(map(len, files.values()))) > MOST_BYTES:
        raise InputError(f"{photographs} photographs take {total:,} bytes, over {MOST_BYTES:,}; show fewer")
    ids = tuple(item.id for item in items)
    record = StripRecord(photographs=dataset.name, terms=dataset.licence, ids=ids, side=SIDE, columns=tuple(columns))
    return _write(space.root / FOLDER, files, record)


def chosen(items: Sequence[Item], count: int) -> list[Item]:
    """Cuts the items into `count` runs of equal length, and takes of each the one whose id has the least SHA-256."""
    count = min(count, len(items))
    runs = [items[k * len(items) // count : (k + 1) * len(items) // count] for k in range(count)]
    return [min(run, key=lambda item: hashlib.sha256(item.id.encode()).digest()) for run in runs]


def _columns(params: Params, space: Workspace, data: str, preset: str) -> list[tuple[StripColumn, Colorizer]]:
    """The families whose first seed's model is here, in the table's order, and the model that the package brings."""
    folder = space.references / data / preset
    families = [row.name for row in tables.build_table(folder).rows]
    measured = [one for one in tables.collect(folder).measured if one.result.run.method in families]
    found = find_trained(measured, params, space)
    first: dict[str, Trained] = {}
    for model in sorted(found.models, key=lambda model: model.cell.seed):
        first.setdefault(model.cell.method, model)
    if absent := [f"{name}: {found.missing.get(name, 'no current row')}" for name in families if name not in first]:
        raise InputError(f"results/{data}/{preset} cannot be drawn whole; {'; '.join(absent)}")
    if not families:
        raise InputError(f"results/{data}/{preset} has no current row of a method; see bench leaderboard")
    cpu = torch.device("cpu")
    rows = [(_column(first[name], space), first[name].folder / MODEL_FILE) for name in families]
    brought = registry.room_folder("method") / BROUGHT
    sha256, name = file_sha256(brought), brought.stem
    ours = StripColumn(name=name, file=name, model_sha256=sha256, model=f"methods/{BROUGHT}")
    return [(column, load_colorizer(path, cpu)) for column, path in [*rows, (ours, brought)]]


def _column(model: Trained, space: Workspace) -> StripColumn:
    row = model.measured.path.relative_to(space.references).with_suffix("").as_posix()
    sha256 = str(model.measured.result.provenance.config["model_sha256"])
    name = model.cell.method
    return StripColumn(name=name, file=name, model_sha256=sha256, row=row)


def _sheet(contents: Mapping[str, Sequence[np.ndarray]], terms: str) -> Image.Image:
    """Returns the first photographs on one sheet, gray above all and the truth below."""
    names = [ENDS[0], *(name for name in contents if name not in ENDS), ENDS[1]]
    small = (SHEET_SIDE, SHEET_SIDE)
    rows = [[Image.fromarray(one).resize(small) for one in contents[name][:SHEET_PHOTOGRAPHS]] for name in names]
    return montage(rows, left=names, below=f"Photographs: {terms}")


def _webp(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def _write(folder: Path, files: Mapping[str, bytes], record: StripRecord) -> Path:
    """Replaces the pictures that are there; the record comes last."""
    path = folder / RECORD
    path.unlink(missing_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
    return path
