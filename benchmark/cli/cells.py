"""`bench run`, and its stages one by one."""

from typing import Any

import click

from benchmark.cli.options import cell_options, machine_options, make_context, resolve_cell


@click.command()
@cell_options
@machine_options
def run(method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any) -> None:
    """Prepare, train, evaluate, and print the table with this run's row marked.

    Every step is skipped when it is up to date. Ctrl-C saves; the same command goes on.
    """
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import run_cell
    from benchmark.summary import print_summary

    if finished := run_cell(cell, context):
        print_summary(cell, *finished, context)


@click.command()
@cell_options
@machine_options
def train(method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any) -> None:
    """Train one cell on prepared data (a stage of dvc.yaml)."""
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import train_cell

    click.echo(train_cell(cell, context))


@click.command()
@cell_options
@machine_options
def evaluate(
    method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any
) -> None:
    """Score one trained cell (a stage of dvc.yaml)."""
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import evaluate_cell

    click.echo(evaluate_cell(cell, context))


@click.command()
def fingerprint() -> None:
    """Write the hashes of code and settings by which DVC knows what is out of date (a stage of dvc.yaml)."""
    from benchmark.config import find_root, read_params
    from benchmark.fingerprint import write_fingerprints
    from benchmark.workspace import Workspace

    root = find_root()
    written = write_fingerprints(read_params(root), Workspace(root).fingerprints)
    click.echo(f"{len(written)} fingerprints in {Workspace(root).fingerprints}")


COMMANDS: tuple[click.Command, ...] = (
    run,
    train,
    evaluate,
    fingerprint,
)
