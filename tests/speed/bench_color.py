"""Compares our RGB ↔ Lab with scikit-image: `python tests/speed/bench_color.py`.

The benchmark prints images per second for both directions at 256² and 32², for scikit-image on float32 images (its
fastest type) one by one, and for the same on one thread per core. Ours gives 8-bit images and the clipped pixels; the
reference stops before rounding. The benchmark exits with 1 if ours is slower than the better of the two at 256².
"""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from skimage import color, data

from benchmark.data.color import lab_to_rgb, rgb_to_lab

SIZES = {256: 8, 32: 512}  # pixels of an edge → images


def images_per_second(run: Callable[[], object], images: int, repeats: int = 15) -> float:
    """Returns the median over `repeats` runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return images / float(np.median(seconds))


def photographs(size: int, count: int) -> np.ndarray:
    """Returns crops of photographs, (count, size, size, 3) uint8."""
    rng = np.random.default_rng(0)
    sources = (data.astronaut(), data.coffee(), data.rocket())
    crops = []
    for number in range(count):
        source = sources[number % len(sources)]
        top, left = (int(rng.integers(0, edge - size + 1)) for edge in source.shape[:2])
        crops.append(source[top : top + size, left : left + size])
    return np.stack(crops)


def main() -> int:
    threads = torch.get_num_threads()
    print(f"images/s, {threads} threads (scikit-image: one by one / {threads} threads)")
    slow = False
    with ThreadPoolExecutor(threads) as pool:
        for size, count in SIZES.items():
            rgb = torch.from_numpy(photographs(size, count))
            L, ab = rgb_to_lab(rgb)
            reference_rgb = rgb.numpy().astype(np.float32) / 255
            reference_lab = np.ascontiguousarray(torch.cat([L, ab], dim=1).permute(0, 2, 3, 1).numpy())
            ways: dict[str, tuple[Callable[[], object], Callable[[np.ndarray], object], Iterable[np.ndarray]]] = {
                "RGB → Lab": (lambda rgb=rgb: rgb_to_lab(rgb), color.rgb2lab, list(reference_rgb)),  # type: ignore[misc]
                "Lab → RGB": (lambda L=L, ab=ab: lab_to_rgb(L, ab), color.lab2rgb, list(reference_lab)),  # type: ignore[misc]
            }
            for name, (run, convert, inputs) in ways.items():
                ours = images_per_second(run, count)
                single = images_per_second(lambda f=convert, x=inputs: list(map(f, x)), count, 5)  # type: ignore[misc]
                parallel = images_per_second(lambda f=convert, x=inputs: list(pool.map(f, x)), count, 5)  # type: ignore[misc]
                best = max(single, parallel)
                slow |= size == 256 and ours < best
                print(
                    f"{name} {size}²: ours {ours:7.0f}   scikit-image {single:6.0f} / {parallel:6.0f} "
                    f"({ours / best:.1f}×)"
                )
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
