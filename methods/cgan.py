"""Conditional GAN: a U-Net generator and a PatchGAN discriminator, trained with an adversarial loss + λ·L1.

Sources: Isola et al. 2017 ("pix2pix": networks in §3.2; λ = 100, Adam 2e-4 with betas (0.5, 0.999) and D's update
before G's in §3.3) and the authors' PyTorch code (layers, offsets, and rates that fall to 0 over the second half); seed
reports 000 and 003 (the same on photographs; 003 has no noise input), 001 (generator pre-trained with L1 alone,
ResNet-18 encoder), 002 (layers for 32×32).
Departures: the networks work in CIE Lab scaled to [-1, 1] and predict ab alone, as in all reports and in the paper's
Lab variant. Prediction uses BatchNorm's running statistics and no dropout, so that a picture's colors do not depend on
its batch. Depth and patch follow the image size. All generators end in tanh: the sigmoid of seed 001, stretched to the
same range, is tanh(x / 2), so it would be another scale of the last weights and nothing else. Seed 001 names no fall of
the rates; here they fall as in pix2pix, so its adversarial phase, the second half, has half the mean rate (decay_from).
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Phase, Update
from benchmark.contracts.schedules import linear_decay
from benchmark.contracts.search import RATE, WEIGHT
from benchmark.support import weights

from ._adversarial import binary_loss, discriminator_loss
from ._lite import LiteUNet
from ._patchgan import PatchGAN
from ._resnet_unet import STEM_CHANNELS, ResNetUNet
from ._scale import scale_ab, scale_L, unscale_ab
from ._unet import UNet


class CGANConfig(MethodConfig):
    """Settings of the conditional GAN."""

    encoder: Literal["unet", "resnet18", "lite0"] = Field(
        "unet", description="generator: plain U-Net, or on ResNet-18 (seed 001) or EfficientNet-Lite0"
    )
    pretrained: bool = Field(
        True, description="resnet18, lite0: start from ImageNet weights (seed 001); false: from scratch"
    )
    encoder_rate: float | None = Field(
        None, ge=0, description="lite0: Adam's rate for the encoder; null: the generator's; 0 freezes it"
    )
    base_channels: int = Field(
        64, ge=1, le=1024, description="width of the generator's first level (Isola et al., 6.1.1)"
    )
    discriminator_channels: int = Field(
        64, ge=1, le=1024, description="width of the discriminator's first layer (6.1.2)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="the paper's noise (0.5 there; none in seed 003)")
    l1_weight: Annotated[float, WEIGHT] = Field(100.0, ge=0, description="λ (Isola et al., §3.3)")
    generator_loss: Literal["non-saturating", "minimax"] = Field(
        "non-saturating", description="-log D(G) (Isola et al. §3.3, seed 003) or log(1 - D(G))"
    )
    pretrain_share: float = Field(
        0.0, ge=0, le=1, description="share of the steps with L1 alone, at first (seed 001); 1: no discriminator ever"
    )
    generator_rate: Annotated[float, RATE] = Field(2e-4, gt=0, description="Adam's rate (§3.3)")
    discriminator_rate: Annotated[float, RATE] = Field(2e-4, gt=0, description="Adam's rate (§3.3)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's β1 (§3.3); β2 is 0.999")
    decay_from: float = Field(
        0.5, ge=0, le=1, description="share of the run from which the rates fall to 0 (their code: half); 1: never"
    )

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.encoder == "resnet18" and self.pretrained and self.base_channels != STEM_CHANNELS:
            raise ValueError(
                f"base_channels: ImageNet's ResNet-18 has {STEM_CHANNELS}, not {self.base_channels}; legal: "
                f"base_channels={STEM_CHANNELS}, or any other with pretrained=false"
            )
        if self.encoder == "lite0" and not self.pretrained and self.encoder_rate == 0:
            raise ValueError("encoder_rate: 0 freezes an encoder that has learned nothing; legal: more than 0")
        return self


class CGAN(Method):
    """The conditional GAN of pix2pix, applied to colors."""

    name = "cgan"
    Config = CGANConfig
    colorizer: nn.Sequential

    def __init__(self, config: CGANConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.phases = (Phase("pretrain", config.pretrain_share), Phase("adversarial", 1.0 - config.pretrain_share))
        self.colorizer = nn.Sequential(make_generator(config, data), nn.Tanh())
        self.discriminator = PatchGAN(data.image_size, config.discriminator_channels)

    @classmethod
    def skip(cls, config: CGANConfig, data: DataInfo) -> str | None:
        """Returns a reason to skip if the settings ask for ImageNet weights and their file is not here."""
        if cls.pretrained_on(config) and weights.path(config.encoder) is None:
            return weights.absent(config.encoder)
        return None

    @classmethod
    def pretrained_on(cls, config: CGANConfig) -> str | None:
        """Names the photographs that an encoder's published weights have seen."""
        return "ImageNet" if config.encoder != "unet" and config.pretrained else None

    def load_pretrained(self) -> None:
        """Loads ImageNet's weights into the encoder, if the settings ask for them."""
        generator = self.colorizer[0]
        if isinstance(generator, ResNetUNet) and self.config.pretrained:
            generator.encoder.load_imagenet(weights.load("resnet18"))
        elif isinstance(generator, LiteUNet) and self.config.pretrained:
            generator.encoder.load_published()

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        """Returns `generator` in both phases, and `discriminator` in the adversarial one."""
        betas = (self.config.beta1, 0.999)
        network, rate = self.colorizer[0], self.config.generator_rate
        learned: Any = self.colorizer.parameters()
        if isinstance(network, LiteUNet):
            learned = network.groups(rate, rate if self.config.encoder_rate is None else self.config.encoder_rate)
        generator = Adam(learned, lr=rate, betas=betas)
        if phase == "pretrain":
            return {"generator": generator}
        discriminator = Adam(self.discriminator.parameters(), lr=self.config.discriminator_rate, betas=betas)
        return {"discriminator": discriminator, "generator": generator}

    def learning_rate(self, optimizer: str, progress: float) -> float:
        """Returns the factor of both rates: 1, then a linear fall to 0 at the end of the run."""
        start = self.config.decay_from
        return linear_decay(progress, start) if start < 1 else 1.0

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        """Updates D, then G (Isola et al. §3.3); updates G alone while it is pre-trained."""
        L, ab = scale_L(batch.L), scale_ab(batch.ab)
        fake = self.colorizer(L)  # (B, 2, H, W)
        l1 = F.l1_loss(fake, ab)
        if phase == "pretrain":
            yield Update("generator", l1, {"l1": l1.detach()})
            return
        told_apart = discriminator_loss(self.discriminator, L, real=ab, fake=fake)
        yield Update("discriminator", told_apart.loss, {"accuracy": told_apart.accuracy})

        judged = self.discriminator(L, fake)
        minimax = self.config.generator_loss == "minimax"
        adversarial = -binary_loss(judged, False) if minimax else binary_loss(judged, True)
        logs = {"adversarial": adversarial.detach(), "l1": l1.detach()}
        yield Update("generator", adversarial + self.config.l1_weight * l1, logs)

    def predict_ab(self, L: Tensor) -> Tensor:
        """Returns ab (B, 2, H, W) in Lab units for lightness (B, 1, H, W) in [0, 100]."""
        return unscale_ab(self.colorizer(scale_L(L)))


def make_generator(config: CGANConfig, data: DataInfo) -> nn.Module:
    """Makes the network from lightness (B, 1, H, W) to two unbounded channels (B, 2, H, W)."""
    if config.encoder == "unet":
        return UNet(2, data.image_size, config.base_channels, dropout=config.dropout)
    if config.encoder == "resnet18":
        return ResNetUNet(2, config.base_channels)
    return LiteUNet(2, pretrained=config.pretrained, frozen=config.encoder_rate == 0, whole=True)
