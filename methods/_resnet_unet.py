"""A U-Net whose encoder is ResNet-18 (seed report 001, which builds it with fastai's DynamicUnet).

The encoder is ResNet-18 without its head (He et al. 2016). It has torchvision's parameter names, so that torchvision's
ImageNet weights load unchanged; lightness enters as three equal, ImageNet-normalized channels. The decoder starts at
1/32 of the resolution. Each of its levels is a 1×1 convolution and a pixel shuffle, whose output is joined with the
encoder's normalized features of that resolution and goes through two 3×3 convolutions.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._unet import pad_to_multiple

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


class Shuffle(nn.Sequential):
    """A 1×1 convolution and a pixel shuffle, which map (B, C, H, W) to (B, C', 2H, 2W)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(nn.Conv2d(channels, 4 * out_channels, 1), nn.PixelShuffle(2), nn.ReLU(inplace=True))


def two_convolutions(channels: int, out_channels: int) -> nn.Sequential:
    """Makes a 3×3 convolution, BatchNorm and ReLU, and the same once more."""
    layers: list[nn.Module] = []
    for before in (channels, out_channels):
        layers += [
            nn.Conv2d(before, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


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
        widths = self.encoder.widths
        self.shuffles, self.norms, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in range(3, -1, -1):
            coarse, fine = widths[level + 1], widths[level]
            self.shuffles.append(Shuffle(coarse, coarse // 2))
            self.norms.append(nn.BatchNorm2d(fine))
            self.blocks.append(two_convolutions(coarse // 2 + fine, fine))
        self.last_shuffle = Shuffle(widths[0], widths[0] // 2)
        self.last = nn.Sequential(two_convolutions(widths[0] // 2 + 1, widths[0] // 2))
        self.head = nn.Conv2d(widths[0] // 2, out_channels, 1)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (B, out_channels, H, W) for `x`, a lightness (B, 1, H, W) in about [-1, 1]."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, MULTIPLE)
        features = self.encoder(((x + 1) / 2 - self.mean) / self.std)  # broadcasting makes three channels
        y = features.pop()
        for shuffle, norm, block in zip(self.shuffles, self.norms, self.blocks, strict=True):
            y = block(torch.cat([shuffle(y), F.relu(norm(features.pop()))], dim=1))
        y = self.last(torch.cat([self.last_shuffle(y), x], dim=1))
        return self.head(y)[..., :height, :width]
