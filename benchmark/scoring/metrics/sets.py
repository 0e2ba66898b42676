"""Metrics that need a network: the sets of outputs and truths compared by Inception's and by the judge's features."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.scoring.metrics.distances import Gaussian, frechet_distance, kernel_distance
from benchmark.scoring.networks.features import FeatureNetwork, FeatureStream, cache_file

if TYPE_CHECKING:
    from benchmark.scoring.networks.judge import Judge


class Reference(NamedTuple):
    """What the truth's features are kept under, so that they are computed once per data set."""

    folder: Path
    images_sha256: str  # of the whole array
    images: int


class Measured(NamedTuple):
    """What a group of metrics came to."""

    values: dict[str, float]
    notes: dict[str, str]  # metric → what its value rests on
    per_image: dict[str, NDArray[np.float32]]  # column → (N,)


class InceptionMetrics:
    """`fid` and `kid`."""

    names = ("fid", "kid")

    def __init__(self, network: FeatureNetwork, device: torch.device, reference: Reference | None) -> None:
        """Reads the truth's features, if they are kept.

        Args:
            network: Inception, on the device.
            device: where the images will be.
            reference: None where the truths are no known array; then they are computed each time.
        """
        self._outputs = FeatureStream(network, device)
        self._truths = _truth_stream(network, device, reference)

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Takes two batches (B, H, W, 3) uint8."""
        self._outputs.update(predicted)
        self._truths.update(target)

    def compute(self) -> Measured:
        """Both distances."""
        outputs, truths = self._outputs.compute(), self._truths.compute()
        kid = kernel_distance(outputs, truths)
        spread = f"± {kid.deviation:.2g} over {kid.subsets} subsets of {kid.subset_size:,}, " if kid.subsets > 1 else ""
        return Measured(
            {"fid": frechet_distance(Gaussian.of(truths), Gaussian.of(outputs)), "kid": kid.mean},
            {"fid": f"N = {len(outputs):,}", "kid": f"{spread}N = {len(outputs):,}"},
            {},
        )


class JudgeMetrics:
    """`top1` and `fd_judge`; beside the former, what the judge makes of the truth and of the gray images."""

    names = ("top1", "fd_judge")

    def __init__(
        self, judge: "Judge", labels: NDArray[np.int64], device: torch.device, reference: Reference | None
    ) -> None:
        """Reads the features of truths and grays, if they are kept.

        Args:
            judge: on the device.
            labels: (N,) the true classes of all images, in the order in which they will come.
            device: where the images will be.
            reference: as for `InceptionMetrics`.
        """
        self._judge = judge
        self._labels = labels
        self._outputs = FeatureStream(judge, device)
        self._truths = _truth_stream(judge, device, reference)
        self._grays = _truth_stream(judge, device, reference, "gray")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Takes two batches (B, H, W, 3) uint8."""
        self._outputs.update(predicted)
        self._truths.update(target)
        if not self._grays.known:
            L, ab = rgb_to_lab(target)
            self._grays.update(lab_to_rgb(L, torch.zeros_like(ab))[0])

    def compute(self) -> Measured:
        """Both metrics, and which images were recognised (100 or 0, so that the mean is a percentage).

        Raises:
            ValueError: not as many images came as there are labels.
        """
        outputs, truths, grays = (stream.compute() for stream in (self._outputs, self._truths, self._grays))
        if len(outputs) != len(self._labels):
            raise ValueError(f"{len(outputs)} images were given for {len(self._labels)} labels")
        right, truths_right, grays_right = (
            np.float32(100) * (self._judge.classify(features).numpy() == self._labels)
            for features in (outputs, truths, grays)
        )
        note = f"truth {truths_right.mean():.1f} %, gray {grays_right.mean():.1f} %; {self._judge.name}"
        return Measured(
            {"top1": float(right.mean()), "fd_judge": frechet_distance(Gaussian.of(truths), Gaussian.of(outputs))},
            {"top1": note, "fd_judge": f"N = {len(outputs):,}; {self._judge.name}"},
            {"top1": right},
        )


def _truth_stream(
    network: FeatureNetwork, device: torch.device, reference: Reference | None, variant: str = "truth"
) -> FeatureStream:
    if reference is None:
        return FeatureStream(network, device)
    path = cache_file(reference.folder, network, reference.images_sha256, variant)
    return FeatureStream(network, device, path, reference.images)
