"""`bench judge train`: makes a judge. Ten epochs take some 12 minutes on two CPU cores, less than one on a GPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.data.prepared import Prepared
from benchmark.scoring.metrics.pixels import planes
from benchmark.scoring.networks.judge import DEVIATION, MEAN, JudgeNetwork
from benchmark.training.classifier import Recipe, accuracies, classes_of, fit, write_network

WHITENING_IMAGES = 5000


def recipe(seed: int, epochs: int) -> Recipe:
    """How a judge of the protocol is trained."""
    return Recipe(epochs, batch_size=256, smoothing=0.2, shift=2, seed=seed)


def make_judge(
    prepared: Prepared,
    path: Path,
    recipe: Recipe,
    device: torch.device,
    say: Callable[[str], object],
    learning_rate: float = 0.3,
) -> Path:
    """Trains a judge on a data set's true colors and labels, writes it and returns its path.

    Raises:
        BenchError: the data set has no labels, or fewer images than one batch.
    """
    classes = classes_of(prepared)
    torch.manual_seed(recipe.seed)
    network = JudgeNetwork(len(classes)).to(device).to(memory_format=torch.channels_last)
    whiten(network.whiten, torch.from_numpy(np.array(prepared.images("train")[:WHITENING_IMAGES])).to(device))
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    record = fit(network, optimizer, prepared, recipe, device, say)
    for tensor in network.state_dict().values():  # what is measured is what is kept
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    record |= {
        "command": f"bench judge train {prepared.meta.name} --seed {recipe.seed} --epochs {recipe.epochs}",
        "accuracy": accuracies(network, prepared, device),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    test = record["accuracy"]["test"]
    say(f"{test} % of the test images' true colors are classified right, after {record['seconds']:.0f} s")
    return write_network(path, network.state_dict(), record)


@torch.no_grad()
def whiten(convolution: nn.Conv2d, images: Tensor) -> None:
    """Makes the first layer decorrelate 2×2 patches, and fixes it: the principal directions and their opposites."""
    patches = F.unfold((planes(images) - MEAN) / DEVIATION, 2).transpose(1, 2).reshape(-1, 12)
    patches = patches - patches.mean(dim=0)
    variances, directions = torch.linalg.eigh(patches.T.double() @ patches.double() / len(patches))
    filters = (directions / (variances + 5e-4).sqrt()).T.float().view(12, 3, 2, 2)
    convolution.weight.copy_(torch.cat([filters, -filters]))
    convolution.weight.requires_grad_(False)
