"""The two sides of an adversarial loss with cross-entropy on logits (Goodfellow et al. 2014; Isola et al. 2017, §3)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DiscriminatorLoss(NamedTuple):
    """A discriminator's loss, and how often it tells true colors from a generator's."""

    loss: Tensor  # scalar
    accuracy: Tensor  # scalar, [0, 1], detached: share of patches judged correctly, true and colored weighing the same


def binary_loss(logits: Tensor, real: bool) -> Tensor:
    """Returns the cross-entropy of the logits when every patch is real, or when every patch is colored."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def discriminator_loss(discriminator: nn.Module, L: Tensor, real: Tensor, fake: Tensor) -> DiscriminatorLoss:
    """Returns the discriminator's loss, halved so that it learns more slowly than the generator (Isola et al., §3.3).

    Args:
        discriminator: a network that maps (L, ab) to logits.
        L: the lightness, (B, 1, H, W), scaled.
        real: the true colors, (B, 2, H, W), scaled.
        fake: the generator's colors, (B, 2, H, W), scaled; no gradient reaches them.
    """
    real_logits, fake_logits = discriminator(L, real), discriminator(L, fake.detach())
    loss = 0.5 * (binary_loss(real_logits, True) + binary_loss(fake_logits, False))
    accuracy = 0.5 * ((real_logits > 0).float().mean() + (fake_logits <= 0).float().mean())
    return DiscriminatorLoss(loss, accuracy.detach())
