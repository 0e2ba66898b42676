"""Which arithmetic runs where: bf16 for networks in training if a GPU has it, exact float32 for everything else.

torch lets convolutions of float32 run in TF32 (10 bits of mantissa) on recent GPUs. Here they never do: whatever is not
bf16 is IEEE float32, so that "fp32" means the same on every device.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch


def resolved_precision(wanted: str, device: torch.device) -> str:
    """Returns the precision; "auto" becomes bf16 on GPUs that compute in it (those before Ampere emulate it)."""
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    with torch.cuda.device(device):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Turns autocast off for a block; does nothing on devices that have none (torch's meta device)."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


@contextmanager
def exact_products() -> Iterator[None]:
    """Sets float32 products and convolutions to IEEE arithmetic for a block, or a function that it decorates."""
    backends: Any = torch.backends
    products = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [product.fp32_precision for product in products]
    try:
        for product in products:
            product.fp32_precision = "ieee"
        yield
    finally:
        for product, value in zip(products, before, strict=True):
            product.fp32_precision = value


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Sets inference to full float32, whatever a trainer allowed: no autocast, no TF32, deterministic algorithms."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    try:
        cudnn.benchmark, cudnn.deterministic = False, True
        with torch.inference_mode(), no_autocast(device), exact_products():
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before
