"""Streams batches of image pairs through the metrics and keeps what each image scored."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.ab_bins import class_weights, nearest_bin
from benchmark.data.color import rgb_to_lab
from benchmark.scoring.metrics import METRICS, pixels
from benchmark.scoring.metrics.pooled import pooled
from benchmark.scoring.metrics.sets import InceptionMetrics, JudgeMetrics, Reference
from benchmark.scoring.networks.inception import Inception
from benchmark.scoring.networks.judge import load_judge
from benchmark.scoring.networks.perceptual import Lpips
from benchmark.support.errors import unknown
from benchmark.support.weights import path as weights_path

if TYPE_CHECKING:
    from benchmark.data.prepared import Prepared

_CPU_PIXELS, _GPU_PIXELS = 1 << 16, 1 << 21  # at a time: what fits the cache, and some 500 MB of a GPU's memory
_NETWORKS = {"inception": "Inception", "alexnet": "AlexNet"}


@dataclass(frozen=True)
class Scores:
    """What a set of images scored."""

    values: dict[str, float | None]  # every metric asked for; None where it could not be had
    per_image: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # column → (N,), in the order of scoring
    notes: dict[str, str] = field(default_factory=dict)  # metric → why it is None, or what it rests on


class Scorer:
    """Scores outputs against truths, batch by batch; how they are cut into batches changes nothing.

    Memory grows by some 600 bytes per image, by 3 KB more where the data set has a judge, and by 8 to 16 KB more where
    Inception's weights are there. The truth's features under either are kept in `.features` beside the prepared
    folders, and computed once.
    """

    def __init__(
        self,
        *,
        device: torch.device,
        prepared: "Prepared | None" = None,
        metrics: Sequence[str] | None = None,
        split: str = "test",
        chosen: Sequence[int] | None = None,
    ) -> None:
        """Finds out what can be had, and loads the networks.

        Args:
            device: where the batches will be.
            prepared: the data set that the truths come from. Without it, what depends on it is n/a.
            metrics: names from `METRICS`; None for all.
            split: of the data set.
            chosen: which images of the split will come, as indices in their order; None for all in order.

        Raises:
            InputError: an unknown metric.
            BenchError: a judge's file, or one of weights, is not the right one.
        """
        for name in metrics or ():
            if name not in METRICS:
                raise unknown("metric", name, METRICS)
        self.device = device
        self.metrics = tuple(METRICS) if metrics is None else tuple(metrics)
        self._columns = {column for name in self.metrics for column in METRICS[name].columns}
        self._images = 0
        self._kept: dict[str, list[float]] = {}
        self._absent: dict[str, str] = {}  # metric → why it cannot be had
        self._bin_weights = self._weigh_bins(prepared)
        self._lpips = self._open_lpips()
        reference = _reference(prepared, split) if prepared and chosen is None else None
        self._sets: list[InceptionMetrics | JudgeMetrics] = [
            *self._open_inception(reference),
            *self._open_judge(prepared, split, chosen, reference),
        ]

    def _weigh_bins(self, prepared: "Prepared | None") -> Tensor | None:
        if prepared is None:
            self._absent["auc_rebal"] = "no training split to weigh the bins by"
            return None
        return class_weights(torch.from_numpy(prepared.ab_prior), uniform=0.0).float().to(self.device)

    def _open_lpips(self) -> Lpips | None:
        if "lpips_alex" not in self.metrics:
            return None
        path = weights_path("alexnet")
        if path is None:
            self._absent["lpips_alex"] = _missing("alexnet")
        return Lpips(path, self.device) if path else None

    def _open_inception(self, reference: Reference | None) -> list[InceptionMetrics]:
        if not set(InceptionMetrics.names) & set(self.metrics):
            return []
        path = weights_path("inception")
        if path is None:
            self._absent |= dict.fromkeys(InceptionMetrics.names, _missing("inception"))
        return [InceptionMetrics(Inception(path, self.device), self.device, reference)] if path else []

    def _open_judge(
        self,
        prepared: "Prepared | None",
        split: str,
        chosen: Sequence[int] | None,
        reference: Reference | None,
    ) -> list[JudgeMetrics]:
        if not set(JudgeMetrics.names) & set(self.metrics):
            return []
        labels = prepared.labels(split) if prepared else None
        judge = load_judge(prepared.meta.name, self.device) if prepared else None
        if labels is None or judge is None:
            reason = "the data set has no labels" if labels is None else "the data set has no judge"
            self._absent |= dict.fromkeys(JudgeMetrics.names, reason)
            return []
        return [JudgeMetrics(judge, labels if chosen is None else labels[list(chosen)], self.device, reference)]

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
        self._images += len(predicted)
        for columns in _measure_pieces(predicted, target, self._columns, self._bin_weights):
            self._keep(columns)
        if clipped is not None and "clipped" in self._columns:
            self._keep({"clipped": 100 * clipped.float().mean(dim=(1, 2))})
        if self._lpips:
            self._keep({"lpips_alex": self._lpips.distance(predicted, target)})
        for group in self._sets:
            group.update(predicted, target)

    def _keep(self, columns: dict[str, Tensor]) -> None:
        """Keeps per-image values as Python's floats.

        As tensors, small blocks that stay among large ones that come and go, they would cut the allocator's free space
        into pieces that are never of use again: 2 MB per image of 256².
        """
        if columns:
            rows = torch.stack(list(columns.values())).tolist()
            for column, values in zip(columns, rows, strict=True):
                self._kept.setdefault(column, []).extend(values)

    def compute(self) -> Scores:
        """The scores of everything seen so far.

        Raises:
            ValueError: not as many images were scored as the data set has labels.
        """
        groups = [group.compute() for group in self._sets] if self._images > 1 else []
        per_image = {column: np.array(values, np.float32) for column, values in self._kept.items()}
        computed: dict[str, float] = {}
        notes: dict[str, str] = {}
        for group in groups:
            computed |= group.values
            notes |= group.notes
            per_image |= group.per_image
        for name in self.metrics:
            columns = METRICS[name].columns
            if columns and all(column in per_image for column in columns):
                computed[name] = float(pooled(name, per_image))
        absent = {name: f"n/a ({self._reason(name)})" for name in self.metrics if name not in computed}
        return Scores(
            {name: computed.get(name) for name in self.metrics},
            per_image,
            {name: notes[name] for name in self.metrics if name in notes} | absent,
        )

    def _reason(self, name: str) -> str:
        if name in self._absent:
            return self._absent[name]
        if name == "clipped" and self._images:
            return "not known of finished images"
        if name == "ssim" and self._images:
            return f"images smaller than {pixels.SSIM_WINDOW}×{pixels.SSIM_WINDOW}"
        return "too few images"


def _missing(name: str) -> str:
    return f"{_NETWORKS[name]} weights missing: bench weights fetch {name}"


def _reference(prepared: "Prepared", split: str) -> Reference:
    return Reference(prepared.folder.parent / ".features", prepared.sha256[split], len(prepared.ids(split)))


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
            bins = nearest_bin(target[1])
            weights = bin_weights.index_select(0, bins.flatten()).view(bins.shape)
            mass = weights.mean(dim=(1, 2))
            found |= {"auc_rebal": 100 * ((credit * weights).mean(dim=(1, 2)) / mass), "auc_rebal_weight": mass}
    if columns & {"acc_2", "acc_5"}:
        shares = pixels.accuracy(predicted, target, (2, 5)).mul_(100)
        found |= {"acc_2": shares[:, 0], "acc_5": shares[:, 1]}
    if "delta_e00" in columns:
        found["delta_e00"] = pixels.delta_e00(predicted, target).mean(dim=(1, 2))
    return found


def _measure_pieces(
    predicted: Tensor, target: Tensor, columns: set[str], bin_weights: Tensor | None
) -> list[dict[str, Tensor]]:
    """`measure`, piece by piece; on a CPU in as many threads as torch would give to each of the operations.

    Some 200 small operations per piece: threads that wait for each other once per batch, not once per operation, do
    better by a third, and many times better where other programs want the cores too.
    """

    def work(part: slice) -> dict[str, Tensor]:
        with torch.inference_mode(), torch.autocast(predicted.device.type, enabled=False):
            return measure(predicted[part], target[part], columns, bin_weights)

    parts, threads = list(_pieces(predicted)), torch.get_num_threads()
    if predicted.device.type != "cpu" or threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, parts))
    finally:
        torch.set_num_threads(threads)  # the workers set it for themselves, and for threads to come


def _pieces(images: Tensor) -> Iterator[slice]:
    """Cuts a batch into runs of whole images that are measured at a time."""
    limit = _CPU_PIXELS if images.device.type == "cpu" else _GPU_PIXELS
    size = max(1, limit // max(1, images.shape[1] * images.shape[2]))
    return (slice(start, start + size) for start in range(0, len(images), size))
