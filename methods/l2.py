"""L2 regression with a fully convolutional encoder-decoder: the plainest learned colorizer, and the template to copy.

Source: seed report 003 ("L2 FCN"): an encoder-decoder with skips (4×4 convolutions of stride 2, BatchNorm, LeakyReLU
0.2; 4×4 transposed convolutions, joined with their mirror images before BatchNorm and ReLU), a last 1×1 convolution
with tanh onto three channels L*a*b*, and the mean squared error over pixels and channels.
Departures: the depth follows the image size, where the report has one size. Adam's rate is the one that the report
gives for its GAN, because it names none for this network.
"""

from collections.abc import Iterator
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Update
from benchmark.contracts.search import RATE

from ._fcn import FCN
from ._scale import scale_ab, scale_L, unscale_ab


# 1. The settings that params.yaml and `--set` may change. The defaults are the paper's values, each with its source.
class L2Config(MethodConfig):
    """Settings of the L2 regression."""

    base_channels: int = Field(64, ge=1, le=1024, description="width of the first level (seed 003)")
    # `bench tune` looks for a value of what is marked `RATE`, around the default.
    learning_rate: Annotated[float, RATE] = Field(
        2e-4, gt=0, description="Adam's rate (seed 003, given there for the GAN)"
    )


# 2. The method consists of networks, optimizers, one training step and one prediction. The trainer does all the rest.
class L2(Method):
    """An encoder-decoder trained with the mean squared error between the predicted and the true L*a*b*."""

    name = "l2"  # the file's name, and what people type
    Config = L2Config

    def __init__(self, config: L2Config, data: DataInfo) -> None:
        super().__init__(config, data)
        # `colorizer` is the network that predicts; it alone is saved in the model file, counted and averaged.
        self.colorizer = nn.Sequential(FCN(3, data.image_size, config.base_channels), nn.Tanh())

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns one optimizer under the name that `training_step` yields."""
        return {"colorizer": Adam(self.colorizer.parameters(), lr=self.config.learning_rate)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update: for each yield the trainer does a backward pass and an optimizer step before it goes on."""
        L = scale_L(batch.L)  # (B, 1, H, W), [-1, 1]
        target = torch.cat([L, scale_ab(batch.ab)], dim=1)  # (B, 3, H, W)
        yield Update("colorizer", F.mse_loss(self.colorizer(L), target))

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]; the predicted L is dropped."""
        return unscale_ab(self.colorizer(scale_L(L))[:, 1:])
