"""Lab units ↔ the range [-1, 1] in which networks work."""

from torch import Tensor

AB_RANGE = 110.0  # the sRGB gamut reaches |a|, |b| of 108; the seeds divide by 110


def scale_L(L: Tensor) -> Tensor:
    """[0, 100] → [-1, 1]."""
    return L / 50.0 - 1.0


def scale_ab(ab: Tensor) -> Tensor:
    """Lab units → about [-1, 1]."""
    return ab / AB_RANGE


def unscale_ab(ab: Tensor) -> Tensor:
    """[-1, 1] → Lab units."""
    return ab * AB_RANGE
