"""Trains a small classifier on the labels of a prepared data set: the judge, and the network of a perceptual loss.

The caller brings the network and its optimizer; order, variation, schedule, loss, file and record are the same for all.
The same seed gives the same network on the same machine only. Therefore the networks that scores or methods rest on
are committed files, known by their hash.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.data.prepared import Prepared
from benchmark.scoring.metrics.pixels import planes
from benchmark.support.errors import BenchError
from benchmark.support.files import write_atomically
from benchmark.support.precision import exact_arithmetic


@dataclass(frozen=True)
class Recipe:
    """The settings of a training. The optimizer's own learning rate is the peak of the schedule."""

    epochs: int
    batch_size: int
    smoothing: float  # Label smoothing, in [0, 1).
    shift: int  # Largest shift in pixels, in any direction. Half of the images are mirrored as well.
    seed: int
    warm_up: float = 0.2  # Share of the steps before the peak; the rate then falls linearly to 0.


def classes_of(prepared: Prepared) -> list[str]:
    """The names of a data set's classes.

    Raises:
        BenchError: the data set has no labels.
    """
    if prepared.labels("train") is None or prepared.meta.classes is None:
        raise BenchError(f"{prepared.meta.name} has no labels, so no classifier can be trained on it")
    return list(prepared.meta.classes)


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    prepared: Prepared,
    recipe: Recipe,
    device: torch.device,
    say: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Trains on the true colors and labels of the training split, and leaves the network in evaluation mode.

    The network is on the device and turns (B, 3, H, W) float32, 0–255, into logits (B, classes).

    Returns:
        The figures of the training, for the network's record.

    Raises:
        BenchError: there are no labels, or fewer images than one batch.
    """
    classes = classes_of(prepared)
    began, busy = time.perf_counter(), time.process_time()
    images = torch.from_numpy(np.array(prepared.images("train"))).to(device)
    labels = torch.from_numpy(np.array(prepared.labels("train"))).to(device)
    per_epoch, size = len(images) // recipe.batch_size, recipe.batch_size
    if not per_epoch:
        raise BenchError(f"{len(images)} training images do not fill one batch of {size}")
    generator = torch.Generator(device).manual_seed(recipe.seed)
    peaks = [group["lr"] for group in optimizer.param_groups]
    network.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator, device=device)
        total = torch.zeros((), device=device)
        for step, chosen in enumerate(order[: per_epoch * size].split(size)):
            done = (epoch * per_epoch + step + 0.5) / (per_epoch * recipe.epochs)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * min(done / recipe.warm_up, (1 - done) / (1 - recipe.warm_up))
            logits = network(planes(vary(images[chosen], recipe.shift, generator)))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        say(f"epoch {epoch + 1}/{recipe.epochs}: loss {total.item() / per_epoch:.3f}")
    network.eval().requires_grad_(False)
    return {
        "data": prepared.meta.name,
        "data_sha256": prepared.sha256,
        "classes": classes,
        "training": asdict(recipe) | {"learning_rate": peaks[0]},
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),  # All threads; other programs disturb it less.
        "device": f"{device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }


def accuracies(network: nn.Module, prepared: Prepared, device: torch.device) -> dict[str, float | None]:
    """Returns the percentage of true images classified right per other split; None for a split without images."""
    found: dict[str, float | None] = {}
    for split in ("val", "test"):
        images, labels = prepared.images(split), prepared.labels(split)
        found[split] = None
        if labels is not None and len(images):
            with exact_arithmetic(device):
                batches = (torch.from_numpy(np.array(images[k : k + 512])) for k in range(0, len(images), 512))
                guesses = torch.cat([network(planes(batch.to(device))).argmax(1).cpu() for batch in batches])
            found[split] = round(100 * float((guesses.numpy() == labels).mean()), 2)
    return found


def write_network(path: Path, state: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
    """Writes a state dict in half precision, and its record beside it (`.json`); returns the given path."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    content = save({name: one.half() if one.is_floating_point() else one for name, one in tensors.items()})
    write_atomically(path, content)
    described = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), **record}
    write_atomically(path.with_suffix(".json"), (json.dumps(described, indent=1) + "\n").encode())
    return path


def vary(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Mirrors half of (B, H, W, 3) uint8 images and shifts each by up to `shift` pixels with mirrored borders."""
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
