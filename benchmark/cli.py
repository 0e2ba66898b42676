"""The `bench` command. Commands only parse and print; what they do lives in the modules they import when called."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.config import Cell
    from benchmark.dataset import Dataset
    from benchmark.pipeline import Context


class Bench(click.Group):
    """Turns our errors into one line and an exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except BenchError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"bench: error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Bench, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="colorbench")
def main(debug: bool) -> None:
    r"""Which automatic colorization method is better, and by how much?

    Trains and scores colorization methods on one protocol. Start with:

    \b
      bench list                                      what there is, and what is ready here
      bench run --method cgan --data sample           train, score, and stand in the table
      bench leaderboard                               the tables, from the committed results
    """


def cell_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a cell; given to the command as `cell_options` of `resolve_cell`."""
    options = [
        click.option(
            "--method", required=True, metavar="NAME", help="Entry of params.yaml, or an adapter (bench list)."
        ),
        click.option("--data", required=True, metavar="NAME", help="Data set, or folder:/path/to/photographs."),
        click.option("--preset", metavar="NAME", help="Sizes and budgets; default: the suite's."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of this run."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to work with."""
    options = [
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …"),
        click.option(
            "--root",
            type=click.Path(path_type=Path),
            envvar="BENCH_DATA",
            help="Where data sets are kept already (or BENCH_DATA).",
        ),
        click.option(
            "--workers", type=click.IntRange(min=1), help="Processes of data preparation; default: all cores."
        ),
        click.option("--skip-corrupt", is_flag=True, help="Leave out images that cannot be read, and record them."),
        click.option(
            "--on-device",
            type=click.Choice(["auto", "yes", "no"]),
            default="auto",
            show_default=True,
            help="Keep the training images on the device; auto: if they fit.",
        ),
        click.option(
            "--devices", type=click.IntRange(min=1), default=1, help="Processes, one per GPU, that train together."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def resolve_cell(
    method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...]
) -> "tuple[Cell, Any]":
    """The cell that the options mean, and the project's parameters."""
    from benchmark.config import find_root, read_params, resolve

    params = read_params(find_root())
    preset = preset or params.suite.preset
    return resolve(params, method=method, data=data, preset=preset, seed=seed, assignments=assignments), params


def make_context(
    params: Any,
    device: str,
    root: Path | None,
    workers: int | None,
    skip_corrupt: bool,
    on_device: Literal["auto", "yes", "no"] = "auto",
    devices: int = 1,
) -> "Context":
    """What the stages need; imports torch. With several devices the command starts again, once for each."""
    from rich.console import Console

    from benchmark import distributed
    from benchmark.config import find_root
    from benchmark.pipeline import Context, choose_device
    from benchmark.workspace import Workspace

    if devices > 1 and not distributed.started_by_torchrun():
        sys.exit(distributed.launch(sys.argv[1:], devices))
    ranks, chosen = distributed.join(choose_device(device))
    console = Console(stderr=True, quiet=not ranks.first)
    workspace = Workspace(find_root())
    return Context(params, workspace, console, chosen, root, workers, skip_corrupt, on_device, ranks)


# run ------------------------------------------------------------------------------------------------------------------


@main.command()
@cell_options
@machine_options
def run(method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any) -> None:
    """Prepare, train, evaluate, and print the table with this run's row marked.

    Every step is skipped when it is up to date. Ctrl-C saves; the same command goes on.
    """
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import run_cell
    from benchmark.summary import print_summary

    if finished := run_cell(cell, context):
        print_summary(cell, *finished, context)


@main.command()
@cell_options
@machine_options
def train(method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any) -> None:
    """Train one cell on prepared data (a stage of dvc.yaml)."""
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import train_cell

    click.echo(train_cell(cell, context))


@main.command()
@cell_options
@machine_options
def evaluate(
    method: str, data: str, preset: str | None, seed: int, assignments: tuple[str, ...], **machine: Any
) -> None:
    """Score one trained cell (a stage of dvc.yaml)."""
    cell, params = resolve_cell(method, data, preset, seed, assignments)
    context = make_context(params, **machine)
    from benchmark.pipeline import evaluate_cell

    click.echo(evaluate_cell(cell, context))


@main.command()
def fingerprint() -> None:
    """Write the hashes of code and settings by which DVC knows what is out of date (a stage of dvc.yaml)."""
    from benchmark.config import find_root, read_params
    from benchmark.fingerprint import write_fingerprints
    from benchmark.workspace import Workspace

    root = find_root()
    written = write_fingerprints(read_params(root), Workspace(root).fingerprints)
    click.echo(f"{len(written)} fingerprints in {Workspace(root).fingerprints}")


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """Show methods, data sets, presets, metrics, and what is ready or missing on this machine."""
    from benchmark.inventory import inventory, print_inventory

    if as_json:
        import json

        click.echo(json.dumps(inventory(), indent=2))
    else:
        print_inventory(inventory())


# data -----------------------------------------------------------------------------------------------------------------


@main.group()
def data() -> None:
    """Data sets: list, fetch, prepare, verify, show."""


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a prepared data set; given to the command as options of `resolve_data`."""
    options = [
        click.argument("name"),
        click.option("--preset", metavar="NAME", help="Decides the size of the images; default: the suite's."),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting."),
        click.option(
            "--root",
            type=click.Path(path_type=Path),
            envvar="BENCH_DATA",
            help="Where data sets are kept already (or BENCH_DATA).",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def resolve_data(
    name: str, preset: str | None, assignments: tuple[str, ...], root: Path | None
) -> "tuple[Dataset, Path, str]":
    """The data set that the options mean, the folder of its prepared arrays, and its name."""
    from benchmark.config import find_root, read_params
    from benchmark.workspace import Workspace

    first = next(iter(read_params(find_root()).entries))  # any method: preparation knows none
    cell, _ = resolve_cell(first, name, preset, 0, assignments)
    return cell.dataset_class(cell.data_config, cell.data_path or root), Workspace(find_root()).data(cell), cell.data


@data.command(name="list")
def data_list() -> None:
    """What data sets there are, whether their originals are here (BENCH_DATA, downloads), and what is prepared."""
    from benchmark.show import print_data_sets

    print_data_sets()


@data.command(name="fetch")
@click.argument("name")
@click.argument("files", nargs=-1)
@click.option("--root", type=click.Path(path_type=Path), envvar="BENCH_DATA", help="Where to; default: data/downloads.")
@click.option("--mirror", metavar="URL", help="Takes the place of the official host.")
def data_fetch(name: str, files: tuple[str, ...], root: Path | None, mirror: str | None) -> None:
    """Download the official FILES (default: all) of data set NAME, or go on with a download that was cut."""
    from benchmark.registry import load_dataset
    from benchmark.show import fetch_data_set

    for path in fetch_data_set(load_dataset(name), root, mirror, files):
        click.echo(path)


@data.command(name="prepare")
@data_options
@click.option("--workers", type=click.IntRange(min=1), help="Processes that decode; default: all cores.")
@click.option("--skip-corrupt", is_flag=True, help="Leave out images that cannot be read, and record them.")
def data_prepare(
    name: str,
    preset: str | None,
    assignments: tuple[str, ...],
    root: Path | None,
    workers: int | None,
    skip_corrupt: bool,
) -> None:
    """Decode, resize and crop data set NAME (or folder:/path) once into arrays of bytes."""
    from benchmark.prepare import prepare, up_to_date

    dataset, folder, title = resolve_data(name, preset, assignments, root)
    done = up_to_date(dataset, folder, title)
    prepared = done or prepare(dataset, folder, name=title, workers=workers, skip_corrupt=skip_corrupt)
    click.echo(f"{'up to date: ' if done else ''}{prepared.summary()}")


@data.command(name="verify")
@data_options
def data_verify(name: str, preset: str | None, assignments: tuple[str, ...], root: Path | None) -> None:
    """Compare downloads with official checksums, prepared arrays with meta.json. Exit code 1 if any differs."""
    from benchmark.show import verify_data_set

    failed = verify_data_set(*resolve_data(name, preset, assignments, root))
    sys.exit(1 if failed else 0)


@data.command(name="check")
@data_options
def data_check(name: str, preset: str | None, assignments: tuple[str, ...], root: Path | None) -> None:
    """Run the conformance checks on data set NAME, whose originals must be here."""
    from benchmark.testing import print_verdicts
    from benchmark.testing_data import check_dataset

    dataset, _, title = resolve_data(name, preset, assignments, root)
    if not print_verdicts(title, check_dataset(dataset)):
        sys.exit(1)


@data.command(name="show")
@data_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; default: runs/data/NAME-PRESET.")
def data_show(name: str, preset: str | None, assignments: tuple[str, ...], root: Path | None, out: Path | None) -> None:
    """What data set NAME is, what was prepared of it, a contact sheet and a histogram of its colors."""
    from benchmark.show import show_data_set

    dataset, folder, _ = resolve_data(name, preset, assignments, root)
    show_data_set(dataset, folder, out or folder.parent.parent / "runs" / "data" / folder.name)


# weights --------------------------------------------------------------------------------------------------------------


@main.group(name="weights")
def weights_group() -> None:
    """Pretrained files of others: list, fetch, verify, path."""


@weights_group.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def weights_list(as_json: bool) -> None:
    """What pretrained files there are, what needs them, and which are here."""
    from benchmark import weights

    rows = weights.table()
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
    for row in [] if as_json else rows:
        click.echo(f"{row['name']:10} {row['state']:8} {row['bytes'] / 1e6:6.1f} MB  {row['purpose']}")


@weights_group.command(name="fetch")
@click.argument("names", nargs=-1)
@click.option("--mirror", metavar="URL", help="Takes the place of the official host.")
def weights_fetch(names: tuple[str, ...], mirror: str | None) -> None:
    """Download the files NAMES (default: all), or go on with a download that was cut."""
    from benchmark import weights

    for name in names or weights.WEIGHTS:
        click.echo(weights.fetch(name, mirror))


@weights_group.command(name="verify")
@click.argument("names", nargs=-1)
def weights_verify(names: tuple[str, ...]) -> None:
    """Read the files NAMES (default: all that are here) again and compare their SHA-256. Exit code 1 if any differs."""
    from benchmark import weights

    rows = weights.table(names, again=True)
    for row in rows:
        click.echo(f"{row['name']:10} {row['state']:8} {row['detail']}")
    sys.exit(1 if any(row["state"] == "wrong" or (names and row["state"] == "missing") for row in rows) else 0)


@weights_group.command(name="path")
@click.argument("name")
def weights_path(name: str) -> None:
    """Where a file lies or would have to be put; exit code 1 if the right file is not there."""
    from benchmark import weights

    click.echo(weights.place(name))
    weights.require(name)


# judge ----------------------------------------------------------------------------------------------------------------


@main.group()
def judge() -> None:
    """The judges: small classifiers behind top1 and fd_judge."""


@judge.command(name="train")
@click.argument("data_set", metavar="DATA")
@click.option("--preset", metavar="NAME", help="Decides the size of the images; default: the suite's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File; default: runs/judge-DATA-v1.safetensors.")
@machine_options
def judge_train(data_set: str, preset: str | None, seed: int, epochs: int, out: Path | None, **machine: Any) -> None:
    """Train a judge on the true colors of DATA, which has labels. The protocol's own judge stays as it is."""
    from benchmark.config import find_root, read_params

    first = next(iter(read_params(find_root()).entries))  # any method: preparation knows none
    cell, params = resolve_cell(first, data_set, preset, seed, ())
    context = make_context(params, **machine)
    from benchmark.judge import JudgeTraining, make_judge
    from benchmark.pipeline import prepare_data

    path = out or context.workspace.root / "runs" / f"judge-{cell.data}-v1.safetensors"
    training = JudgeTraining(epochs=epochs)
    click.echo(make_judge(prepare_data(cell, context), path, seed, context.device, training, context.say))


# results --------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--data", "data_set", metavar="NAME", help="Only this data set's tables.")
@click.option("--preset", metavar="NAME", help="Only this preset's tables.")
@click.option("--check", is_flag=True, help="Write nothing; fail if a committed table is not what the results give.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def leaderboard(data_set: str | None, preset: str | None, check: bool, as_json: bool) -> None:
    """Regenerate the tables under results/ from the result files alone."""
    from benchmark import leaderboard as tables
    from benchmark.config import find_root

    built = tables.build(find_root() / "results", data_set, preset, check)
    for message in built.messages:
        click.echo(message, err=True)
    for path in built.stale:
        click.echo(f"{'out of date' if check else 'written'}: {path}", err=True)
    if as_json:
        click.echo(tables.as_json(built.tables))
    for table in [] if as_json or check else built.tables:
        tables.print_table(table)
    if check and built.stale:
        raise BenchError("tables differ from the results; run: bench leaderboard, and commit what it writes")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set whose test split was colored.")
@click.option("--name", required=True, metavar="LABEL", help="Name of the row.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--go-on", is_flag=True, help="Score what fits although files are missing, extra or unfit.")
@machine_options
def score(folder: Path, data_set: str, name: str, preset: str | None, go_on: bool, **machine: Any) -> None:
    """Score FOLDER, test images colored by any other program (<image id>.png), as an external row."""
    from benchmark.config import external_cell, find_root, read_params

    params = read_params(find_root())
    cell = external_cell(params, name=name, data=data_set, preset=preset or params.suite.preset)
    context = make_context(params, **machine)
    from benchmark.external import score_folder
    from benchmark.pipeline import prepare_data
    from benchmark.summary import print_table_of

    prepare_data(cell, context)
    result = score_folder(cell, folder, context, go_on)
    print_table_of(cell, context)
    click.echo(f"result: {result}")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the committed page is not what the results give.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def claims(check: bool, as_json: bool) -> None:
    """Decide the reports' claims from the result files; write results/claims.md."""
    from benchmark import claims as reports
    from benchmark.config import find_root, read_params

    root = find_root()
    built = reports.build_claims(root / "results", read_params(root).suite.preset, check)
    click.echo(reports.as_json(built) if as_json else reports.summary(built))
    if check and built.stale:
        raise BenchError("results/claims.md differs from the results; run: bench claims, and commit what it writes")


# methods --------------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("method")
@click.option("--preset", metavar="NAME", help="With the settings of this preset; default: the suite's.")
def check(method: str, preset: str | None) -> None:
    """Check that METHOD (an entry, an adapter, or package:Class) holds the contract; exit code 1 if not."""
    from benchmark.testing import check_by_name, print_verdicts

    if not print_verdicts(method, check_by_name(method, preset)):
        sys.exit(1)


@main.command(name="new-method")
@click.argument("name")
def new_method(name: str) -> None:
    """Write a working adapter methods/NAME.py from the template, and its entry in params.yaml."""
    from benchmark import scaffold
    from benchmark.config import find_root

    path = scaffold.new_method(name, find_root())
    click.echo(f"{path}\nnow change its loss or network, and run:")
    click.echo(f"  bench check {name}\n  bench run --method {name} --data sample")


@main.command()
@click.option("--data", "data_set", required=True, metavar="NAME", help="Data set.")
@click.option("--methods", required=True, metavar="A,B,…", help="Trained entries, in the order of the rows.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--images", type=click.IntRange(1, 64), default=8, show_default=True, help="Columns.")
@click.option("--size", type=click.IntRange(16, 512), default=96, show_default=True, help="Pixels per image.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The PNG to write.")
def compare(data_set: str, methods: str, preset: str | None, seed: int, images: int, size: int, out: Path) -> None:
    """Draw the same test images as several methods color them: a row per method."""
    cells = [resolve_cell(name, data_set, preset, seed, ()) for name in methods.split(",")]
    context = make_context(cells[0][1], "auto", None, None, False)
    from benchmark.compare import compare as draw

    draw([cell for cell, _ in cells], context, out, images, size)
    click.echo(out)


# colorize -------------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("photographs", nargs=-1, required=True, metavar="PHOTO…", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Trained entry; may be given several times.")
@click.option("--all", "every", is_flag=True, help="Every trained method of the data set.")
@click.option("--model", type=click.Path(path_type=Path), help="A model file instead, from wherever.")
@click.option("--data", "data_set", metavar="NAME", help="What the methods were trained on; default: the only one.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--side-by-side", is_flag=True, help="One more picture each: gray, every method, the photograph.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder, or one PNG.")
def colorize(photographs: tuple[Path, ...], out: Path, side_by_side: bool, overwrite: bool, **models: Any) -> None:
    """Color any photographs, files or folders, color or gray, at their own size; PNG out."""
    from benchmark import colorize as coloring

    colorizers = coloring.load_chosen(**models)
    several = models["every"] or len(colorizers) > 1
    jobs = coloring.plan(photographs, list(colorizers), out, several, side_by_side=side_by_side, overwrite=overwrite)
    failed = coloring.color_files(jobs, colorizers)
    for path in (path for job in jobs if job.source not in failed for path in job.files):
        click.echo(path)
    for path, reason in failed.items():
        click.echo(f"bench: {path}: {reason}", err=True)
    sys.exit(1 if failed else 0)


# study ----------------------------------------------------------------------------------------------------------------


@main.group()
def study() -> None:
    """People as judges, "which one is real?": build, serve, score."""


@study.command(name="build")
@click.option("--data", required=True, metavar="NAME", help="Data set whose test photographs are shown.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Trained entry, several times; default: all.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the trained models.")
@click.option("--pair", type=click.IntRange(0, 200), default=20, show_default=True, help="Trials: real beside colored.")
@click.option("--single", type=click.IntRange(0, 200), default=0, show_default=True, help="Trials: real, or colored?")
@click.option("--pick", type=click.IntRange(0, 200), default=10, show_default=True, help="Trials: the real one of k.")
@click.option("--rate", type=click.IntRange(0, 200), default=10, show_default=True, help="Trials: two ratings, 1 to 5.")
@click.option("--alternatives", type=int, metavar="K", help="Pictures in pick; default: real and every method's.")
@click.option("--checks", type=click.IntRange(0, 20), default=3, show_default=True, help="Trials of attention.")
@click.option(
    "--exposure", type=click.FloatRange(0.1, 60), metavar="SECONDS", help="Pictures vanish after; default: no."
)
@click.option("--design-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Who sees what.")
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
def study_score(files: tuple[Path, ...], key: Path | None, table: bool, replace: bool) -> None:
    """Score answers: FILES are what participants sent, and what the server wrote."""
    from benchmark.study.score import score_files

    text, written = score_files(files, key, table, replace)
    click.echo(text)
    if written:
        click.echo(f"\nwritten: {written}; now: bench leaderboard")


# app ------------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Trained entry, several times; default: all.")
@click.option("--data", "data_set", metavar="NAME", help="What the methods were trained on; default: the only one.")
@click.option("--preset", metavar="NAME", help="Default: the suite's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: every machine that reaches this one.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0: any free one.")
def app(host: str, port: int, methods: tuple[str, ...], **models: Any) -> None:
    """Serve a page: drop a photograph, see every trained method's version (needs the extra `app`)."""
    from benchmark.app import serve
    from benchmark.colorize import load_chosen

    serve(load_chosen(methods=methods, every=not methods, model=None, **models), host, port)


# report ---------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--data", "data_set", metavar="NAME", help="Only this data set's tables.")
@click.option("--preset", metavar="NAME", help="Only this preset's tables.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to write; default: report/.")
def report(data_set: str | None, preset: str | None, out: Path | None) -> None:
    """Write a folder of tables, charts and pictures that any browser opens, without a server or a network."""
    from benchmark.config import find_root, read_params
    from benchmark.report import build_report
    from benchmark.workspace import Workspace

    root, params = find_root(), read_params(find_root())
    context = partial(make_context, params, "auto", None, None, False)
    built = build_report(params, Workspace(root), out or root / "report", context, data_set, preset)
    for message in built.messages:
        click.echo(message, err=True)
    click.echo(f"open in a browser: {built.page.resolve().as_uri()}")


if __name__ == "__main__":
    sys.exit(main())
