"""The house method: EfficientNet-Lite0 as encoder, a small decoder, and robust regression of ab at half the resolution.

It reproduces no paper. What it takes from others: ImageNet's features for colors (Iizuka et al. 2016; Larsson et al.
2016), the U-Net (Ronneberger et al. 2015), the Huber loss, AdamW with a warm-up and a linear fall of the rates, and a
smaller rate for what was trained before. A rate of 0 freezes the encoder, and model files then hold the decoder alone;
`house-v1.safetensors` beside this file is one, ready to color (`_house_release.py` made it; docs/house.md).
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Update
from benchmark.contracts.schedules import linear_decay, warm_up
from benchmark.contracts.search import RATE

from ._lite import LiteUNet, absent
from ._scale import scale_L

UNIT = 10.0  # Lab units of the network's output: the loss is square below, and linear above


class HouseConfig(MethodConfig):
    """Settings of the house method; they are our own."""

    encoder_rate: Annotated[float, RATE] = Field(3e-4, ge=0, description="AdamW's rate for the encoder; 0 freezes it")
    learning_rate: Annotated[float, RATE] = Field(2e-3, gt=0, description="AdamW's rate for the decoder")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay")
    warm_up: float = Field(0.05, gt=0, le=1, description="share of the run in which the rates rise from 0")


class House(Method):
    """A colorizer that knows ImageNet and learns colors in minutes."""

    name = "house"
    Config = HouseConfig
    colorizer: LiteUNet

    def __init__(self, config: HouseConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = LiteUNet(2, pretrained=True, frozen=not config.encoder_rate)

    @classmethod
    def pretrained_on(cls, config: HouseConfig) -> str:
        """Names the photographs of which the encoder's weights know."""
        return "ImageNet"

    @classmethod
    def skip(cls, config: HouseConfig, data: DataInfo) -> str | None:
        """Returns a reason to skip if ImageNet's weights are not here."""
        return absent()

    def load_pretrained(self) -> None:
        """Loads ImageNet's weights into the encoder."""
        self.colorizer.encoder.load_published()

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns AdamW; the encoder has a rate of its own."""
        groups = self.colorizer.groups(self.config.learning_rate, self.config.encoder_rate)
        return {"colorizer": AdamW(groups, weight_decay=self.config.weight_decay)}

    def learning_rate(self, optimizer: str, progress: float) -> float:
        """Returns the factor of both rates: a linear rise, then a linear fall to 0 at the end of the run."""
        return warm_up(progress, self.config.warm_up) * linear_decay(progress)

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update with the Huber loss of ab at half the resolution."""
        found = self.colorizer(scale_L(batch.L))
        target = F.interpolate(batch.ab / UNIT, size=found.shape[-2:], mode="area")
        yield Update("colorizer", F.huber_loss(found, target))

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, ⌈H/2⌉, ⌈W/2⌉) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return UNIT * self.colorizer(scale_L(L))
