"""What becomes of an own result: it is compared with the committed reference, or with `--record` takes its place.

Then the table is printed with its row marked, and where everything lies.
"""

from functools import partial
from pathlib import Path

from rich.console import Console

from benchmark.contracts.config import Cell
from benchmark.contracts.result import (
    ResultError,
    holds_measurement,
    read_per_image,
    read_result,
    result_path,
    write_result,
)
from benchmark.contracts.workspace import Workspace
from benchmark.results.reference import verdict_on
from benchmark.results.tables import build, print_table, tables_in
from benchmark.running.stages import Context, picture_path
from benchmark.scoring.metrics import METRICS
from benchmark.support.errors import InputError
from benchmark.training.record import MODEL_FILE, read_record


def require_recordable(cell: Cell) -> None:
    """Refuses, before anything is run, what is in no committed table.

    Raises:
        InputError: a run with `--set`, or a private folder of photographs.
    """
    if cell.overrides:
        raise InputError(
            f"--record with --set {', '.join(sorted(cell.overrides))}: a reference has the settings of params.yaml;"
            " change them there, or leave out --record"
        )
    if cell.data_path:
        raise InputError(
            f"--record with {cell.data_adapter}:{cell.data_path}: a private folder stays out of the committed tables;"
            " leave out --record, or describe the data set by a file in datasets/"
        )


def settle(cell: Cell, result_file: Path, context: Context, record: bool = False) -> None:
    """Compares a run's result with the reference and says so in one line.

    `record` makes it the reference instead, and regenerates the committed tables.
    """
    space = context.workspace
    skipped = read_record(space.model(cell)).get("skipped")
    if skipped and holds_measurement(result_file):
        context.say(f"{cell.name}: nothing was measured now; {result_file} is of an earlier run")
    elif record:
        context.say(f"{cell.name}: {_record(result_file, space)}")
    elif not cell.overrides and (said := _compared(result_file, space)):
        context.say(f"{cell.name}: {said}")


def _compared(result_file: Path, space: Workspace) -> str:
    try:
        return str(verdict_on(result_file, space.references) or "")
    except ResultError as error:  # a damaged reference takes nothing from what was measured
        return f"cannot be compared with the committed row: {error}"


def _record(result_file: Path, space: Workspace) -> str:
    result = read_result(result_file)
    if result.status == "skipped" and holds_measurement(result_path(space.references, result.run)):
        return "not recorded: nothing was measured, and the reference was; it stays"
    path = write_result(space.references, result, read_per_image(result_file, result))
    build(space.references, result.run.data, result.run.preset)
    return f"recorded: {path}; commit it with the tables"


def print_table_of(cell: Cell, context: Context) -> None:
    """Prints the table of the cell's data set, own results among the references, with the cell's row marked.

    Its files are written beside the own results; where there are none yet, nothing is.
    """
    space = context.workspace
    if tables_in(space.own, cell.data, cell.preset):
        built = build(space.own, cell.data, cell.preset, references=space.references)
    elif tables_in(space.references, cell.data, cell.preset):
        built = build(space.references, cell.data, cell.preset, check=True)
    else:
        return
    for table in built.tables:
        print_table(table, highlight=cell.method, console=Console())
    for message in built.messages:
        context.say(message)


def print_summary(cell: Cell, result_file: Path, model_folder: Path, context: Context) -> None:
    """Prints the table of the cell's data set; a run with `--set` is in none, and its metrics are printed instead."""
    say = partial(Console().print, highlight=False, markup=False, soft_wrap=True)
    result = read_result(result_file)
    if reason := read_record(model_folder).get("skipped"):
        say(f"{cell.name}: skipped: {reason}")
    if not cell.overrides:
        print_table_of(cell, context)
    elif result.status == "ok":
        say(f"{cell.name}, with {dict(cell.overrides)}: in no table")
        for name, value in result.metrics.items():
            if value is not None:
                say(f"  {METRICS[name].label:12} {value:.{METRICS[name].digits}f}")
    say(f"result: {result_file}")
    if result.status == "ok":
        say(f"model: {model_folder / MODEL_FILE}")
        if (picture := picture_path(cell, context)).is_file():  # somebody may have cleared runs/
            say(f"picture (gray, output, truth): {picture}")
