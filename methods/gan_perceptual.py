"""A GAN whose generator is eccv16, finetuned with squared error, then trained by adversarial + 10·L1 + feature loss.

Source: seed report 004 ("enhanced GAN"): the generator is eccv16 finetuned for 3 epochs with MSE, then trained for 50
epochs with BCE + 10·L1 + a VGG-19 feature loss; Adam 2e-4 for G and 1e-4 for D, betas (0.5, 0.999), batch 16, 256².
Networks: Zhang et al. 2016 (G; its annealed mean is differentiable), Isola et al. 2017 (PatchGAN on L and ab, D updated
before G). The report leaves open what we chose: losses see ab at full size in units of 110, and features see sRGB that
is not rounded to 8 bits.
Departures: the report names no layer of VGG-19; ours is relu5_4, compared by squared error (Ledig et al. 2017) at
weight 1. Its parent is the authors' released network, decoded without T, which the entry `gan-perceptual-released`
takes; the other entries start from an `eccv16` that the suite trains on the same photographs with half of the budget,
and decode with its T. With `features: own` the features come from a small VGG trained on the data set's own labels, so
that the family runs without a download. Such a row is another entry; nothing falls back to it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Phase, Update
from benchmark.contracts.search import RATE, WEIGHT
from benchmark.data.color import lab_to_srgb
from benchmark.support import weights
from benchmark.support.errors import InputError

from ._adversarial import binary_loss, discriminator_loss
from ._eccv16 import Eccv16
from ._lite import LiteFeatures
from ._patchgan import PatchGAN
from ._scale import scale_ab, scale_L
from ._vgg import OWN, OWN_FILES, VGG, VGG19, feature_loss, load_own

LAYERS = {"vgg19": (VGG19, "relu5_4"), "own": (OWN, "relu4_2")}  # the deepest layer of each network
FIRST = "model1.0.weight"  # weights of the generator's first convolution


class GanPerceptualConfig(MethodConfig):
    """Settings of the perceptual GAN; the source is seed 004 unless another is named."""

    parent: str = Field("eccv16", description="entry of eccv16 to start from; the report: the released weights")
    width: float = Field(1.0, gt=0, le=1, description="width of the parent's network")
    temperature: float = Field(0.38, gt=0, description="T of the annealed mean (Zhang et al. §2.3); seed 004: 1")
    discriminator_channels: int = Field(64, ge=1, le=1024, description="width of D's first layer (Isola et al., 6.1.2)")
    l1_weight: Annotated[float, WEIGHT] = Field(10.0, ge=0, description="weight of the L1 loss")
    perceptual_weight: float = Field(1.0, ge=0, description="weight of the feature loss; 0 needs no features")
    features: Literal["vgg19", "lite0", "own"] = Field(
        "vgg19", description="ImageNet's VGG-19 or EfficientNet-Lite0, or the data set's own network"
    )
    finetune_share: float = Field(
        3 / 53, ge=0, le=1, description="share of the steps with squared error alone (3 epochs of 53)"
    )
    generator_rate: Annotated[float, RATE] = Field(2e-4, gt=0, description="Adam's rate")
    discriminator_rate: Annotated[float, RATE] = Field(1e-4, gt=0, description="Adam's rate: half of G's")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's β1; β2 is 0.999")


class GanPerceptual(Method):
    """A colorizer that learns to deceive D and to match the truth in color and in features."""

    name = "gan-perceptual"
    Config = GanPerceptualConfig
    colorizer: Eccv16

    def __init__(self, config: GanPerceptualConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.phases = (Phase("finetune", config.finetune_share), Phase("adversarial", 1 - config.finetune_share))
        self.colorizer = Eccv16(config.width)
        self.discriminator = PatchGAN(data.image_size, config.discriminator_channels)
        if config.perceptual_weight:
            self.features = make_features(config.features)

    def load_pretrained(self) -> None:
        """Loads the network whose features the feature loss compares."""
        if self.config.perceptual_weight:
            name = self.config.features
            self.features.load_features(load_own(self.data.name) if name == "own" else weights.load(name))

    @classmethod
    def parents(cls, config: GanPerceptualConfig) -> tuple[str, ...]:
        """Returns the eccv16 entry from whose weights the generator starts."""
        return (config.parent,)

    def load_parents(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Loads the weights of eccv16 into the generator."""
        state = states[self.config.parent]
        ours, theirs = self.colorizer.state_dict()[FIRST].shape, state[FIRST].shape
        if ours != theirs:
            raise InputError(
                f"{self.config.parent} has {theirs[0]} channels at first, width {self.config.width} gives {ours[0]}; "
                f"give both the same width"
            )
        self.colorizer.load_state_dict(state)

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns `generator` in both phases, and `discriminator` in the adversarial one."""
        betas = (self.config.beta1, 0.999)
        learned = [p for p in self.colorizer.parameters() if p.requires_grad]  # all but the bins' centers
        generator = Adam(learned, lr=self.config.generator_rate, betas=betas)
        if phase == "finetune":
            return {"generator": generator}
        discriminator = Adam(self.discriminator.parameters(), lr=self.config.discriminator_rate, betas=betas)
        return {"discriminator": discriminator, "generator": generator}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Updates D, then G; updates G alone, with squared error, while it is finetuned."""
        L, ab = scale_L(batch.L), scale_ab(batch.ab)
        colors = self.colorizer.colors(batch.L, self.config.temperature)  # (B, 2, H, W), Lab units
        fake = scale_ab(colors)
        if phase == "finetune":
            yield Update("generator", F.mse_loss(fake, ab))
            return
        told_apart = discriminator_loss(self.discriminator, L, real=ab, fake=fake)
        yield Update("discriminator", told_apart.loss, {"accuracy": told_apart.accuracy})

        adversarial, l1 = binary_loss(self.discriminator(L, fake), True), F.l1_loss(fake, ab)
        loss = adversarial + self.config.l1_weight * l1
        logs = {"adversarial": adversarial.detach(), "l1": l1.detach()}
        if self.config.perceptual_weight:
            target = lab_to_srgb(batch.L, batch.ab)  # (B, 3, H, W), [0, 1]
            perceptual = feature_loss(self.features, lab_to_srgb(batch.L, colors), target)
            loss = loss + self.config.perceptual_weight * perceptual
            logs["perceptual"] = perceptual.detach()
        yield Update("generator", loss, logs)

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return self.colorizer.colors(L, self.config.temperature)

    @classmethod
    def skip(cls, config: GanPerceptualConfig, data: DataInfo) -> str | None:
        """Returns a reason to skip if the weights of the feature network are not here."""
        if not config.perceptual_weight:
            return None
        if config.features != "own":
            return weights.absent(config.features) if weights.path(config.features) is None else None
        known = ", ".join(OWN_FILES) or "none"
        return None if data.name in OWN_FILES else f"no feature network was trained for {data.name!r} (only: {known})"

    @classmethod
    def pretrained_on(cls, config: GanPerceptualConfig) -> str | None:
        """Names the photographs that the feature network's published weights have seen."""
        return "ImageNet" if config.perceptual_weight and config.features != "own" else None


def make_features(name: str) -> VGG | LiteFeatures:
    """Makes the network whose features the loss compares; `load_features` gives it weights."""
    if name == "lite0":
        return LiteFeatures()
    plan, layer = LAYERS[name]
    return VGG(plan, [layer])
