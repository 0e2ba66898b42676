"""`bench run` and its stages one by one."""

from typing import Any

import click

from benchmark.cli import options as shared
from benchmark.contracts.workspace import project

stage_options = shared.together(shared.cell_options, shared.machine_options)


@click.command()
@shared.record_option
@shared.also_option
@shared.tested_on_option
@shared.logger_option
@stage_options
def run(record: bool, **options: Any) -> None:
    """Prepare, train, evaluate, compare with the committed row, and print the table with this run's row marked.

    Every step is skipped when it is up to date. Ctrl-C saves; the same command goes on. What is measured is written
    below runs/results, which git ignores.
    """
    cell, context = shared.take(options, record)
    from benchmark.running.reference import print_summary, settle
    from benchmark.running.stages import run_cell

    if finished := run_cell(cell, context):
        settle(cell, finished[0], context, record)
        print_summary(cell, *finished, context)


@click.command()
@shared.logger_option
@stage_options
def train(**options: Any) -> None:
    """Train one cell on prepared data (a stage of dvc.yaml)."""
    cell, context = shared.take(options)
    from benchmark.running.stages import train_cell

    click.echo(train_cell(cell, context))


@click.command()
@shared.record_option
@shared.also_option
@shared.tested_on_option
@stage_options
def evaluate(record: bool, **options: Any) -> None:
    """Score one trained cell (a stage of dvc.yaml), and compare with the committed row."""
    cell, context = shared.take(options, record)
    from benchmark.running.reference import settle
    from benchmark.running.stages import evaluate_cell

    path = evaluate_cell(cell, context)
    settle(cell, path, context, record)
    click.echo(path)


@click.command()
def fingerprint() -> None:
    """Write the hashes of code and settings by which DVC knows what is out of date (a stage of dvc.yaml)."""
    from benchmark.results.fingerprint import write_fingerprints

    params, space = project()
    click.echo(f"{len(write_fingerprints(params, space))} fingerprints in {space.fingerprints}")
