"""sRGB in 8 bits ↔ CIE Lab (D65, 2° observer), with the constants of `skimage.color`, always in float32.

Reduced precision moves Lab by up to 2.5 units, so autocast is switched off inside and half-precision input is widened.
The matrices are applied plane by plane instead of by `matmul`, which would run in TF32 where a trainer allows that.

Both curves of the conversion are a power above a threshold and a straight line below it. They are written here as
`power(max(x, threshold)) + slope · min(x, threshold) + constant`: no branch, and a gradient that is finite everywhere.

On a CPU the work is done in chunks that fit the cache.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.support.precision import no_autocast

_XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)  # ITU-R BT.709 primaries, as in scikit-image
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2° observer
_TO_WHITE_RELATIVE = tuple(map(tuple, (_XYZ_FROM_RGB / _WHITE[:, None]).tolist()))
_FROM_WHITE_RELATIVE = tuple(map(tuple, (np.linalg.inv(_XYZ_FROM_RGB) * _WHITE).tolist()))

_LAB_THRESHOLD, _LAB_SLOPE, _LAB_OFFSET = 0.008856, 7.787, 16 / 116  # CIE 15, in the rounding of scikit-image
_LAB_ROOT = 0.2068966  # the cube root of the threshold
_SRGB_THRESHOLD, _SRGB_SLOPE, _SRGB_EXPONENT = 0.0031308, 12.92, 1 / 2.4  # IEC 61966-2-1

_CHUNK = 1 << 16  # pixels: 768 KiB for three float32 planes


def rgb_to_lab(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Converts 8-bit sRGB to Lab; agrees with `skimage.color.rgb2lab` to 1e-3.

    Args:
        rgb: (B, H, W, 3) uint8, on any device.

    Returns:
        L (B, 1, H, W) in [0, 100] and ab (B, 2, H, W) in about [-110, 110], float32, on the same device.
    """
    if rgb.dtype != torch.uint8 or rgb.ndim != 4 or rgb.shape[-1] != 3:
        raise ValueError(f"expected (B, H, W, 3) uint8, got {tuple(rgb.shape)} {rgb.dtype}")
    batch, height, width, _ = rgb.shape
    L = torch.empty((batch, 1, height, width), dtype=torch.float32, device=rgb.device)
    ab = torch.empty((batch, 2, height, width), dtype=torch.float32, device=rgb.device)
    levels = _linear_levels(rgb.device)
    with torch.no_grad(), no_autocast(rgb.device):
        for part in _chunks(batch, height * width, rgb.device):
            index = rgb[part].permute(3, 0, 1, 2).to(torch.int32, memory_format=torch.contiguous_format)
            linear = levels.index_select(0, index.view(-1)).view(index.shape)  # (3, b, H, W)
            x, y, z = _mix(_TO_WHITE_RELATIVE, linear)
            x, y, z = _lab_curve(x), _lab_curve(y), _lab_curve(z)
            torch.mul(y, 116.0, out=L[part, 0]).sub_(16.0)
            torch.sub(x, y, out=ab[part, 0]).mul_(500.0)
            torch.sub(y, z, out=ab[part, 1]).mul_(200.0)
    return L, ab


def lab_to_rgb(L: Tensor, ab: Tensor) -> tuple[Tensor, Tensor]:
    """Converts Lab to 8-bit sRGB: clipped to the gamut, then rounded.

    Args:
        L: (B, 1, H, W), [0, 100], any floating type.
        ab: (B, 2, H, W), Lab units.

    Returns:
        rgb (B, H, W, 3) uint8, and clipped (B, H, W) bool: where some channel lay outside [0, 255] by so much that
        rounding alone would not have brought it back.
    """
    batch, _, height, width = L.shape
    rgb = torch.empty((batch, height, width, 3), dtype=torch.uint8, device=L.device)
    clipped = torch.empty((batch, height, width), dtype=torch.bool, device=L.device)
    with torch.no_grad(), no_autocast(L.device):
        for part in _chunks(batch, height * width, L.device):
            red, green, blue = (plane.mul_(255.0).round_() for plane in _srgb_planes(L[part], ab[part]))
            lowest = torch.minimum(torch.minimum(red, green), blue)
            highest = torch.maximum(torch.maximum(red, green), blue)
            torch.logical_or(lowest < 0, highest > 255, out=clipped[part])
            for channel, plane in enumerate((red, green, blue)):
                rgb[part, ..., channel] = plane.clamp_(0, 255)
    return rgb, clipped


def lab_to_srgb(L: Tensor, ab: Tensor) -> Tensor:
    """Converts Lab to sRGB for a loss: differentiable, gradients finite at black and zero out of the gamut.

    Args:
        L: (B, 1, H, W), [0, 100], any floating type.
        ab: (B, 2, H, W), Lab units.

    Returns:
        (B, 3, H, W) float32 in [0, 1].
    """
    with no_autocast(L.device):
        return torch.stack(_srgb_planes(L, ab), dim=1).clamp(0.0, 1.0)


def join(L: Tensor, ab: Tensor) -> tuple[Tensor, Tensor]:
    """Makes the output image of a method: its ab, brought to the size of L bilinearly, on the given L.

    Args:
        L: (B, 1, H, W), [0, 100].
        ab: (B, 2, h, w), Lab units, any resolution.

    Returns:
        As `lab_to_rgb`: rgb (B, H, W, 3) uint8 and clipped (B, H, W) bool.
    """
    if ab.shape[-2:] != L.shape[-2:]:
        with no_autocast(L.device):
            ab = functional.interpolate(ab.float(), size=L.shape[-2:], mode="bilinear", align_corners=False)
    return lab_to_rgb(L, ab)


def gray_of(rgb: np.ndarray) -> np.ndarray:
    """Shows what a method sees: the lightness of images (B, H, W, 3) uint8 as gray pictures of the same shape."""
    L, ab = rgb_to_lab(torch.from_numpy(np.array(rgb)))
    return lab_to_rgb(L, torch.zeros_like(ab))[0].numpy()


@lru_cache(maxsize=16)
def _linear_levels(device: torch.device) -> Tensor:
    """(256,) float32: linear light in [0, 1] of each sRGB level."""
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return torch.tensor(linear, dtype=torch.float32, device=device)


def _chunks(batch: int, pixels: int, device: torch.device) -> Iterator[slice]:
    """Cuts a batch into runs of whole images of about `_CHUNK` pixels on a CPU, and not at all elsewhere."""
    size = max(1, _CHUNK // max(1, pixels)) if device.type == "cpu" else max(1, batch)
    return (slice(start, min(start + size, batch)) for start in range(0, batch, size))


def _mix(matrix: tuple[tuple[float, ...], ...], planes: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Three planes times a 3×3 matrix, in full float32 on every device."""
    first, second, third = planes
    return tuple((first * p).add(second, alpha=q).add(third, alpha=r) for p, q, r in matrix)


def _lab_curve(t: Tensor) -> Tensor:
    """CIE f(t): the cube root, straight near 0. `t` is relative to white, not negative, and overwritten."""
    root = t.clamp(min=_LAB_THRESHOLD).log2_().mul_(1 / 3).exp2_()
    return root.add_(t.clamp_(max=_LAB_THRESHOLD), alpha=_LAB_SLOPE).add_(_LAB_OFFSET - _LAB_THRESHOLD ** (1 / 3))


def _lab_uncurve(f: Tensor) -> Tensor:
    """The inverse of `_lab_curve`, also for negative f."""
    straight = (f.clamp(max=_LAB_ROOT) - _LAB_OFFSET) / _LAB_SLOPE
    return f.clamp(min=_LAB_ROOT).pow(3) + (straight - _LAB_ROOT**3)


def _srgb_curve(linear: Tensor) -> Tensor:
    """Linear light to sRGB, straight near 0 and below; not clipped."""
    power = linear.clamp(min=_SRGB_THRESHOLD).log2().mul(_SRGB_EXPONENT).exp2()
    straight = linear.clamp(max=_SRGB_THRESHOLD) * _SRGB_SLOPE
    return straight.add(power, alpha=1.055).sub(1.055 * _SRGB_THRESHOLD**_SRGB_EXPONENT)


def _srgb_planes(L: Tensor, ab: Tensor) -> tuple[Tensor, ...]:
    """Red, green and blue, each (B, H, W) float32, 1 = full; outside [0, 1] where Lab is outside the gamut."""
    y = (L[:, 0].float() + 16.0) / 116.0
    x = y.add(ab[:, 0].float(), alpha=1 / 500)
    z = y.sub(ab[:, 1].float(), alpha=1 / 200).clamp(min=0.0)  # as scikit-image
    linear = _mix(_FROM_WHITE_RELATIVE, (_lab_uncurve(x), _lab_uncurve(y), _lab_uncurve(z)))
    return tuple(map(_srgb_curve, linear))
