"""A U-Net whose encoder is ResNet-18 and whose decoder goes up by transposed convolutions (seed report 001).

The encoder is ResNet-18 without its head (He et al. 2016). It has torchvision's parameter names, so that torchvision's
ImageNet weights load unchanged; lightness enters as three equal, ImageNet-normalized channels. The decoder starts at
1/32 of the resolution and is the plain U-Net's (`_unet.py`), so that the two generators differ in their encoders alone.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._unet import decode, decoder, initialise, last, pad_to_multiple

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as in torchvision's classifiers
STEM_CHANNELS = 64  # width of the stem for which ImageNet weights exist (He et al. 2016, table 1)
MULTIPLE = 32  # the encoder's stride


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al. 2016, §3.3)."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        projected = stride != 1 or channels != out_channels
        shortcut = [nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)]
        self.downsample = nn.Sequential(*shortcut) if projected else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18Encoder(nn.Module):
    """A network from (B, 3, H, W) to features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the resolution.

    Args:
        base_channels: width of the stem; 64 in the paper and in the ImageNet weights.
    """

    def __init__(self, base_channels: int = 64) -> None:
        super().__init__()
        self.widths = [base_channels, *(base_channels * 2**level for level in range(4))]
        self.conv1 = nn.Conv2d(3, base_channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base_channels)
        for level in range(1, 5):
            before, after = self.widths[level - 1], self.widths[level]
            stride = 1 if level == 1 else 2
            self.add_module(
                f"layer{level}", nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1))
            )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns the features from the finest to the coarsest; `widths` holds their channels."""
        x = F.relu(self.bn1(self.conv1(x)))
        features = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for level in range(1, 5):
            x = self.get_submodule(f"layer{level}")(x)
            features.append(x)
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Loads torchvision's `resnet18` weights without those of its classifier."""
        self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})


class ResNetUNet(nn.Module):
    """A network from (B, 1, H, W) to (B, out_channels, H, W), whose output is unbounded; H and W may be any.

    Args:
        out_channels: channels of the last layer.
        base_channels: width of the encoder's stem.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, out_channels: int, base_channels: int = 64) -> None:
        super().__init__()
        self.encoder = ResNet18Encoder(base_channels)
        self.decoder = decoder(self.encoder.widths)
        self.head = last(2 * base_channels, out_channels)
        initialise(self.decoder)
        initialise(self.head)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W) for `x`, a lightness (B, 1, H, W) in about [-1, 1]."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, MULTIPLE)
        features = self.encoder(((x + 1) / 2 - self.mean) / self.std)  # broadcasting makes three channels
        return self.head(decode(self.decoder, features))[..., :height, :width]
