"""What makes a training fast or repeatable on its machine without a word in any method."""

import ctypes
import os
import sys

import torch
from torch.optim import Optimizer

from benchmark.contracts.method import Method


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
