"""VGG networks whose features a perceptual loss compares: VGG-19 of ImageNet, and a small one of our own per data set.

Sources: Simonyan & Zisserman 2015, table 1, configuration E; weights and their names are those of torchvision. `OWN` is
the same design in four levels of two layers, at most half as wide; `_vgg_training.py` trains it on a data set's own
labels. Its BatchNorm is folded into the convolutions, so that the same few lines run both networks.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.support.errors import BenchError

# A plan lists the widths of the 3×3 convolutions; 0 halves the resolution.
VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
OWN = (32, 32, 0, 64, 64, 0, 128, 128, 0, 160, 160)

# Each data set with a network of its own names the file in the package `benchmark.methods` and its SHA-256.
OWN_FILES: dict[str, tuple[str, str]] = {
    "cifar10": ("vgg-cifar10-v1", "9822bf565a26738d63fdb46478143bf2b6313635181526e5c32802361950d92c"),
}


class Normalise(nn.Module):
    """Brings sRGB (B, 3, H, W) in [0, 1] to mean 0 and deviation 1 over ImageNet, as in VGG-19's training."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """Maps (B, 3, H, W) to the same shape."""
        return (rgb - self.mean) / self.deviation


class VGG(nn.Module):
    """The convolutions of a VGG network, up to the last of its plan; they are frozen and always in evaluation mode.

    Args:
        plan: widths of the convolutions, written as in `VGG19`.
        layers: usual names of the activations to return; "relu5_4" is the fourth of the fifth level.

    Raises:
        ValueError: the plan has no such layer.
    """

    def __init__(self, plan: Sequence[int], layers: Sequence[str]) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.features, names = _stack(plan)
        if unknown := set(layers) - set(names):
            raise ValueError(f"no layer {', '.join(sorted(unknown))}; there are {', '.join(names)}")
        self.wanted = {names[layer]: layer for layer in layers}
        self.requires_grad_(False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Returns activations (B, C, H / 2^level, W / 2^level) of sRGB (B, 3, H, W) in [0, 1], shallow ones first."""
        x = self.normalise(rgb)
        found = []
        for index, layer in enumerate(self.features[: max(self.wanted) + 1]):
            x = layer(x)
            if index in self.wanted:
                found.append(x)
        return found

    def load_features(self, state: Mapping[str, Tensor]) -> None:
        """Loads the `features.` entries of a state dict, and ignores a classifier in it."""
        self.load_state_dict({key: value for key, value in state.items() if key.startswith("features.")})


def _stack(plan: Sequence[int]) -> tuple[nn.Sequential, dict[str, int]]:
    """Returns the layers, numbered as in torchvision, and the places of the activations by name."""
    layers: list[nn.Module] = []
    names: dict[str, int] = {}
    channels, level, number = 3, 1, 0
    for width in plan:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            level, number = level + 1, 0
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        channels, number = width, number + 1
        names[f"relu{level}_{number}"] = len(layers) - 1
    return nn.Sequential(*layers), names


def feature_loss(network: Callable[[Tensor], list[Tensor]], predicted: Tensor, target: Tensor) -> Tensor:
    """Returns the mean squared difference of the activations, averaged over layers (Ledig et al. 2017, eq. 5).

    Args:
        network: the network whose activations are compared.
        predicted: the predicted sRGB, (B, 3, H, W) in [0, 1]; gradients flow to it.
        target: the true sRGB, (B, 3, H, W) in [0, 1].
    """
    with torch.no_grad():
        wanted = network(target)
    losses = [F.mse_loss(found, true) for found, true in zip(network(predicted), wanted, strict=True)]
    return torch.stack(losses).mean()


def load_own(data_name: str) -> Mapping[str, Tensor]:
    """Returns the state dict of a data set's own network in single precision; its file has half precision.

    Raises:
        BenchError: the data set has no such network, or its file has another SHA-256.
    """
    if data_name not in OWN_FILES:
        raise BenchError(f"no feature network was trained for {data_name!r}; there is one for {', '.join(OWN_FILES)}")
    name, sha256 = OWN_FILES[data_name]
    content = (files("benchmark.methods") / f"{name}.safetensors").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BenchError(f"{name}.safetensors has SHA-256 {found[:12]}…, not {sha256[:12]}…; restore it")
    return {key: value.float() for key, value in load(content).items()}
