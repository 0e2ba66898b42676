"""`bench data`: list, fetch, prepare, verify, check, show."""

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import data_options, json_option, preparing_options, print_json, resolve_data
from benchmark.contracts.registry import load_dataset


@click.group()
def data() -> None:
    """Data sets: list, fetch, prepare, verify, show."""


@data.command(name="list")
@json_option
def data_list(as_json: bool) -> None:
    """What data sets there are, whether their originals are here (BENCH_DATA, downloads), and what is prepared."""
    from benchmark.data.preparation.show import data_sets, print_data_sets

    (print_json if as_json else print_data_sets)(data_sets())


@data.command(name="fetch")
@click.argument("name")
@click.argument("files", nargs=-1)
@click.option("--root", type=click.Path(path_type=Path), envvar="BENCH_DATA", help="Where to; default: data/downloads.")
@click.option("--mirror", metavar="URL", help="Takes the place of the official host.")
@json_option
def data_fetch(name: str, files: tuple[str, ...], root: Path | None, mirror: str | None, as_json: bool) -> None:
    """Download the official FILES (default: all) of data set NAME, or go on with a download that was cut."""
    from benchmark.data.preparation.show import fetch_data_set

    paths = [str(path) for path in fetch_data_set(load_dataset(name), root, mirror, files)]
    if as_json:
        print_json(paths)
    else:
        click.echo("\n".join(paths))


@data.command(name="prepare")
@data_options
@preparing_options
@json_option
def data_prepare(workers: int | None, skip_corrupt: bool, as_json: bool, **named: Any) -> None:
    """Decode, resize and crop data set NAME (or folder:/path) once into arrays of bytes."""
    from benchmark.data.preparation.prepare import prepare, up_to_date
    from benchmark.data.preparation.show import prepared_facts

    dataset, folder, title = resolve_data(**named)
    done = up_to_date(dataset, folder, title)
    prepared = done or prepare(dataset, folder, name=title, workers=workers, skip_corrupt=skip_corrupt)
    if as_json:
        print_json({"up_to_date": done is not None, **prepared_facts(prepared)})
    else:
        click.echo(f"{'up to date: ' if done else ''}{prepared.summary()}")


@data.command(name="verify")
@data_options
@json_option
def data_verify(as_json: bool, **named: Any) -> None:
    """Compare downloads with official checksums, prepared arrays with meta.json. Exit code 1 if any differs."""
    from benchmark.data.preparation.show import print_verified
    from benchmark.data.preparation.verify import verify_data_set

    dataset, folder, title = resolve_data(**named)
    verified = verify_data_set(dataset, folder)
    if as_json:
        print_json({"right": verified.right, **verified._asdict()})
    else:
        print_verified(verified, folder, title)
    sys.exit(not verified.right)


@data.command(name="check")
@data_options
@json_option
def data_check(as_json: bool, **named: Any) -> None:
    """Run the conformance checks on data set NAME, whose originals must be here."""
    from dataclasses import asdict

    from benchmark.running.conformance import print_verdicts
    from benchmark.running.conformance_data import check_dataset

    dataset, _, title = resolve_data(**named)
    verdicts = check_dataset(dataset)
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    else:
        print_verdicts(title, verdicts)
    sys.exit(not all(verdict.passed for verdict in verdicts))


@data.command(name="show")
@data_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; default: runs/data/NAME-PRESET.")
@json_option
def data_show(out: Path | None, as_json: bool, **named: Any) -> None:
    """What data set NAME is, what was prepared of it, and a contact sheet."""
    from benchmark.data.preparation.show import data_set_facts, print_data_set

    dataset, folder, _ = resolve_data(**named)
    facts = data_set_facts(dataset, folder, out or folder.parent.parent / "runs" / "data" / folder.name)
    (print_json if as_json else print_data_set)(facts)
