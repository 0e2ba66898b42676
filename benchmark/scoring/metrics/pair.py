"""A batch of outputs and truths, in the spaces that the metrics' functions take."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from benchmark.data.ab_bins import class_weights, nearest_bin, smooth_prior
from benchmark.data.color import rgb_to_lab
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.pixels import Lab, planes


def rarity(prior: Tensor) -> Tensor:
    """Returns what a pixel of each bin's color weighs: 1 / p̃ (Zhang et al. 2016, Eq. 4 with λ = 0), mean 1 under p̃.

    p̃ is the smoothed distribution of the training split's colors. Smoothing leaves next to nothing to bins far from
    every color of a small training split, so bins that do not occur there weigh as much as the heaviest that does.
    (313,) probabilities to (313,) float32.
    """
    smooth = smooth_prior(prior)
    smooth = smooth.clamp(min=float(smooth[prior > 0].min()))
    return class_weights(smooth / smooth.sum(), uniform=0.0).float()


@dataclass
class Pair:
    """Outputs and truths. Each space (`Metric.space`) is computed once, at its first use.

    A space raises NotAvailable where its inputs are unknown.
    """

    predicted: Tensor  # (B, H, W, 3) uint8
    target: Tensor  # the same
    outside: Tensor | None = None  # (B, H, W) bool, the pixels that the gamut clipped, where that is known
    known_lab: Lab | None = None  # the truth's L and ab, where they are computed already
    bin_weights: Tensor | None = None  # (313,) float32, the weight of a pixel of each bin's color

    def part(self, images: slice) -> "Pair":
        """Returns some of the images, with everything known about them."""
        known = self.__dict__.get("target_lab", self.known_lab)
        return Pair(
            self.predicted[images],
            self.target[images],
            None if self.outside is None else self.outside[images],
            known and (known[0][images], known[1][images]),
            self.bin_weights,
        )

    @cached_property
    def target_lab(self) -> Lab:
        """The truth in Lab."""
        return self.known_lab or rgb_to_lab(self.target)

    @cached_property
    def rgb(self) -> tuple[Tensor, Tensor]:
        """For a function of (predicted, target), each (B, 3, H, W) float32, 0–255."""
        return planes(self.predicted), planes(self.target)

    @cached_property
    def lab(self) -> tuple[Lab, Lab]:
        """For a function of (predicted, target), each a `Lab`."""
        return rgb_to_lab(self.predicted), self.target_lab

    @cached_property
    def weighted_lab(self) -> tuple[Lab, Lab, Tensor]:
        """As `lab`, and what each pixel weighs: (B, H, W), the rarer its true color's bin the more."""
        if self.bin_weights is None:
            raise NotAvailable("no training split to weigh the bins by")
        bins = nearest_bin(self.target_lab[1])
        return *self.lab, self.bin_weights.index_select(0, bins.flatten()).view(bins.shape)

    @cached_property
    def gamut(self) -> tuple[Tensor]:
        """For a function of (B, H, W) bool: the pixels that were outside the sRGB gamut before clipping."""
        if self.outside is None:
            raise NotAvailable("not known of finished images")
        return (self.outside,)
