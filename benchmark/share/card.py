"""The card of a model, Markdown with the front matter that model hubs read, from a template; and a place's index."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.contracts.config import Cell
from benchmark.contracts.result import Result, ResultError, Run, read_result, result_path
from benchmark.results.tables import ARROWS, number
from benchmark.scoring.metrics import METRICS
from benchmark.share.packing import Address, Trained
from benchmark.support.templates import environment

TASK = "image-to-image"  # the hubs' name of the task that colorization is one of


def card(address: Address, cell: Cell, trained: Trained, result: Result | None, licence: str) -> str:
    """A model's card.

    Args:
        address: where the model lies in any place.
        cell: what was trained.
        trained: its record.
        result: how this very model scored on its test split, if it was scored.
        licence: the terms of the weights, a hub's identifier.
    """
    found = result.metrics if result else {}
    measured = {name: value for name in METRICS if (value := found.get(name)) is not None}
    rows = [
        (f"{metric.label}{ARROWS[metric.direction]}", number(measured[metric.name], metric.digits), metric.unit)
        for metric in map(METRICS.__getitem__, measured)
    ]
    facts = {
        "address": address,
        "cell": cell,
        "trained": trained,
        "result": result,
        "rows": rows,
        "train": " ".join(["bench", "train", *cell.arguments]),
        "seen": cell.method_class.pretrained_on(cell.method_config),
        "licence": licence,
    }
    return _render("model.md.j2", _front(licence, [cell.data, cell.adapter]) | _scores(cell, measured), facts)


def index(models: Sequence[Address], licence: str) -> str:
    """The page at the root of a place, which lists its models."""
    return _render("index.md.j2", _front(licence, sorted({one.data for one in models})), {"models": models})


def result_of(cell: Cell, model_sha256: str, roots: Sequence[Path]) -> Result | None:
    """The first result below the roots that was measured on this very model, or None."""
    run = Run(method=cell.method, adapter=cell.adapter, data=cell.data, preset=cell.preset, seed=cell.seed)
    for root in roots:
        try:
            result = read_result(result_path(root, run))
        except ResultError:  # none there, or a damaged one, of which tables speak
            continue
        if result.provenance.config.get("model_sha256") == model_sha256:
            return result
    return None


def _front(licence: str, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "license": licence,
        "library_name": "colorbench",
        "pipeline_tag": TASK,
        "tags": ["colorization", "image-colorization", "colorbench", *tags],
    }


def _scores(cell: Cell, measured: dict[str, float]) -> dict[str, Any]:
    """The hubs' machine-readable form of a row."""
    if not measured:
        return {}
    metrics = [{"type": name, "name": METRICS[name].label, "value": value} for name, value in measured.items()]
    result = {
        "task": {"type": TASK, "name": "Colorization"},
        "dataset": {"type": cell.data, "name": cell.dataset_class.title, "split": "test"},
        "metrics": metrics,
    }
    return {"metrics": list(measured), "model-index": [{"name": cell.name, "results": [result]}]}


def _render(template: str, front: dict[str, Any], facts: dict[str, Any]) -> str:
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{environment('benchmark.share').get_template(template).render(facts)}"
