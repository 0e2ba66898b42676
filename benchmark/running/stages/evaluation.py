"""The evaluation stage: a trained cell → its result file and a picture."""

import sys
from pathlib import Path
from typing import Any

import torch

from benchmark import PROTOCOL
from benchmark.contracts.config import Cell
from benchmark.contracts.method import Method
from benchmark.contracts.result import Result, ResultError, Run, provenance, read_result, result_path, write_result
from benchmark.data.color import gray_of
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import Prepared
from benchmark.results.fingerprint import evaluation_code
from benchmark.running.inventory import can_be_had
from benchmark.running.stages.context import Context
from benchmark.running.stages.machine import machine_of
from benchmark.running.stages.training import build_method
from benchmark.scoring.evaluate import colorize, cost_of, device_name, evaluate
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.prediction import BadPrediction
from benchmark.support.errors import BenchError
from benchmark.support.montage import montage
from benchmark.support.progress import progress_bar
from benchmark.training.checkpoint import load_model
from benchmark.training.record import MODEL_FILE, read_record

PICTURE_FILE, PICTURE_IMAGES = "examples.png", 8


def evaluate_cell(cell: Cell, context: Context) -> Path:
    """Scores a trained cell on the test split, or finds it scored. The result is an own one, never a reference.

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
    return write_result(root, result, per_image)


def _score(
    method: Method, cell: Cell, prepared: Prepared, record: dict[str, Any], context: Context
) -> tuple[Result, dict[str, Any]]:
    images = prepared.images("test")
    scorer = Scorer(prepared=prepared, device=context.device)
    with progress_bar(context.console) as bar:
        task = bar.add_task(f"scoring {cell.method}", total=len(images), figures="")
        try:
            evaluation = evaluate(
                method,
                images,
                scorer=scorer,
                device=context.device,
                ids=prepared.ids("test"),
                advance=lambda count: bar.advance(task, count),
            )
        except BadPrediction as error:
            raise BenchError(f"{cell.name} is not scored: {error}") from None
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
    config = {**cell.settings(), "model_sha256": record.get("model_sha256"), "data_note": prepared.meta.note}
    return provenance(
        sys.argv,
        config,
        config_hash=record.get("key", ""),
        code_hash=evaluation_code(cell.adapter),
        data_sha256=prepared.sha256,
        device=device_name(context.device),
        machine=machine_of(context.device),
        trained_on=record.get("machine"),
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
        and not any(can_be_had(name) for name, value in result.metrics.items() if value is None)
    )


def load_trained(cell: Cell, prepared: Prepared, context: Context) -> Method:
    """The method with its trained colorizer, in evaluation mode."""
    method = build_method(cell, prepared, context.device)
    state, _ = load_model(context.workspace.model(cell) / MODEL_FILE)
    method.colorizer.load_state_dict(state)
    return method.eval()


def picture_path(cell: Cell, context: Context) -> Path:
    """The cell's side-by-side picture; not in the model's folder, whose content is the training's alone."""
    return context.workspace.run(cell, read_record(context.workspace.model(cell))["key"]) / PICTURE_FILE


def draw_examples(method: Method, prepared: Prepared, device: torch.device, path: Path) -> None:
    """A picture of test images: gray, output, truth, one below the other."""
    images = prepared.images("test")
    chosen = torch.from_numpy(images[evenly(len(images), PICTURE_IMAGES)].copy()).to(device)
    output = colorize(method, chosen)
    target = output.target.cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    montage([gray_of(target), output.predicted.cpu().numpy(), target]).save(path)
