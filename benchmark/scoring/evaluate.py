"""A finished model (or a baseline) → outputs on the test split → metrics: the same path for every method."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmark.contracts.method import Method, parameter_count
from benchmark.contracts.result import Cost
from benchmark.data.color import join, rgb_to_lab
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import Prepared
from benchmark.scoring.metrics.scorer import Scorer, Scores
from benchmark.scoring.prediction import predict, predicted_ab, require_same, require_steady

PIXELS_PER_BATCH = 1 << 18  # 4 images of 256², 256 of 32²: bounds the memory, and is fixed so that scores repeat
SAMPLE, IMAGES_PER_SAMPLE = 4, 500  # images that are colored again before: at most, and one of so many


class Output(NamedTuple):
    """Colored images beside their truth."""

    predicted: Tensor  # (B, H, W, 3) uint8
    target: Tensor  # (B, H, W, 3) uint8
    clipped: Tensor  # (B, H, W) bool: outside the sRGB gamut before clipping
    target_lab: tuple[Tensor, Tensor]  # the truth's L (B, 1, H, W) and ab (B, 2, H, W), float32


class Evaluation(NamedTuple):
    """What an evaluation measured."""

    scores: Scores
    images: int
    images_per_second: float  # of prediction alone: L in, ab out


def batch_size_for(image_size: int) -> int:
    """Images per evaluation batch."""
    return max(1, PIXELS_PER_BATCH // image_size**2)


@torch.inference_mode()
def colorize(
    method: Method, rgb: Tensor, ids: Sequence[str] | None = None, known: Mapping[int, Tensor] | None = None
) -> Output:
    """Takes the color out of images and lets a method put color in.

    Args:
        method: on the images' device, in evaluation mode.
        rgb: (B, H, W, 3) uint8.
        ids: what the images are called in errors.
        known: index → (1, 2, h, w), colors that some of the images got before; BadPrediction if they are others now.
    """
    L, ab = rgb_to_lab(rgb)
    found = predicted_ab(method, L, ab, ids)
    for k, before in (known or {}).items():
        require_same(method, found[k : k + 1], before, "in another batch", ids and ids[k : k + 1])
    predicted, clipped = join(L, found)
    return Output(predicted, rgb, clipped, (L, ab))


def batches(images: np.ndarray, device: torch.device) -> Iterator[Tensor]:
    """A split in evaluation batches: (B, H, W, 3) uint8 on the device."""
    size = batch_size_for(images.shape[1])
    for start in range(0, len(images), size):
        yield torch.from_numpy(np.array(images[start : start + size])).to(device)


def evaluate(
    method: Method,
    images: np.ndarray,
    *,
    scorer: Scorer,
    device: torch.device,
    ids: Sequence[str] | None = None,
    advance: Callable[[int], object] | None = None,
) -> Evaluation:
    """Scores a method on a split, after having made sure of a sample of images that its colors depend on them alone.

    Args:
        method: on the device; set to evaluation mode here.
        images: (N, H, W, 3) uint8.
        scorer: fresh.
        device: where the work is done.
        ids: what the images are called in errors.
        advance: called with the number of images just done.

    Raises:
        BadPrediction: what the method gives are no colors, or they vary from call to call or with the batch.
    """
    method.eval()
    sample = _steady_sample(method, images, device, ids)
    seconds, start = 0.0, 0
    for rgb in batches(images, device):
        known = {index - start: colors for index, colors in sample.items() if 0 <= index - start < len(rgb)}
        began = _now(device)
        output = colorize(method, rgb, ids and ids[start : start + len(rgb)], known)
        seconds += _now(device) - began
        start += len(rgb)
        scorer.update(*output)
        if advance:
            advance(len(rgb))
    return Evaluation(scorer.compute(), len(images), len(images) / seconds)


@torch.inference_mode()
def _steady_sample(
    method: Method, images: np.ndarray, device: torch.device, ids: Sequence[str] | None
) -> dict[int, Tensor]:
    """Index → colors (1, 2, h, w) of a few images spread over a split: so few that they cost next to nothing."""
    chosen = evenly(len(images), min(max(len(images) // IMAGES_PER_SAMPLE, 1), SAMPLE))
    L, ab = rgb_to_lab(torch.from_numpy(np.array(images[chosen])).to(device))
    colors = require_steady(method, L, ab, ids and [ids[index] for index in chosen])
    return dict(zip(chosen.tolist(), colors.split(1), strict=True))


def multiply_adds(method: Method, image_size: int, device: torch.device) -> int:
    """Multiply-adds of coloring one image, counted by torch over convolutions and matrix products."""
    L = torch.zeros(1, 1, image_size, image_size, device=device)
    ab = torch.zeros(1, 2, image_size, image_size, device=device)
    with FlopCounterMode(display=False) as counter:  # its hooks need gradients to be recorded
        predict(method.eval(), L, ab)
    return counter.get_total_flops() // 2  # it counts a multiply-add as two operations


def cost_of(method: Method, prepared: Prepared, evaluation: Evaluation, device: torch.device) -> Cost:
    """Size and speed of prediction; what training cost is added by whoever trained."""
    return Cost(
        parameters=parameter_count(method.colorizer),
        macs=multiply_adds(method, prepared.info().image_size, device),
        inference_images_per_second=round(evaluation.images_per_second, 1),
        device=device_name(device),
    )


def device_name(device: torch.device) -> str:
    """`NVIDIA H100 …`, or the CPU's name with the number of threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """The processor as the system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
