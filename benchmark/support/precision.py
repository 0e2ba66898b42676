"""Arithmetic that stays in float32 where the rest runs in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def resolved_precision(wanted: str, device: torch.device) -> str:
    """Returns the precision; "auto" becomes bf16 on GPUs that have it, else fp32."""
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return wanted


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Turns autocast off for a block; does nothing on devices that have none (torch's meta device)."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
