"""Metrics that are measured only when asked for: `lpips_vgg`, `precision_judge` and `recall_judge`."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmark.scoring.metrics import sets
from benchmark.scoring.metrics.metric import NotAvailable
from benchmark.scoring.metrics.pair import Pair
from benchmark.scoring.metrics.sets import LpipsMetric, Measured, Source
from benchmark.scoring.networks.features import FeatureStream
from benchmark.scoring.networks.judge import load_judge
from benchmark.support.errors import BenchError

NEIGHBORS = 3  # to the third one reaches the ball around an image's features (Kynkäänniemi et al. 2019, §3)
_ROWS = 2000  # images whose distances to all others are held at once; decides memory alone


class LpipsVgg(LpipsMetric):
    """Measures `lpips_vgg`, as `lpips_alex` with another trunk and its own linear heads."""

    column, trunk, weights, network = "lpips_vgg", "vgg", "vgg16", "VGG-16"


class JudgeCoverage:
    """Measures `precision_judge` and `recall_judge`."""

    def __init__(self, source: Source) -> None:
        """Loads the data set's judge, and the truth's features if they are on disk."""
        judge = load_judge(source.prepared.meta.name, source.device) if source.prepared else None
        if judge is None:
            raise NotAvailable("the data set has no judge")
        self._judge = judge
        self._outputs = FeatureStream(judge, source.device)
        self._truths = FeatureStream(judge, source.device, source.reference)

    def update(self, pair: Pair) -> None:
        """Takes in a batch."""
        self._outputs.update(pair.predicted)
        self._truths.update(pair.target)

    def compute(self) -> Measured:
        """Returns both shares in percent. Their notes state what one half of the truth reaches of the other."""
        outputs, truths = self._outputs.compute(), self._truths.compute()
        if len(outputs) < sets.FRECHET_IMAGES:
            few = f"{len(outputs):,} images, fewer than {sets.FRECHET_IMAGES:,}"
            return Measured({}, {"precision_judge": few, "recall_judge": few}, {})
        reached = precision_and_recall(*sets.halves(truths))
        notes = {
            name: f"N = {len(outputs):,}; {self._judge.name}; two halves of the truth: {share:.1f} %"
            for name, share in zip(("precision_judge", "recall_judge"), reached, strict=True)
        }
        return Measured(self._shares(outputs, truths), notes, {})

    def of(self, images: NDArray[np.int64]) -> dict[str, float]:
        """Returns both shares of some of the images."""
        return self._shares(self._outputs.compute()[images], self._truths.compute()[images])

    def _shares(self, outputs: Tensor, truths: Tensor) -> dict[str, float]:
        return dict(zip(("precision_judge", "recall_judge"), precision_and_recall(outputs, truths), strict=True))


def precision_and_recall(outputs: Tensor, truths: Tensor) -> tuple[float, float]:
    """Returns the improved precision and recall of Kynkäänniemi et al. 2019, computed by torch-fidelity, in percent.

    A ball around each image's features reaches to its third neighbor of the same set. Precision is the share of outputs
    that lie in a ball of a truth, recall that of truths in a ball of an output.

    Args:
        outputs: features, (N, d), N ≥ 4.
        truths: (M, d), M ≥ 4.

    Raises:
        BenchError: torch-fidelity is not installed.
    """
    try:
        from torch_fidelity.metric_prc import prc_features_to_metric
    except ModuleNotFoundError:
        raise BenchError(
            "precision_judge and recall_judge need torch-fidelity, which is not installed: pip install -e '.[metrics]'"
        ) from None
    # In float64, as distances are taken from matrix products: an image must not lie outside the ball that ends at it.
    found = prc_features_to_metric(
        outputs.double(),
        truths.double(),
        prc_neighborhood=NEIGHBORS,
        prc_batch_size=_ROWS,
        save_cpu_ram=True,
        verbose=False,
    )
    return 100 * found["precision"], 100 * found["recall"]
