"""Colorful Image Colorization (Zhang, Isola & Efros, ECCV 2016): 313 bins at a quarter of the resolution, rebalanced.

Sources: the paper (soft-encoding §2.1, rebalancing §2.2 with λ = 1/2 and σ = 5, annealed mean §2.3 with T = 0.38) and
the authors' released code: the layer table (`colorizers/eccv16.py`), the labels as every fourth pixel
(`models/colorization_train_val_v2.prototxt`), Adam's settings (`train/solver.prototxt`). Seed report 004 uses the
released weights as they are.
Departures when trained here: there are 5 neighbors as in the paper, where the authors' code has 10; BatchNorm has a
learned scale, as in the PyTorch release but not in the Caffe training; He's initialisation replaces the authors', which
looks at data; the rate has no steps. With `pretrained` nothing is trained, and T is 1: the released code has no T.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, Update
from benchmark.contracts.search import RATE
from benchmark.support import weights

from ._classification import BinLoss, BinsConfig
from ._eccv16 import Eccv16


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
    learning_rate: Annotated[float, RATE] = Field(3e-5, gt=0, description="Adam's rate (train/solver.prototxt)")
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

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Makes one update with the rebalanced cross-entropy."""
        subsampled = self.config.labels == "subsampled"
        ab = batch.ab[..., ::4, ::4] if subsampled else F.avg_pool2d(batch.ab, 4)  # (B, 2, H/4, W/4)
        yield Update("colorizer", self.loss(self.colorizer(batch.L), ab))

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return self.colorizer.colors(L, 1.0 if self.config.pretrained else self.config.temperature)

    @classmethod
    def skip(cls, config: Eccv16Config, data: DataInfo) -> str | None:
        """Returns a reason to skip if released weights are not here, or 8 does not divide the training's image size."""
        if config.pretrained:
            return weights.absent("colorization-v2") if weights.path("colorization-v2") is None else None
        return f"needs images whose size is a multiple of 8, not {data.image_size}" if data.image_size % 8 else None
