"""`bench run`, its stages one by one, and how fast they are."""

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options as shared
from benchmark.contracts.config import Cell
from benchmark.contracts.workspace import project
from benchmark.support.errors import InputError

if TYPE_CHECKING:
    from benchmark.running.stages import Context


stage_options = shared.together(shared.cell_options, shared.machine_options)


def _take(options: dict[str, Any], record: bool = False) -> "tuple[Cell, Context]":
    cell = shared.take_cell(options)
    context = shared.make_context(**options)
    if record:
        from benchmark.running.reference import require_recordable

        require_recordable(cell)
    return cell, context


@click.command()
@shared.record_option
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
@shared.record_option
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
    from benchmark.results.fingerprint import write_fingerprints

    params, space = project()
    click.echo(f"{len(write_fingerprints(params, space))} fingerprints in {space.fingerprints}")


@click.command()
@click.option("--method", metavar="NAME", help="Entry of params.yaml, or an adapter; default: the suite's last.")
@click.option("--data", default="sample", show_default=True, metavar="NAME", help="Data set, or folder:/path.")
@shared.setting_options
@click.option("--batch-size", type=click.IntRange(min=1), help="Short for --set batch_size=…")
@click.option("--image-size", type=click.IntRange(min=8), help="Short for --set image_size=…")
@click.option("--rounds", type=shared.MANY, default=3, show_default=True, help="Medians over so many blocks.")
@click.option("--seconds", type=click.FloatRange(0.1, 86400), default=5.0, show_default=True, help="Of a block.")
@click.option("--steps", type=click.IntRange(1, 10**9), help="Length of a block in steps, instead of --seconds.")
@click.option("--plain/--no-plain", default=True, show_default=True, help="Measure the plain PyTorch loop beside ours.")
@shared.json_option
@shared.machine_options
def speed(rounds: int, seconds: float, steps: int | None, plain: bool, as_json: bool, **options: Any) -> None:
    """Measure training and evaluation of a cell beside a plain PyTorch loop of the same networks.

    Nothing is kept: no model, no checkpoint, no result. Data is prepared if need be.
    """
    if options["devices"] > 1:
        raise InputError(
            "--devices: bench speed measures one process; the rate of several stands in a training's record"
        )
    options["method"] = options["method"] or project()[0].suite.methods[-1]
    sizes = {name: options.pop(name.partition(".")[2]) for name in ("training.batch_size", "data.image_size")}
    options["assignments"] += tuple(f"{name}={value}" for name, value in sizes.items() if value)
    cell, context = _take(options)
    from benchmark import speed as package

    report = package.measure(cell, context, package.Plan(rounds, seconds, steps), plain=plain)
    if as_json:
        shared.print_json(package.as_json(report))
    else:
        click.echo(package.as_text(report))
