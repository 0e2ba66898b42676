"""`bench study`: people as judges."""

from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import SEED, record_option, seed_option


@click.group()
def study() -> None:
    """People as judges, "which one is real?": build, serve, score."""


@study.command(name="build")
@click.option("--data", required=True, metavar="NAME", help="Data set that is shown, or folder:/path.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Trained entry, several times; default: all.")
@seed_option
@click.option("--pair", type=click.IntRange(0, 200), default=20, show_default=True, help="Trials: real beside colored.")
@click.option("--single", type=click.IntRange(0, 200), default=0, show_default=True, help="Trials: real, or colored?")
@click.option("--pick", type=click.IntRange(0, 200), default=10, show_default=True, help="Trials: the real one of k.")
@click.option("--rate", type=click.IntRange(0, 200), default=10, show_default=True, help="Trials: two ratings, 1 to 5.")
@click.option("--alternatives", type=int, metavar="K", help="Pictures in pick; default: real and every method's.")
@click.option("--checks", type=click.IntRange(0, 20), default=3, show_default=True, help="Trials of attention.")
@click.option(
    "--exposure", type=click.FloatRange(0.1, 60), metavar="SECONDS", help="Pictures vanish after; default: no."
)
@click.option("--design-seed", type=SEED, default=0, show_default=True, help="Who sees what.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for page and key.")
def study_build(out: Path, checks: int, alternatives: int | None, design_seed: int, **shown: Any) -> None:
    """Write one HTML page that works without a network, and the key that only you keep."""
    from benchmark.study.build import build_study
    from benchmark.study.design import Design
    from benchmark.study.schema import TASKS

    design = Design({task: shown.pop(task) for task in TASKS}, checks, alternatives, seed=design_seed)
    page, key = build_study(out, design, **shown)
    click.echo(f"give away: {page}\nkeep:      {key}")
    click.echo(f"a room on this machine: bench study serve {out}\nthen: bench study score FILES… --key {key}")


@study.command(name="serve")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--answers", type=click.Path(path_type=Path), help="SQLite file; default: FOLDER/answers.sqlite.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: every machine that reaches this one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8013, show_default=True, help="0: any free one.")
def study_serve(folder: Path, answers: Path | None, host: str, port: int) -> None:
    """Serve the study in FOLDER; every answer is on the disk before it is acknowledged. Ctrl-C ends."""
    from benchmark.study.serve import open_server, serve

    server = open_server(folder, answers, host, port)
    click.echo(f"{server.url}\nanswers: {answers or folder / 'answers.sqlite'}; Ctrl-C ends, and nothing is lost")
    serve(server)


@study.command(name="score")
@click.argument("files", nargs=-1, required=True, metavar="FILES…", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Default: key.json beside the first file.")
@click.option("--table/--no-table", default=True, show_default=True, help="Add the columns to the leaderboard.")
@click.option("--replace", is_flag=True, help="Also where another study's columns stand.")
@record_option
def study_score(files: tuple[Path, ...], key: Path | None, table: bool, replace: bool, record: bool) -> None:
    """Score answers: FILES are what participants sent, and what the server wrote."""
    from benchmark.study.score import score_files

    text, written = score_files(files, key, table, replace, record)
    click.echo(text)
    if written:
        click.echo(f"\nwritten: {written}; now: bench leaderboard{'' if record else ' --own'}")
