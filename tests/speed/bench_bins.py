"""Compares soft-encoding with scikit-learn's NearestNeighbors, and the two forms of the loss over the bins.

    python tests/speed/bench_bins.py

The benchmark prints images per second at 256×256 for both, and their ratio. It exits with 1 if ours, at the default
number of neighbors, is less than 30 times as fast as scikit-learn with default settings; scikit-learn's fastest setting
(brute force, two jobs) is printed too. Busy cores slow down our operations' threads more than scikit-learn.

It then prints the time of `classification`'s training step with the loss that it has and with the one that it had,
which looks along the second axis of (B, 313, H, W), in alternation: 64 images of 32², the width of preset `quick`.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skimage import color, data
from sklearn.neighbors import NearestNeighbors

from benchmark.contracts.method import Batch
from benchmark.contracts.registry import load_method
from benchmark.data import ab_bins
from benchmark.methods._classification import BinLoss
from benchmark.running.conformance import build, tiny_info
from benchmark.support.memory import leave_memory_unfilled
from benchmark.training.acceleration import keep_freed_memory, make_deterministic

WANTED = 30
NEIGHBORS = (5, 10)
PHOTOS = ("astronaut", "coffee", "cat", "rocket")


def images_per_second(encode: Callable[[], object], images: int, repeats: int) -> float:
    """Returns the median over `repeats` runs, after one to warm up."""
    encode()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        encode()
        seconds.append(time.perf_counter() - start)
    return images / float(np.median(seconds))


def scikit_learn(points: np.ndarray, k: int, **settings: object) -> float:
    """Returns images per second for the ab (N, 2) of one image: neighbors and normalised weights, sparse like ours."""
    search = NearestNeighbors(n_neighbors=k, **settings).fit(ab_bins.centers().numpy().astype(np.float64))

    def encode() -> tuple[np.ndarray, np.ndarray]:
        distances, indices = search.kneighbors(points)
        weights = np.exp(-(distances**2) / (2 * ab_bins.SIGMA**2))
        return indices, weights / weights.sum(1, keepdims=True)

    return images_per_second(encode, 1, 9)


def compare_losses(rounds: int = 9) -> str:
    """Returns one line with the medians of a step's seconds with either loss."""
    make_deterministic(torch.device("cpu"))
    keep_freed_memory()
    leave_memory_unfilled()
    adapter: Any = load_method("classification")
    method: Any = build(adapter, adapter.Config(base_channels=24)).to(memory_format=torch.channels_last)
    draw = torch.Generator().manual_seed(0)
    L, ab = (torch.rand(64, channels, 32, 32, generator=draw) for channels in (1, 2))
    batch = Batch(L=100 * L, ab=60 * ab - 30)
    optimizer = method.optimizers("train")["colorizer"]
    losses = {"now": method.loss, "before": BinLoss(method.config, tiny_info())}
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for number in range(rounds + 1):
        for name, method.loss in losses.items():
            start = time.perf_counter()
            optimizer.zero_grad()
            next(method.training_step(batch, "train")).loss.backward()
            optimizer.step()
            if number:  # the first is to warm up
                seconds[name].append(time.perf_counter() - start)
    now, before = (float(np.median(seconds[name])) for name in losses)
    return f"a step of classification: {now * 1e3:.0f} ms, before {before * 1e3:.0f} ms ({now / before:.2f} of it)"


def main() -> int:
    photos = [color.rgb2lab(getattr(data, name)()[:256, :256])[..., 1:] for name in PHOTOS]
    ab = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float().contiguous()
    points = photos[0].reshape(-1, 2)
    slow = False
    print(f"256×256, {torch.get_num_threads()} threads, images/s")
    for k in NEIGHBORS:
        ours = images_per_second(lambda k=k: ab_bins.soft_encode(ab, k), len(ab), 25)  # type: ignore[misc]
        default = scikit_learn(points, k)
        best = max(default, scikit_learn(points, k, n_jobs=2), scikit_learn(points, k, algorithm="brute", n_jobs=2))
        slow |= k == ab_bins.NEIGHBORS and ours < WANTED * default
        print(
            f"k = {k:2}: ours {ours:6.0f}   scikit-learn {default:5.1f} ({ours / default:.0f}×), "
            f"its fastest setting {best:5.1f} ({ours / best:.0f}×)"
        )
    print(compare_losses())
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
