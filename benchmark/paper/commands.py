"""`bench claims`, `bench findings`, `bench published`: what is in print, and what the result files say to it."""

import click

from benchmark.cli.options import json_option
from benchmark.contracts.config import find_root
from benchmark.contracts.workspace import project
from benchmark.paper.pages import say_written
from benchmark.support.errors import BenchError


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
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is not what the data give.")
def published(check: bool) -> None:
    """Write docs/published.md: figures in print, who reports them of whom, and which contradict each other."""
    from benchmark.paper.literature import build_literature

    say_written(build_literature(find_root(), check), check, "bench published")
