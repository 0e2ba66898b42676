"""From result files to tables, claims and the report; rows that another program colored."""

from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import json_option, machine_options, make_context, record_option, resolve_cell, seed_option
from benchmark.contracts.config import external_cell, find_root
from benchmark.contracts.workspace import Workspace, project
from benchmark.support.errors import BenchError


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
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set whose test split was colored.")
@click.option("--name", required=True, metavar="LABEL", help="Name of the row.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--go-on", is_flag=True, help="Score what fits although files are missing, extra or unfit.")
@record_option
@machine_options
def score(
    folder: Path, data_set: str, name: str, preset: str | None, go_on: bool, record: bool, **machine: Any
) -> None:
    """Score FOLDER, test images colored by any other program (<image id>.png), as an external row."""
    params, _ = project()
    cell = external_cell(params, name=name, data=data_set, preset=preset or params.suite.preset)
    context = make_context(**machine)
    from benchmark.running.external import score_folder
    from benchmark.running.reference import print_table_of, require_recordable, settle
    from benchmark.running.stages import prepare_data

    if record:
        require_recordable(cell)
    prepare_data(cell, context)
    result = score_folder(cell, folder, context, go_on)
    settle(cell, result, context, record)
    print_table_of(cell, context)
    click.echo(f"result: {result}")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the committed page is not what the results give.")
@json_option
def claims(check: bool, as_json: bool) -> None:
    """Decide the reports' claims from the result files; write results/claims.md."""
    from benchmark.paper import claims as reports

    params, space = project()
    built = reports.build_claims(space.references, params.suite.preset, check)
    click.echo(reports.as_json(built) if as_json else reports.summary(built))
    if check and built.stale:
        raise BenchError("results/claims.md differs from the results; run: bench claims, and commit what it writes")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if page or figures are not what the results give.")
def findings(check: bool) -> None:
    """Write docs/findings.md and its figures: what the reports claim, and what holds under one protocol."""
    from benchmark.paper.findings import build_findings

    built = build_findings(find_root(), check)
    for path in built.stale:
        click.echo(f"{'out of date' if check else 'written'}: {path}", err=True)
    click.echo(built.page)
    if check and built.stale:
        raise BenchError("docs/findings.md differs from the results; run: bench findings, and commit what it writes")


@click.command()
@click.option("--data", "data_set", metavar="NAME", help="Only this data set's tables.")
@click.option("--preset", metavar="NAME", help="Only this preset's tables.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to write; default: report/.")
def report(data_set: str | None, preset: str | None, out: Path | None) -> None:
    """Write a folder of tables, charts and pictures that any browser opens, without a server or a network."""
    from benchmark.paper.claims import build_claims
    from benchmark.paper.section import claims_section
    from benchmark.report import build_report

    params, space = project()
    claimed = claims_section(build_claims(space.references, params.suite.preset, check=True).claims)
    built = build_report(params, space, out or space.root / "report", make_context, data_set, preset, [claimed])
    for message in built.messages:
        click.echo(message, err=True)
    click.echo(f"open in a browser: {built.page.resolve().as_uri()}")


@click.command()
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set.")
@click.option("--methods", required=True, metavar="A,B,…", help="Trained entries, in the order of the rows.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@seed_option
@click.option("--images", type=click.IntRange(1, 64), default=8, show_default=True, help="Columns.")
@click.option("--size", type=click.IntRange(16, 512), default=96, show_default=True, help="Pixels per image.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The PNG to write.")
def compare(data_set: str, methods: str, preset: str | None, seed: int, images: int, size: int, out: Path) -> None:
    """Draw the same test images as several methods color them: a row per method."""
    cells = [resolve_cell(name, data_set, preset, seed) for name in methods.split(",")]
    context = make_context()
    from benchmark.photographs.compare import draw_comparison

    draw_comparison(cells, context, out, images, size)
    click.echo(out)
