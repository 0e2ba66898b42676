"""The U-Net that classification and the conditional GAN share (Isola et al. 2017, appendix 6.1.1).

The encoder goes down to 1×1 by 4×4 convolutions of stride 2 with BatchNorm and LeakyReLU 0.2. The decoder goes up by
4×4 transposed convolutions: each applies ReLU to what comes in, joined from the level below and its mirror image, and
ends with BatchNorm. So skips and the innermost features pass a ReLU, as in both of the authors' codes (`models.lua`;
`networks.py` of the PyTorch version, whose offsets these are: convolutions have none, but for the last one). The depth
follows the image size: 8 levels at 256², 5 at 32². Pictures of other sizes are padded right and below, and cropped.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def depth_for(image_size: int) -> int:
    """Returns how many levels, at least 2, bring the largest power of two within `image_size` down to 1×1."""
    return max(2, image_size.bit_length() - 1)


def widths_for(depth: int, base_channels: int) -> list[int]:
    """Returns the channels of each level, which double from `base_channels` up to eight times as many."""
    return [base_channels * 2 ** min(level, 3) for level in range(depth)]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeats the right and lower edge until height and width divide by `multiple`."""
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def down(channels: int, out_channels: int, *, norm: bool = True) -> nn.Sequential:
    """Makes a level that halves the resolution: (B, C, H, W) → (B, C', H/2, W/2)."""
    convolution = nn.Conv2d(channels, out_channels, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(out_channels) if norm else nn.Identity(), nn.LeakyReLU(0.2, inplace=True)
    )


def up(channels: int, out_channels: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Makes a level that doubles the resolution: (B, C, H, W) → (B, C', 2H, 2W), not yet activated."""
    convolution = nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1, bias=False)
    layers: list[nn.Module] = [nn.ReLU(), convolution, nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


def last(channels: int, out_channels: int) -> nn.Sequential:
    """Makes the transposed convolution that ends a decoder: (B, C, H, W) → (B, C', 2H, 2W), unbounded."""
    return nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1))


class UNet(nn.Module):
    """A network from (B, 1, H, W) to (B, out_channels, H, W), whose output is unbounded; H and W may be any.

    Args:
        out_channels: channels of the last layer.
        image_size: side of the training images, which decides the depth.
        base_channels: width of the first level (64 in the paper).
        head: "transposed" ends in one transposed convolution, as in the paper; "pointwise" ends in a normalised
            transposed convolution and a 1×1 convolution, which is what many output channels cost least with.
        dropout: share of values dropped in the three innermost levels of the decoder, in training only.
    """

    def __init__(
        self,
        out_channels: int,
        image_size: int,
        base_channels: int = 64,
        *,
        head: str = "transposed",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = widths_for(depth_for(image_size), base_channels)
        self.multiple = 2 ** len(widths)
        # BatchNorm is left out of the first level, which sees raw lightness, and of the innermost, whose maps are 1×1.
        self.encoder = nn.ModuleList(
            down(before, after, norm=0 < level < len(widths) - 1)
            for level, (before, after) in enumerate(zip([1, *widths], widths, strict=False))
        )
        self.decoder = decoder(widths, dropout)
        joined = 2 * widths[0]
        pointwise = (up(joined, base_channels), nn.ReLU(inplace=True), nn.Conv2d(base_channels, out_channels, 1))
        self.head = nn.Sequential(*pointwise) if head == "pointwise" else last(joined, out_channels)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W) for `x`, a lightness (B, 1, H, W) in about [-1, 1]."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        levels = []
        for block in self.encoder:
            x = block(x)
            levels.append(x)  # (B, widths[level], H / 2^(level + 1), W / 2^(level + 1))
        return self.head(decode(self.decoder, levels))[..., :height, :width]


def decode(blocks: Iterable[nn.Module], levels: list[Tensor]) -> Tensor:
    """Returns the output of a decoder from an encoder's levels, the finest first, which are taken from the list."""
    x = levels.pop()
    for block in blocks:
        x = torch.cat([block(x), levels.pop()], dim=1)
    return x


def decoder(widths: Sequence[int], dropout: float = 0.0) -> nn.ModuleList:
    """Makes the levels from the innermost to the first; the output of each is joined with its mirror image."""
    blocks = nn.ModuleList()
    channels = widths[-1]
    for level in range(len(widths) - 2, -1, -1):
        innermost_three = len(widths) - 2 - level < 3
        blocks.append(up(channels, widths[level], dropout=dropout if innermost_three else 0.0))
        channels = 2 * widths[level]
    return blocks


def initialise(network: nn.Module) -> None:
    """Draws weights from N(0, 0.02) and BatchNorm scales from N(1, 0.02), and sets offsets to 0 (Isola et al., 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
