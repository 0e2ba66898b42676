"""Trains the small VGG behind `gan-perceptual-own` on the labels of a prepared data set.

    python -m benchmark.methods._vgg_training data/cifar10-quick

writes `methods/vgg-cifar10-v1.safetensors` (half precision) and how it came about beside it. It shares neither
architecture nor seed nor recipe with the judge: a method trained towards the judge's features would be scored by them.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmark.data.prepared import Prepared
from benchmark.support.errors import BenchError
from benchmark.support.files import write_atomically

from ._vgg import OWN, VGG, Normalise

SEED = 101  # the judge's is 0
EPOCHS = 6
BATCH = 128
RATE = 2e-3  # of AdamW at its peak
DECAY = 0.05
VERSION = 1
LAYER = "relu4_2"  # the last


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
        """Logits (B, classes) of sRGB (B, 3, H, W) in [0, 1]."""
        return self.head(self.layers(x).mean(dim=(2, 3)))


def planes(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors half of a batch and moves it by up to 4 pixels, the same for all of it; edges are mirrored."""
    mirrored = torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5, x.flip(-1), x)
    top, left = torch.randint(0, 9, (2,), generator=generator).tolist()
    return F.pad(mirrored, (4, 4, 4, 4), mode="reflect")[..., top : top + x.shape[-2], left : left + x.shape[-1]]


def train(images: Tensor, labels: Tensor, classes: int, epochs: int = EPOCHS) -> Classifier:
    """AdamW on the smoothed cross-entropy, the rate one triangle over the whole run.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        classes: how many labels there are.
        epochs: passes over the images.
    """
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = Classifier(classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    whole = len(images) // BATCH * BATCH
    orders = [torch.randperm(len(images), generator=generator)[:whole].split(BATCH) for _ in range(epochs)]
    for step, chosen in enumerate(steps := [batch for order in orders for batch in order]):
        done = (step + 0.5) / len(steps)
        optimizer.param_groups[0]["lr"] = RATE * min(done / 0.2, (1 - done) / 0.8)
        batch = varied(planes(images[chosen]), generator).contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(network(batch), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}/{len(steps)}: loss {loss.item():.3f}", flush=True)
    return network.eval()


@torch.no_grad()
def folded(network: Classifier, images: Tensor) -> VGG:
    """The classifier's convolutions with BatchNorm folded in, and activations of mean square 1 in the last layer.

    The scale makes a feature loss of 1 mean "as different as two activations are large"; ReLU lets it through.

    Args:
        network: in evaluation mode.
        images: (N, H, W, 3) uint8, to measure the scale on.
    """
    result = VGG(OWN, [LAYER])
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm2d)]
    targets = [layer for layer in result.features if isinstance(layer, nn.Conv2d)]
    for target, convolution, norm in zip(targets, convolutions, norms, strict=True):
        target.load_state_dict(fuse_conv_bn_eval(convolution, norm).state_dict())
    scale = 1 / network.layers(planes(images)).square().mean().sqrt()
    for parameter in targets[-1].parameters():
        parameter.mul_(scale)
    return result


@torch.no_grad()
def accuracy(network: Classifier, images: Tensor, labels: Tensor) -> float:
    """Percent of images classified right."""
    guesses = torch.cat([network(planes(batch)).argmax(1) for batch in images.split(500)])
    return round(100 * float((guesses == labels).float().mean()), 2)


def run(folder: Path) -> Path:
    """Trains on a prepared data set and writes the network, with how it came about beside it.

    Returns:
        The network's file, beside this one. Its SHA-256 belongs into `_vgg.OWN_FILES`.

    Raises:
        BenchError: the data set has no labels.
    """
    prepared = Prepared.open(folder)
    name, classes = prepared.meta.name, prepared.meta.classes
    labels = {split: prepared.labels(split) for split in ("train", "val")}
    if classes is None or labels["train"] is None or labels["val"] is None:
        raise BenchError(f"{name} has no labels, and so no feature network")
    began = time.perf_counter()
    images = torch.from_numpy(prepared.images("train").copy())
    network = train(images, torch.from_numpy(labels["train"]), len(classes))
    held_out = torch.from_numpy(prepared.images("val").copy()), torch.from_numpy(labels["val"])
    state = folded(network, images[:1000]).state_dict()
    content = save({key: value.half().contiguous() for key, value in state.items()})
    record = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "command": f"python -m benchmark.methods._vgg_training {folder}",
        "data": name,
        "data_sha256": prepared.sha256,
        "plan": list(OWN),
        "settings": {"seed": SEED, "epochs": EPOCHS, "batch_size": BATCH, "rate": RATE, "weight_decay": DECAY},
        "accuracy_val": accuracy(network, *held_out),
        "seconds": round(time.perf_counter() - began),
        "torch": torch.__version__,
    }
    path = Path(__file__).with_name(f"vgg-{name}-v{VERSION}.safetensors")
    write_atomically(path, content)
    write_atomically(path.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a prepared data set with labels")
    print(run(parser.parse_args().folder))
