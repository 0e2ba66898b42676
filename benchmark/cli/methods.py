"""What there is, and what an adapter's author needs."""

import sys

import click

from benchmark.cli.options import json_option, print_json
from benchmark.contracts.config import find_root


@click.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Show methods, data sets, presets, metrics, and what is ready or missing on this machine."""
    from benchmark.running.inventory import inventory, print_inventory

    (print_json if as_json else print_inventory)(inventory())


@click.command()
@click.argument("method")
@click.option("--preset", metavar="NAME", help="With the settings of this preset; default: the suite's.")
def check(method: str, preset: str | None) -> None:
    """Check that METHOD (an entry, an adapter, or package:Class) holds the contract; exit code 1 if not."""
    from benchmark.running.conformance import check_by_name, print_verdicts

    sys.exit(not print_verdicts(method, check_by_name(method, preset)))


@click.command(name="new-method")
@click.argument("name")
def new_method(name: str) -> None:
    """Write a working adapter methods/NAME.py from the template, and its entry in params.yaml."""
    from benchmark.running import scaffold

    path = scaffold.new_method(name, find_root())
    click.echo(f"{path}\nnow change its loss or network, and run:")
    click.echo(f"  bench check {name}\n  bench run --method {name} --data sample")
