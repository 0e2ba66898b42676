"""`bench speed`: how fast a training is here, beside the loop that people write."""

from typing import Any

import click

from benchmark.cli.options import SEED, machine_options, make_context, take_cell
from benchmark.support.errors import InputError


@click.command()
@click.option(
    "--method", default="cgan", show_default=True, metavar="NAME", help="Entry of params.yaml, or an adapter."
)
@click.option("--data", default="sample", show_default=True, metavar="NAME", help="Data set, or folder:/path.")
@click.option("--preset", metavar="NAME", help="Sizes and budgets; default: the suite's.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of the training.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Short for --set precision=…")
@click.option("--compile", type=click.Choice(["auto", "always", "never"]), help="Short for --set compile=…")
@click.option("--batch-size", type=click.IntRange(min=1), help="Short for --set batch_size=…")
@click.option("--image-size", type=click.IntRange(min=8), help="Short for --set image_size=…")
@click.option(
    "--rounds", type=click.IntRange(min=1, max=1000), default=3, show_default=True, help="Medians over so many blocks."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0.1, max=86400), default=5.0, show_default=True, help="Length of a block."
)
@click.option(
    "--steps", type=click.IntRange(min=1, max=10**9), help="Length of a block in steps, instead of --seconds."
)
@click.option("--plain/--no-plain", default=True, show_default=True, help="Measure the plain PyTorch loop beside ours.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@machine_options
def speed(rounds: int, seconds: float, steps: int | None, plain: bool, as_json: bool, **options: Any) -> None:
    """Measure training and evaluation of a cell beside a plain PyTorch loop of the same networks.

    Nothing is kept: no model, no checkpoint, no result. Data is prepared if need be.
    """
    if options["devices"] > 1:
        raise InputError(
            "--devices: bench speed measures one process; the rate of several stands in a training's record"
        )
    sizes = {name: options.pop(name.partition(".")[2]) for name in ("training.batch_size", "data.image_size")}
    options["assignments"] += tuple(f"{name}={value}" for name, value in sizes.items() if value)
    cell, params = take_cell(options)
    context = make_context(params, **options)
    import json

    from benchmark import speed as package

    report = package.measure(cell, context, package.Plan(rounds, seconds, steps), plain=plain)
    click.echo(json.dumps(package.as_json(report), indent=2) if as_json else package.as_text(report))


COMMANDS: tuple[click.Command, ...] = (speed,)
