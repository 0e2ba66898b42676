"""Counts the arithmetic of a training step, and looks up how much of it a GPU could do per second."""

import re

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.contracts.method import Batch, Method

# Dense peaks in TFLOP/s from NVIDIA's data sheets: bf16 on tensor cores, and float32 without them (we never use TF32).
_PEAKS = {
    "H200": (989.0, 67.0),
    "H100 NVL": (835.0, 60.0),
    "H100 PCIe": (756.0, 51.0),
    "H100": (989.0, 67.0),
    "A100": (312.0, 19.5),
    "L40S": (362.0, 91.6),
    "A10": (125.0, 31.2),
    "L4": (121.0, 30.3),
}


def training_flops(method: Method, batch: Batch, phase: str) -> float:
    """Returns the floating-point operations of one training step, per image.

    Torch counts convolutions and matrix products, forward and backward, with a multiply-add as two operations. In each
    update only the gradients that its optimizer needs count; normalization, losses and optimizers do not, as is usual.

    Args:
        method: a method on the batch's device, not compiled; its weights stay as they are.
        batch: a training batch; the count is divided by its images.
        phase: a phase of the method.
    """
    optimizers = method.train().optimizers(phase)
    with FlopCounterMode(display=False) as counter:
        for update in method.training_step(batch, phase):
            groups = optimizers[update.optimizer].param_groups
            update.loss.backward(inputs=[p for group in groups for p in group["params"]])
    method.zero_grad()
    return counter.get_total_flops() / len(batch.L)


def peak_flops(device: torch.device, precision: str) -> float | str:
    """Returns the device's peak in FLOP/s, or a text that says why it is not known.

    Args:
        device: the device of the training.
        precision: "bf16" or "fp32".
    """
    if device.type != "cuda":
        return "peak known of GPUs only"
    return peak_of(torch.cuda.get_device_name(device), precision)


def peak_of(name: str, precision: str) -> float | str:
    """Returns the same as `peak_flops` for a GPU of the name that torch gives it."""
    for model, (bf16, fp32) in _PEAKS.items():  # longer names stand before the names that they contain
        if "MIG" not in name and re.search(rf"\b{model}\b", name):
            return (bf16 if precision == "bf16" else fp32) * 1e12
    return f"peak of {name} not known"
