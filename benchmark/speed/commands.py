"""`bench speed`: how fast a cell is trained and evaluated; `bench sizes`: how large the rows of a table are."""

from typing import Any

import click

from benchmark.cli import options as shared
from benchmark.contracts.workspace import project
from benchmark.support.errors import InputError


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
    cell, context = shared.take(options)
    from benchmark.speed.measure import Plan, measure
    from benchmark.speed.show import as_json as as_values
    from benchmark.speed.show import as_text

    report = measure(cell, context, Plan(rounds, seconds, steps), plain=plain)
    if as_json:
        shared.print_json(as_values(report))
    else:
        click.echo(as_text(report))


@click.command()
@click.option("--data", default="sample", show_default=True, metavar="NAME", help="Data set, or folder:/path.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Entries; default: those that are ranked.")
@shared.json_option
def sizes(data: str, preset: str | None, methods: tuple[str, ...], as_json: bool) -> None:
    """Print images, steps, parameters and multiply-adds of the rows of a table, and how far apart they are.

    Images and steps count those of the models that a row starts from. Nothing is trained, and no data is needed.
    """
    from benchmark.speed.sizes import as_text, as_values, sizes_of

    found = sizes_of(*project(), data, preset, methods)
    if as_json:
        shared.print_json(as_values(found))
    else:
        click.echo(as_text(found))
