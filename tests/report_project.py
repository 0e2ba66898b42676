"""Makes a project for reports: ten methods on three tables with untrained models, and a table without models."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fake_results import fake_columns, fake_result, made_now, write_suite
from PIL import Image
from rich.console import Console

from benchmark.contracts.config import Cell, Params, read_params, resolve
from benchmark.contracts.result import write_result
from benchmark.contracts.workspace import Workspace
from benchmark.paper.claims import build_claims
from benchmark.paper.section import card_pages, claims_pages
from benchmark.report import ENDS, FOLDER, RECORD, Report, StripColumn, StripRecord, build_report, picture_name
from benchmark.running.stages import Context, build_method, choose_device, prepare_data
from benchmark.training.checkpoint import save_model
from benchmark.training.record import HISTORY_FILE, MODEL_FILE

PRESETS = ("first", "second", "third")
METHODS = (
    "l2",
    "cgan",
    "classification",
    "classification-rebalance",
    "eccv16",
    "cgan-resnet18-scratch",
    "gan-perceptual-own",
    "gan-perceptual-own-lambda-1",
    "gan-perceptual-own-lambda-100",
    "gan-perceptual-own-batch-4",
)
STEPS = 600


def make_report_project(
    folder: Path, methods: tuple[str, ...] = METHODS, presets: tuple[str, ...] = PRESETS, image_size: int = 32
) -> Path:
    """Writes params, prepared data, models, histories and results, as training and scoring would leave them."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny = {"base_channels": 4}
    sizes = {"data": {"sample": {"image_size": image_size, "train_count": 24}}, "methods": {"l2": tiny}}
    params: dict[str, Any] = {
        "suite": {"preset": presets[0], "data": ["sample"], "methods": ["gray", *methods], "seeds": [0]},
        "entries": {"gray": {}} | {name: {"adapter": "l2"} for name in methods},
        "presets": dict.fromkeys(presets, sizes) | {"quick": {}},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    context = make_context(folder)
    for preset in presets:
        for number, name in enumerate(("gray", *methods)):
            cell = resolve(context.params, method=name, data="sample", preset=preset)
            _write_cell(cell, context, quality=0.0 if name == "gray" else number * 0.4 - 0.8)
    write_suite(context.workspace.references)
    write_strip(folder, {name: model_sha256(folder, name) for name in methods[:2]})
    return folder


def model_sha256(folder: Path, method: str) -> str:
    """The SHA-256 of a method's model on sample/first."""
    record = json.loads((folder / f"models/sample/first/{method}/seed0/training.json").read_text())
    return str(record["model_sha256"])


def make_context(folder: Path) -> Context:
    return Context(read_params(folder), Workspace(folder), Console(stderr=True, quiet=True), choose_device("cpu"))


def report_on(
    folder: Path,
    out: Path,
    context: Callable[[], Context] | None = None,
    data: str | None = None,
    site: bool = False,
) -> Report:
    params: Params = read_params(folder)
    results = folder / "results"
    pages = [*card_pages(results), *claims_pages(build_claims(results, params.suite.preset, check=True).claims)]
    context = context or (lambda: make_context(folder))
    return build_report(params, Workspace(folder), out, context, data, pages=pages, site=site)


def write_strip(folder: Path, models: dict[str, str]) -> None:
    """Commits a strip of two photographs, colored by rows of sample/first: method → the SHA-256 of its model."""
    columns = [
        StripColumn(name=name, file=name, model_sha256=sha256, row=f"sample/first/{name}/seed0")
        for name, sha256 in models.items()
    ]
    record = StripRecord(photographs="sample", terms="CC0", ids=("a", "b"), side=256, columns=tuple(columns))
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for k, _ in enumerate(record.ids):
        for file in (ENDS[0], *models, ENDS[1]):
            Image.new("RGB", (256, 256), (90 * k, 90, 90)).save(place / picture_name(k, file))
    (place / RECORD).write_text(record.model_dump_json())


def _write_cell(cell: Cell, context: Context, quality: float) -> None:
    prepared = prepare_data(cell, context)
    folder = context.workspace.model(cell)
    method = build_method(cell, prepared, context.device)
    sha256 = save_model(folder / MODEL_FILE, method.colorizer.state_dict(), {})
    (folder / "training.json").write_text(f'{{"model_sha256": "{sha256}"}}')
    _write_history(folder / HISTORY_FILE, learned=cell.adapter != "gray")
    columns = fake_columns(quality, len(prepared.images("test")), np.random.default_rng([*cell.method.encode()]))
    run = {"adapter": cell.adapter, "data": cell.data, "preset": cell.preset}
    role = {} if cell.adapter != "gray" else {"role": "floor"}
    result = fake_result(
        cell.method, 0, columns, **run, **role, config={"model_sha256": sha256}, sha=prepared.sha256["test"]
    )
    write_result(context.workspace.references, made_now(folder, result), columns)


def _write_history(path: Path, learned: bool) -> None:
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        losses = ["generator_loss", "discriminator_loss", "discriminator_accuracy"]
        writer.writerow(
            ["step", "phase", *losses, "generator_learning_rate", "discriminator_learning_rate", "val_psnr"]
        )
        for step in range(1, STEPS + 1, 2) if learned else ():
            phase = "pretrain" if step < STEPS / 2 else "adversarial"
            validated = 20 + 4 * step / STEPS if step % 50 == 1 else ""
            rates = [2e-4, 1e-4 * (1 - step / STEPS)]
            writer.writerow([step, phase, *np.exp(-step / STEPS) * rng.uniform(0.9, 1.1, 3), *rates, validated])
