"""The two sides of an adversarial loss with cross-entropy on logits (Goodfellow et al. 2014; Isola et al. 2017, §3)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DiscriminatorLoss(NamedTuple):
    """How well a discriminator tells true colors from a generator's."""

    loss: Tensor  # scalar
    accuracy: Tensor  # scalar, [0, 1], detached: share of patches told right, each side counting half


def binary_loss(logits: Tensor, real: bool) -> Tensor:
    """Cross-entropy of the logits against all real or all colored."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def discriminator_loss(discriminator: nn.Module, L: Tensor, real: Tensor, fake: Tensor) -> DiscriminatorLoss:
    """The discriminator's loss, halved so that it learns slowly beside the generator (Isola et al., §3.3).

    Args:
        discriminator: (L, ab) → logits.
        L: (B, 1, H, W), scaled.
        real: (B, 2, H, W), scaled.
        fake: the same from the generator; no gradient reaches it.
    """
    real_logits, fake_logits = discriminator(L, real), discriminator(L, fake.detach())
    loss = 0.5 * (binary_loss(real_logits, True) + binary_loss(fake_logits, False))
    accuracy = 0.5 * ((real_logits > 0).float().mean() + (fake_logits <= 0).float().mean())
    return DiscriminatorLoss(loss, accuracy.detach())
