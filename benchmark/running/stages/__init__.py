"""One cell from photographs to table: prepare → train → evaluate. Each stage does nothing when it is up to date.

DVC runs the stages one by one, `bench run` all in a row; both end with the same files.
"""

from pathlib import Path

from benchmark.contracts.config import Cell
from benchmark.running.stages.context import Context, choose_device, prepare_data
from benchmark.running.stages.evaluation import evaluate_cell, load_trained, picture_path
from benchmark.running.stages.training import train_cell
from benchmark.training.fit import build_method

__all__ = [
    "Context",
    "build_method",
    "choose_device",
    "evaluate_cell",
    "load_trained",
    "picture_path",
    "prepare_data",
    "run_cell",
    "train_cell",
]


def run_cell(cell: Cell, context: Context) -> tuple[Path, Path] | None:
    """Everything for one cell.

    Returns:
        The result file and the model's folder; None in a process that only helped to train.
    """
    prepare_data(cell, context)
    folder = train_cell(cell, context)
    return (evaluate_cell(cell, context), folder) if context.ranks.first else None
