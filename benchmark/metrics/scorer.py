"""Streams batches of image pairs through the metrics and keeps what each image scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.ab_bins import class_weights, nearest_bin
from benchmark.color import rgb_to_lab
from benchmark.errors import unknown
from benchmark.metrics import METRICS, pixels
from benchmark.metrics.pooled import pooled

_CPU_PIXELS, _GPU_PIXELS = 1 << 16, 1 << 21  # at a time: what fits the cache, and some 500 MB of a GPU's memory


class Truth(Protocol):
    """What scoring needs of a prepared data set (`benchmark.dataset.Prepared`)."""

    @property
    def ab_prior(self) -> NDArray[np.float64]:
        """(313,): the training split's distribution over the bins."""
        ...


@dataclass(frozen=True)
class Scores:
    """What a set of images scored."""

    values: dict[str, float | None]  # every metric asked for; None where it could not be had
    per_image: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # column → (N,), in the order of scoring
    notes: dict[str, str] = field(default_factory=dict)  # metric → why it is None, or what it rests on


class Scorer:
    """Scores outputs against truths, batch by batch; the batches' sizes and order change nothing but the order kept.

    Memory grows by some 80 bytes per image.
    """

    def __init__(
        self,
        *,
        device: torch.device,
        prepared: Truth | None = None,
        metrics: Sequence[str] | None = None,
    ) -> None:
        """Checks what can be had.

        Args:
            device: where the batches will be.
            prepared: the data set that the truths come from. Without it, what depends on it is n/a.
            metrics: names from `METRICS`; None for all.

        Raises:
            InputError: an unknown metric.
        """
        for name in metrics or ():
            if name not in METRICS:
                raise unknown("metric", name, METRICS)
        self.device = device
        self.metrics = tuple(METRICS) if metrics is None else tuple(metrics)
        self._columns = {column for name in self.metrics for column in METRICS[name].columns}
        self._bin_weights = None
        if prepared is not None:
            prior = torch.from_numpy(np.asarray(prepared.ab_prior, np.float64))
            self._bin_weights = class_weights(prior, uniform=0.0).float().to(device)
        self._kept: dict[str, list[Tensor]] = {}

    @torch.inference_mode()
    def update(self, predicted: Tensor, target: Tensor, clipped: Tensor | None = None) -> None:
        """Scores a batch.

        Args:
            predicted: (B, H, W, 3) uint8, on the scorer's device.
            target: the same.
            clipped: (B, H, W) bool, the pixels that the gamut clipped; None where that is not known.

        Raises:
            ValueError: images that are not uint8, or not of one shape.
        """
        if predicted.shape != target.shape or predicted.dtype != torch.uint8 or target.dtype != torch.uint8:
            raise ValueError(
                f"expected two uint8 batches of one shape, got {tuple(predicted.shape)} {predicted.dtype} "
                f"and {tuple(target.shape)} {target.dtype}"
            )
        with torch.autocast(self.device.type, enabled=False):
            for part in _pieces(predicted):
                for column, values in measure(predicted[part], target[part], self._columns, self._bin_weights).items():
                    self._kept.setdefault(column, []).append(values)
        if clipped is not None and "clipped" in self._columns:
            self._kept.setdefault("clipped", []).append(100 * clipped.float().mean(dim=(1, 2)))

    def compute(self) -> Scores:
        """The scores of everything seen so far.

        Raises:
            ValueError: nothing was scored.
        """
        if not self._kept:
            raise ValueError("nothing to score: no images were given")
        per_image = {column: torch.cat(parts).cpu().numpy() for column, parts in self._kept.items()}
        values: dict[str, float | None] = {}
        notes: dict[str, str] = {}
        for name in self.metrics:
            columns = METRICS[name].columns
            values[name] = None
            if columns and all(column in per_image for column in columns):
                values[name] = float(pooled(name, per_image))
            else:
                notes[name] = "n/a"
        return Scores(values, per_image, notes)


def measure(
    predicted: Tensor, target: Tensor, columns: set[str], bin_weights: Tensor | None = None
) -> dict[str, Tensor]:
    """The per-image columns that need the two images only.

    Args:
        predicted: (B, H, W, 3) uint8.
        target: the same.
        columns: which columns to compute; those that cannot be had from here are left out.
        bin_weights: (313,) float32, for `auc_rebal`: what a pixel of each bin's color weighs.

    Returns:
        Column → (B,) float32.
    """
    found: dict[str, Tensor] = {}
    if columns & {"psnr", "mse", "ssim", "mae_r", "mae_g", "mae_b", "colorfulness", "colorfulness_target"}:
        found |= _rgb_columns(pixels.planes(predicted), pixels.planes(target), columns)
    if columns & {"auc", "auc_rebal", "acc_2", "acc_5", "delta_e00"}:
        found |= _lab_columns(rgb_to_lab(predicted), rgb_to_lab(target), columns, bin_weights)
    return {column: values for column, values in found.items() if column in columns}


def _rgb_columns(predicted: Tensor, target: Tensor, columns: set[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    if columns & {"psnr", "mse"}:
        mse = pixels.squared_error(predicted, target)
        found |= {"mse": mse, "psnr": pixels.psnr(mse)}
    if "ssim" in columns and min(predicted.shape[-2:]) >= pixels.SSIM_WINDOW:
        found["ssim"] = pixels.ssim(predicted, target)
    if columns & {"mae_r", "mae_g", "mae_b"}:
        errors = pixels.absolute_error(predicted, target).unbind(dim=1)
        found |= dict(zip(("mae_r", "mae_g", "mae_b"), errors, strict=True))
    if columns & {"colorfulness", "colorfulness_target"}:
        found["colorfulness"] = pixels.colorfulness(predicted)
    if "colorfulness_target" in columns:
        found["colorfulness_target"] = pixels.colorfulness(target)
    return found


def _lab_columns(
    predicted: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], columns: set[str], bin_weights: Tensor | None
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    if columns & {"auc", "auc_rebal"}:
        credit = pixels.auc_credit(predicted[1], target[1])
        found["auc"] = 100 * credit.mean(dim=(1, 2))
        if "auc_rebal" in columns and bin_weights is not None:
            weights = bin_weights[nearest_bin(target[1])]
            mass = weights.mean(dim=(1, 2))
            found |= {"auc_rebal": 100 * ((credit * weights).mean(dim=(1, 2)) / mass), "auc_rebal_weight": mass}
    if columns & {"acc_2", "acc_5"}:
        shares = pixels.accuracy(predicted, target, (2, 5)).mul_(100)
        found |= {"acc_2": shares[:, 0], "acc_5": shares[:, 1]}
    if "delta_e00" in columns:
        found["delta_e00"] = pixels.delta_e00(predicted, target).mean(dim=(1, 2))
    return found


def _pieces(images: Tensor) -> Iterator[slice]:
    """Cuts a batch into runs of whole images that are measured at a time."""
    limit = _CPU_PIXELS if images.device.type == "cpu" else _GPU_PIXELS
    size = max(1, limit // max(1, images.shape[1] * images.shape[2]))
    return (slice(start, start + size) for start in range(0, len(images), size))
