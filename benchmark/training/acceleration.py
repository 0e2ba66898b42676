"""What makes a training fast or repeatable on its machine, and what of the machine decides a model's bits."""

import ctypes
import os
import sys
from typing import Any

import torch
from torch.optim import Optimizer

from benchmark.contracts.method import Method
from benchmark.contracts.settings import Training
from benchmark.support.precision import resolved_precision


def fuse(optimizer: Optimizer) -> None:
    """Lets torch's optimizers update all parameters in one kernel, where their author chose no other way."""
    for group in optimizer.param_groups:
        if group.get("fused", ...) is None and group.get("foreach") is None:
            group["fused"] = True


def compile_networks(method: Method) -> None:
    """Lets torch compile each of the method's networks on first use. Names of weights stay as they are."""
    for network in method.children():
        network.compile()


def keep_freed_memory() -> None:
    """Has glibc keep what is freed instead of giving it back to the kernel, which would zero it again for every step.

    This saves a tenth of a step's time on a CPU (docs/speed.md), and no bit of a result depends on it. Without glibc
    nothing happens.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)


def make_deterministic(device: torch.device) -> None:
    """Makes torch give the same bits for the same seed, machine and versions."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


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
