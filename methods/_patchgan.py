"""The discriminator of Isola et al. 2017 (§3.2.2, appendix 6.1.2), which judges overlapping patches of L and ab."""

import torch
from torch import Tensor, nn

from ._unet import initialise


def strides_for(image_size: int) -> int:
    """Returns how many layers of stride 2 give a patch of about a quarter of the picture.

    These are 3 at 256² (the paper's 70×70 patch), 2 at 128² (34×34), and 1 at 64² and below (16×16).
    """
    return min(3, max(1, image_size.bit_length() - 6))


class PatchGAN(nn.Module):
    """A network from the L and ab of a picture to logits, one per patch, that say whether its colors are real.

    Args:
        image_size: side of the training images, which decides the size of a patch.
        base_channels: width of the first layer (64 in the paper).
    """

    def __init__(self, image_size: int, base_channels: int = 64) -> None:
        super().__init__()
        strides = strides_for(image_size)
        widths = [base_channels * 2 ** min(level, 3) for level in range(strides + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for level in range(1, strides + 1):
            stride = 2 if level < strides else 1
            layers += [
                nn.Conv2d(widths[level - 1], widths[level], 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(widths[level]),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        initialise(self)

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        """Returns logits (B, 1, h, w) for `L` (B, 1, H, W) and `ab` (B, 2, H, W), both scaled to about [-1, 1]."""
        return self.layers(torch.cat([L, ab], dim=1))
