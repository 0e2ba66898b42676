"""Colorful Image Colorization (Zhang, Isola & Efros, ECCV 2016): 313 bins at a quarter of the resolution, rebalanced.

Sources: the paper (soft-encoding §2.1, rebalancing §2.2 with λ = 1/2 and σ = 5, annealed mean §2.3 with T = 0.38) and
the authors' released code: the layer table (`colorizers/eccv16.py`), the labels as every fourth pixel
(`models/colorization_train_val_v2.prototxt`), Adam's settings (`train/solver.prototxt`). Seed report 004 uses the
released weights as they are.
Departures when trained here: 5 neighbors as in the paper, their code has 10; BatchNorm has a learned scale, as in the
PyTorch release, where the Caffe training had none; He's initialisation instead of theirs, which looks at data; the rate
does not fall in steps. With `pretrained` nothing is trained, and T is 1: the released forward pass has none.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, Update
from benchmark.support import weights

from ._classification import BinLoss, BinsConfig
from ._eccv16 import Eccv16


class Eccv16Config(BinsConfig):
    """Settings of the published network, trained here or taken as released."""

    rebalance: bool = Field(True, description="weigh pixels by the rarity of their color (§2.2)")
    width: float = Field(
        1.0, gt=0, le=1, description="share of the published channels; 1 is the paper's and the released"
    )
    pretrained: bool = Field(False, description="take the authors' released weights, in full width, and train nothing")
    labels: Literal["subsampled", "averaged"] = Field(
        "subsampled",
        description="true colors at 1/4 size: every fourth pixel (their code; shifts colors by 1.5 pixels) or means",
    )
    learning_rate: float = Field(3e-5, gt=0, description="of Adam (train/solver.prototxt)")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's β2 (train/solver.prototxt); β1 is 0.9")
    weight_decay: float = Field(1e-3, ge=0, description="L2 (train/solver.prototxt)")


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
        """The authors' released weights, if they are wanted."""
        if self.config.pretrained:
            self.colorizer.load_state_dict(weights.load("colorization-v2"))

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Adam on the network; none for the released weights."""
        if self.config.pretrained:
            return {}
        learned = [p for p in self.colorizer.parameters() if p.requires_grad]  # not the bins' centers
        betas = (0.9, self.config.beta2)
        return {"colorizer": Adam(learned, self.config.learning_rate, betas, weight_decay=self.config.weight_decay)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """One update with the rebalanced cross-entropy."""
        subsampled = self.config.labels == "subsampled"
        ab = batch.ab[..., ::4, ::4] if subsampled else F.avg_pool2d(batch.ab, 4)  # (B, 2, H/4, W/4)
        yield Update("colorizer", self.loss(self.colorizer(batch.L), ab))

    def predict_ab(self, L: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 100] → (B, 2, H, W) in Lab units."""
        return self.colorizer.colors(L, 1.0 if self.config.pretrained else self.config.temperature)

    @classmethod
    def skip(cls, config: Eccv16Config, data: DataInfo) -> str | None:
        """The released weights are not here, or do not fit; training needs whole cells of 8 pixels."""
        if config.pretrained:
            return weights.absent("colorization-v2") if weights.path("colorization-v2") is None else None
        return f"needs images whose size is a multiple of 8, not {data.image_size}" if data.image_size % 8 else None
