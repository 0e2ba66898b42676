"""What runs are made of: adapters to list, check and begin; pretrained files of others (`bench weights`); judges."""

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import json_option, machine_options, make_context, print_json, resolve_cell, seed_option
from benchmark.contracts.config import find_root, read_params
from benchmark.support import weights
from benchmark.support.errors import InputError


@click.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Show methods, data sets, presets, metrics, and what is ready or missing on this machine."""
    from benchmark.running.inventory import inventory, print_inventory

    (print_json if as_json else print_inventory)(inventory())


@click.command()
@click.argument("method", required=False)
@click.option("--all", "every", is_flag=True, help="Check every entry of params.yaml.")
@click.option("--preset", metavar="NAME", help="With the settings of this preset; default: the suite's.")
def check(method: str | None, every: bool, preset: str | None) -> None:
    """Check that METHOD (an entry, an adapter, or package:Class) holds the contract; exit code 1 if not."""
    if bool(method) == every:
        raise InputError("bench check: name one METHOD, or give --all")
    names = [method] if method else list(read_params(find_root()).entries)
    from benchmark.running.conformance import check_by_name, print_verdicts

    failed = [name for name in names if not print_verdicts(name, check_by_name(name, preset))]
    sys.exit(bool(failed))


@click.command(name="new-method")
@click.argument("name")
def new_method(name: str) -> None:
    """Write a working adapter methods/NAME.py from the template, and its entry in params.yaml."""
    from benchmark.running import scaffold

    path = scaffold.new_method(name, find_root())
    click.echo(f"{path}\nnow change its loss or network, and run:")
    click.echo(f"  bench check {name}\n  bench run --method {name} --data sample")


@click.group(name="weights")
def weights_group() -> None:
    """Pretrained files of others: list, fetch, verify, path."""


@weights_group.command(name="list")
@json_option
def weights_list(as_json: bool) -> None:
    """What pretrained files there are, what needs them, and which are here."""
    rows = weights.table()
    if as_json:
        print_json(rows)
    for row in [] if as_json else rows:
        click.echo(f"{row['name']:10} {row['state']:8} {row['bytes'] / 1e6:6.1f} MB  {row['purpose']}")


@weights_group.command(name="fetch")
@click.argument("names", nargs=-1)
@click.option("--mirror", metavar="URL", help="Takes the place of the official host.")
def weights_fetch(names: tuple[str, ...], mirror: str | None) -> None:
    """Download the files NAMES (default: all), or go on with a download that was cut."""
    for name in names or weights.WEIGHTS:
        click.echo(weights.fetch(name, mirror))


@weights_group.command(name="verify")
@click.argument("names", nargs=-1)
def weights_verify(names: tuple[str, ...]) -> None:
    """Read the files NAMES (default: all that are here) again and compare their SHA-256. Exit code 1 if any differs."""
    rows = weights.table(names, again=True)
    for row in rows:
        click.echo(f"{row['name']:10} {row['state']:8} {row['detail']}")
    sys.exit(1 if any(row["state"] == "wrong" or (names and row["state"] == "missing") for row in rows) else 0)


@weights_group.command(name="path")
@click.argument("name")
def weights_path(name: str) -> None:
    """Where a file lies or would have to be put; exit code 1 if the right file is not there."""
    click.echo(weights.place(name))
    weights.require(name)


@click.group()
def judge() -> None:
    """The judges: small classifiers behind top1 and fd_judge."""


@judge.command(name="train")
@click.argument("data_set", metavar="DATA")
@click.option("--preset", metavar="NAME", help="Decides the size of the images; default: the suite's.")
@seed_option
@click.option("--epochs", type=click.IntRange(min=1, max=10**6), default=10, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File; default: runs/judge-DATA-v1.safetensors.")
@machine_options
def judge_train(data_set: str, preset: str | None, seed: int, epochs: int, out: Path | None, **machine: Any) -> None:
    """Train a judge on the true colors of DATA, which has labels. The protocol's own judge stays as it is."""
    cell = resolve_cell(None, data_set, preset, seed)
    context = make_context(**machine)
    from benchmark.running.judge import make_judge, recipe
    from benchmark.running.stages import prepare_data

    path = out or context.workspace.root / "runs" / f"judge-{cell.data}-v1.safetensors"
    click.echo(make_judge(prepare_data(cell, context), path, recipe(seed, epochs), context.device, context.say))
