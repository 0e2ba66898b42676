"""One cell from photographs to table: prepare → train → evaluate. Each stage does nothing when it is up to date.

DVC runs the stages one by one, `bench run` all in a row; both end with the same files.
"""

import json
import resource
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from rich.console import Console

from benchmark import PROTOCOL, weights
from benchmark.batches import Batches
from benchmark.checkpoint import load_model, remove_checkpoints, save_model
from benchmark.config import Cell, Params, digest, resolve
from benchmark.dataset import Prepared
from benchmark.distributed import ALONE, Ranks, synchronize_batch_norm
from benchmark.errors import BenchError
from benchmark.evaluate import colorize, cost_of, device_name, evaluate, side_by_side
from benchmark.files import file_sha256, write_atomically
from benchmark.fingerprint import evaluation_code, method_code
from benchmark.interruption import exclusive
from benchmark.method import Method
from benchmark.metrics import METRICS
from benchmark.metrics.scorer import Scorer
from benchmark.monitor import TrainingMonitor, evenly, gray_of, progress_bar
from benchmark.prepare import prepare
from benchmark.results import Result, ResultError, Run, provenance, read_result, result_path, write_result
from benchmark.trainer import Monitor, Outcome, SilentMonitor, Trainer, make_deterministic, write_history
from benchmark.workspace import Workspace

MODEL_FILE, RECORD_FILE, HISTORY_FILE, PICTURE_FILE = (
    "model.safetensors",
    "training.json",
    "history.csv",
    "examples.png",
)
PICTURE_IMAGES = 8


@dataclass(frozen=True)
class Context:
    """What every stage needs beside the cell."""

    params: Params
    workspace: Workspace
    console: Console  # standard error: progress and messages
    device: torch.device
    root: Path | None = None  # where the user keeps data sets
    workers: int | None = None  # of preparation
    skip_corrupt: bool = False
    on_device: Literal["auto", "yes", "no"] = "auto"  # keep the training images there
    ranks: Ranks = ALONE  # the processes that work together; the first writes

    def say(self, text: str) -> None:
        """One line on standard error."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def choose_device(name: str) -> torch.device:
    """`auto`, or any of torch's names; a GPU that is not there is an error, never a silent CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BenchError(
            f"--device {name}: {str(error).splitlines()[0]}; use auto, cpu or a device that is there"
        ) from None
    return device


def prepare_data(cell: Cell, context: Context) -> Prepared:
    """The cell's prepared arrays, made if they are not there or not of these settings."""
    dataset = cell.dataset_class(cell.data_config, cell.data_path or context.root)
    folder = context.workspace.data(cell)
    if context.ranks.first:
        prepare(dataset, folder, name=cell.data, workers=context.workers, skip_corrupt=context.skip_corrupt)
    context.ranks.wait()
    return Prepared.open(folder)


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
            _write_record(folder, {"skipped": reason})
        context.say(f"{cell.name}: skipped: {reason}")
        return folder
    parents = {name: _parent_model(cell, name, context) for name in cell.method_class.parents(cell.method_config)}
    key = training_key(cell, prepared, parents)
    if context.ranks.from_first(lambda: _is_trained(folder, key)):
        context.say(f"{cell.name}: trained already, {folder / MODEL_FILE}")
        return folder
    run_folder = context.workspace.run(cell, key)
    with exclusive(run_folder, "trained") if context.ranks.first else nullcontext():
        _train(cell, prepared, key, parents, context)
    context.ranks.wait()
    return folder


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
    """A fresh method on the device, its initial weights decided by the seed alone."""
    torch.manual_seed(cell.seed)
    method = cell.method_class(cell.method_config, prepared.info())
    return method.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _train(cell: Cell, prepared: Prepared, key: str, parents: dict[str, Path], context: Context) -> None:
    if cell.training.deterministic:
        make_deterministic(context.device)
    run_folder = context.workspace.run(cell, key)
    method = build_method(cell, prepared, context.device)
    method = synchronize_batch_norm(method, context.ranks, context.device)
    if parents:
        method.load_parents({name: load_model(path)[0] for name, path in parents.items()})
    outcome = Outcome(0, 0.0, None, [])
    if any(method.optimizers(phase.name) for phase in method.phases):
        outcome = _fit(method, cell, prepared, key, run_folder, context)
    if not context.ranks.first:
        return
    about = {"settings": cell.settings(), "data": _describe(prepared), "key": key}
    folder = context.workspace.model(cell)
    sha256 = save_model(folder / MODEL_FILE, method.colorizer.state_dict(), about)
    write_history(folder / HISTORY_FILE, outcome.history)
    record = {
        "key": key,
        "model_sha256": sha256,
        "steps": outcome.steps,
        "train_seconds": round(outcome.seconds, 2) if outcome.steps else None,
        "train_images_per_second": outcome.images_per_second and round(outcome.images_per_second, 1),
        "peak_memory_bytes": peak_memory(context.device),
        "device": device_name(context.device),
        "devices": context.ranks.world,
    }
    _write_record(folder, record)
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
        return nullcontext(SilentMonitor())
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


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's allocator, or of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def read_record(folder: Path) -> dict[str, Any]:
    """`training.json` of a model folder; empty if there is none or it is damaged (then the cell is trained again)."""
    try:
        return json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    write_atomically(folder / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())


def load_trained(cell: Cell, prepared: Prepared, context: Context) -> Method:
    """The method with its trained colorizer, in evaluation mode."""
    method = build_method(cell, prepared, context.device)
    state, _ = load_model(context.workspace.model(cell) / MODEL_FILE)
    method.colorizer.load_state_dict(state)
    return method.eval()


def evaluate_cell(cell: Cell, context: Context) -> Path:
    """Scores a trained cell on the test split, or finds it scored.

    Returns:
        The result file.

    Raises:
        BenchError: the cell is not trained.
    """
    prepared = Prepared.open(context.workspace.data(cell))
    record = read_record(context.workspace.model(cell))
    if not record:
        raise BenchError(f"{cell.name} is not trained; run: bench train --method {cell.method} --data {cell.data}")
    run = _run_of(cell)
    root = context.workspace.results_of(cell)
    path = result_path(root, run)
    if reason := record.get("skipped"):
        origin = _provenance(cell, prepared, {}, context)
        return write_result(root, Result(run=run, status="skipped", reason=reason, provenance=origin))
    if _is_current(path, cell, prepared, record):
        context.say(f"{cell.name}: scored already, {path}")
        return path
    method = load_trained(cell, prepared, context)
    result, per_image = _score(method, cell, prepared, record, context)
    draw_examples(method, prepared, context.device, picture_path(cell, context))
    return _write_unless_same(root, path, result, per_image)


def _score(
    method: Method, cell: Cell, prepared: Prepared, record: dict[str, Any], context: Context
) -> tuple[Result, dict[str, Any]]:
    images = prepared.images("test")
    scorer = Scorer(prepared=prepared, device=context.device)
    with progress_bar(context.console) as bar:
        task = bar.add_task(f"scoring {cell.method}", total=len(images), figures="")
        evaluation = evaluate(
            method, images, scorer=scorer, device=context.device, advance=lambda count: bar.advance(task, count)
        )
    trained = ("train_seconds", "train_images_per_second", "peak_memory_bytes")
    cost = cost_of(method, prepared, evaluation, context.device)
    scores = evaluation.scores
    result = Result(
        run=_run_of(cell),
        metrics=scores.values,
        notes=scores.notes,
        images=evaluation.images,
        cost=cost.model_copy(update={name: record.get(name) for name in trained}),
        provenance=_provenance(cell, prepared, record, context),
    )
    return result, scores.per_image


def _run_of(cell: Cell) -> Run:
    return Run(
        method=cell.method,
        adapter=cell.adapter,
        data=cell.data,
        preset=cell.preset,
        seed=cell.seed,
        role=cell.method_class.role,
        overrides=dict(cell.overrides),
    )


def _provenance(cell: Cell, prepared: Prepared, record: dict[str, Any], context: Context) -> Any:
    config = {**cell.settings(), "model_sha256": record.get("model_sha256")}
    return provenance(
        sys.argv,
        config,
        config_hash=record.get("key", ""),
        code_hash=evaluation_code(cell.adapter),
        data_sha256=prepared.sha256,
        device=device_name(context.device),
    )


def _is_current(path: Path, cell: Cell, prepared: Prepared, record: dict[str, Any]) -> bool:
    try:
        result = read_result(path)
    except ResultError:
        return False
    origin = result.provenance
    return (
        result.protocol == PROTOCOL
        and result.status == "ok"
        and origin.config.get("model_sha256") == record["model_sha256"]
        and origin.code_hash == evaluation_code(cell.adapter)
        and origin.data_sha256 == prepared.sha256
        and not any(_can_be_had(name) for name, value in result.metrics.items() if value is None)
    )


def _can_be_had(metric: str) -> bool:
    """Whether a metric that was n/a for want of pretrained weights is so no longer."""
    needs = METRICS[metric].needs
    return bool(needs) and all(weights.path(name) is not None for name in needs)


def _write_unless_same(root: Path, path: Path, result: Result, per_image: dict[str, Any]) -> Path:
    """A repeated run that measured the same leaves the file as it is: its date and seconds are those of the first."""
    try:
        before = read_result(path)
    except ResultError:
        before = None
    if (
        before
        and (before.metrics, before.notes) == (result.metrics, result.notes)
        and (
            before.provenance.code_hash == result.provenance.code_hash
            and before.provenance.config == result.provenance.config
            and before.provenance.data_sha256 == result.provenance.data_sha256
        )
    ):
        return path
    return write_result(root, result, per_image)


def picture_path(cell: Cell, context: Context) -> Path:
    """The cell's side-by-side picture; not in the model's folder, whose content is the training's alone."""
    return context.workspace.run(cell, read_record(context.workspace.model(cell))["key"]) / PICTURE_FILE


def draw_examples(method: Method, prepared: Prepared, device: torch.device, path: Path) -> None:
    """A picture of test images: gray, output, truth, one below the other."""
    images = prepared.images("test")
    chosen = torch.from_numpy(images[evenly(len(images), PICTURE_IMAGES)].copy()).to(device)
    output = colorize(method, chosen)
    gray = torch.from_numpy(gray_of(output.target.cpu().numpy()))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(side_by_side([gray, output.predicted, output.target])).save(path)


def run_cell(cell: Cell, context: Context) -> tuple[Path, Path] | None:
    """Everything for one cell.

    Returns:
        The result file and the model's folder; None in a process that only helped to train.
    """
    prepare_data(cell, context)
    folder = train_cell(cell, context)
    return (evaluate_cell(cell, context), folder) if context.ranks.first else None
