"""`bench variants`, and what `bench score --as` does: other papers' evaluation codes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import machine_options, make_context, resolve_cell
from benchmark.support.errors import InputError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", "data_set", metavar="NAME", help="The truths are this data set's test split.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--truth", type=click.Path(path_type=Path), help="The truths are the images of this folder, of any size.")
@machine_options
def variants(folder: Path, data_set: str | None, preset: str | None, truth: Path | None, **machine: Any) -> None:
    """Score FOLDER under every evaluation code side by side: how many dB are definition."""
    score_under([], folder, data_set, preset, truth, machine)


def score_under(
    codes: Sequence[str],
    folder: Path,
    data_set: str | None,
    preset: str | None,
    truth: Path | None,
    machine: Mapping[str, Any],
) -> None:
    """Prints a folder's scores under one evaluation code, or under all side by side."""
    context = make_context(**machine)
    from benchmark.paper.variants import codes as known
    from benchmark.paper.variants.score import pairs_of, score_as, shown, side_by_side
    from benchmark.running.stages import prepare_data

    if data_set and truth is None:
        pairs = pairs_of(folder, prepare_data(resolve_cell(None, data_set, preset), context))
    elif truth and data_set is None:
        pairs = pairs_of(folder, truth)
    else:
        raise InputError("the truths are either --data NAME or --truth FOLDER; give one of them")
    found = score_as(codes or list(known.CODES), pairs, context.device)
    click.echo(shown(found[codes[0]]) if codes else side_by_side(found))
    for name in codes or known.CODES:
        click.echo(f"{name}: {known.CODES[name].source}")
