"""The functions that the protocol's metrics of single images name: each gives one or several per-image columns.

`predicted` and `target` are what `benchmark.scoring.metrics.pair.Pair` holds in the metric's space; a column is (B,).
"""

from torch import Tensor

from benchmark.scoring.metrics import pixels
from benchmark.scoring.metrics.pair import Lab


def squared_errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Mean squared error, and PSNR in dB."""
    mse = pixels.squared_error(predicted, target)
    return {"mse": mse, "psnr": pixels.psnr(mse)}


def absolute_errors(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Mean absolute error of each channel."""
    return dict(zip(("mae_r", "mae_g", "mae_b"), pixels.absolute_error(predicted, target).unbind(dim=1), strict=True))


def colorfulnesses(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Colorfulness of both."""
    return {"colorfulness": pixels.colorfulness(predicted), "colorfulness_target": pixels.colorfulness(target)}


def auc(predicted: Lab, target: Lab) -> Tensor:
    """Area under the curve of ab errors, percent."""
    return 100 * pixels.auc_credit(predicted[1], target[1]).mean(dim=(1, 2))


def rebalanced_auc(predicted: Lab, target: Lab, weights: Tensor) -> dict[str, Tensor]:
    """The same with pixels that weigh differently, (B, H, W); and what the image weighs."""
    credit, mass = pixels.auc_credit(predicted[1], target[1]), weights.mean(dim=(1, 2))
    return {"auc_rebal": 100 * ((credit * weights).mean(dim=(1, 2)) / mass), "auc_rebal_weight": mass}


def accuracies(predicted: Lab, target: Lab) -> dict[str, Tensor]:
    """Percent of pixels within 2 and within 5 percent of range."""
    shares = pixels.accuracy(predicted, target, (2, 5)).mul_(100)
    return {"acc_2": shares[:, 0], "acc_5": shares[:, 1]}


def delta_e00(predicted: Lab, target: Lab) -> Tensor:
    """Mean CIEDE2000."""
    return pixels.delta_e00(predicted, target).mean(dim=(1, 2))


def clipped(outside: Tensor) -> Tensor:
    """Percent of pixels outside the gamut, of (B, H, W) bool."""
    return 100 * outside.float().mean(dim=(1, 2))
