"""The training stage: a cell and prepared data → a model folder, or the reason why there is none."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch

from benchmark.contracts.config import Cell, digest, resolve
from benchmark.contracts.method import Method, parameter_count
from benchmark.contracts.returned import returned
from benchmark.data.batches import Batches
from benchmark.data.prepared import Prepared
from benchmark.results.fingerprint import method_code
from benchmark.running.monitor import TrainingMonitor
from benchmark.running.stages.context import Context
from benchmark.running.stages.machine import machine_of
from benchmark.scoring.evaluate import device_name
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import file_sha256
from benchmark.support.interruption import exclusive
from benchmark.support.memory import free_memory, peak_memory
from benchmark.support.precision import resolved_precision
from benchmark.training.acceleration import make_deterministic
from benchmark.training.checkpoint import load_model, remove_checkpoints, save_model
from benchmark.training.distributed import synchronize_batch_norm
from benchmark.training.progress import Monitor, Outcome, write_history
from benchmark.training.record import HISTORY_FILE, MODEL_FILE, read_record, write_record
from benchmark.training.trainer import Trainer

BYTES_PER_WEIGHT = 16  # float32: the weight, its gradient and the two moments of Adam


def train_cell(cell: Cell, context: Context) -> Path:
    """Trains a cell, or finds it trained.

    Returns:
        The folder of the finished model: `model.safetensors`, `training.json`, `history.csv`. For a cell that cannot
        run here it holds `training.json` alone, with the reason.

    Raises:
        BenchError: training failed or was interrupted; what is saved is said.
    """
    prepared = Prepared.open(context.workspace.data(cell))
    folder = context.workspace.model(cell)
    if reason := cell.method_class.skip(cell.method_config, prepared.info()):
        if context.ranks.first:
            _record_skip(folder, reason)
        context.say(f"{cell.name}: skipped: {reason}")
        return folder
    parents = {name: _parent_model(cell, name, context) for name in cell.method_class.parents(cell.method_config)}
    key = training_key(cell, prepared, parents)
    run_folder = context.workspace.run(cell, key)
    if context.ranks.from_first(lambda: _is_trained(folder, key)):
        if context.ranks.first:
            remove_checkpoints(run_folder)  # of a run killed after its last act but this
        context.say(f"{cell.name}: trained already, {folder / MODEL_FILE}")
        return folder
    if context.ranks.first:
        _require_room(folder)
    with exclusive(run_folder, "trained") if context.ranks.first else nullcontext():
        if not context.ranks.from_first(lambda: _is_trained(folder, key)):  # by whoever held the folder until now
            _train(cell, prepared, key, parents, context)
    context.ranks.wait()
    return folder


def training_key(cell: Cell, prepared: Prepared, parents: dict[str, Path]) -> str:
    """Hash of everything that decides the weights: settings, code, data, parents, torch's version."""
    return digest(
        {
            "settings": cell.settings(),
            "code": method_code(cell.adapter),
            "data": {split: prepared.sha256[split] for split in ("train", "val")},
            "parents": {name: file_sha256(path) for name, path in parents.items()},
            "torch": torch.__version__,
        }
    )


def _record_skip(folder: Path, reason: str) -> None:
    """Notes why there is no model; a model that was trained where the cell could run stays what it is."""
    if not read_record(folder).get("model_sha256"):
        write_record(folder, {"skipped": reason})


def _require_room(folder: Path) -> None:
    """Fails before a long training, not after it, if its model could not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(f"cannot write in {folder}: {error.strerror}") from None


def _is_trained(folder: Path, key: str) -> bool:
    record, model_file = read_record(folder), folder / MODEL_FILE
    return record.get("key") == key and model_file.is_file() and file_sha256(model_file) == record["model_sha256"]


def _parent_model(cell: Cell, name: str, context: Context) -> Path:
    parent = resolve(
        context.params,
        method=name,
        data=f"{cell.data_adapter}:{cell.data_path}" if cell.data_path else cell.data,
        preset=cell.preset,
        seed=cell.seed,
        assignments=[f"{key}={value}" for key, value in cell.overrides.items() if key.startswith("data.")],
    )
    folder = train_cell(parent, context)
    if reason := read_record(folder).get("skipped"):
        raise BenchError(f"{cell.name} starts from {name!r}, which cannot run here: {reason}")
    return folder / MODEL_FILE


def build_method(cell: Cell, prepared: Prepared, device: torch.device) -> Method:
    """A fresh method on the device, its initial weights decided by the seed alone.

    Raises:
        InputError: its networks are larger than the memory.
    """
    _require_memory(cell, prepared)
    torch.manual_seed(cell.seed)
    method = cell.method_class(cell.method_config, prepared.info())
    if not isinstance(getattr(method, "colorizer", None), torch.nn.Module):
        returned(None, torch.nn.Module, type(method).__init__)
    return method.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _require_memory(cell: Cell, prepared: Prepared) -> None:
    """Counts the weights without making them: a machine that runs out of memory kills without a word."""
    try:
        with torch.device("meta"):
            weights = parameter_count(cell.method_class(cell.method_config, prepared.info()))
    except Exception:  # it cannot be built so; building it in earnest tells why
        return
    needed, free = weights * BYTES_PER_WEIGHT, free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{cell.name}: networks of {weights:,} weights need {needed >> 30} GiB of memory to be trained, and "
            f"{free >> 30} are free; make them smaller ({', '.join(cell.method_settings) or 'other settings'})"
        )


def _train(cell: Cell, prepared: Prepared, key: str, parents: dict[str, Path], context: Context) -> None:
    if cell.training.deterministic:
        make_deterministic(context.device)
    run_folder = context.workspace.run(cell, key)
    method = build_method(cell, prepared, context.device)
    method = synchronize_batch_norm(method, context.ranks, context.device)
    method.load_pretrained()
    if parents:
        method.load_parents({name: load_model(path)[0] for name, path in parents.items()})
    outcome = Outcome(0, 0.0, None, [])
    if any(returned(method.optimizers(phase.name), dict, method.optimizers) for phase in method.phases):
        outcome = _fit(method, cell, prepared, key, run_folder, context)
    if not context.ranks.first:
        return
    about = {"settings": cell.settings(), "data": _describe(prepared), "key": key}
    folder = context.workspace.model(cell)
    sha256 = save_model(folder / MODEL_FILE, method.colorizer.state_dict(), about)
    write_history(folder / HISTORY_FILE, outcome.history)
    precision = resolved_precision(cell.training.precision, context.device)
    machine = machine_of(context.device, precision, context.ranks.world)
    record = {
        "key": key,
        "model_sha256": sha256,
        "steps": outcome.steps,
        "train_seconds": round(outcome.seconds, 2) if outcome.steps else None,
        "train_images_per_second": outcome.images_per_second and round(outcome.images_per_second, 1),
        "peak_memory_bytes": peak_memory(context.device),
        "device": device_name(context.device),
        "devices": context.ranks.world,
        "machine": machine.model_dump(mode="json"),
    }
    write_record(folder, record)
    remove_checkpoints(run_folder)


def _fit(method: Method, cell: Cell, prepared: Prepared, key: str, folder: Path, context: Context) -> Outcome:
    training, ranks = cell.training, context.ranks
    batches = Batches(
        prepared.images("train"),
        training.batch_size,
        seed=cell.seed,
        device=context.device,
        flip=training.flip,
        on_device=context.on_device,
        rank=ranks.rank,
        world=ranks.world,
    )
    with _monitor(method, cell, prepared, folder, context) as monitor:
        trainer = Trainer(
            method,
            training,
            batches,
            seed=cell.seed,
            device=context.device,
            folder=folder,
            key=key,
            monitor=monitor,
            ranks=ranks,
            check_data=_watch(prepared.folder / "train.npy"),
        )
        return trainer.run()


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
    )


def _watch(path: Path) -> Callable[[], None]:
    """A check that a file is still the one it is now."""

    def identity() -> tuple[int, int, int] | None:
        if not path.exists():
            return None
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    before = identity()

    def check() -> None:
        if identity() != before:
            raise BenchError(f"{path} changed under the training, which stops without a model; run it again")

    return check


def _describe(prepared: Prepared) -> dict[str, Any]:
    info = prepared.info()
    return {
        "name": info.name,
        "image_size": info.image_size,
        "train_images": info.train_images,
        "mean_ab": list(info.mean_ab),
        "ab_prior": info.ab_prior.tolist(),
    }
