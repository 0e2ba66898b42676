"""The files of a trained cell, and the content of its `training.json`. This module needs no torch."""

import json
from pathlib import Path
from typing import Any

from benchmark.support.errors import BenchError
from benchmark.support.files import file_sha256, write_atomically

MODEL_FILE, RECORD_FILE, HISTORY_FILE = "model.safetensors", "training.json", "history.csv"


def read_record(folder: Path) -> dict[str, Any]:
    """Reads `training.json` of a model folder; a missing or damaged one gives {}, and the cell is trained again."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def verified_model(folder: Path) -> Path:
    """Returns the model file of a folder if it is, byte for byte, the file that was trained there.

    Raises:
        BenchError: the file is missing, its record names no SHA-256, or its SHA-256 differs.
    """
    path, wanted = folder / MODEL_FILE, read_record(folder).get("model_sha256")
    if not path.is_file():
        raise BenchError(f"{path} is not there; train the cell first: bench train")
    if not isinstance(wanted, str):
        raise BenchError(f"{folder / RECORD_FILE} names no SHA-256 of {MODEL_FILE}; train the cell again: bench train")
    if (found := file_sha256(path)) != wanted:
        raise BenchError(
            f"{path} is damaged or of another training: its SHA-256 begins {found[:12]}, not {wanted[:12]} as "
            f"{RECORD_FILE} says; train the cell again: bench train"
        )
    return path


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Writes `training.json`, whole or not at all."""
    write_atomically(folder / RECORD_FILE, (json.dumps(record, indent=2) + "\n").encode())
