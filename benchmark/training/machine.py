"""What the machine makes of settings that are left to it, and what of it decides a model's bits."""

from typing import Any

import torch

from benchmark.contracts.settings import Training
from benchmark.support.precision import resolved_precision


def compiles(training: Training, device: torch.device) -> bool:
    """Whether networks are compiled; `auto` means on GPUs."""
    return device.type == "cuda" if training.compile == "auto" else training.compile == "always"


def deciding_machine(training: Training, device: torch.device, world: int) -> dict[str, Any]:
    """The part of an identity that speaks of the machine, as plain JSON values.

    Threads count on a CPU alone, where they decide the order of sums: a job for a GPU may go on beside other cores.
    """
    return {
        "device": device.type,
        "precision": resolved_precision(training.precision, device),
        "compile": compiles(training, device),
        "world": world,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "torch": torch.__version__,
    }
