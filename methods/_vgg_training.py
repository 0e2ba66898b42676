"""Trains the small VGG behind `gan-perceptual-own` on the labels of a prepared data set.

    python -m benchmark.methods._vgg_training data/cifar10-quick

writes `methods/vgg-cifar10-v1.safetensors` (half precision) and a record of the training beside it. The network shares
no architecture, seed or recipe with the judge, because the judge's features score the methods trained with it.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmark.data.prepared import Prepared
from benchmark.scoring.metrics.pixels import planes
from benchmark.training.classifier import Recipe, accuracies, classes_of, fit, write_network

from ._vgg import OWN, VGG, Normalise

RECIPE = Recipe(epochs=6, batch_size=128, smoothing=0.1, shift=4, seed=101)  # the judge's seed is 0
RATE, DECAY = 2e-3, 0.05  # AdamW's highest rate and its weight decay
LAYER = "relu4_2"  # the last layer


class Classifier(nn.Module):
    """`OWN` with BatchNorm after each convolution, global average pooling and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [Normalise()]
        channels = 3
        for width in OWN:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits (B, classes) of sRGB (B, 3, H, W), 0–255."""
        return self.head(self.layers(x / 255).mean(dim=(2, 3)))


@torch.no_grad()
def folded(network: Classifier, images: Tensor) -> VGG:
    """Folds BatchNorm into the classifier's convolutions, and scales the last layer to a mean square of 1.

    At that scale a feature loss of 1 means "as different as two activations are large"; ReLU keeps the scale.

    Args:
        network: the classifier, in evaluation mode.
        images: the images on which the scale is measured, (N, H, W, 3) uint8.
    """
    result = VGG(OWN, [LAYER])
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm2d)]
    targets = [layer for layer in result.features if isinstance(layer, nn.Conv2d)]
    for target, convolution, norm in zip(targets, convolutions, norms, strict=True):
        target.load_state_dict(fuse_conv_bn_eval(convolution, norm).state_dict())
    scale = 1 / network.layers(planes(images) / 255).square().mean().sqrt()
    for parameter in targets[-1].parameters():
        parameter.mul_(scale)
    return result


def run(folder: Path) -> Path:
    """Trains on a prepared data set, and writes the network and a record of the training.

    Returns:
        The network's file, which lies beside this one and whose SHA-256 belongs into `_vgg.OWN_FILES`.

    Raises:
        BenchError: the data set has no labels.
    """
    prepared, device = Prepared.open(folder), torch.device("cpu")
    torch.manual_seed(RECIPE.seed)
    network = Classifier(len(classes_of(prepared))).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    record = fit(network, optimizer, prepared, RECIPE, device, print)
    record |= {
        "command": f"python -m benchmark.methods._vgg_training {folder}",
        "plan": list(OWN),
        "accuracy": accuracies(network, prepared, device),
    }
    network_kept = folded(network, torch.from_numpy(prepared.images("train")[:1000].copy()))
    path = Path(__file__).with_name(f"vgg-{prepared.meta.name}-v1.safetensors")
    return write_network(path, network_kept.state_dict(), record)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a prepared data set with labels")
    print(run(parser.parse_args().folder))
