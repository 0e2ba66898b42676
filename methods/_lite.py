"""EfficientNet-Lite0, trained on ImageNet, as the encoder of a U-Net and as the features of a loss.

The encoder gets lightness as three equal channels. Its features of five resolutions (the last blocks at 1/2, 1/4, 1/8,
1/16 and 1/32) go up through a decoder of one 3×3 convolution a level (Ronneberger et al. 2015), which ends at half the
resolution: colors need no more, and the finest level would cost as much as all others.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.scoring.networks.efficientnet import EfficientNetLite, scale
from benchmark.support import weights

VARIANT = "lite0"  # lite2 judges, and nothing is trained with it (docs/protocol.md §10)
TAPS = {0: 16, 2: 24, 4: 40, 10: 112, 15: 320}  # block → channels, from the finest to the coarsest
WIDTHS = (32, 64, 96, 128)  # of the decoder's levels, from the finest to the coarsest
# Blocks whose outputs a feature loss compares, at 1/4, 1/8 and 1/16 → their root mean square over 50 photographs.
# Divided by it they count alike, and a loss of 1 means "as different as two outputs are large".
COMPARED = {2: 9.0, 4: 7.7, 10: 6.1}


def absent() -> str | None:
    """Returns why the published weights cannot be had, or None."""
    return weights.absent(VARIANT) if weights.path(VARIANT) is None else None


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 from lightness (B, 1, H, W) in [-1, 1] to the outputs of the blocks `TAPS`.

    Args:
        pretrained: whether it has ImageNet's weights (`load_published`). Their running statistics are then kept, and a
            picture's features do not depend on its batch, in training as in prediction.
        frozen: whether its weights stay as they were published. They are then left out of model files.
    """

    def __init__(self, *, pretrained: bool, frozen: bool) -> None:
        super().__init__()
        self.network = EfficientNetLite(VARIANT, head=False)
        self.pretrained, self.published = pretrained, False
        if frozen:
            self.requires_grad_(False)
            self.register_state_dict_post_hook(_leave_out)
            self.register_load_state_dict_pre_hook(_fill_in)

    def load_published(self) -> None:
        """Loads ImageNet's weights.

        Raises:
            BenchError: the file is missing or not the right one.
        """
        self.network.load(weights.load(VARIANT))
        self.published = True

    def train(self, mode: bool = True) -> "LiteEncoder":
        """Keeps the published running statistics, if there are any, whatever the mode."""
        return super().train(mode and not self.pretrained)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns the features, from the finest to the coarsest."""
        levels = (x.expand(-1, 3, -1, -1) + 1) * 127.5
        return self.network.blocks(scale(levels), TAPS)


def _leave_out(encoder: nn.Module, state: dict[str, Any], prefix: str, _: object) -> None:
    """Takes the published weights of a frozen encoder out of a state dict."""
    assert isinstance(encoder, LiteEncoder)
    for name in [name for name in state if encoder.published and name.startswith(prefix)]:
        del state[name]


def _fill_in(encoder: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Puts them into a state dict that is to be loaded and lacks them."""
    assert isinstance(encoder, LiteEncoder)
    if any(name.startswith(prefix) for name in state):
        return
    if not encoder.published:
        encoder.load_published()
    held = [*encoder.named_parameters(), *encoder.named_buffers()]
    state |= {f"{prefix}{name}": value.detach() for name, value in held}


class LiteUNet(nn.Module):
    """A network from lightness (B, 1, H, W) in [-1, 1] to (B, out_channels, ⌈H/2⌉, ⌈W/2⌉), unbounded; any H and W.

    Args:
        out_channels: channels of the last layer.
        pretrained: as for `LiteEncoder`.
        frozen: as for `LiteEncoder`.
        whole: whether the output is enlarged bilinearly to (B, out_channels, H, W).
    """

    def __init__(self, out_channels: int, *, pretrained: bool, frozen: bool, whole: bool = False) -> None:
        super().__init__()
        self.whole = whole
        self.encoder = LiteEncoder(pretrained=pretrained, frozen=frozen)
        *fine, coarsest = TAPS.values()
        before = [*WIDTHS[1:], coarsest]
        self.decoder = nn.ModuleList(
            _level(coarse + skip, width) for coarse, skip, width in zip(before, fine, WIDTHS, strict=True)
        )
        self.head = nn.Conv2d(WIDTHS[0], out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the last layer's values."""
        *skips, y = self.encoder(x)
        for level, skip in reversed([*zip(self.decoder, skips, strict=True)]):
            y = F.interpolate(y, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            y = level(torch.cat([y, skip], dim=1))
        y = self.head(y)
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False) if self.whole else y

    def groups(self, rate: float, encoder_rate: float) -> list[dict[str, Any]]:
        """Returns what learns, in groups for an optimizer: the decoder, and the encoder unless it is frozen."""
        decoder = [*self.decoder.parameters(), *self.head.parameters()]
        encoder = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        return [{"params": decoder, "lr": rate}, *([{"params": encoder, "lr": encoder_rate}] if encoder else [])]


def _level(channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class LiteFeatures(nn.Module):
    """Outputs of the blocks `COMPARED` for sRGB (B, 3, H, W) in [0, 1]; frozen, and always in evaluation mode.

    They serve `_vgg.feature_loss` like those of a `VGG`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite(VARIANT, head=False)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> "LiteFeatures":
        """Stays in evaluation mode."""
        return super().train(False)

    def load_features(self, state: Mapping[str, Tensor]) -> None:
        """Loads the published state dict."""
        self.network.load(state)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Returns (B, C, H / 2^k, W / 2^k) for k = 2, 3, 4."""
        found = self.network.blocks(scale(255 * rgb), COMPARED)
        return [outputs / size for outputs, size in zip(found, COMPARED.values(), strict=True)]
