"""What stands beside the suite's own tables: the metric card, other papers' evaluation codes and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import machine_options, make_context, resolve_cell
from benchmark.contracts.config import find_root
from benchmark.support.errors import BenchError, InputError


def _say(stale: list[Any], check: bool, command: str) -> None:
    for path in stale:
        click.echo(f"{'out of date' if check else 'written'}: {path}", err=True)
    if check and stale:
        raise BenchError(f"pages differ from what they are made of; run: {command}, and commit what it writes")


@click.command()
@click.option("--data", "data_set", metavar="NAME", help="Measure this data set's card first.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric, several times; printed.")
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is not what cards and results give.")
@click.option("--record", is_flag=True, help="Make it the committed card under results/, and write the page anew.")
@machine_options
def card(
    data_set: str | None, preset: str | None, metrics: tuple[str, ...], check: bool, record: bool, **machine: Any
) -> None:
    """Show which metric sees color: every metric against known changes of the true test images.

    Without --data, docs/metric-card.md and its figures are written anew from the committed cards.
    """
    if not data_set and (metrics or record):
        raise InputError("--metric and --record need --data, whose test images are changed")
    if metrics and record:
        raise InputError("--record needs the whole card; leave out --metric")
    from benchmark.paper.card.show import build_page

    if data_set:
        cell, context = resolve_cell(None, data_set, preset), make_context(**machine)
        from benchmark.paper.card.make import make_card

        click.echo(make_card(cell, context, metrics, record))
    if record or not data_set:
        _say(build_page(find_root(), check), check, "bench card")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is not what the data give.")
def published(check: bool) -> None:
    """Write docs/published.md: figures in print, who reports them of whom, and which contradict each other."""
    from benchmark.paper.literature import build_literature

    _say(build_literature(find_root(), check), check, "bench published")


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
