"""`bench card`: which metric sees color."""

from typing import Any

import click

from benchmark.cli.options import machine_options, make_context, resolve_cell
from benchmark.contracts.config import find_root
from benchmark.paper.pages import say_written
from benchmark.support.errors import InputError


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
    if data_set and check:
        raise InputError("--check measures nothing and looks at the page alone; leave out --data")
    if metrics and record:
        raise InputError("--record needs the whole card; leave out --metric")
    from benchmark.paper.card.show import build_page

    if data_set:
        cell, context = resolve_cell(None, data_set, preset), make_context(**machine)
        from benchmark.paper.card.make import make_card

        click.echo(make_card(cell, context, metrics, record))
    if record or not data_set:
        say_written(build_page(find_root(), check), check, "bench card")
