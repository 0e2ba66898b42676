"""Colorful Image Colorization (Zhang, Isola & Efros, ECCV 2016): 313 bins at a quarter of the resolution, rebalanced.

Sources: the paper (soft-encoding §2.1, rebalancing §2.2 with λ = 1/2 and σ = 5, annealed mean §2.3 with T = 0.38) and
the authors' released code: the layer table (`colorizers/eccv16.py`); labels as every fourth pixel, batches of 40 and
crops of 176 (`models/colorization_train_val_v2.prototxt`); Adam's settings, with a rate that is multiplied by 0.316
after 215,000 and 430,000 of 500,000 iterations (`train/solver.prototxt`). Seed report 004 uses the released weights as
they are.

Their loss is summed over the pixels of an image and divided by the batch alone, and so is ours. Adam steps alike
whatever a loss's scale, but for its weight decay, which is added to the gradient: a mean over the labels would make it
1,936 times as strong at 176² (44² labels), 256 times at 64² and 64 times at 32². As the sum shrinks with the picture,
the same 1e-3 weighs 7.6 times as much beside it at 64² as at 176², and 30 times at 32².

Departures when trained here: there are 5 neighbors as in the paper, where the authors' code has 10; BatchNorm has a
learned scale, as in the PyTorch release but not in the Caffe training; He's initialisation replaces the authors', which
looks at data; photographs without color are left out of the data, where theirs are masked in the loss. With
`pretrained` nothing is trained, and T is 1: the released code has no T.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, Update
from benchmark.contracts.schedules import steps
from benchmark.contracts.search import RATE
from benchmark.support import weights

from ._classification import BinLoss, BinsConfig
from ._eccv16 import Eccv16

MARKS, FACTOR = (215 / 500, 430 / 500), 0.316  # where the rate steps down, as shares of the run (train/solver.prototxt)


class Eccv16Config(BinsConfig):
    """Settings of the published network, trained here or taken as released."""

    rebalance: bool = Field(True, description="weigh pixels by the rarity of their color (§2.2)")
    width: float = Field(
        1.0, gt=0, le=1, description="share of the published channels; 1 is the paper's network and the released one"
    )
    pretrained: bool = Field(False, description="take the authors' released weights, in full width, and train nothing")
    labels: Literal["subsampled", "averaged"] = Field(
        "subsampled",
        description="true colors at 1/4 size: every fourth pixel (their code; shifts colors by 1.5 pixels) or means",
    )
    learning_rate: Annotated[float, RATE] = Field(
        3.16e-5, gt=0, description="Adam's rate at first (train/solver.prototxt)"
    )
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's β2 (train/solver.prototxt); β1 is 0.9")
    weight_decay: float = Field(1e-3, ge=0, description="Adam's weight decay (train/solver.prototxt)")


class ECCV16(Method):
    """Classification of colors with class rebalancing."""

    name = "eccv16"
    Config = Eccv16Config
    colorizer: Eccv16

    def __init__(self, config: Eccv16Config, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = Eccv16(1.0 if config.pretrained else config.width)
        self.loss = BinLoss(config, data)

    def load_pretrained(self) -> None:
        """Loads the authors' released weights if the settings ask for them."""
        if self.config.pretrained:
            self.colorizer.load_state_dict(weights.load("colorization-v2"))

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns Adam on the network, and no optimizer for the released weights."""
        if self.config.pretrained:
            return {}
        learned = [p for p in self.colorizer.parameters() if p.requires_grad]  # all but the bins' centers
        betas = (0.9, self.config.beta2)
        return {"colorizer": Adam(learned, self.config.learning_rate, betas, weight_decay=self.config.weight_decay)}

    def learning_rate(self, optimizer: str, progress: float) -> float:
        """Returns the factor of the rate, which steps down twice."""
        return steps(progress, MARKS, FACTOR)

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update with the rebalanced cross-entropy, summed over the labels of an image."""
        subsampled = self.config.labels == "subsampled"
        ab = batch.ab[..., ::4, ::4] if subsampled else F.avg_pool2d(batch.ab, 4)  # (B, 2, h, w)
        height, width = ab.shape[-2:]
        mean = self.loss(self.colorizer(batch.L)[..., :height, :width], ab)
        yield Update("colorizer", height * width * mean, {"mean": mean.detach()})

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return self.colorizer.colors(L, 1.0 if self.config.pretrained else self.config.temperature)

    @classmethod
    def pretrained_on(cls, config: Eccv16Config) -> str | None:
        """Names the photographs on which the authors trained the released weights."""
        return "ImageNet" if config.pretrained else None

    @classmethod
    def skip(cls, config: Eccv16Config, data: DataInfo) -> str | None:
        """Returns a reason to skip if the settings ask for the released weights and their file is not here."""
        absent = config.pretrained and weights.path("colorization-v2") is None
        return weights.absent("colorization-v2") if absent else None
