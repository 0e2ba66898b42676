"""Streams batches of image pairs through the metrics and keeps what each image scored."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.scoring.metrics import METRICS, Metric
from benchmark.scoring.metrics.metric import NotAvailable, loaded, usual
from benchmark.scoring.metrics.pair import Pair, rarity
from benchmark.scoring.metrics.pixels import Lab
from benchmark.scoring.metrics.sets import Source
from benchmark.support.errors import unknown

if TYPE_CHECKING:
    from benchmark.data.prepared import Prepared

EFFECTIVE_IMAGES = 100  # fewer of them are no ground for the value of a metric that weighs images

_CPU_PIXELS, _GPU_PIXELS = 1 << 16, 1 << 21  # a piece fits the cache, or 500 MB of a GPU's memory


@dataclass(frozen=True)
class Scores:
    """The scores of a set of images."""

    values: dict[str, float | None]  # every requested metric; None where it is not available
    per_image: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # column → (N,), in the order of scoring
    notes: dict[str, str] = field(default_factory=dict)  # metric → why it is None, or a caveat


class Scorer:
    """Scores outputs against truths, batch by batch; the sizes of the batches do not change the scores.

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
        """Finds out which metrics are available, and loads the networks.

        Args:
            device: the device of the batches.
            prepared: the data set of the truths. Without it, metrics that depend on the data set are n/a.
            metrics: names from `METRICS`; None for all but the optional ones.
            split: the data set's split.
            chosen: which images of the split will come, as indices in their order; None for all in order.

        Raises:
            InputError: an unknown metric.
            BenchError: the file of a judge or of weights is not the right one.
        """
        names = usual() if metrics is None else metrics
        for name in names:
            if name not in METRICS:
                raise unknown("metric", name, METRICS)
        self.device = device
        self.metrics = tuple(METRICS[name] for name in names)
        self._images = 0
        self._kept: dict[str, list[float]] = {}
        self._absent: dict[str, str] = {}  # metric → why it is not available
        self._bin_weights = None
        if prepared is not None:
            self._bin_weights = rarity(torch.from_numpy(prepared.ab_prior)).to(device)
        self._sets = list(self._open_sets(Source(device, prepared, split, chosen)))

    def _open_sets(self, source: Source) -> Iterator[Any]:
        for reference in dict.fromkeys(metric.measured_by for metric in self.metrics if metric.measured_by):
            try:
                yield loaded(reference)(source)
            except NotAvailable as reason:
                self._absent |= {m.name: str(reason) for m in self.metrics if m.measured_by == reference}

    @torch.inference_mode()
    def update(
        self, predicted: Tensor, target: Tensor, clipped: Tensor | None = None, target_lab: Lab | None = None
    ) -> None:
        """Scores a batch: (B, H, W, 3) uint8 twice, on the scorer's device; ValueError for anything else.

        Optional are the pixels that the gamut clipped, (B, H, W) bool, and the truth's L and ab.
        """
        if predicted.shape != target.shape or predicted.dtype != torch.uint8 or target.dtype != torch.uint8:
            raise ValueError(
                f"expected two uint8 batches of one shape, got {tuple(predicted.shape)} {predicted.dtype} "
                f"and {tuple(target.shape)} {target.dtype}"
            )
        self._images += len(predicted)
        pair = Pair(predicted, target, clipped, target_lab, self._bin_weights)
        for group in self._sets:
            group.update(pair)
        # Values are kept as Python's floats. Tensors would be small blocks that outlive the large ones around them and
        # would cut the allocator's free space into pieces that are never of use again: 2 MB per image of 256².
        for columns, absent in _measure_pieces(pair, self.metrics):
            rows = torch.stack(list(columns.values())).tolist() if columns else []
            for column, values in zip(columns, rows, strict=True):
                self._kept.setdefault(column, []).extend(values)
            self._absent |= absent

    def compute(self) -> Scores:
        """Returns the scores of all images so far; ValueError if they are not the images that the labels describe."""
        per_image = {column: np.array(values, np.float32) for column, values in self._kept.items()}
        values: dict[str, float] = {}
        notes: dict[str, str] = {}
        for group in [group.compute() for group in self._sets] if self._images > 1 else []:
            values |= group.values
            notes |= group.notes
            per_image |= group.per_image
        for metric in self.metrics:
            if metric.name in self._absent or not metric.columns or not per_image.keys() >= set(metric.columns):
                continue
            if metric.weight:
                effective = metric.effective_images(per_image)
                notes[metric.name] = f"effective number of images: {effective:.0f}"
                if effective < EFFECTIVE_IMAGES:
                    notes[metric.name] += f", fewer than {EFFECTIVE_IMAGES}"
                    continue
            values[metric.name] = float(metric.pooled(per_image))
        names = [metric.name for metric in self.metrics]
        for name in names:
            if name not in values:
                notes[name] = f"n/a ({self._absent.get(name) or notes.get(name, 'too few images')})"
        shown = {column for metric in self.metrics if metric.name in values for column in metric.columns}
        return Scores(
            {name: values.get(name) for name in names},
            {column: found for column, found in per_image.items() if column in shown},
            {name: notes[name] for name in names if name in notes},
        )

    def of(self, images: NDArray[np.int64]) -> dict[str, float]:
        """Returns the distances of whole sets for some of the images so far, by metric.

        Args:
            images: their numbers in the order of coming, (M,), M ≥ 2.
        """
        found = {
            name: value for group in self._sets if hasattr(group, "of") for name, value in group.of(images).items()
        }
        return {metric.name: found[metric.name] for metric in self.metrics if metric.name in found}


def measure(pair: Pair, metrics: Sequence[Metric]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the per-image columns of these metrics, (B,) each, and metric → why it is not available.

    Raises:
        ValueError: a function gave other than one value per image.
    """
    wanted = {column for metric in metrics for column in metric.columns}
    found: dict[str, Tensor] = {}
    absent: dict[str, str] = {}
    for metric in metrics:
        if not metric.per_image or metric.name in absent or found.keys() >= set(metric.columns):
            continue  # an earlier metric with the same function has called it
        try:
            given = loaded(metric.per_image)(*getattr(pair, metric.space))
        except NotAvailable as reason:
            absent |= {other.name: str(reason) for other in metrics if other.per_image == metric.per_image}
            continue
        given = given if isinstance(given, Mapping) else {metric.columns[0]: given}
        for column, values in given.items():
            if values.shape != pair.predicted.shape[:1]:
                raise ValueError(
                    f"metric {metric.name}: {column} has shape {tuple(values.shape)}, not {len(pair.predicted)} values"
                )
        found |= {column: values for column, values in given.items() if column in wanted}
    return found, absent


def _measure_pieces(pair: Pair, metrics: Sequence[Metric]) -> list[tuple[dict[str, Tensor], dict[str, str]]]:
    """Runs `measure` on some whole images at a time; on a CPU in as many threads as torch gives to an operation.

    A piece takes some 200 small operations. Threads that wait for each other once per batch, not once per operation,
    are a third faster, and many times faster where other programs use the cores too.
    """
    on_cpu, count, threads = pair.predicted.device.type == "cpu", len(pair.predicted), torch.get_num_threads()
    size = max(1, (_CPU_PIXELS if on_cpu else _GPU_PIXELS) // max(1, pair.predicted.shape[1] * pair.predicted.shape[2]))

    def work(start: int) -> tuple[dict[str, Tensor], dict[str, str]]:
        with torch.inference_mode(), torch.autocast(pair.predicted.device.type, enabled=False):
            return measure(pair.part(slice(start, start + size)), metrics)

    if not on_cpu or threads == 1 or count <= size:
        return [work(start) for start in range(0, count, size)]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, range(0, count, size)))
    finally:
        torch.set_num_threads(threads)  # a worker's setting also affects later threads
