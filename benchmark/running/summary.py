"""What `bench run` prints at the end: the table with this run's row marked, and where everything lies."""

from pathlib import Path

from rich.console import Console

from benchmark.contracts.config import Cell
from benchmark.contracts.result import read_result
from benchmark.results.tables import build, print_table
from benchmark.results.tables.collect import tables_in
from benchmark.running.stages import Context, picture_path
from benchmark.scoring.metrics import METRICS
from benchmark.training.record import MODEL_FILE, read_record


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
    """Prints the table of the cell's data set; a run with `--set` is in none, and its metrics are printed instead.

    Args:
        cell: what was run.
        result_file: its result.
        model_folder: its model.
        context: of the run.
    """
    console = Console()
    result = read_result(result_file)
    if reason := read_record(model_folder).get("skipped"):
        console.print(f"{cell.name}: skipped: {reason}", highlight=False, markup=False, soft_wrap=True)
    if not cell.overrides:
        print_table_of(cell, context)
    elif result.status == "ok":
        console.print(
            f"{cell.name}, with {dict(cell.overrides)}: in no table", highlight=False, markup=False, soft_wrap=True
        )
        for name, value in result.metrics.items():
            if value is not None:
                console.print(f"  {METRICS[name].label:12} {value:.{METRICS[name].digits}f}", highlight=False)
    places = {"result": result_file}
    if result.status == "ok":
        places |= {"model": model_folder / MODEL_FILE, "picture (gray, output, truth)": picture_path(cell, context)}
    for what, path in places.items():
        console.print(f"{what}: {path}", highlight=False, markup=False, soft_wrap=True)
