"""Options that several commands share, and what they mean."""

import json
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from benchmark.contracts.config import Cell, resolve
from benchmark.contracts.derived import transfer
from benchmark.contracts.workspace import project
from benchmark.support.errors import InputError
from benchmark.support.names import MAX_SEED

if TYPE_CHECKING:
    from benchmark.contracts.dataset import Dataset
    from benchmark.running.stages import Context

LOAD = Path("/proc/loadavg")  # of Linux: the last minute's average first, processes that run now before the slash
CELL = "benchmark.cell"  # where click keeps what a command is about, for messages
BY_FIDELITY = ("precision_judge", "recall_judge")  # metrics that torch-fidelity computes
SEED, MANY = click.IntRange(0, MAX_SEED), click.IntRange(1, 4096)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
seed_option = click.option("--seed", type=SEED, default=0, show_default=True, help="Of the training.")
root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    envvar="BENCH_DATA",
    help="Where data sets are kept already (or BENCH_DATA).",
)
preparing_options = together(
    click.option("--workers", type=MANY, help="Processes of data preparation; default: all cores."),
    click.option("--skip-corrupt", is_flag=True, help="Leave out images that cannot be read, and record them."),
)
setting_options = together(  # of a training; `take_cell` takes them from what the command gets
    click.option("--preset", metavar="NAME", help="Sizes and budgets; default: the suite's."),
    seed_option,
    click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of this run."),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="Short for --set precision=…"),
    click.option("--compile", type=click.Choice(["auto", "always", "never"]), help="Short for --set compile=…"),
)
cell_options = together(
    click.option("--method", required=True, metavar="NAME", help="Entry of params.yaml, or an adapter (bench list)."),
    click.option("--data", required=True, metavar="NAME", help="Data set, or folder:/path/to/photographs."),
    setting_options,
)
machine_options = together(  # with what to work; for `make_context`
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …"),
    root_option,
    preparing_options,
    click.option(
        "--on-device",
        type=click.Choice(["auto", "yes", "no"]),
        default="auto",
        show_default=True,
        help="Keep the training images on the device; auto: if they fit.",
    ),
    click.option("--devices", type=MANY, default=1, help="Processes, one per GPU, that train together."),
    click.option(
        "--threads",
        type=MANY,
        help="Threads of torch on a CPU; default: all cores, whatever else runs: their number decides last bits.",
    ),
)
tested_on_option = click.option(
    "--test-on",
    "--on",
    "tested_on",
    metavar="NAME",
    help="Score on the test split of this data set instead; the table is of models trained on --data.",
)
also_option = click.option(
    "--also", multiple=True, metavar="METRIC", help="Measure an optional metric too, as bench list names them."
)
logger_option = together(  # of a training; for `make_context`
    click.option("--wandb", "logger", flag_value="wandb", help="Send curves and settings to Weights & Biases too."),
    click.option("--mlflow", "logger", flag_value="mlflow", help="Send curves and settings to MLflow too."),
)
record_option = click.option(
    "--record", is_flag=True, help="Make this the committed reference under results/, and regenerate its tables."
)
data_options = together(  # that name a prepared data set; for `resolve_data`
    click.argument("name"),
    click.option("--preset", metavar="NAME", help="Decides the size of the images; default: the suite's."),
    click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting."),
    root_option,
)


def print_json(value: Any) -> None:
    """A value for programs, on standard output."""
    click.echo(json.dumps(value, indent=2))


def resolve_cell(
    method: str | None, data: str, preset: str | None, seed: int = 0, assignments: tuple[str, ...] = ()
) -> Cell:
    """The cell that the options mean, of the data alone if `method` is None."""
    params, _ = project()
    preset = preset or params.suite.preset
    return resolve(params, method=method, data=data, preset=preset, seed=seed, assignments=assignments)


def take_cell(options: dict[str, Any]) -> Cell:
    """Takes the options of `cell_options` out of a command's, and gives the cell that they mean."""
    method, data, preset, seed = (options.pop(name) for name in ("method", "data", "preset", "seed"))
    shortcuts = {name: options.pop(name) for name in ("precision", "compile")}
    given = tuple(f"training.{name}={value}" for name, value in shortcuts.items() if value)
    cell = resolve_cell(method, data, preset, seed, (*options.pop("assignments"), *given))
    settings = {**cell.data_settings, **cell.method_settings}
    told = ", ".join(f"{key}={value}" for key, value in settings.items())
    click.get_current_context().meta[CELL] = f"{cell.name}, with {told or 'no settings'}"
    cell.settings()  # everything is validated before data is prepared or a file fetched
    return cell


def take(options: dict[str, Any], record: bool = False) -> "tuple[Cell, Context]":
    """The cell and the context that the options of `cell_options` and `machine_options` mean.

    InputError, before anything is run: `record` is wanted of what is in no committed table.
    """
    tested_on = options.pop("tested_on", None)
    cell = take_cell(options)
    if tested_on:
        cell = transfer(project()[0], cell, tested_on)
    context = make_context(**options)
    if context.device.type == "cpu" and not options["threads"]:
        tell_of_load(context.say)
    if record:
        from benchmark.running.reference import require_recordable

        require_recordable(cell)
    return cell, context


def _require_measurable(also: tuple[str, ...]) -> None:
    """Refuses optional metrics that are unknown or lack their library before anything is run."""
    from benchmark.scoring.metrics import usual

    usual(also)
    if (wanted := [name for name in also if name in BY_FIDELITY]) and not find_spec("torch_fidelity"):
        raise InputError(
            f"--also {wanted[0]}: it needs torch-fidelity, which is not installed: pip install -e '.[metrics]'"
        )


def tell_of_load(say: Callable[[str], None]) -> None:
    """Says where other work has the cores that torch counts on. The number stays: a model of another one is another."""
    import torch

    if not LOAD.is_file():
        return
    minute, *_, now, _ = LOAD.read_text(encoding="ascii").split()
    cores, others = os.cpu_count() or 1, int(now.partition("/")[0]) - 1
    busy = min(float(minute), others, cores)  # what this shell ran before is in the minute, and not in the others
    free = max(1, cores - round(busy))
    if free < torch.get_num_threads():
        say(
            f"the machine is loaded: {busy:.1f} of {cores} cores busy; --threads {free} would be quicker, but"
            " another model (docs/terminal.md)"
        )


def make_context(
    device: str = "auto",
    root: Path | None = None,
    workers: int | None = None,
    skip_corrupt: bool = False,
    on_device: Literal["auto", "yes", "no"] = "auto",
    devices: int = 1,
    threads: int | None = None,
    also: tuple[str, ...] = (),
    logger: str | None = None,
) -> "Context":
    """What the stages need; imports torch. With several devices the command starts again, once for each."""
    from benchmark.support.interruption import requeue_on_sigterm

    _require_measurable(also)
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # of several processes the one that started them answers
        requeue_on_sigterm()
    os.environ.setdefault("GIT_OPTIONAL_LOCKS", "0")  # results name the commit; asking for it locks nobody out
    import torch
    from rich.console import Console

    from benchmark.running.loggers import require
    from benchmark.running.stages import Context, choose_device
    from benchmark.training import distributed

    if devices > 1 and not distributed.started_by_torchrun():
        sys.exit(distributed.launch(sys.argv[1:], devices))
    require(logger)
    if threads:
        torch.set_num_threads(threads)
    ranks, chosen = distributed.join(choose_device(device))
    console = Console(stderr=True, quiet=not ranks.first)
    return Context(*project(), console, chosen, root, workers, skip_corrupt, on_device, ranks, also, logger)


def resolve_data(
    name: str, preset: str | None, assignments: tuple[str, ...], root: Path | None
) -> "tuple[Dataset, Path, str]":
    """The data set that the options mean, the folder of its prepared arrays, and its name."""
    cell = resolve_cell(None, name, preset, assignments=assignments)
    return cell.dataset_class(cell.data_config, cell.data_path or root), project()[1].data(cell), cell.data
