"""Metrics of single image pairs: pure functions of batches on any device; those in `METRICS` return columns (B,).

None changes its arguments, which other metrics are given too. All are float32 arithmetic without a matrix product or a
convolution, which would run in TF32 where a trainer allows that. None splits its batch:
`benchmark.scoring.metrics.scorer` passes pieces that fit the cache (or the GPU).
"""

import math

import torch
from torch import Tensor

from benchmark.scoring.metrics.metric import PSNR_CAP, NotAvailable

SSIM_WINDOW, _SIGMA = 11, 1.5  # Wang et al. 2004
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

Lab = tuple[Tensor, Tensor]  # L (B, 1, H, W) in [0, 100] and ab (B, 2, H, W) in Lab units
AUC_RANGE = 150  # largest threshold on the ab error, Lab units: Zhang et al. 2016, §3.1


def planes(rgb: Tensor) -> Tensor:
    """Turns (B, H, W, 3) uint8 into (B, 3, H, W) float32, 0–255, contiguous."""
    return rgb.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Returns the mean squared error over pixels and channels of (B, 3, H, W) float32, 0–255: (B,), 0–255²."""
    return (predicted - target).square_().mean(dim=(1, 2, 3))


def psnr(mse: Tensor) -> Tensor:
    """Turns `squared_error`'s result into the peak signal-to-noise ratio, dB; an exact match gets the maximum, 100."""
    return (10 * torch.log10(255.0**2 / mse)).clamp(max=PSNR_CAP)


def squared_errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Returns the columns of `squared_error` and of PSNR."""
    mse = squared_error(predicted, target)
    return {"mse": mse, "psnr": psnr(mse)}


def absolute_errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Returns the mean absolute error of each channel of (B, 3, H, W) float32."""
    errors = (predicted - target).abs_().mean(dim=(2, 3))
    return dict(zip(("mae_r", "mae_g", "mae_b"), errors.unbind(dim=1), strict=True))


def ssim(predicted: Tensor, target: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), the mean over channels and over pixels whose window is whole.

    Equals `skimage.metrics.structural_similarity(channel_axis=-1, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255)`. Only the sum of the two variances is needed, so four filtered images
    suffice. Values are centered at 0 beforehand, which avoids cancellation in float32.
    Takes (B, 3, H, W) float32, 0–255, and gives (B,), at most 1.

    Raises:
        NotAvailable: the images are smaller than the window.
    """
    height, width = predicted.shape[-2:]
    if min(height, width) < SSIM_WINDOW:
        raise NotAvailable(f"images smaller than {SSIM_WINDOW}×{SSIM_WINDOW}")
    x, y = predicted - 127.5, target - 127.5
    moments = torch.stack([x, y, x * x + y * y, x * y])  # (4, B, 3, H, W)
    mean_x, mean_y, mean_squares, mean_product = _gaussian_filter(moments)
    mean_xy = mean_x * mean_y
    means_squared = mean_x.square() + mean_y.square()
    contrast = (2 * (mean_product - mean_xy) + _C2) / (mean_squares - means_squared + _C2)
    # The luminance term needs the uncentered means: (x + c)(y + c) = xy + c(x + y) + c², and likewise the squares.
    moved = (mean_x + mean_y).mul_(127.5).add_(127.5**2)
    luminance = (2 * (mean_xy + moved) + _C1) / (means_squared + 2 * moved + _C1)
    return (contrast * luminance)[..., : width - SSIM_WINDOW + 1].mean(dim=(1, 2, 3))


def _gaussian_filter(images: Tensor) -> Tensor:
    """Filters with the 11×11 Gaussian, the window's corner (not its center) at each pixel.

    The filter works on the flat memory, where a step down is a step of W. This is fast for any image size. Values whose
    window crosses the right edge (the last 10 columns) are meaningless. (..., H, W), contiguous, to (..., H - 10, W).
    """
    *batch, height, width = images.shape
    rows = height - SSIM_WINDOW + 1
    weights = [math.exp(-((i - SSIM_WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for i in range(SSIM_WINDOW)]
    first, *rest = (weight / sum(weights) for weight in weights)

    source = images.view(-1, height * width)
    down = source[:, : rows * width] * first
    for i, weight in enumerate(rest, start=1):
        down.add_(source[:, i * width : (i + rows) * width], alpha=weight)

    source = down.view(-1)
    across = source * first
    for i, weight in enumerate(rest, start=1):
        across[:-i].add_(source[i:], alpha=weight)
    return across.view(*batch, rows, width)


def auc_credit(predicted_ab: Tensor, target_ab: Tensor) -> Tensor:
    """Returns each pixel's part of the area under the curve "share of pixels with ab error ≤ t", t = 0, 1, …, 150.

    The trapezoid rule over 151 thresholds is a sum over pixels: a pixel of error e > 0 is inside from t = ⌈e⌉ on, and
    the two end points count half, so it adds 150.5 − ⌈e⌉. A pixel of error 0 adds 150, one above 150 adds nothing.

    Takes (B, 2, H, W), Lab units, and gives (B, H, W) in [0, 1]: its mean over any set of pixels is the set's area.
    """
    error = (predicted_ab - target_ab).square_().sum(dim=1).sqrt_()
    return error.ceil_().neg_().add_(AUC_RANGE + 0.5).clamp_(0, AUC_RANGE).div_(AUC_RANGE)


def auc(predicted: Lab, target: Lab) -> Tensor:
    """Returns the area of each image, percent."""
    return 100 * auc_credit(predicted[1], target[1]).mean(dim=(1, 2))


def rebalanced_auc(predicted: Lab, target: Lab, weights: Tensor) -> dict[str, Tensor]:
    """Returns the area under pixel weights (B, H, W), and the weight of each image."""
    credit, mass = auc_credit(predicted[1], target[1]), weights.mean(dim=(1, 2))
    return {"auc_rebal": 100 * ((credit * weights).mean(dim=(1, 2)) / mass), "auc_rebal_weight": mass}


def accuracies(predicted: Lab, target: Lab, percents: tuple[int, ...] = (2, 5)) -> dict[str, Tensor]:
    """Returns the pixel accuracy of Nazeri et al. 2018, percent: rounded L within t, and a and b within 2.2·t.

    The thresholds t are percents of the ranges 100, 220, 220.
    """
    (L, ab), (true_L, true_ab) = predicted, target
    lightness = (L.round() - true_L.round())[:, 0].abs_()
    chroma = (ab.round() - true_ab.round()).abs_().amax(dim=1)
    inside = [(lightness <= t) & (chroma <= math.floor(2.2 * t)) for t in percents]  # differences are whole numbers
    return {f"acc_{t}": 100 * share.float().mean(dim=(1, 2)) for t, share in zip(percents, inside, strict=True)}


def mean_delta_e00(predicted: Lab, target: Lab) -> Tensor:
    """Returns the mean of `delta_e00` over the pixels."""
    return delta_e00(predicted, target).mean(dim=(1, 2))


def delta_e00(predicted: Lab, target: Lab) -> Tensor:
    """Returns CIEDE2000 (Sharma, Wu & Dalal 2005) of each pixel, (B, H, W), not negative; weighting factors are 1."""
    (L1, a1, b1), (L2, a2, b2) = ((L[:, 0], ab[:, 0], ab[:, 1]) for L, ab in (predicted, target))
    stretch = 1.5 - 0.5 * _chroma_saturation((_chroma(a1, b1) + _chroma(a2, b2)) / 2)
    C1, h1 = _polar(a1 * stretch, b1)
    C2, h2 = _polar(a2 * stretch, b2)
    hue_difference = h2 - h1
    # The range is [-π, π]. Exactly opposite hues stay unchanged in spite of rounding, as the published pairs require.
    hue_difference -= 2 * math.pi * (hue_difference * ((1 - 1e-6) / (2 * math.pi))).round_()
    mean_L, mean_C, mean_h = (L1 + L2) / 2, (C1 + C2) / 2, torch.remainder(h1 + hue_difference / 2, 2 * math.pi)

    T = (
        1
        - 0.17 * torch.cos(mean_h - math.radians(30))
        + 0.24 * torch.cos(2 * mean_h)
        + 0.32 * torch.cos(3 * mean_h + math.radians(6))
        - 0.20 * torch.cos(4 * mean_h - math.radians(63))
    )
    from_middle = (mean_L - 50).square_()
    dL = (L2 - L1) / (1 + 0.015 * from_middle / (20 + from_middle).sqrt_())
    dC = (C2 - C1) / (1 + 0.045 * mean_C)
    dH = 2 * (C1 * C2).sqrt_() * torch.sin(hue_difference / 2) / (1 + 0.015 * mean_C * T)
    turn = torch.exp(-((mean_h - math.radians(275)) / math.radians(25)).square_())
    rotation = -2 * _chroma_saturation(mean_C) * torch.sin(math.radians(60) * turn)
    return (dL.square_() + dC.square() + dH.square() + rotation * dC * dH).clamp_(min=0).sqrt_()


def _chroma_saturation(C: Tensor) -> Tensor:
    """Returns √(C⁷ / (C⁷ + 25⁷)), in [0, 1), without overflow of C⁷ in float32."""
    ratio = C / 25
    power = ratio.square().square_() * ratio.square() * ratio
    return (power / (power + 1)).sqrt_()


def _polar(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns chroma, and hue in [0, 2π], which is the opposite point's angle in [-π, π] plus half a turn."""
    return _chroma(a, b), torch.atan2(-b, -a).add_(math.pi)


def _chroma(a: Tensor, b: Tensor) -> Tensor:
    """Returns √(a² + b²), faster than `hypot`, whose protection from overflow Lab does not need."""
    return (a * a).addcmul_(b, b).sqrt_()


def colorfulness(rgb: Tensor) -> Tensor:
    """Returns colorfulness M³ of Hasler & Süsstrunk 2003, from signed opponent colors and population deviations.

    Takes (B, 3, H, W) float32, 0–255, and gives (B,): about 0 for grays, above 100 for extremely colorful images.
    """
    red, green, blue = rgb.flatten(2).unbind(dim=1)
    opponents = torch.stack([red - green, (red + green).div_(2).sub_(blue)])  # (2, B, H·W)
    means = opponents.mean(dim=-1, keepdim=True)
    variances = (opponents - means).square_().mean(dim=-1)
    return variances.sum(dim=0).sqrt() + 0.3 * means.square().sum(dim=0)[:, 0].sqrt()


def colorfulnesses(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Returns the columns of `colorfulness` of outputs and truths."""
    return {"colorfulness": colorfulness(predicted), "colorfulness_target": colorfulness(target)}


def clipped(outside: Tensor) -> Tensor:
    """Returns the percentage of pixels outside the gamut, from (B, H, W) bool."""
    return 100 * outside.float().mean(dim=(1, 2))
