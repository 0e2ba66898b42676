"""Cells that are made of others: tests of a model on another data set, and rows of other programs."""

from dataclasses import replace

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, Params, resolve
from benchmark.support.errors import InputError
from benchmark.support.names import check_name


def transfer(params: Params, cell: Cell, data: str) -> Cell:
    """The cell that tests a cell's model on another data set, whose images have the sizes of the same preset.

    Args:
        params: the project's `params.yaml`.
        cell: what is trained.
        data: the data set whose test split is colored.

    Raises:
        InputError: an unknown data set, or the one that the model was trained on.
    """
    return cell.tested_on(resolve(params, method=None, data=data, preset=cell.preset))


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
