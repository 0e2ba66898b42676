"""`bench score`: a folder of images colored by any other program, through the same metrics into the same table."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts.config import Cell
from benchmark.contracts.result import Cost, Result, Run, provenance, result_path, write_result
from benchmark.data.preparation.archives import images_by_id, read_image_file
from benchmark.data.preparation.images import BadImage, open_rgb
from benchmark.data.prepared import Prepared, open_data
from benchmark.results.currency import external_identity
from benchmark.running.stages.context import Context, machine_of
from benchmark.scoring.evaluate import batch_size_for, device_name
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import digest, file_sha256
from benchmark.support.progress import progress_bar

NAMED = 5  # files of each kind of fault that the message names


class Folder(NamedTuple):
    """What a folder of colored images holds, set against a test split."""

    files: dict[int, Path]  # index in the split → file
    faults: dict[str, list[str]]  # kind of fault → names of images or files

    def __str__(self) -> str:
        """The faults, each kind with the first of its names."""
        return "; ".join(
            f"{len(names)} {kind}: {', '.join(names[:NAMED] + ['…'] * (len(names) > NAMED))}"
            for kind, names in self.faults.items()
            if names
        )


def inspect(folder: Path, prepared: Prepared) -> Folder:
    """Sets the files of a folder against the ids of the test split, and reads every one.

    Raises:
        InputError: as `images_by_id`.
    """
    found, ids = images_by_id(folder), prepared.ids("test")
    missing, extra = [name for name in ids if name not in found], sorted(found.keys() - set(ids))
    unfit = {name: why for name in ids if name in found and (why := _unfit(found[name], prepared.meta.image_size))}
    files = {index: found[name] for index, name in enumerate(ids) if name in found and name not in unfit}
    named = [f"{found[name].name} ({why})" for name, why in unfit.items()]
    return Folder(files, {"missing": missing, "not of this test split": extra, "unfit": named})


def _unfit(path: Path, size: int) -> str | None:
    try:
        image = read(path)
    except BadImage as error:
        return f"unreadable: {error}"
    except OSError as error:
        return f"unreadable: {error.strerror or error}"
    height, width, _ = image.shape
    return None if (height, width) == (size, size) else f"{width}×{height} pixels, not {size}×{size}"


def read(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 sRGB.

    Raises:
        BadImage, OSError: it cannot be read.
    """
    return np.asarray(open_rgb(read_image_file(path)))


def score_folders(cell: Cell, folders: Sequence[Path], context: Context, go_on: bool = False) -> list[Path]:
    """Scores folders of images against the test split, as an external row of the cell's table; returns its files.

    Args:
        cell: data set, preset, and as its method the row's name.
        folders: of the row's seeds 0, 1, …; each has one file per test image, whose path without the suffix is its id.
        context: workspace and device.
        go_on: score what fits although something is missing, extra or unfit. A row over a part of the test split is
            marked and not ranked.

    Raises:
        BenchError: something is missing, extra or unfit: all kinds listed, nothing scored.
        InputError: two folders hold the same images, or the row has results for more seeds than there are folders.
    """
    prepared = open_data(context.workspace, cell)
    fitting = [_fitting(folder, prepared, context, go_on) for folder in folders]
    content = [digest({index: file_sha256(path) for index, path in one.files.items()}) for one in fitting]
    for k, same in ((k, content.index(one)) for k, one in enumerate(content) if content.index(one) < k):
        raise InputError(f"{folders[same]} and {folders[k]} hold the same images; each is to be of another training")
    cells = [replace(cell, seed=seed) for seed in range(len(folders))]
    for root in (context.workspace.own, context.workspace.references):
        places = [result_path(root, _run_of(one)) for one in cells]
        if more := sorted(set(places[0].parent.glob("seed*.json")) - set(places)):
            raise InputError(
                f"{cell.method} has results for more seeds than the {len(folders)} given folders, {more[0]} first;"
                " give a folder for each seed, or another --name, or delete that row's files"
            )
    return [_score(*one, prepared, context) for one in zip(cells, fitting, content, strict=True)]


def _run_of(cell: Cell) -> Run:
    return Run(
        method=cell.method, adapter="external", data=cell.data, preset=cell.preset, seed=cell.seed, external=True
    )


def _fitting(folder: Path, prepared: Prepared, context: Context, go_on: bool) -> Folder:
    """The folder's files, where they may be scored."""
    inspected = inspect(folder, prepared)
    faults = str(inspected)
    if faults and not go_on:
        raise BenchError(f"{folder}: {faults}. Nothing was scored; --go-on scores the {len(inspected.files)} that fit")
    if not inspected.files:
        raise BenchError(f"{folder}: {faults}. There is nothing to score")
    if faults:
        context.say(f"{folder}: {faults}; going on with {len(inspected.files)} images")
    return inspected


def _score(cell: Cell, inspected: Folder, content: str, prepared: Prepared, context: Context) -> Path:
    complete = len(inspected.files) == len(prepared.ids("test"))
    chosen = None if complete else list(inspected.files)
    scorer = Scorer(device=context.device, prepared=prepared, chosen=chosen)
    with progress_bar(context.console) as bar:
        task = bar.add_task(f"scoring {cell.method}", total=len(inspected.files), figures="")
        for predicted, target in _pairs(inspected, prepared, context.device):
            scorer.update(predicted, target)
            bar.advance(task, len(predicted))
    scores = scorer.compute()
    config = {"data": cell.data, "preset": cell.preset, "external": True, "files": content}
    origin = provenance(
        sys.argv,
        config,
        config_hash=digest(config),
        identity=external_identity(cell, prepared),
        data_sha256=prepared.sha256,
        device=device_name(context.device),
        machine=machine_of(context.device),
    )
    result = Result(
        run=_run_of(cell),
        metrics=scores.values,
        notes=scores.notes,
        images=len(inspected.files),
        cost=Cost(),
        provenance=origin,
    )
    return write_result(context.workspace.own, result, scores.per_image)


def _pairs(inspected: Folder, prepared: Prepared, device: torch.device) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of outputs and truths, (B, S, S, 3) uint8, in the split's order."""
    truths, indices = prepared.images("test"), list(inspected.files)
    size = batch_size_for(prepared.meta.image_size)
    for start in range(0, len(indices), size):
        part = indices[start : start + size]
        outputs = np.stack([read(inspected.files[index]) for index in part])
        yield torch.from_numpy(outputs).to(device), torch.from_numpy(truths[part]).to(device)
