"""The judge of a data set: a small classifier trained on its true colors, behind `top1` and `fd_judge`.

It asks of recolored images what a viewer would: do they look like what they show (Zhang et al. 2016, §3.2)? A judge
is part of the protocol. Everybody scores with the same committed file, `judge-<data>-v1.safetensors`, which is known
by its hash; retraining makes another judge, whose scores agree with nobody's.

The network and its training follow the ideas of Keller Jordan's airbench (2024): fixed whitening of small patches
first, pooling early, batch normalisation without scale, label smoothing, few epochs.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.scoring.metrics.pixels import planes
from benchmark.scoring.networks.features import exact_arithmetic
from benchmark.support.errors import BenchError
from benchmark.support.files import write_atomically

if TYPE_CHECKING:
    from benchmark.data.prepared import Prepared

WIDTHS = (48, 128, 192)
WHITENED = 24  # 12 principal directions of 2×2 RGB patches, and their opposites

_MEAN, _DEVIATION = 120.0, 64.0  # of CIFAR-10's levels, roughly; the same for every data set


class JudgeNetwork(nn.Module):
    """Whitening, three groups of two convolutions, the maximum over the image, a linear layer. 0.8 M parameters."""

    def __init__(self, classes: int) -> None:
        """Builds it with random weights.

        Args:
            classes: number of classes.
        """
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, 2)
        self.groups = nn.Sequential(
            *(_Group(wide, wider) for wide, wider in zip((WHITENED, *WIDTHS), WIDTHS, strict=False))
        )
        self.head = nn.Linear(WIDTHS[-1], classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 levels 0–255, H, W ≥ 16, to (B, 192): what the linear layer sees."""
        x = F.gelu(self.whiten((images - _MEAN) / _DEVIATION))
        return self.groups(x).amax(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 levels 0–255 to logits (B, classes)."""
        return self.head(self.features(images)) / 4  # few steps: small logits keep the gradients alive


class _Group(nn.Module):
    """Convolution, pooling by 2, convolution; normalised, GELU."""

    def __init__(self, wide: int, wider: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(wide, wider, 3, padding=1, bias=False)
        self.normalisation1 = _normalisation(wider)
        self.convolution2 = nn.Conv2d(wider, wider, 3, padding=1, bias=False)
        self.normalisation2 = _normalisation(wider)

    def forward(self, x: Tensor) -> Tensor:
        """(B, wide, H, W) to (B, wider, H/2, W/2)."""
        x = F.gelu(self.normalisation1(F.max_pool2d(self.convolution1(x), 2)))
        return F.gelu(self.normalisation2(self.convolution2(x)))


def _normalisation(channels: int) -> nn.BatchNorm2d:
    normalisation = nn.BatchNorm2d(channels, momentum=0.4)  # few steps: recent batches count
    normalisation.weight.requires_grad_(False)
    return normalisation


@dataclass
class Judge:
    """A trained judge, on a device; `features` make it a network of `benchmark.scoring.networks.features`."""

    name: str  # "judge-cifar10-v1"
    sha256: str  # of its file
    network: JudgeNetwork
    dimensions: int = WIDTHS[-1]
    batch_sizes: tuple[int, int] = (128, 1024)

    def features(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to penultimate features (B, 192) float32."""
        return self.network.features(planes(images).contiguous(memory_format=torch.channels_last))

    def classify(self, features: Tensor) -> Tensor:
        """Penultimate features (B, 192), on any device, to classes (B,) int64."""
        head = self.network.head
        return F.linear(features, head.weight.to(features.device), head.bias.to(features.device)).argmax(dim=1)


# Each protocol judge by its data set: the file in this package, and the SHA-256 that makes it that judge.
JUDGES: dict[str, tuple[str, str]] = {
    "cifar10": ("judge-cifar10-v1", "1d77df8c604fbd384a5073549acde0a9cc364712893c5e93ce0c3cbdcbf3badc"),
}


def load_judge(data_name: str, device: torch.device | str = "cpu") -> Judge | None:
    """The judge of a data set, ready to run; None for a data set that has none.

    Raises:
        BenchError: the file is not the one that the protocol names.
    """
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
    """Any judge's file, as `write_judge` left it.

    Raises:
        BenchError: it is missing or damaged.
    """
    try:
        content = path.read_bytes()
        state = load(content)
        network = JudgeNetwork(classes=len(state["head.bias"]))
        network.load_state_dict(state)  # widens half precision
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BenchError(f"{path} is no judge's file: {str(error).splitlines()[0]}") from None
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Judge(path.stem, hashlib.sha256(content).hexdigest(), network)


def write_judge(path: Path, network: JudgeNetwork, record: dict[str, Any]) -> Path:
    """Writes a judge in half precision, and beside it (`.json`) how it came about.

    Returns:
        The path given.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    content = save({name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()})
    write_atomically(path, content)
    described = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **record}
    write_atomically(path.with_suffix(".json"), (json.dumps(described, indent=1) + "\n").encode())
    return path


@dataclass(frozen=True)
class JudgeTraining:
    """How a judge is trained. Ten epochs take some 12 minutes on two CPU cores, and less than one on a GPU."""

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 0.3  # at its peak
    warm_up: float = 0.2  # share of the steps until then; afterwards it falls linearly to 0
    momentum: float = 0.9
    decay: float = 5e-4
    smoothing: float = 0.2  # of the labels
    shift: int = 2  # pixels, at most, in any direction; and half of the images are mirrored


def make_judge(
    prepared: "Prepared",
    path: Path,
    seed: int,
    device: torch.device,
    training: JudgeTraining,
    say: Callable[[str], object],
) -> Path:
    """Trains a judge and writes it: what `bench judge train` does. See `train_judge`.

    Returns:
        The path given.
    """
    network, record = train_judge(prepared, seed=seed, device=device, training=training, say=say)
    command = f"bench judge train {prepared.meta.name} --seed {seed} --epochs {training.epochs}"
    write_judge(path, network, {"command": command, **record})
    test = record["accuracy"]["test"]
    say(f"{test} % of the test images' true colors are classified right, after {record['seconds']:.0f} s")
    return path


def train_judge(
    prepared: "Prepared",
    *,
    seed: int = 0,
    device: torch.device,
    training: JudgeTraining | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[JudgeNetwork, dict[str, Any]]:
    """Trains a judge on the true colors and labels of a data set's training split.

    Args:
        prepared: a data set with labels.
        seed: of the initial weights, the order of images and their changes.
        device: to train on. The same seed gives the same judge on the same machine only; therefore it is committed.
        training: its settings.
        say: gets a line per epoch.

    Returns:
        The network, rounded to the half precision that it is stored in, in evaluation mode; and the record to keep.

    Raises:
        BenchError: the data set has no labels.
    """
    labels = prepared.labels("train")
    if labels is None or prepared.meta.classes is None:
        raise BenchError(f"{prepared.meta.name} has no labels, so it can have no judge")
    training = training or JudgeTraining()
    began, busy = time.perf_counter(), time.process_time()
    images = torch.from_numpy(np.array(prepared.images("train"))).to(device)
    torch.manual_seed(seed)
    network = JudgeNetwork(len(prepared.meta.classes)).to(device).to(memory_format=torch.channels_last)
    _whiten(network.whiten, images[:5000])
    _fit(network, images, torch.from_numpy(labels).to(device), seed, training, say)
    network.eval().requires_grad_(False)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
    return network, {
        "data": prepared.meta.name,
        "data_sha256": prepared.sha256,
        "classes": list(prepared.meta.classes),
        "accuracy": {split: accuracy(network, prepared, split, device) for split in ("val", "test")},
        "seed": seed,
        "training": asdict(training),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),  # of all threads: where others ran too, the truer figure
        "device": f"{device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }


def accuracy(network: JudgeNetwork, prepared: "Prepared", split: str, device: torch.device) -> float | None:
    """Percent of a split's true images that are classified right; None for a split without images."""
    images, labels = prepared.images(split), prepared.labels(split)
    if labels is None or not len(images):
        return None
    with exact_arithmetic(device):
        batches = (images[start : start + 512] for start in range(0, len(images), 512))
        guesses = [network(planes(torch.from_numpy(np.array(batch)).to(device))).argmax(1).cpu() for batch in batches]
    return round(100 * float((torch.cat(guesses).numpy() == labels).mean()), 2)


def _fit(
    network: JudgeNetwork,
    images: Tensor,
    labels: Tensor,
    seed: int,
    training: JudgeTraining,
    say: Callable[[str], object],
) -> None:
    """Stochastic gradient descent on the smoothed cross-entropy, the learning rate a triangle over the whole run."""
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.0, momentum=training.momentum, nesterov=True, weight_decay=training.decay)
    generator = torch.Generator(images.device).manual_seed(seed)
    per_epoch = len(images) // training.batch_size
    if not per_epoch:
        raise BenchError(f"{len(images)} training images do not fill one batch of {training.batch_size}")
    steps = per_epoch * training.epochs
    network.train()
    for epoch in range(training.epochs):
        order = torch.randperm(len(images), generator=generator, device=images.device)
        total = torch.zeros((), device=images.device)
        for step, chosen in enumerate(order[: per_epoch * training.batch_size].split(training.batch_size)):
            done = (epoch * per_epoch + step + 0.5) / steps
            rate = min(done / training.warm_up, (1 - done) / (1 - training.warm_up))
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * rate
            batch = _vary(images[chosen], training.shift, generator)
            loss = F.cross_entropy(network(planes(batch)), labels[chosen], label_smoothing=training.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        say(f"epoch {epoch + 1}/{training.epochs}: loss {total.item() / per_epoch:.3f}")


def _vary(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Mirrors half of (B, H, W, 3) uint8 images and moves each by up to `shift` pixels, its border mirrored."""
    count, height, width, _ = images.shape
    device = images.device
    moved = torch.randint(-shift, shift + 1, (2, count, 1), generator=generator, device=device)
    rows, columns = (moved[axis] + torch.arange(size, device=device) for axis, size in enumerate((height, width)))
    rows, columns = (
        (size - 1) - ((size - 1) - places.abs()).abs() for places, size in ((rows, height), (columns, width))
    )
    mirrored = torch.rand(count, 1, generator=generator, device=device) < 0.5
    columns = torch.where(mirrored, (width - 1) - columns, columns)
    return images[torch.arange(count, device=device)[:, None, None], rows[:, :, None], columns[:, None]]


@torch.no_grad()
def _whiten(convolution: nn.Conv2d, images: Tensor) -> None:
    """Makes the first layer decorrelate 2×2 patches, and fixes it: the principal directions and their opposites."""
    scaled = (planes(images) - _MEAN) / _DEVIATION
    patches = F.unfold(scaled, 2).transpose(1, 2).reshape(-1, 12)
    patches = patches - patches.mean(dim=0)
    variances, directions = torch.linalg.eigh(patches.T.double() @ patches.double() / len(patches))
    filters = (directions / (variances + 5e-4).sqrt()).T.float().view(12, 3, 2, 2)
    convolution.weight.copy_(torch.cat([filters, -filters]))
    convolution.weight.requires_grad_(False)
