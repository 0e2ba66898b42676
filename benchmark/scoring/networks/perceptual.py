"""LPIPS (Zhang et al. 2018), computed by its authors' package."""

from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.scoring.metrics.pixels import planes
from benchmark.support.precision import exact_arithmetic


class Lpips:
    """LPIPS v0.1 with AlexNet or VGG-16 and the linear heads that ship with the `lpips` package."""

    def __init__(self, weights: Path, device: torch.device, trunk: str = "alex") -> None:
        """Loads the network from torchvision's state dict; the package itself would download it unchecked.

        Args:
            weights: the state dict's file.
            device: the device that computes.
            trunk: the package's name of the network, "alex" or "vgg".
        """
        import lpips

        with torch.random.fork_rng(devices=[]):  # the constructor draws random weights
            network = lpips.LPIPS(net=trunk, version="0.1", pnet_rand=True, verbose=False)
        _load_trunk(network.net, torch.load(weights, map_location="cpu", weights_only=True))
        self._network = network.eval().to(device)

    def distance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Returns the distances (B,) float32, not negative, of two batches (B, H, W, 3) uint8."""
        with exact_arithmetic(predicted.device):
            scaled = [planes(images).div_(127.5).sub_(1) for images in (predicted, target)]
            return self._network(*scaled).flatten()


def _load_trunk(trunk: nn.Module, state: dict[str, Tensor]) -> None:
    """Loads torchvision's weights into the trunk, which has torchvision's layers, by their numbers, in five slices."""
    ours = {name: state[f"features.{name.split('.', 1)[1]}"] for name in trunk.state_dict()}
    trunk.load_state_dict(ours)
