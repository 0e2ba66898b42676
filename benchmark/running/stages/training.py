"""The training stage: a cell and prepared data → a model folder, or the reason why there is none."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from benchmark.contracts.config import Cell
from benchmark.contracts.identity import Identity
from benchmark.contracts.method import Method
from benchmark.data.prepared import Prepared
from benchmark.results.currency import Currency
from benchmark.running.monitor import TrainingMonitor
from benchmark.running.stages.context import Context, machine_of
from benchmark.scoring.evaluate import device_name
from benchmark.support.errors import BenchError
from benchmark.support.interruption import exclusive
from benchmark.support.memory import leave_memory_unfilled, peak_memory
from benchmark.support.precision import resolved_precision
from benchmark.training.acceleration import deciding_machine
from benchmark.training.checkpoint import load_model, remove_checkpoints, save_model
from benchmark.training.fit import fit
from benchmark.training.progress import Monitor, curves_of, write_history
from benchmark.training.record import HISTORY_FILE, MODEL_FILE, read_record, verified_model, write_record


def train_cell(cell: Cell, context: Context) -> Path:
    """Trains a cell, or finds it trained.

    Returns:
        The folder of the finished model: `model.safetensors`, `training.json`, `history.csv`. For a cell that cannot
        run here it holds `training.json` alone, with the reason.

    Raises:
        BenchError: training failed or was interrupted; what is saved is said.
    """
    cell = cell.training_cell
    prepared = Prepared.open(context.workspace.data(cell))
    folder = context.workspace.model(cell)
    currency = Currency(context.params, context.workspace)
    machine = partial(deciding_machine, device=context.device, world=context.ranks.world)
    identity = currency.identity(cell, prepared, machine)
    run_folder = context.workspace.run(cell, identity.key)
    why = context.ranks.from_first(lambda: currency.why_untrained(cell, identity))
    if why is None:
        if context.ranks.first:
            remove_checkpoints(run_folder)  # of a run killed after its last act but this
            if "skipped" in (record := read_record(folder)):  # once, under settings that are no longer asked for
                write_record(folder, {key: value for key, value in record.items() if key != "skipped"})
        context.say(f"{cell.name}: trained already, {folder / MODEL_FILE}")
        return folder
    reason = cell.method_class.skip(cell.method_config, prepared.info())
    parents = {} if reason else {parent.method: train_cell(parent, context) for parent in currency.parents(cell)}
    if reason := reason or _why_no_parent(parents):
        if context.ranks.first:
            _record_skip(folder, reason)
        context.say(f"{cell.name}: skipped: {reason}")
        return folder
    if context.ranks.first:
        if (folder / MODEL_FILE).exists():
            context.say(f"{cell.name}: trained again: {why}")
        _require_room(folder)
    with exclusive(run_folder, "trained") if context.ranks.first else nullcontext():
        if context.ranks.from_first(lambda: currency.why_untrained(cell, identity)):  # nobody trained it meanwhile
            _train(cell, prepared, identity, parents, context)
    context.ranks.wait()
    return folder


def _record_skip(folder: Path, reason: str) -> None:
    """Notes why there is no model; a model that was trained where the cell could run stays what it is."""
    write_record(folder, {**read_record(folder), "skipped": reason})


def _require_room(folder: Path) -> None:
    """Fails before a long training, not after it, if its model could not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(f"cannot write in {folder}: {error.strerror}") from None


def _why_no_parent(parents: dict[str, Path]) -> str | None:
    """Returns why a model that the cell starts from cannot be had here, or None."""
    skipped = {name: reason for name, folder in parents.items() if (reason := read_record(folder).get("skipped"))}
    return next((f"starts from {name!r}, which cannot run here: {reason}" for name, reason in skipped.items()), None)


def _train(cell: Cell, prepared: Prepared, identity: Identity, parents: dict[str, Path], context: Context) -> None:
    run_folder = context.workspace.run(cell, identity.key)
    leave_memory_unfilled()
    method, outcome = fit(
        cell,
        prepared,
        key=identity.key,
        folder=run_folder,
        parents={name: load_model(verified_model(folder))[0] for name, folder in parents.items()},
        start=_budget(0, 0, parents.values())["budget_images"],
        device=context.device,
        ranks=context.ranks,
        on_device=context.on_device,
        watch=lambda method: _monitor(method, cell, prepared, run_folder, context),
    )
    if not context.ranks.first:
        return
    folder = context.workspace.model(cell)
    about = {"settings": cell.settings(), "data": _describe(prepared)}
    sha256 = save_model(folder / MODEL_FILE, method.colorizer.state_dict(), about)
    write_history(folder / HISTORY_FILE, outcome.history)
    precision = resolved_precision(cell.training.precision, context.device)
    machine = machine_of(context.device, precision, context.ranks.world)
    validation_images = min(len(prepared.ids("val")), cell.training.validation_images)
    curves = curves_of(outcome.history, cell.training.batch_size, validation_images)
    record = {
        "key": identity.key,
        "model_sha256": sha256,
        "steps": outcome.steps,
        **_budget(outcome.steps, cell.training.batch_size, parents.values()),
        "curves": curves and curves.model_dump(mode="json"),
        "train_seconds": round(outcome.seconds, 2) if outcome.steps else None,
        "train_images_per_second": outcome.images_per_second and round(outcome.images_per_second, 1),
        "peak_memory_bytes": peak_memory(context.device),
        "device": device_name(context.device),
        "devices": context.ranks.world,
        "machine": machine.model_dump(mode="json"),
        "identity": identity.model_dump(mode="json"),
    }
    write_record(folder, record)
    remove_checkpoints(run_folder)


def _budget(steps: int, batch_size: int, parents: Iterable[Path]) -> dict[str, int]:
    """What the model has cost in training images and steps, with the models that it started from, and theirs."""
    before = [read_record(folder) for folder in parents]
    return {
        "budget_images": steps * batch_size + sum(record["budget_images"] for record in before),
        "budget_steps": steps + sum(record["budget_steps"] for record in before),
    }


def _monitor(
    method: Method, cell: Cell, prepared: Prepared, folder: Path, context: Context
) -> AbstractContextManager[Monitor]:
    if not context.ranks.first:
        return nullcontext(Monitor())
    return TrainingMonitor(
        method,
        prepared,
        folder,
        title=f"{cell.method} on {cell.data}, seed {cell.seed}",
        batch_size=cell.training.batch_size,
        validation_images=cell.training.validation_images,
        device=context.device,
        console=context.console,
        settings=cell.settings(),
        logger=context.logger,
    )


def _describe(prepared: Prepared) -> dict[str, Any]:
    info = prepared.info()
    return {
        "name": info.name,
        "image_size": info.image_size,
        "train_images": info.train_images,
        "mean_ab": list(info.mean_ab),
        "ab_prior": info.ab_prior.tolist(),
    }
