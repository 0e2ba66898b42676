"""Classification over the 313 bins with a U-Net: the annealed mean decodes the distribution of each pixel.

Sources: seed report 002 (U-Net with 313 outputs at full resolution, soft-encoded targets, no rebalancing, because the
report found that it spoils the training); Zhang et al. 2016 (soft-encoding §2.1, rebalancing §2.2, annealed mean §2.3).
Departures: there are 5 neighbors as in the paper, because the report gives no number (32 stands in seed 001); the U-Net
is that of the conditional GAN, with a 1×1 convolution at its end as in Zhang et al.; Adam's rate is ours, because the
report gives none.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, Update
from benchmark.contracts.search import RATE
from benchmark.data.ab_bins import BINS, SoftTargets, decode, soft_cross_entropy, soft_encode

from ._classification import BinLoss, BinsConfig
from ._scale import scale_L
from ._unet import UNet


class ClassificationConfig(BinsConfig):
    """Settings of the U-Net classifier."""

    base_channels: int = Field(64, ge=1, le=1024, description="width of the U-Net's first level")
    learning_rate: Annotated[float, RATE] = Field(1e-3, gt=0, description="Adam's rate")


class LossByPixel(BinLoss):
    """The same loss, for predictions at full resolution; a training step takes less time (tests/speed/bench_bins.py).

    In channels_last memory a pixel's 313 numbers lie side by side, and a softmax along the last axis is vectorized.
    Along the second it is not, and it copies twice. It is not in `BinLoss`, whose code `eccv16`'s weights depend on.
    """

    def forward(self, logits: Tensor, ab: Tensor) -> Tensor:
        """Returns the mean over pixels, in nats, of (B, 313, H, W) and (B, 2, H, W)."""
        targets = SoftTargets(*map(_by_pixel, soft_encode(ab, self.config.neighbors, self.config.sigma)))
        nearest = targets.indices.gather(1, targets.weights.argmax(1, keepdim=True)).squeeze(1)
        weights = self.bin_weights[nearest] if self.config.rebalance else None
        return soft_cross_entropy(_by_pixel(logits), targets, weights)


class Classification(Method):
    """A U-Net trained with the soft-encoded cross-entropy over 313 colors at every pixel."""

    name = "classification"
    Config = ClassificationConfig

    def __init__(self, config: ClassificationConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = UNet(BINS, data.image_size, config.base_channels, head="pointwise")
        self.loss = LossByPixel(config, data)

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns Adam on the U-Net."""
        return {"colorizer": Adam(self.colorizer.parameters(), lr=self.config.learning_rate)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update with the cross-entropy."""
        yield Update("colorizer", self.loss(self.colorizer(scale_L(batch.L)), batch.ab))

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return decode(self.colorizer(scale_L(L)), self.config.temperature)


def _by_pixel(maps: Tensor) -> Tensor:
    """(B, C, H, W) → (B·H·W, C); of memory in channels_last a view."""
    return maps.movedim(1, -1).flatten(0, 2)
