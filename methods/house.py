"""The house method: EfficientNet-Lite0 as encoder, a small decoder, and regression of ab at 3/8 of the size.

It reproduces no paper. What it takes from others: ImageNet's features for colors (Iizuka et al. 2016; Larsson et al.
2016), the U-Net (Ronneberger et al. 2015), AdamW with a warm-up and a linear fall of the rates, and a smaller rate for
what was trained before. Its loss is what two of the suite's columns measure, psnr and auc. A rate of 0 freezes the
encoder, and model files then hold the decoder alone; `house-v3.safetensors` beside this file is one, ready to color
(`_house_release.py` made it; docs/house.md).
"""

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Update
from benchmark.contracts.schedules import linear_decay, warm_up
from benchmark.contracts.search import RATE
from benchmark.data.color import lab_to_srgb

from ._lite import TAPS, LiteEncoder, absent
from ._scale import scale_L

UNIT = 10.0  # Lab units of the network's output
SMALLEST = 1e-4  # added to a squared distance (of UNITs) before its root, whose slope at 0 is infinite
ENLARGED = 1.5  # lightness before the encoder, which ImageNet trained at 224²: small things then have features
FIRST_TRAINED = "_blocks.3."  # of the encoder; what is before it is general, and dear to go back through
WIDTHS = (48, 64, 96)  # of the decoder's levels, from the finest (at 1/4 of what the encoder sees) to the coarsest


class HouseConfig(MethodConfig):
    """Settings of the house method; they are our own."""

    encoder_rate: Annotated[float, RATE] = Field(3e-4, ge=0, description="AdamW's rate for the encoder; 0 freezes it")
    learning_rate: Annotated[float, RATE] = Field(2e-3, gt=0, description="AdamW's rate for the decoder")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay")
    warm_up: float = Field(0.05, gt=0, le=1, description="share of the run in which the rates rise from 0")
    floor: float = Field(1e-4, gt=0, description="added to a photograph's mean squared error before its logarithm")
    distance: float = Field(1.0, ge=0, description="weight of the mean distance in ab, in units of 10, in the loss")


class HouseNet(nn.Module):
    """A network from lightness (B, 1, H, W) in [-1, 1] to ab (B, 2, ~3H/8, ~3W/8) in units of 10 Lab; any H and W.

    It enlarges lightness, and ends at a quarter of what its encoder sees: the encoder's finest features (at 1/2) cost
    as much as all others, and enlarging gives colors more (docs/house.md). The encoder's first blocks are not trained.

    Args:
        frozen: whether the encoder's weights stay as they were published; they are then left out of model files.
    """

    def __init__(self, *, frozen: bool) -> None:
        super().__init__()
        self.encoder = LiteEncoder(pretrained=True, frozen=frozen)
        for name, parameter in self.encoder.network.named_parameters():
            if name.startswith(FIRST_TRAINED):
                break
            parameter.requires_grad_(False)
        _, *fine, coarsest = TAPS.values()
        before = [*WIDTHS[1:], coarsest]
        self.decoder = nn.ModuleList(
            _level(coarse + skip, width) for coarse, skip, width in zip(before, fine, WIDTHS, strict=True)
        )
        self.head = nn.Conv2d(WIDTHS[0], 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns ab."""
        _, *skips, y = self.encoder(F.interpolate(x, scale_factor=ENLARGED, mode="bicubic", align_corners=False))
        for level, skip in reversed([*zip(self.decoder, skips, strict=True)]):
            y = F.interpolate(y, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            y = level(torch.cat([y, skip], dim=1))
        output: Tensor = self.head(y)
        return output

    def groups(self, rate: float, encoder_rate: float) -> list[dict[str, Any]]:
        """Returns what learns, in groups for an optimizer: the decoder, and the encoder unless it is frozen."""
        decoder = [*self.decoder.parameters(), *self.head.parameters()]
        encoder = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        return [{"params": decoder, "lr": rate}, *([{"params": encoder, "lr": encoder_rate}] if encoder else [])]


def _level(channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class House(Method):
    """A colorizer that knows ImageNet and learns colors in minutes."""

    name = "house"
    Config = HouseConfig
    colorizer: HouseNet

    def __init__(self, config: HouseConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = HouseNet(frozen=not config.encoder_rate)

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
        """Makes one update with what psnr and auc measure, at the size of the output.

        psnr is a mean over photographs of the logarithm of their squared error in sRGB. auc falls as the mean distance
        of ab grows, and the colorful photographs decide it.
        """
        found = self.colorizer(scale_L(batch.L))
        L, ab = (
            F.interpolate(plane, size=found.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
            for plane in (batch.L, batch.ab)
        )
        squares = (lab_to_srgb(L, UNIT * found) - lab_to_srgb(L, ab)).square().mean(dim=(1, 2, 3))
        distances = ((found - ab / UNIT).square().sum(dim=1) + SMALLEST).sqrt()
        loss = (squares + self.config.floor).log().mean() + self.config.distance * distances.mean()
        yield Update("colorizer", loss)

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, ~3H/8, ~3W/8) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return UNIT * self.colorizer(scale_L(L))
