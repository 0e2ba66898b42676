"""Metrics that need a network: outputs and truths as Inception, the judge and LPIPS see them.

A class here takes in batches by `update` and says what they came to by `compute`. A metric names its class
(`Metric.measured_by`); metrics of one class share one object, which `open` makes of what is known of the truths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.data.color import lab_to_rgb
from benchmark.scoring.metrics.distances import Gaussian, frechet_distance, kernel_distance
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.networks.features import FeatureNetwork, FeatureStream, cache_file
from benchmark.scoring.networks.inception import Inception
from benchmark.scoring.networks.judge import Judge, load_judge
from benchmark.scoring.networks.perceptual import Lpips
from benchmark.support import weights

if TYPE_CHECKING:
    from benchmark.data.prepared import Prepared


class Reference(NamedTuple):
    """What the truth's features are kept under, so that they are computed once per data set."""

    folder: Path
    images_sha256: str  # of the whole array
    images: int


@dataclass(frozen=True)
class Source:
    """Where the truths come from."""

    device: torch.device
    prepared: "Prepared | None" = None  # None: of no known data set
    split: str = "test"
    chosen: Sequence[int] | None = None  # which images of the split, as indices in their order; None: all

    @property
    def reference(self) -> Reference | None:
        """None where the truths are no known array; then their features are computed each time."""
        if self.prepared is None or self.chosen is not None:
            return None
        folder = self.prepared.folder.parent / ".features"
        return Reference(folder, self.prepared.sha256[self.split], len(self.prepared.ids(self.split)))

    def weights(self, name: str, network: str) -> Path:
        """The verified file of pretrained weights.

        Raises:
            NotAvailable: it is not there.
            BenchError: another file is.
        """
        path = weights.path(name)
        if path is None:
            raise NotAvailable(f"{network} weights missing: bench weights fetch {name}")
        return path


@dataclass(frozen=True)
class Measured:
    """What metrics of sets came to."""

    values: dict[str, float] = field(default_factory=dict)  # metrics that do not follow from per-image columns
    notes: dict[str, str] = field(default_factory=dict)  # metric → what its value rests on
    per_image: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # column → (N,)


class SetMetrics(Protocol):
    """What a class named by `Metric.measured_by` does."""

    @classmethod
    def open(cls, source: Source) -> Self:
        """Loads what is needed; raises `NotAvailable` where that cannot be had."""
        ...

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        ...

    def compute(self) -> Measured:
        """What all batches so far came to."""
        ...


class InceptionMetrics:
    """`fid` and `kid`."""

    def __init__(self, network: FeatureNetwork, device: torch.device, reference: Reference | None) -> None:
        """Reads the truth's features, if they are kept.

        Args:
            network: Inception, on the device.
            device: where the images will be.
            reference: as in `Source`.
        """
        self._outputs = FeatureStream(network, device)
        self._truths = _truth_stream(network, device, reference)

    @classmethod
    def open(cls, source: Source) -> Self:
        """Loads Inception."""
        network = Inception(source.weights("inception", "Inception"), source.device)
        return cls(network, source.device, source.reference)

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)

    def compute(self) -> Measured:
        """Both distances."""
        outputs, truths = self._outputs.compute(), self._truths.compute()
        kid = kernel_distance(outputs, truths)
        spread = f"± {kid.deviation:.2g} over {kid.subsets} subsets of {kid.subset_size:,}, " if kid.subsets > 1 else ""
        return Measured(
            {"fid": frechet_distance(Gaussian.of(truths), Gaussian.of(outputs)), "kid": kid.mean},
            {"fid": f"N = {len(outputs):,}", "kid": f"{spread}N = {len(outputs):,}"},
        )


class JudgeMetrics:
    """`top1` and `fd_judge`; beside the former, what the judge makes of the truth and of the images without color."""

    def __init__(
        self, judge: Judge, labels: NDArray[np.int64], device: torch.device, reference: Reference | None
    ) -> None:
        """Reads the features of truths and grays, if they are kept.

        Args:
            judge: on the device.
            labels: (N,) the true classes of all images, in the order in which they will come.
            device: where the images will be.
            reference: as in `Source`.
        """
        self._judge = judge
        self._labels = labels
        self._outputs = FeatureStream(judge, device)
        self._truths = _truth_stream(judge, device, reference)
        self._grays = _truth_stream(judge, device, reference, "grays")

    @classmethod
    def open(cls, source: Source) -> Self:
        """Loads the data set's judge."""
        labels = source.prepared.labels(source.split) if source.prepared else None
        if labels is None or source.prepared is None:
            raise NotAvailable("the data set has no labels")
        judge = load_judge(source.prepared.meta.name, source.device)
        if judge is None:
            raise NotAvailable("the data set has no judge")
        chosen = labels if source.chosen is None else labels[list(source.chosen)]
        return cls(judge, chosen, source.device, source.reference)

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)
        if not self._grays.known:
            L, ab = pair.target_lab
            self._grays.update(lab_to_rgb(L, torch.zeros_like(ab))[0])

    def compute(self) -> Measured:
        """Which images were recognised (100 or 0, so that the mean is a percentage), and the distance.

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
            {"fd_judge": frechet_distance(Gaussian.of(truths), Gaussian.of(outputs))},
            {"top1": note, "fd_judge": f"N = {len(outputs):,}; {self._judge.name}"},
            {"top1": right},
        )


class LpipsMetric:
    """`lpips_alex`, which each image has, but by a network that is given whole batches."""

    def __init__(self, network: Lpips) -> None:
        self._network = network
        self._distances: list[float] = []  # not tensors: see `Scorer._keep`

    @classmethod
    def open(cls, source: Source) -> Self:
        """Loads AlexNet."""
        return cls(Lpips(source.weights("alexnet", "AlexNet"), source.device))

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._distances += self._network.distance(pair.predicted, pair.target).tolist()

    def compute(self) -> Measured:
        """The distance of each image."""
        return Measured(per_image={"lpips_alex": np.array(self._distances, np.float32)})


def _truth_stream(
    network: FeatureNetwork, device: torch.device, reference: Reference | None, variant: str = "truth"
) -> FeatureStream:
    if reference is None:
        return FeatureStream(network, device)
    path = cache_file(reference.folder, network, reference.images_sha256, variant)
    return FeatureStream(network, device, path, reference.images)
