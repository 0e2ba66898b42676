"""The files of a trained cell, and what its `training.json` says. Needs no torch."""

import json
from pathlib import Path
from typing import Any

from benchmark.support.files import write_atomically

MODEL_FILE, RECORD_FILE, HISTORY_FILE = "model.safetensors", "training.json", "history.csv"


def read_record(folder: Path) -> dict[str, Any]:
    """`training.json` of a model folder; empty if there is none or it is damaged (then the cell is trained again)."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Writes `training.json`, whole or not at all."""
    write_atomically(folder / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
