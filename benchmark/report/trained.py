"""The trained models behind a table, where they lie on this machine: what pictures and training curves come from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.contracts.config import Cell, Params
from benchmark.contracts.workspace import Workspace
from benchmark.report.svg import Point
from benchmark.results.facts import cell_of
from benchmark.results.tables import Measured
from benchmark.support.errors import InputError
from benchmark.training.record import read_record

POINTS = 80  # of a curve: neighbors are averaged until it has no more


@dataclass(frozen=True)
class Trained:
    """A model that is the very one that a result was measured with."""

    cell: Cell
    folder: Path
    measured: Measured


@dataclass(frozen=True)
class Found:
    """What `find_trained` found."""

    models: Sequence[Trained] = ()
    missing: Mapping[str, str] = field(default_factory=dict)  # method of which there is none → why


def find_trained(measured: Sequence[Measured], params: Params, workspace: Workspace) -> Found:
    """The models that these results were measured with, as far as they are on this machine.

    A model that was trained again since, or under other settings, is not one of them: its pictures would not be those
    that the numbers speak of.
    """
    looked = {one.path: (one.result.run.method, _trained(one, params, workspace)) for one in measured}
    models = [found for _, found in looked.values() if isinstance(found, Trained)]
    reasons = {method: found for method, found in looked.values() if isinstance(found, str)}
    for model in models:
        reasons.pop(model.cell.method, None)
    return Found(models, reasons)


def _trained(measured: Measured, params: Params, workspace: Workspace) -> Trained | str:
    run = measured.result.run
    if run.external:
        return "colored by another program"
    try:
        cell = cell_of(params, run)
    except InputError as error:
        return str(error)
    folder = workspace.model(cell)
    if not folder.is_dir():
        return f"its trained model is not on this machine; run: {run.command}"
    if read_record(folder).get("model_sha256") != measured.result.provenance.config.get("model_sha256"):
        return f"the model in {folder.relative_to(workspace.root)} is not the one that was scored; run: {run.command}"
    return Trained(cell, folder, measured)


@dataclass(frozen=True)
class History:
    """What was logged while one model was trained."""

    curves: Mapping[str, Sequence[Point]]  # quantity → (step, value)
    phases: Sequence[tuple[str, int]]  # name, first step


def read_history(path: Path) -> History | None:
    """Reads `history.csv`; None where there is none, or nothing in it, as for methods that learn nothing.

    Each curve is averaged down to `POINTS` points. Values that are not finite are left out.
    """
    try:
        rows = pd.read_csv(path, index_col="step")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return None
    begins = rows.pop("phase").drop_duplicates()
    curves = {}
    for name, column in rows.items():
        finite = column[np.isfinite(column)]
        if len(finite):
            curves[str(name)] = _thinned(list(zip(finite.index.tolist(), finite.tolist(), strict=True)))
    return History(curves, list(zip(begins.tolist(), begins.index.tolist(), strict=True))) if curves else None


def _thinned(curve: Sequence[Point]) -> list[Point]:
    """Neighbors averaged; the last point stays what it is, as curves are labeled with their end."""
    size = math.ceil(len(curve) / POINTS)
    if size == 1:
        return list(curve)
    parts = [curve[start : start + size] for start in range(0, len(curve) - 1, size)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
    return [*means, curve[-1]]
