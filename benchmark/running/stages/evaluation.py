"""The evaluation stage: a trained cell → its result file and a picture."""

import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from benchmark.contracts.config import Cell
from benchmark.contracts.identity import Identity
from benchmark.contracts.method import Method
from benchmark.contracts.result import Provenance, Result, Run, provenance, read_result, result_path, write_result
from benchmark.data.color import gray_of
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import Prepared, open_data
from benchmark.results.currency import Currency, made_on, why_result_stale
from benchmark.running.stages.context import Context, machine_of
from benchmark.scoring.evaluate import Evaluation, colorize, cost_of, device_name, evaluate
from benchmark.scoring.metrics import usual
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.prediction import BadPrediction
from benchmark.support.errors import BenchError
from benchmark.support.montage import montage
from benchmark.support.progress import progress_bar
from benchmark.training.checkpoint import load_model
from benchmark.training.fit import build_method
from benchmark.training.record import read_record, verified_model

PICTURE_FILE, PICTURE_IMAGES = "examples.png", 8
COSTS = ("train_seconds", "train_images_per_second", "peak_memory_bytes", "budget_images", "budget_steps")


def evaluate_cell(cell: Cell, context: Context) -> Path:
    """Scores a trained cell on the test split, or finds it scored; returns the result's file, never a reference.

    BenchError: the cell is not trained.
    """
    prepared = open_data(context.workspace, cell)
    record = read_record(context.workspace.model(cell))
    identity, skipped = _identity(cell, prepared, record, context)
    named = {name: getattr(cell, name) for name in ("method", "adapter", "data", "preset", "seed")}
    seen = cell.method_class.pretrained_on(cell.method_config)
    run = Run(
        **named, role=cell.method_class.role, pretrained_on=seen, overrides=dict(cell.overrides), also=context.also
    )
    root = context.workspace.results_of(cell)
    path = result_path(root, run)
    if skipped:
        origin = _provenance(cell, prepared, {}, identity, context)
        return write_result(root, Result(run=run, status="skipped", reason=skipped, provenance=origin))
    why = why_result_stale(path, identity, model_sha256=record["model_sha256"]) if path.is_file() else "no result"
    if why is None and (new := [name for name in context.also if name not in read_result(path).metrics]):
        why = f"{', '.join(new)} asked for"
    if why is None:
        context.say(f"{cell.name}: scored already, {path}")
        return path
    if path.is_file():
        context.say(f"{cell.name}: scored again: {why}")
    method = load_trained(cell, prepared, context)
    evaluation = _score(method, cell, prepared, context)
    cost = cost_of(method, prepared, evaluation, context.device)
    trained = {name: record[name] for name in (*COSTS, *(["device"] if record["steps"] else []))}
    scores = evaluation.scores
    result = Result(
        run=run,
        metrics=scores.values,
        notes=scores.notes,
        images=evaluation.images,
        cost=cost.model_copy(update=trained),
        curves=record["curves"],
        provenance=_provenance(cell, prepared, record, identity, context),
    )
    _draw_examples(method, prepared, context.device, picture_path(cell, context))
    return write_result(root, result, scores.per_image)


def _identity(cell: Cell, prepared: Prepared, record: dict[str, Any], context: Context) -> tuple[Identity, str | None]:
    """What the cell is, with the machine that it was trained on, which need not be this one; or why it has no model.

    Raises:
        BenchError: it is not trained, or not with these settings, this code and this data.
    """
    currency = Currency(context.params, context.workspace)
    identity = currency.identity(cell, prepared)
    why = currency.why_untrained(cell, identity)
    if why and record.get("skipped"):
        return identity, str(record["skipped"])
    if why:
        command = shlex.join(["bench", "train", *cell.training_cell.arguments])
        raise BenchError(f"{cell.name}: there is no model to score, {why}; run: {command}")
    return made_on(identity, Identity.model_validate(record["identity"])), None


def _score(method: Method, cell: Cell, prepared: Prepared, context: Context) -> Evaluation:
    images = prepared.images("test")
    scorer = Scorer(prepared=prepared, device=context.device, metrics=usual(context.also))
    with progress_bar(context.console) as bar:
        task = bar.add_task(f"scoring {cell.method}", total=len(images), figures="")
        try:
            return evaluate(
                method,
                images,
                scorer=scorer,
                device=context.device,
                ids=prepared.ids("test"),
                advance=lambda count: bar.advance(task, count),
            )
        except BadPrediction as error:
            raise BenchError(f"{cell.name} is not scored: {error}") from None


def _provenance(
    cell: Cell, prepared: Prepared, record: dict[str, Any], identity: Identity, context: Context
) -> Provenance:
    config = {**cell.settings(), "model_sha256": record.get("model_sha256"), "data_note": prepared.meta.note}
    return provenance(
        sys.argv,
        config,
        config_hash=record.get("key", ""),
        identity=identity,
        data_sha256=prepared.sha256,
        device=device_name(context.device),
        machine=machine_of(context.device),
        trained_on=record.get("machine"),
    )


def load_trained(cell: Cell, prepared: Prepared, context: Context) -> Method:
    """The method with its trained colorizer, in evaluation mode.

    Raises:
        BenchError: its model file is not, byte for byte, the one that was trained.
    """
    state, _ = load_model(verified_model(context.workspace.model(cell)))
    method = build_method(cell, prepared, context.device)
    method.colorizer.load_state_dict(state)
    return method.eval()


def picture_path(cell: Cell, context: Context) -> Path:
    """The cell's side-by-side picture; not in the model's folder, whose content is the training's alone."""
    return context.workspace.run(cell, read_record(context.workspace.model(cell))["key"]) / PICTURE_FILE


def _draw_examples(method: Method, prepared: Prepared, device: torch.device, path: Path) -> None:
    """A picture of test images: gray, output, truth, one below the other."""
    images = prepared.images("test")
    chosen = torch.from_numpy(images[evenly(len(images), PICTURE_IMAGES)].copy()).to(device)
    output = colorize(method, chosen)
    target = output.target.cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    montage([gray_of(target), output.predicted.cpu().numpy(), target]).save(path)
