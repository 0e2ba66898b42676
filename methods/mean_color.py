"""Baseline: every pixel gets the training split's mean ab, the best constant guess under squared error."""

import torch
from torch import Tensor, nn

from benchmark.contracts.method import DataInfo, Method, MethodConfig


class Constant(nn.Module):
    """A network that gives every pixel one color, which the model file holds."""

    color: Tensor  # (2,), Lab units

    def __init__(self, color: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("color", torch.tensor(color, dtype=torch.float32))

    def forward(self, L: Tensor) -> Tensor:
        """Maps (B, 1, H, W) to (B, 2, H, W)."""
        return self.color.view(1, 2, 1, 1).expand(len(L), -1, *L.shape[-2:])


class MeanColor(Method):
    """The mean ab of the training split."""

    name = "mean-color"
    role = "baseline"
    Config = MethodConfig

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = Constant(data.mean_ab)

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns the same ab (B, 2, H, W) for any lightness (B, 1, H, W)."""
        return self.colorizer(L)
