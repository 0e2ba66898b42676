"""`bench run`, and its stages one by one."""

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import cell_options, machine_options, make_context, record_option, take_cell, together

if TYPE_CHECKING:
    from benchmark.contracts.config import Cell
    from benchmark.running.stages import Context


stage_options = together(cell_options, machine_options)


def _take(options: dict[str, Any], record: bool = False) -> "tuple[Cell, Context]":
    cell, params = take_cell(options)
    context = make_context(params, **options)
    if record:
        from benchmark.running.reference import require_recordable

        require_recordable(cell)
    return cell, context


@click.command()
@record_option
@stage_options
def run(record: bool, **options: Any) -> None:
    """Prepare, train, evaluate, compare with the committed row, and print the table with this run's row marked.

    Every step is skipped when it is up to date. Ctrl-C saves; the same command goes on. What is measured is written
    below runs/results, which git ignores.
    """
    cell, context = _take(options, record)
    from benchmark.running.reference import print_summary, settle
    from benchmark.running.stages import run_cell

    if finished := run_cell(cell, context):
        settle(cell, finished[0], context, record)
        print_summary(cell, *finished, context)


@click.command()
@stage_options
def train(**options: Any) -> None:
    """Train one cell on prepared data (a stage of dvc.yaml)."""
    cell, context = _take(options)
    from benchmark.running.stages import train_cell

    click.echo(train_cell(cell, context))


@click.command()
@record_option
@stage_options
def evaluate(record: bool, **options: Any) -> None:
    """Score one trained cell (a stage of dvc.yaml), and compare with the committed row."""
    cell, context = _take(options, record)
    from benchmark.running.reference import settle
    from benchmark.running.stages import evaluate_cell

    path = evaluate_cell(cell, context)
    settle(cell, path, context, record)
    click.echo(path)


@click.command()
def fingerprint() -> None:
    """Write the hashes of code and settings by which DVC knows what is out of date (a stage of dvc.yaml)."""
    from benchmark.contracts.config import find_root, read_params
    from benchmark.contracts.workspace import Workspace
    from benchmark.results.fingerprint import write_fingerprints

    root = find_root()
    written = write_fingerprints(read_params(root), Workspace(root))
    click.echo(f"{len(written)} fingerprints in {Workspace(root).fingerprints}")


COMMANDS: tuple[click.Command, ...] = (run, train, evaluate, fingerprint)
