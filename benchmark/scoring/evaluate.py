"""Evaluation: colors the test split with a model or baseline and measures it, in the same way for every method."""

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

PIXELS_PER_BATCH = 1 << 18  # 4 images of 256² or 256 of 32²; fixed, so that scores repeat
SAMPLE, IMAGES_PER_SAMPLE = 4, 500  # images colored twice: at most 4, and one per 500


class Output(NamedTuple):
    """Colored images beside their truth."""

    predicted: Tensor  # (B, H, W, 3) uint8
    target: Tensor  # (B, H, W, 3) uint8
    clipped: Tensor  # (B, H, W) bool, pixels outside the sRGB gamut before clipping
    target_lab: tuple[Tensor, Tensor]  # the truth's L (B, 1, H, W) and ab (B, 2, H, W), float32


class Evaluation(NamedTuple):
    """The results of an evaluation."""

    scores: Scores
    images: int
    images_per_second: float  # speed of prediction alone, from L to ab


def batch_size_for(image_size: int) -> int:
    """Images per evaluation batch."""
    return max(1, PIXELS_PER_BATCH // image_size**2)


@torch.inference_mode()
def colorize(
    method: Method, rgb: Tensor, ids: Sequence[str] | None = None, known: Mapping[int, Tensor] | None = None
) -> Output:
    """Removes the color of images and lets a method color them.

    Args:
        method: the method, on the images' device and in evaluation mode.
        rgb: (B, H, W, 3) uint8.
        ids: what the images are called in errors.
        known: index → (1, 2, h, w), earlier colors of some images; BadPrediction if the new ones differ.
    """
    L, ab = rgb_to_lab(rgb)
    found = predicted_ab(method, L, ab, ids)
    for k, before in (known or {}).items():
        require_same(method, found[k : k + 1], before, "in another batch", ids and ids[k : k + 1])
    predicted, clipped = join(L, found)
    return Output(predicted, rgb, clipped, (L, ab))


def batches(images: np.ndarray, device: torch.device) -> Iterator[Tensor]:
    """Yields a split in evaluation batches, (B, H, W, 3) uint8 on the device."""
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
    """Scores a method on a split; first checks on a sample that an image's colors depend on the image alone.

    Args:
        method: the method, on the device; this function sets it to evaluation mode.
        images: (N, H, W, 3) uint8.
        scorer: a scorer that has seen no images.
        device: the device that computes.
        ids: what the images are called in errors.
        advance: a function that gets the number of images of each finished batch.

    Raises:
        BadPrediction: the method's colors are illegal, or vary from call to call or with the batch.
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
    """Returns index → colors (1, 2, h, w) of images spread over a split, few enough to cost next to nothing."""
    chosen = evenly(len(images), min(max(len(images) // IMAGES_PER_SAMPLE, 1), SAMPLE))
    L, ab = rgb_to_lab(torch.from_numpy(np.array(images[chosen])).to(device))
    colors = require_steady(method, L, ab, ids and [ids[index] for index in chosen])
    return dict(zip(chosen.tolist(), colors.split(1), strict=True))


def multiply_adds(method: Method, image_size: int, device: torch.device) -> int:
    """Returns the multiply-adds of coloring one image, which torch counts in convolutions and matrix products."""
    L = torch.zeros(1, 1, image_size, image_size, device=device)
    ab = torch.zeros(1, 2, image_size, image_size, device=device)
    with FlopCounterMode(display=False) as counter:  # the counter's hooks need recorded gradients
        predict(method.eval(), L, ab)
    return counter.get_total_flops() // 2  # torch counts a multiply-add as two operations


def cost_of(method: Method, prepared: Prepared, evaluation: Evaluation, device: torch.device) -> Cost:
    """Returns size and speed of prediction; the caller adds the cost of training."""
    return Cost(
        parameters=parameter_count(method.colorizer),
        macs=multiply_adds(method, prepared.info().image_size, device),
        inference_images_per_second=round(evaluation.images_per_second, 1),
        device=device_name(device),
    )


def device_name(device: torch.device) -> str:
    """Returns a GPU's name, or the CPU's name with the number of threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """Returns the system's name of the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
