"""Whether a cell's result still says what the cell would measure now; without torch, data or models.

A machine that lists cells often has the results only: they come through git, or were copied. So what counts is what the
result file itself tells of its making. Data and models are looked at if they happen to be here.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmark import PROTOCOL
from benchmark.contracts.config import Cell
from benchmark.contracts.result import Result, ResultError, Run, read_result, result_path
from benchmark.contracts.workspace import Workspace
from benchmark.data.prepared import Prepared
from benchmark.results.fingerprint import evaluation_code
from benchmark.running.inventory import can_be_had
from benchmark.running.sweep.facts import Facts
from benchmark.support import weights
from benchmark.support.errors import BenchError
from benchmark.support.files import file_sha256
from benchmark.training.record import MODEL_FILE

_code_of = cache(evaluation_code)  # the files are read once per process


def why_missing(cell: Cell, facts: Facts, workspace: Workspace) -> str | None:
    """Why the cell has to be run, in a few words; None if its result is current.

    A result is current if it is whole, of this protocol, of this code (of training and evaluation both), of these
    settings, and of the data that is prepared here, if any is. One that lacks something for want of pretrained weights
    is current until these arrive.
    """
    found = [path for path in result_files(cell, workspace) if path.is_file()]
    reasons = [_why_stale(path, cell, facts, workspace) for path in found]
    return None if None in reasons else next(iter(reasons), "no result")


def _why_stale(path: Path, cell: Cell, facts: Facts, workspace: Workspace) -> str | None:
    try:
        result = read_result(path)
    except ResultError as error:
        return str(error)
    return (
        _of_another_making(cell, facts, result)
        or _of_other_data(workspace.data(cell), result)
        or _incomplete(path, result)
        or _lacks_what_is_here(result, has_model=model_file(cell, workspace).is_file())
    )


def result_files(cell: Cell, workspace: Workspace) -> list[Path]:
    """Where the cell's results lie or would lie: its own one, and the committed reference."""
    run = Run(method=cell.method, adapter=cell.adapter, data=cell.data, preset=cell.preset, seed=cell.seed)
    return [result_path(root, run) for root in (workspace.results_of(cell), workspace.references)]


def model_file(cell: Cell, workspace: Workspace) -> Path:
    """Where the cell's finished model lies or would lie."""
    return workspace.model(cell) / MODEL_FILE


def has_its_model(cell: Cell, workspace: Workspace) -> bool:
    """Whether the model that a result of the cell was measured on is here."""
    path = model_file(cell, workspace)
    if not path.is_file():
        return False
    measured = [read_result(file) for file in result_files(cell, workspace) if file.is_file()]
    return file_sha256(path) in [result.provenance.config.get("model_sha256") for result in measured]


def _of_another_making(cell: Cell, facts: Facts, result: Result) -> str | None:
    if result.protocol != PROTOCOL:
        return f"of protocol {result.protocol}"
    if result.provenance.code_hash != _code_of(cell.adapter):
        return "of other code"
    settings = {
        "adapter": cell.adapter,
        "training": cell.training.model_dump(mode="json"),
        "method_config": facts.config,
        "data_config": cell.data_config.model_dump(mode="json"),
    }
    changed = list(_differences(settings, result.provenance.config))
    return f"of other settings: {', '.join(changed)}" if changed else None


def _differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[str]:
    """The names of the values that differ, `training.steps`; keys that only `then` has count where both are nested."""
    for key, value in now.items():
        before = then.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from (f"{key}.{name}" for name in _differences(value, before))
            yield from (f"{key}.{name}" for name in before if name not in value)
        elif key not in then or before != value:
            yield key


def _of_other_data(folder: Path, result: Result) -> str | None:
    if not folder.is_dir():
        return None
    try:
        prepared = Prepared.open(folder)
    except BenchError:  # it will be prepared anew, and its hash compared then
        return None
    return None if prepared.sha256 == result.provenance.data_sha256 else "of other data than is prepared here"


def _incomplete(path: Path, result: Result) -> str | None:
    if result.per_image is None:
        return None
    values = path.with_name(result.per_image.file)
    if values.is_file() and file_sha256(values) == result.per_image.sha256:
        return None
    return f"{values.name} beside it is missing, or of another run"


def _lacks_what_is_here(result: Result, *, has_model: bool) -> str | None:
    """What pretrained weights can now give. Metrics only where the model is here: nothing is trained for them again."""
    if result.status == "skipped":
        arrived = [name for name in weights.WEIGHTS if result.reason == weights.absent(name) and weights.path(name)]
        return f"skipped for want of {arrived[0]}, which is here now" if arrived else None
    lacking = [name for name, value in result.metrics.items() if value is None and can_be_had(name)]
    return f"lacks {', '.join(lacking)}, whose weights are here now" if lacking and has_model else None
