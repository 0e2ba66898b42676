"""Options that several commands share, and what they mean."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmark.support.names import MAX_SEED

if TYPE_CHECKING:
    from benchmark.contracts.config import Cell
    from benchmark.contracts.dataset import Dataset
    from benchmark.running.stages import Context


SEED = click.IntRange(0, MAX_SEED)


def cell_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a cell; `take_cell` takes them from what the command gets."""
    options = [
        click.option(
            "--method", required=True, metavar="NAME", help="Entry of params.yaml, or an adapter (bench list)."
        ),
        click.option("--data", required=True, metavar="NAME", help="Data set, or folder:/path/to/photographs."),
        click.option("--preset", metavar="NAME", help="Sizes and budgets; default: the suite's."),
        click.option("--seed", type=SEED, default=0, show_default=True),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of this run."),
        click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Short for --set precision=…"),
        click.option("--compile", type=click.Choice(["auto", "always", "never"]), help="Short for --set compile=…"),
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
            "--workers", type=click.IntRange(min=1, max=4096), help="Processes of data preparation; default: all cores."
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
            "--devices",
            type=click.IntRange(min=1, max=4096),
            default=1,
            help="Processes, one per GPU, that train together.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1, max=4096),
            help="Threads of torch on a CPU; default: all cores. The last bits of sums depend on their number.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def resolve_cell(
    method: str | None, data: str, preset: str | None, seed: int, assignments: tuple[str, ...]
) -> "tuple[Cell, Any]":
    """The cell that the options mean (of the data alone if `method` is None), and the project's parameters."""
    from benchmark.contracts.config import find_root, read_params, resolve

    params = read_params(find_root())
    preset = preset or params.suite.preset
    return resolve(params, method=method, data=data, preset=preset, seed=seed, assignments=assignments), params


def take_cell(options: dict[str, Any]) -> "tuple[Cell, Any]":
    """Takes the options of `cell_options` out of a command's, and gives the cell and the project's parameters."""
    method, data, preset, seed = (options.pop(name) for name in ("method", "data", "preset", "seed"))
    shortcuts = {name: options.pop(name) for name in ("precision", "compile")}
    given = tuple(f"training.{name}={value}" for name, value in shortcuts.items() if value)
    cell, params = resolve_cell(method, data, preset, seed, (*options.pop("assignments"), *given))
    cell.settings()  # everything is validated before data is prepared or a file fetched
    return cell, params


def make_context(
    params: Any,
    device: str,
    root: Path | None,
    workers: int | None,
    skip_corrupt: bool,
    on_device: Literal["auto", "yes", "no"] = "auto",
    devices: int = 1,
    threads: int | None = None,
) -> "Context":
    """What the stages need; imports torch. With several devices the command starts again, once for each."""
    from benchmark.support.interruption import requeue_on_sigterm

    if "TORCHELASTIC_RUN_ID" not in os.environ:  # of several processes the one that started them answers
        requeue_on_sigterm()
    os.environ.setdefault("GIT_OPTIONAL_LOCKS", "0")  # results name the commit; asking for it locks nobody out
    import torch
    from rich.console import Console

    from benchmark.contracts.config import find_root
    from benchmark.contracts.workspace import Workspace
    from benchmark.running.stages import Context, choose_device
    from benchmark.training import distributed

    if devices > 1 and not distributed.started_by_torchrun():
        sys.exit(distributed.launch(sys.argv[1:], devices))
    if threads:
        torch.set_num_threads(threads)
    ranks, chosen = distributed.join(choose_device(device))
    console = Console(stderr=True, quiet=not ranks.first)
    workspace = Workspace(find_root())
    return Context(params, workspace, console, chosen, root, workers, skip_corrupt, on_device, ranks)


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
    from benchmark.contracts.config import find_root
    from benchmark.contracts.workspace import Workspace

    cell, _ = resolve_cell(None, name, preset, 0, assignments)
    return cell.dataset_class(cell.data_config, cell.data_path or root), Workspace(find_root()).data(cell), cell.data
