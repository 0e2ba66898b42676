"""The judge of a data set: a small classifier trained on its true colors, behind `top1` and `fd_judge`.

It asks of recolored images what a viewer would: do they look like what they show (Zhang et al. 2016, §3.2)? A judge
is part of the protocol. Everybody scores with the same committed file, `judge-<data>-v1.safetensors`, which its
hash identifies. Retraining makes another judge, whose scores compare with no others.

`bench judge train` makes one (`benchmark.running.judge`). The network and its training follow the ideas of Keller
Jordan's airbench (2024): fixed whitening of small patches first, pooling early, batch normalisation without scale,
label smoothing, few epochs.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.scoring.metrics.pixels import planes
from benchmark.support.errors import BenchError

WIDTHS = (48, 128, 192)
WHITENED = 24  # 12 principal directions of 2×2 RGB patches, and their opposites

MEAN, DEVIATION = 120.0, 64.0  # rounded statistics of CIFAR-10's levels, used for every data set


class JudgeNetwork(nn.Module):
    """Whitening, three groups of two convolutions, the maximum over the image, a linear layer. 0.8 M parameters."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, 2)
        self.groups = nn.Sequential(
            *(_Group(wide, wider) for wide, wider in zip((WHITENED, *WIDTHS), WIDTHS, strict=False))
        )
        self.head = nn.Linear(WIDTHS[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """Turns levels 0–255, (B, 3, H, W) float32, H, W ≥ 16, into the linear layer's input (B, 192)."""
        x = F.gelu(self.whiten((images - MEAN) / DEVIATION))
        return self.groups(x).amax(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Turns levels 0–255, (B, 3, H, W) float32, into logits (B, classes)."""
        return self.head(self.features(images)) / 4  # small logits keep the gradients large in a short training


class _Group(nn.Module):
    """Convolution, pooling by 2, convolution; normalised, GELU."""

    def __init__(self, wide: int, wider: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(wide, wider, 3, padding=1, bias=False)
        self.normalisation1 = _normalisation(wider)
        self.convolution2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.normalisation2 = _normalisation(wider)

    def forward(self, x: Tensor) -> Tensor:
        """Turns (B, wide, H, W) into (B, wider, H/2, W/2)."""
        x = F.gelu(self.normalisation1(F.max_pool2d(self.convolution1(x), 2)))
        return F.gelu(self.normalisation2(self.convolution2(x)))


def _normalisation(channels: int) -> nn.BatchNorm2d:
    normalisation = nn.BatchNorm2d(channels, momentum=0.4)  # a short training needs statistics of recent batches
    normalisation.weight.requires_grad_(False)
    return normalisation


@dataclass
class Judge:
    """A trained judge, on a device; `features` make it a network of `benchmark.scoring.networks.features`."""

    name: str  # "judge-cifar10-v1"
    sha256: str  # hash of the judge's file
    network: JudgeNetwork
    dimensions: int = WIDTHS[-1]
    batch_sizes: tuple[int, int] = (128, 1024)

    def features(self, images: Tensor) -> Tensor:
        """Turns images (B, H, W, 3) uint8 into penultimate features (B, 192) float32."""
        return self.network.features(planes(images).contiguous(memory_format=torch.channels_last))

    def classify(self, features: Tensor) -> Tensor:
        """Turns penultimate features (B, 192), on any device, into classes (B,) int64."""
        head = self.network.head
        return F.linear(features, head.weight.to(features.device), head.bias.to(features.device)).argmax(dim=1)


# Each data set's protocol judge: its file in this package, and the SHA-256 that the file must have.
JUDGES: dict[str, tuple[str, str]] = {
    "cifar10": ("judge-cifar10-v1", "1d77df8c604fbd384a5073549acde0a9cc364712893c5e93ce0c3cbdcbf3badc"),
}


def load_judge(data_name: str, device: torch.device | str = "cpu") -> Judge | None:
    """Returns the judge of a data set, None if it has none; BenchError if the file is not the protocol's."""
    if data_name not in JUDGES:
        return None
    name, sha256 = JUDGES[data_name]
    path = Path(__file__).with_name(f"{name}.safetensors")
    judge = read_judge(path, device)
    if judge.sha256 != sha256:
        raise BenchError(
            f"{path} is not the judge of the protocol (SHA-256 {judge.sha256[:12]}…, not {sha256[:12]}…); "
            f"restore it from the repository: scores of another judge compare with nobody's"
        )
    return judge


def read_judge(path: Path, device: torch.device | str = "cpu") -> Judge:
    """Loads any judge's file that `bench judge train` wrote; BenchError if it is missing or damaged."""
    try:
        content = path.read_bytes()
        state = load(content)
        network = JudgeNetwork(classes=len(state["head.bias"]))
        network.load_state_dict(state)  # copying widens half precision to float32
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BenchError(f"{path} is no judge's file: {str(error).splitlines()[0]}") from None
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Judge(path.stem, hashlib.sha256(content).hexdigest(), network)
