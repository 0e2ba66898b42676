"""The encoder-decoder of seed report 003 ("L2 FCN"), which differs from the U-Net of pix2pix in where it normalises.

Every unit of the encoder is a 4×4 convolution of stride 2, BatchNorm and LeakyReLU 0.2, the first and the innermost
included. Every unit of the decoder is a 4×4 transposed convolution, joined with the mirror image, *then* BatchNorm and
ReLU over both. The last unit has no mirror image; a 1×1 convolution ends the network. The report has one image size;
here the depth follows it, down to 2×2, so that the innermost BatchNorm sees more than one place of each picture.
"""

import torch
from torch import Tensor, nn

from ._unet import depth_for, down, initialise, pad_to_multiple, widths_for


class Join(nn.Module):
    """A unit of the decoder: (B, C, H, W) and its mirror image (B, M, 2H, 2W) → (B, C' + M, 2H, 2W)."""

    def __init__(self, channels: int, out_channels: int, mirrored: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.norm = nn.Sequential(nn.BatchNorm2d(out_channels + mirrored), nn.ReLU(inplace=True))

    def forward(self, x: Tensor, mirror: Tensor | None = None) -> Tensor:
        """Returns the unit's activations; the last unit is given no mirror image."""
        x = self.up(x)
        return self.norm(x if mirror is None else torch.cat([x, mirror], dim=1))


class FCN(nn.Module):
    """A network from (B, 1, H, W) to (B, out_channels, H, W), whose output is unbounded; H and W may be any.

    Args:
        out_channels: channels of the last layer.
        image_size: side of the training images, which decides the depth.
        base_channels: width of the first level.
    """

    def __init__(self, out_channels: int, image_size: int, base_channels: int = 64) -> None:
        super().__init__()
        widths = widths_for(max(2, depth_for(image_size) - 1), base_channels)
        self.multiple = 2 ** len(widths)
        self.encoder = nn.ModuleList(down(*pair) for pair in zip([1, *widths], widths, strict=False))
        self.decoder = nn.ModuleList()
        channels = widths[-1]
        for mirrored in reversed(widths[:-1]):
            self.decoder.append(Join(channels, mirrored, mirrored))
            channels = 2 * mirrored
        self.last = Join(channels, base_channels, 0)
        self.head = nn.Conv2d(base_channels, out_channels, 1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W) for `x`, a lightness (B, 1, H, W) in about [-1, 1]."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, self.multiple)
        levels = []
        for unit in self.encoder:
            x = unit(x)
            levels.append(x)  # (B, widths[level], H / 2^(level + 1), W / 2^(level + 1))
        x = levels.pop()
        for unit in self.decoder:
            x = unit(x, levels.pop())
        return self.head(self.last(x))[..., :height, :width]
