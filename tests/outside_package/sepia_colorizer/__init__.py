"""Sepia learns one color for every pixel; no method with training can be smaller."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Update


class SepiaConfig(MethodConfig):
    """Settings of the tint."""

    learning_rate: float = Field(0.1, gt=0, description="rate of stochastic gradient descent")


class Tint(nn.Module):
    """A network that gives one color."""

    def __init__(self) -> None:
        super().__init__()
        self.ab = nn.Parameter(torch.tensor([5.0, 20.0]))

    def forward(self, L: Tensor) -> Tensor:
        """Maps (B, 1, H, W) to (B, 2, 1, 1) in Lab units, which the harness upsamples."""
        return self.ab.view(1, 2, 1, 1).expand(len(L), 2, 1, 1)


class Sepia(Method):
    """A method that finds the mean color by gradient descent."""

    name = "sepia"
    Config = SepiaConfig

    def __init__(self, config: SepiaConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = Tint()

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns one optimizer."""
        return {"tint": SGD(self.colorizer.parameters(), lr=self.config.learning_rate)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update with the mean squared error in ab."""
        yield Update("tint", (self.colorizer(batch.L) - batch.ab).square().mean())

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns the one color."""
        return self.colorizer(L)
