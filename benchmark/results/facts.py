"""What only an adapter itself can say of a cell, remembered: its full configuration and its parents.

Asking an adapter means importing it, and torch with it: seconds, for every line of a list. The answers follow from the
adapter's code and the cell's settings alone, so they are kept on disk under the hash of both. What follows from a
file too is not kept.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, Params, resolve
from benchmark.contracts.of_file import depends_on_files
from benchmark.contracts.overrides import section_of
from benchmark.contracts.result import Run
from benchmark.results.manifest import training_code
from benchmark.support.errors import BenchError
from benchmark.support.files import digest, write_atomically


class Facts(NamedTuple):
    """What an adapter makes of a cell's settings."""

    config: dict[str, Any]  # its whole Config, as plain JSON values
    parents: Sequence[str]  # entries whose models it starts from
    learns: bool  # whether it has optimizers at all


class Budget(NamedTuple):
    """What a model costs in training, together with the models that it starts from, and theirs."""

    images: int
    steps: int


def facts_of(cell: Cell, folder: Path) -> Facts:
    """What the cell's adapter says; it is imported only if it was never asked before.

    Answers are remembered in the folder; if that cannot be written, they cost time again, and nothing else.
    InputError: the settings are not legal.
    """
    if registry.source_file("method", cell.adapter) is None:  # another package's code cannot be hashed: ask every time
        return _ask(cell)
    path = folder / f"{digest([training_code(cell.adapter), dict(cell.method_settings)])[:32]}.json"
    try:
        return Facts(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        answer = _ask(cell)
    if depends_on_files(cell.method_class.Config):
        return answer
    with suppress(BenchError):
        write_atomically(path, json.dumps(answer._asdict()).encode())
    return answer


def _ask(cell: Cell) -> Facts:
    from benchmark.contracts.method import Method

    adapter, config = cell.method_class, cell.method_config
    learns = adapter.optimizers is not Method.optimizers
    return Facts(config.model_dump(mode="json"), list(adapter.parents(config)), learns)


SHARED_WITH_PARENTS = ("training.precision", "training.compile", "training.deterministic")
"""Overrides beside `data.` that reach the models a cell starts from: they say how the machine computes. The length of a
training and the rest of `training.` and `method.` are the child's own; a parent is then the row of its entry."""


def parent_cell(params: Params, cell: Cell, name: str) -> Cell:
    """The cell of an entry that `cell` starts from: the same data, preset and seed, and the overrides they share."""
    parent = resolve(params, method=name, data=cell.spec, preset=cell.preset, seed=cell.seed)
    shared = {
        key: value for key, value in cell.overrides.items() if key.startswith("data.") or key in SHARED_WITH_PARENTS
    }
    training = parent.training.model_copy(update=section_of(shared, "training"))
    data_settings = {**parent.data_settings, **section_of(shared, "data")}
    return replace(parent, training=training, data_settings=data_settings, overrides=shared)


def cell_of(params: Params, run: Run) -> Cell:
    """The cell that a result speaks of; InputError if its entry, data set or preset is no longer there.

    Where a folder of photographs lies does not matter once it is prepared.
    """
    data = run.data if run.data in registry.names("dataset") else run.data.replace("-", ":", 1)
    method = None if run.external else run.method
    return replace(resolve(params, method=method, data=data, preset=run.preset, seed=run.seed), data=run.data)
