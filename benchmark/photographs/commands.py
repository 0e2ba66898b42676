"""`bench colorize`, `app`, `compare`: trained methods on photographs; `bench export`: photographs for any program."""

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import make_context, preparing_options, resolve_cell, root_option, seed_option

_data_option = click.option(
    "--data", "data_set", metavar="NAME", help="What they were trained on, also folder:PATH; default: the only one."
)

_method_option = click.option(
    "--method", "methods", multiple=True, metavar="NAME", help="Trained entry; may be given several times."
)
_all_option = click.option("--all", "every", is_flag=True, help="Every trained method of the data set.")


@click.command()
@click.argument("photographs", nargs=-1, required=True, metavar="PHOTO…", type=click.Path(path_type=Path))
@_method_option
@_all_option
@click.option("--model", type=click.Path(path_type=Path), help="A model file instead, from wherever.")
@_data_option
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@seed_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--side-by-side", is_flag=True, help="One more picture each: gray, every method, the photograph.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder, or one PNG.")
def colorize(photographs: tuple[Path, ...], out: Path, side_by_side: bool, overwrite: bool, **models: Any) -> None:
    """Color any photographs, files or folders, color or gray, at their own size; PNG out.

    The model that the package brings colors, unless --method, --all or --model says otherwise.
    """
    from benchmark.photographs import colorize as coloring
    from benchmark.photographs.colorizer import load_chosen

    colorizers = load_chosen(**models)
    several = models["every"] or len(colorizers) > 1
    jobs = coloring.plan(photographs, list(colorizers), out, several, side_by_side=side_by_side, overwrite=overwrite)
    failed = coloring.color_files(jobs, colorizers)
    for path in (path for job in jobs if job.source not in failed for path in job.files):
        click.echo(path)
    for path, reason in failed.items():
        click.echo(f"bench: {path}: {reason}", err=True)
    sys.exit(1 if failed else 0)


@click.command()
@_method_option
@_all_option
@_data_option
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@seed_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: every machine that reaches this one.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0: any free one.")
def app(host: str, port: int, **models: Any) -> None:
    """Serve a page: drop a photograph, see it in color (needs the extra `app`).

    The model that the package brings colors, unless --method or --all says otherwise.
    """
    from benchmark.photographs.app import serve
    from benchmark.photographs.colorizer import load_chosen

    serve(load_chosen(model=None, **models), host, port)


@click.command()
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set.")
@click.option("--methods", required=True, metavar="A,B,…", help="Trained entries, in the order of the rows.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@seed_option
@click.option("--images", type=click.IntRange(1, 64), default=8, show_default=True, help="Columns.")
@click.option("--worst", is_flag=True, help="The images of the first method's lowest PSNR, not an even choice.")
@click.option("--size", type=click.IntRange(16, 512), default=96, show_default=True, help="Pixels per image.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The PNG to write.")
def compare(data_set: str, methods: str, preset: str | None, seed: int, out: Path, **shown: Any) -> None:
    """Draw the same test images as several methods color them, a row per method, and print their scores."""
    cells = [resolve_cell(name, data_set, preset, seed) for name in methods.split(",")]
    context = make_context()
    from benchmark.photographs.compare import draw_comparison

    click.echo(f"{draw_comparison(cells, context, out, **shown)}\n{out}")


@click.command()
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set, or folder:/path/to/photographs.")
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@click.option("--preset", metavar="NAME", help="Decides the size of the images; default: the suite's.")
@click.option("--truth", is_flag=True, help="Write the photographs in color too.")
@root_option
@preparing_options
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def export(data_set: str, split: Any, preset: str | None, truth: bool, out: Path, **where: Any) -> None:
    """Write a split as gray PNGs with a manifest, for any other program to color (then: bench score)."""
    cell, context = resolve_cell(None, data_set, preset), make_context(**where)
    from benchmark.photographs.export import export as export_split
    from benchmark.running.stages import prepare_data

    click.echo(export_split(prepare_data(cell, context), cell, split, out, truth))


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…", type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path), required=True, help="Of the export that was colored.")
@click.option("--name", required=True, metavar="LABEL", help="Name of the row.")
@click.option("--paper", required=True, metavar="URL", help="Of the paper, or of the program.")
@click.option("--settings", required=True, metavar="TEXT", help="Code and its version, weights, options.")
@click.option("--address", metavar="URL", help="Where the archives will be, if they are too large to send.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def submit(folders: tuple[Path, ...], manifest: Path, out: Path, **told: Any) -> None:
    """Pack colored test images, a FOLDER for each seed, so that others can score them (bench verify)."""
    from benchmark.photographs.export import read_manifest
    from benchmark.photographs.submission import submit as pack

    for path in pack(folders, read_manifest(manifest), out, **told):
        click.echo(path)


@click.command()
@click.option("--data", "data_set", default="sample", show_default=True, metavar="NAME", help="Of the table.")
@click.option("--preset", metavar="NAME", help="Of the table; default: the suite's.")
@click.option("--photographs", metavar="NAME", help="Data set whose test photographs are shown; default: --data.")
@click.option("--count", type=click.IntRange(1, 24), default=10, show_default=True, help="How many photographs.")
@root_option
def strip(data_set: str, preset: str | None, photographs: str | None, count: int, root: Path | None) -> None:
    """Draw the photographs of the report's first screen with a table's models, into docs/strip.

    Every family of the table must have a current committed row whose model is on this machine.
    """
    from benchmark.contracts.workspace import project
    from benchmark.photographs.strip import draw_strip

    params, space = project()
    cell = resolve_cell(None, data_set, preset)
    shown = resolve_cell(None, photographs or data_set, cell.preset)
    dataset = shown.dataset_class(shown.data_config, shown.data_path or root)
    click.echo(f"written: {draw_strip(params, space, cell.data, cell.preset, dataset, count)}")
