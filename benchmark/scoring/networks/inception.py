"""The Inception network of `pytorch-fid`, in process: features for FID and KID."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.scoring.metrics.pixels import planes
from benchmark.support.files import file_sha256


class Inception:
    """The 2048 pool features of the Inception network that TensorFlow released on 2015-12-05, as ported by pytorch-fid.

    The package builds the network, resizes and scales; the weights come from a file whose hash was checked before.
    Batch normalisation is folded into the convolutions and channels come last, which doubles the speed on a CPU.
    """

    name = "inception"
    dimensions = 2048
    batch_sizes = (16, 128)

    def __init__(self, weights: Path, device: torch.device) -> None:
        """Loads the network from `pt_inception-2015-12-05-6726825d.pth`, or a file of the same layout."""
        self.sha256 = file_sha256(weights)
        network = _build(torch.load(weights, map_location="cpu", weights_only=True))
        self._network = _fold_normalisation(network.eval()).to(device).to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """Turns images (B, H, W, 3) uint8 into features (B, 2048) float32."""
        scaled = planes(images).div_(255).contiguous(memory_format=torch.channels_last)
        return self._network(scaled)[0].flatten(1)


def _build(state: Mapping[str, Tensor]) -> nn.Module:
    """Returns pytorch-fid's network with these weights.

    Its constructor fetches the weights by a function that it finds in its own module; for the time of the call that
    function hands over ours. (It would download them without checking, and unpickle them without restriction.)
    """
    from pytorch_fid import inception

    download = inception.load_state_dict_from_url
    inception.load_state_dict_from_url = lambda url, progress: state
    try:
        with torch.random.fork_rng(devices=[]):  # the constructor draws random weights
            return inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[Inception.dimensions]])
    finally:
        inception.load_state_dict_from_url = download


def _fold_normalisation(network: nn.Module) -> nn.Module:
    """Folds each batch normalisation into the convolution before it, which keeps the function in evaluation mode."""
    from torchvision.models.inception import BasicConv2d

    for module in network.modules():
        if isinstance(module, BasicConv2d):
            module.conv = nn.utils.fusion.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return network
