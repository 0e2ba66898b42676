"""Metrics that compare outputs and truths by a network: Inception, the judge, and LPIPS.

A metric names a class or function (`Metric.measured_by`) that makes a measuring object of a `Source`, or raises
`NotAvailable`; metrics that name the same one share the object. Its `update(pair)` takes in a batch, and `compute()`
returns the result of all batches as `Measured`. If it has distances of whole sets, it can offer `of(images)`: their
values, by metric, of some of the images, given by their numbers in the order of coming (N,) int64. The metric card
judges by them how certain such a distance is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.color import lab_to_rgb
from benchmark.scoring.metrics.distances import Gaussian, frechet_distance, kernel_distance
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.networks.features import FeatureNetwork, FeatureStream, Reference
from benchmark.scoring.networks.inception import Inception
from benchmark.scoring.networks.judge import load_judge
from benchmark.scoring.networks.perceptual import Lpips
from benchmark.support import weights
from benchmark.support.files import digest

if TYPE_CHECKING:
    from benchmark.data.prepared import Prepared


class Source(NamedTuple):
    """The origin of the truths."""

    device: torch.device
    prepared: "Prepared | None" = None  # None: the data set is unknown
    split: str = "test"
    chosen: Sequence[int] | None = None  # which images of the split, as indices in their order; None: all

    @property
    def reference(self) -> Reference | None:
        """Returns None where the truths are no known array; their features are then computed each time."""
        if self.prepared is None:
            return None
        folder, sha256 = self.prepared.folder.parent / ".features", self.prepared.sha256[self.split]
        if self.chosen is None:
            return Reference(folder, sha256, len(self.prepared.ids(self.split)))
        return Reference(folder, digest([sha256, list(self.chosen)]), len(self.chosen))

    def weights(self, name: str, network: str) -> Path:
        """Returns the verified file of pretrained weights; BenchError if its hash is wrong."""
        path = weights.path(name)
        if path is None:
            raise NotAvailable(f"{network} weights missing: bench weights fetch {name}")
        return path


class Measured(NamedTuple):
    """The results of metrics of sets."""

    values: dict[str, float]  # metrics that do not follow from per-image columns
    notes: dict[str, str]  # metric → a caveat about its value, or why it has none
    per_image: dict[str, NDArray[np.float32]]  # column → (N,)


FRECHET_IMAGES = 1000  # with fewer, a Fréchet distance measures their number more than anything else
_HALVES_SEED = 0


def set_distances(frechet: str, kernel: str, outputs: Tensor, truths: Tensor, by: str = "") -> Measured:
    """Returns both distances of two sets of features, (N, d) and (M, d), N, M ≥ 2, under the names of their metrics.

    The note of the Fréchet distance states its floor: what two random halves of the truth are apart. It has no value
    where there are fewer than 1,000 images. The kernel distance has no bias, so its floor is 0 at any number.
    `by` names the network in the notes.
    """
    images = f"N = {len(outputs):,}" + (f"; {by}" if by else "")
    kid = kernel_distance(outputs, truths)
    values = {kernel: kid.mean}
    notes = {
        kernel: images + (f"; {kid.subsets} overlapping subsets of {kid.subset_size:,}" if kid.subsets > 1 else "")
    }
    if min(len(outputs), len(truths)) < FRECHET_IMAGES:
        notes[frechet] = f"{len(outputs):,} images, fewer than {FRECHET_IMAGES:,}: see {kernel}"
    else:
        values[frechet] = frechet_distance(Gaussian.of(truths), Gaussian.of(outputs))
        notes[frechet] = f"{images}; two halves of the truth: {truth_floor(truths):.3g}"
    return Measured(values, notes, {})


def truth_floor(truths: Tensor) -> float:
    """Returns the Fréchet distance of two random halves, always the same, of features (N, d), N ≥ 4."""
    first, second = halves(truths)
    return frechet_distance(Gaussian.of(first), Gaussian.of(second))


def halves(features: Tensor) -> tuple[Tensor, Tensor]:
    """Returns two random halves, always the same, of features (N, d)."""
    order = torch.from_numpy(np.random.default_rng(_HALVES_SEED).permutation(len(features)))
    first, second = order.tensor_split(2)
    return features[first], features[second]


class InceptionMetrics:
    """Measures `fid` and `kid`."""

    def __init__(self, network: FeatureNetwork, device: torch.device, reference: Reference | None) -> None:
        """Reads the truth's features, if they are on disk. Network and images are on the device."""
        self._outputs, self._truths = FeatureStream(network, device), FeatureStream(network, device, reference)

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)

    def compute(self) -> Measured:
        """Returns both distances."""
        return set_distances("fid", "kid", self._outputs.compute(), self._truths.compute())

    def of(self, images: NDArray[np.int64]) -> dict[str, float]:
        """Returns both distances of some of the images."""
        outputs, truths = self._outputs.compute(), self._truths.compute()
        return set_distances("fid", "kid", outputs[images], truths[images]).values


def inception_metrics(source: Source) -> InceptionMetrics:
    """Loads Inception for `fid` and `kid`."""
    network = Inception(source.weights("inception", "Inception"), source.device)
    return InceptionMetrics(network, source.device, source.reference)


class JudgeMetrics:
    """Measures `top1`, also of the truth and of the images without color, `fd_judge` and `kid_judge`."""

    def __init__(self, source: Source) -> None:
        """Loads the data set's judge, and the features of truths and grays if they are on disk."""
        labels = source.prepared.labels(source.split) if source.prepared else None
        if labels is None or source.prepared is None:
            raise NotAvailable("the data set has no labels")
        judge = load_judge(source.prepared.meta.name, source.device)
        if judge is None:
            raise NotAvailable("the data set has no judge")
        self._judge = judge
        self._labels = labels if source.chosen is None else labels[list(source.chosen)]
        self._outputs = FeatureStream(judge, source.device)
        self._truths = FeatureStream(judge, source.device, source.reference)
        self._grays = FeatureStream(judge, source.device, source.reference, "grays")

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)
        if not self._grays.known:
            L, ab = pair.target_lab
            self._grays.update(lab_to_rgb(L, torch.zeros_like(ab))[0])

    def compute(self) -> Measured:
        """Returns which images were recognised (100 or 0, so that the mean is a percentage), and both distances."""
        outputs, truths, grays = (stream.compute() for stream in (self._outputs, self._truths, self._grays))
        if len(outputs) != len(self._labels):
            raise ValueError(f"{len(outputs)} images were given for {len(self._labels)} labels")
        right, truths_right, grays_right = (
            np.float32(100) * (self._judge.classify(features).numpy() == self._labels)
            for features in (outputs, truths, grays)
        )
        note = f"truth {truths_right.mean():.1f} %, gray {grays_right.mean():.1f} %; {self._judge.name}"
        distances = set_distances("fd_judge", "kid_judge", outputs, truths, self._judge.name)
        return Measured(distances.values, {"top1": note} | distances.notes, {"top1": right})

    def of(self, images: NDArray[np.int64]) -> dict[str, float]:
        """Returns both distances of some of the images."""
        outputs, truths = self._outputs.compute(), self._truths.compute()
        return set_distances("fd_judge", "kid_judge", outputs[images], truths[images]).values


class LpipsMetric:
    """Measures `lpips_alex`, a value per image from a network that takes whole batches."""

    column, trunk, weights, network = "lpips_alex", "alex", "alexnet", "AlexNet"

    def __init__(self, source: Source) -> None:
        """Loads the trunk."""
        self._network = Lpips(source.weights(self.weights, self.network), source.device, self.trunk)
        self._distances: list[float] = []  # floats, not tensors, for the reason in `Scorer.update`

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._distances += self._network.distance(pair.predicted, pair.target).tolist()

    def compute(self) -> Measured:
        """Returns the distance of each image."""
        return Measured({}, {}, {self.column: np.array(self._distances, np.float32)})
