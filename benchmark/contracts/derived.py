"""Cells that are made of others: tests of a model on another data set, and rows of other programs."""

from dataclasses import replace

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, Params, resolve
from benchmark.support.errors import InputError
from benchmark.support.names import check_name

TRANSFER = "transfer-"


def transfer(params: Params, cell: Cell, data: str) -> Cell:
    """The cell that tests a cell's model on another data set, whose images have the sizes of the same preset.

    Args:
        params: the project's `params.yaml`.
        cell: what is trained.
        data: the data set whose test split is colored.

    Raises:
        InputError: an unknown data set, or the one that the model was trained on.
    """
    tested = resolve(params, method=None, data=data, preset=cell.preset)
    if tested.data == cell.data:
        raise InputError(f"--test-on {data}: the model is trained on it; leave --test-on out, or name another data set")
    preset = f"{TRANSFER}{cell.data}-{cell.preset}"
    return replace(
        tested,
        method=cell.method,
        adapter=cell.adapter,
        preset=preset,
        seed=cell.seed,
        training=cell.training,
        method_settings=cell.method_settings,
        overrides=cell.overrides,
        trained_in=cell,
    )


def transferred(params: Params, preset: str) -> tuple[str, str] | None:
    """Data set and preset of the training that `transfer-<data set>-<preset>` names, or None if it names none."""
    known = registry.names("dataset")
    for name in sorted(params.presets, key=len, reverse=True):  # of those that fit the longest
        data = preset.removeprefix(TRANSFER).removesuffix(f"-{name}")
        if preset == f"{TRANSFER}{data}-{name}" and (data in known or data.startswith("folder-")):
            return data if data in known else data.replace("-", ":", 1), name
    return None


def external_cell(params: Params, *, name: str, data: str, preset: str) -> Cell:
    """The cell of a row whose images another program colored: a data set and a preset, without a method of ours.

    Raises:
        InputError: an unknown data set or preset, or a name that an entry or adapter has.
    """
    check_name("--name", name)
    if name in {*params.entries, *registry.names("method")}:
        raise InputError(f"--name {name}: a method of the suite has this name; choose another for an external row")
    plain = resolve(params, method=None, data=data, preset=preset)
    return replace(plain, method=name, adapter="external")
