"""Settings and the soft-encoded, rebalanced cross-entropy that the two classifiers of color share."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from benchmark.contracts.method import DataInfo, MethodConfig
from benchmark.data import ab_bins


class BinsConfig(MethodConfig):
    """Settings of a classification over the 313 bins; each § is a section of Zhang et al. 2016."""

    neighbors: int = Field(
        ab_bins.NEIGHBORS, ge=1, le=32, description="bins that share a pixel: 5 (§2.1), 10 (their code), 32 (seed 001)"
    )
    sigma: float = Field(ab_bins.SIGMA, gt=0, description="σ of the soft-encoding, Lab units (§2.1)")
    temperature: Annotated[float, Field(gt=0)] | Literal["mode", "mean"] = Field(
        ab_bins.TEMPERATURE, description="T of the annealed mean (§2.3); mean is T = 1, mode is the likeliest bin"
    )
    rebalance: bool = Field(False, description="weigh pixels by the rarity of their color (§2.2)")
    rebalance_uniform: float = Field(ab_bins.UNIFORM, ge=0, le=1, description="λ of the rebalancing (§2.2)")
    rebalance_sigma: float = Field(ab_bins.SIGMA, gt=0, description="σ that smooths the prior, Lab units (§2.2)")


class BinLoss(nn.Module):
    """The cross-entropy of §2.1, eq. 2, with or without rebalancing weights from the training split."""

    bin_weights: Tensor  # (313,)

    def __init__(self, config: BinsConfig, data: DataInfo) -> None:
        super().__init__()
        self.config = config
        prior = ab_bins.smooth_prior(data.ab_prior, config.rebalance_sigma)
        uniform = config.rebalance_uniform if config.rebalance else 1.0  # 1 gives every bin the same weight
        self.register_buffer("bin_weights", ab_bins.class_weights(prior, uniform).float())

    def forward(self, logits: Tensor, ab: Tensor) -> Tensor:
        """Returns the mean over pixels, in nats.

        Args:
            logits: scores of the bins, (B, 313, h, w).
            ab: the true colors at the logits' resolution, (B, 2, h, w), Lab units.
        """
        targets = ab_bins.soft_encode(ab, self.config.neighbors, self.config.sigma)
        if not self.config.rebalance:
            return ab_bins.soft_cross_entropy(logits, targets)
        heaviest = targets.weights.argmax(1, keepdim=True)  # a pixel's class is its nearest bin, as in theirs
        return ab_bins.soft_cross_entropy(
            logits, targets, self.bin_weights[targets.indices.gather(1, heaviest).squeeze(1)]
        )
