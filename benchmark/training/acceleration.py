"""Settings that make a training fast or repeatable, and the facts of the machine that decide a model's bits."""

import ctypes
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.optim import Optimizer

from benchmark.contracts.method import Method
from benchmark.contracts.settings import Training
from benchmark.support.precision import resolved_precision


def fuse(optimizer: Optimizer) -> None:
    """Lets torch's optimizers update all parameters in one kernel, unless the method's author chose another way."""
    for group in optimizer.param_groups:
        if group.get("fused", ...) is None and group.get("foreach") is None:
            group["fused"] = True


def compile_networks(method: Method) -> None:
    """Lets torch compile networks on first use: the colorizer, and those that are frozen.

    Of these the same gradients are computed as without. A compiled network computes the gradients of all its weights in
    every backward pass; a discriminator's are not wanted in the generator's update, and uncompiled they are left out. A
    loss without weights stays as it is too, because it may have gradients of its own making. Each shape gets a graph of
    its own, so that no bit depends on the shapes that came before. The names of the weights do not change.
    """
    for network in method.children():
        weights = list(network.parameters())
        if network is method.colorizer or (weights and not any(weight.requires_grad for weight in weights)):
            network.compile(dynamic=False)


def uncompiled(training: Training, device: torch.device) -> AbstractContextManager[object]:
    """Runs networks as if they were not compiled: validation has batches of other sizes, and the evaluation's bits."""
    return torch.compiler.set_stance("force_eager") if compiles(training, device) else nullcontext()


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory instead of returning it to the kernel, which would zero it again for every step.

    This saves a tenth of a step's time on a CPU (docs/speed.md), and no bit of a result depends on it. Without
    glibc the function does nothing.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)


def make_deterministic(device: torch.device) -> None:
    """Makes torch give the same bits for the same seed, machine and versions."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads this variable when it is first used.
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def compiles(training: Training, device: torch.device) -> bool:
    """Whether networks are compiled; `auto` compiles them on GPUs only."""
    return device.type == "cuda" if training.compile == "auto" else training.compile == "always"


def deciding_machine(training: Training, device: torch.device, world: int) -> dict[str, Any]:
    """Returns the part of an identity that describes the machine, as plain JSON values.

    Threads count on a CPU only, where they decide the order of sums, so a GPU job may continue beside other cores.
    """
    return {
        "device": device.type,
        "precision": resolved_precision(training.precision, device),
        "compile": compiles(training, device),
        "world": world,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "torch": torch.__version__,
    }
