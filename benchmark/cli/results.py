"""From result files to tables and the report; rows that another program colored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmark.cli.options import (
    json_option,
    machine_options,
    make_context,
    print_json,
    record_option,
    together,
)
from benchmark.contracts.config import find_root
from benchmark.contracts.derived import external_cell
from benchmark.contracts.workspace import Workspace, project
from benchmark.paper.variants.commands import score_under
from benchmark.support.errors import BenchError, InputError


@click.command()
@click.option("--data", "data_set", metavar="NAME", help="Only this data set's tables.")
@click.option("--preset", metavar="NAME", help="Only this preset's tables.")
@click.option("--check", is_flag=True, help="Write nothing; fail if tables and results differ.")
@click.option("--own", is_flag=True, help="Tables of this machine's results among the references, in runs/results.")
@json_option
def leaderboard(data_set: str | None, preset: str | None, check: bool, own: bool, as_json: bool) -> None:
    """Regenerate the tables under results/ from the committed result files alone."""
    from benchmark.paper.published import build_published
    from benchmark.results import tables

    space = Workspace(find_root())
    roots = {"results_root": space.own, "references": space.references} if own else {"results_root": space.references}
    built = tables.build(data=data_set, preset=preset, check=check, **roots)
    stale = [*built.stale, *([] if own else build_published(space.references, check))]
    for message in built.messages:
        click.echo(message, err=True)
    for path in stale:
        click.echo(f"{'out of date' if check else 'written'}: {path}", err=True)
    if as_json:
        click.echo(tables.as_json(built.tables))
    for table in [] if as_json or check else built.tables:
        tables.print_table(table)
    if check and stale:
        raise BenchError("tables differ from the results; run: bench leaderboard, and commit what it writes")
    if check and built.left_out:
        raise BenchError(
            f"{len(built.left_out)} result files are in no table (reasons above); run their cells with --record"
        )


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…", type=click.Path(path_type=Path))
@click.option("--data", "data_set", metavar="NAME", help="Data set whose test split was colored; or --manifest.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Of bench export: its data set and preset, checked.")
@click.option("--name", metavar="LABEL", help="Name of the row; needed without --as.")
@click.option("--as", "code", metavar="CODE", help="Under another paper's evaluation code, and in no table.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--go-on", is_flag=True, help="Score what fits although files are missing, extra or unfit.")
@json_option
@record_option
@machine_options
def score(
    folders: tuple[Path, ...],
    data_set: str | None,
    manifest: Path | None,
    name: str | None,
    code: str | None,
    preset: str | None,
    go_on: bool,
    as_json: bool,
    record: bool,
    **machine: Any,
) -> None:
    """Score test images colored by any other program (<image id>.png), as an external row; a FOLDER for each seed."""
    if code:
        if manifest or name or go_on or as_json or record or len(folders) > 1:
            raise InputError(
                "--as takes one FOLDER and --data, without --manifest, --name, --go-on, --json and --record:"
                " its scores are printed and stand in no table"
            )
        score_under([code], folders[0], data_set, preset, None, machine)
        return
    if not name:
        raise InputError("give the row a --name, or another paper's evaluation code by --as")
    _score_row(folders, data_set, preset, manifest, name, machine, record, go_on, as_json)


@click.command()
@click.argument("folder", metavar="SUBMISSION", type=click.Path(path_type=Path))
@record_option
@machine_options
def verify(folder: Path, record: bool, **machine: Any) -> None:
    """Score the images of a SUBMISSION (bench submit) as an external row; no number is taken from it."""
    from benchmark.photographs.submission import unpack

    with TemporaryDirectory() as place:
        told, folders = unpack(folder, Path(place))
        _score_row(folders, None, None, folder, told.name, machine, record)
    click.echo(f"{told.name}: outputs by their authors ({told.paper}), scores by this machine")


def _score_row(
    folders: Sequence[Path],
    data_set: str | None,
    preset: str | None,
    manifest: Path | None,
    name: str,
    machine: Mapping[str, Any],
    record: bool,
    go_on: bool = False,
    as_json: bool = False,
) -> None:
    """Scores an external row, and prints its table or itself as JSON."""
    from benchmark.photographs.export import read_manifest

    exported = read_manifest(manifest) if manifest else None
    if exported:
        data_set, preset = data_set or exported.data, preset or exported.preset
    if not data_set:
        raise InputError("of which data set are the images? Give --data NAME, or the --manifest of bench export")
    params, _ = project()
    cell = external_cell(params, name=name, data=data_set, preset=preset or params.suite.preset)
    if exported:
        exported.require(cell)
    context = make_context(**machine)
    from benchmark.contracts.result import read_result
    from benchmark.running.external import score_folders
    from benchmark.running.reference import print_table_of, require_recordable, settle
    from benchmark.running.stages import prepare_data

    if record:
        require_recordable(cell)
    prepared = prepare_data(cell, context)
    if exported:
        exported.require_content(prepared)
    results = score_folders(cell, folders, context, go_on)
    for result in results:
        settle(cell, result, context, record)
    if as_json:
        kept = {"run", "images", "metrics", "notes"}
        print_json(
            [{"result": str(path), **read_result(path).model_dump(mode="json", include=kept)} for path in results]
        )
        return
    print_table_of(cell, context)
    for result in results:
        click.echo(f"result: {result}")


_shown_options = together(
    click.option("--data", "data_set", metavar="NAME", help="Only this data set's tables."),
    click.option("--preset", metavar="NAME", help="Only this preset's tables."),
)


@click.command()
@_shown_options
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to write; default: report/.")
def report(data_set: str | None, preset: str | None, out: Path | None) -> None:
    """Write a page of tables, charts and pictures that any browser opens, without a server or a network."""
    _write_pages(data_set, preset, out or find_root() / "report", site=False)


@click.command()
@_shown_options
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to write; default: site/.")
def site(data_set: str | None, preset: str | None, out: Path | None) -> None:
    """Write the report as a static site, a page for each table, method and claim, for any web server."""
    _write_pages(data_set, preset, out or find_root() / "site", site=True)


def _write_pages(data_set: str | None, preset: str | None, out: Path, site: bool) -> None:
    from benchmark.paper.claims import build_claims
    from benchmark.paper.section import card_pages, claims_pages
    from benchmark.report import build_report

    params, space = project()
    claims = build_claims(space.references, params.suite.preset, check=True).claims
    pages = [*card_pages(space.references), *claims_pages(claims)]
    built = build_report(params, space, out, make_context, data_set, preset, pages, site)
    for message in built.messages:
        click.echo(message, err=True)
    click.echo(f"open in a browser: {built.page.resolve().as_uri()}")
