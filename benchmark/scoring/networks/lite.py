"""The judge of photographs: EfficientNet-Lite2 as trained on ImageNet, behind agree_lite, p_lite, fd_lite and kid_lite.

It needs no labels and no training: the answer that it gives on the true photograph is the one that is wanted on the
colored one. Nothing in the suite is trained with it (docs/protocol.md §10). Images have one way to it: bicubic with
antialiasing to 224², levels clipped to 0–255 and not rounded, then `efficientnet.scale`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmark.data.color import lab_to_rgb
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.metrics.pixels import planes
from benchmark.scoring.metrics.sets import Measured, Source, set_distances
from benchmark.scoring.networks.efficientnet import HEAD, EfficientNetLite, scale
from benchmark.scoring.networks.features import FeatureStream, exact_arithmetic
from benchmark.support import weights

VARIANT = "lite2"
SIDE = 224  # pixels of the network's input
SMALLEST = 64  # pixels of an image that is judged: enlarged seven times, one of 32² shows it next to nothing


def resized(images: Tensor) -> Tensor:
    """Brings (B, S, S, 3) uint8 to the network's size, as Pillow but unrounded: (B, 3, 224, 224) float32, 0–255."""
    levels = planes(images)
    if levels.shape[-2:] == (SIDE, SIDE):
        return levels
    return F.interpolate(levels, (SIDE, SIDE), mode="bicubic", antialias=True).clamp_(0, 255)


class Lite:
    """The network on a device; `features` make it a network of `benchmark.scoring.networks.features`."""

    name = VARIANT
    dimensions = HEAD
    batch_sizes = (16, 256)

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """Loads the published weights.

        Raises:
            BenchError: their file is missing or not the right one.
        """
        self.sha256 = weights.WEIGHTS[VARIANT].sha256
        network = EfficientNetLite(VARIANT).load(weights.load(VARIANT)).fold().requires_grad_(False)
        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._device = torch.device(device)

    def features(self, images: Tensor) -> Tensor:
        """Turns images (B, S, S, 3) uint8 into pooled features (B, 1280) float32."""
        levels = scale(resized(images)).contiguous(memory_format=torch.channels_last)
        return self._network.pooled(levels)

    def probabilities(self, features: Tensor) -> Tensor:
        """Turns pooled features (B, 1280) into probabilities of ImageNet's classes, (B, 1000), both on the CPU."""
        with exact_arithmetic(self._device):
            return self._network.classify(features.to(self._device)).softmax(dim=1).cpu()


class LiteMetrics:
    """Measures how often and how surely the judge answers as on the truth, and two distances of its features."""

    names = ("agree_lite", "p_lite", "fd_lite", "kid_lite")

    def __init__(self, source: Source) -> None:
        """Finds out whether the judge can be had; it is loaded when images come that it can judge."""
        if weights.path(VARIANT) is None:
            raise NotAvailable(weights.absent(VARIANT))
        self._source, self._ready = source, False

    def _load(self) -> None:
        """Loads the judge, and the features of truths and grays if they are on disk."""
        self._judge, device = Lite(self._source.device), self._source.device
        self._outputs = FeatureStream(self._judge, device)
        self._truths = FeatureStream(self._judge, device, self._source.reference)
        self._grays = FeatureStream(self._judge, device, self._source.reference, "grays")
        self._ready = True

    def update(self, pair: Pair) -> None:
        """Takes in a batch, unless its images are too small."""
        if min(pair.target.shape[1:3]) < SMALLEST:
            return
        if not self._ready:
            self._load()
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)
        if not self._grays.known:
            L, ab = pair.target_lab
            self._grays.update(lab_to_rgb(L, torch.zeros_like(ab))[0])

    def compute(self) -> Measured:
        """Returns which images were recognised (100 or 0, so that the mean is a percentage), how surely, and distances.

        Gray's figures stand in the notes. The truth's agreement is 100 % by definition.
        """
        if not self._ready:
            return Measured({}, dict.fromkeys(self.names, f"{VARIANT} judges images of {SMALLEST}² and more"), {})
        outputs, truths, grays = (stream.compute() for stream in (self._outputs, self._truths, self._grays))
        true, answers = self._judge.probabilities(truths).max(dim=1)

        def judged(features: Tensor) -> tuple[Tensor, Tensor]:
            found = self._judge.probabilities(features)
            return 100.0 * (found.argmax(dim=1) == answers), 100.0 * found.gather(1, answers[:, None])[:, 0]

        (agree, p), (gray_agree, gray_p) = judged(outputs), judged(grays)
        distances = set_distances("fd_lite", "kid_lite", outputs, truths)
        notes = {
            "agree_lite": f"gray {gray_agree.mean():.1f} %, truth 100 % by definition",
            "p_lite": f"gray {gray_p.mean():.1f} %, truth {100 * true.mean():.1f} %",
        }
        return Measured(distances.values, notes | distances.notes, {"agree_lite": agree.numpy(), "p_lite": p.numpy()})

    def of(self, images: NDArray[np.int64]) -> dict[str, float]:
        """Returns both distances of some of the images; none where they are too small."""
        if not self._ready:
            return {}
        outputs, truths = self._outputs.compute(), self._truths.compute()
        return set_distances("fd_lite", "kid_lite", outputs[images], truths[images]).values
