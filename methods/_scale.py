"""Conversions between Lab units and the range [-1, 1] in which networks work."""

from torch import Tensor

AB_RANGE = 110.0  # |a| and |b| reach 108 in the sRGB gamut; the seed reports divide by 110


def scale_L(L: Tensor) -> Tensor:
    """Maps [0, 100] to [-1, 1]."""
    return L / 50.0 - 1.0


def scale_ab(ab: Tensor) -> Tensor:
    """Maps Lab units to about [-1, 1]."""
    return ab / AB_RANGE


def unscale_ab(ab: Tensor) -> Tensor:
    """Maps [-1, 1] to Lab units."""
    return ab * AB_RANGE
