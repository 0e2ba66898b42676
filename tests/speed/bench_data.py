"""Compares preparation and batches with the usual ways: `python tests/speed/bench_data.py`.

Everything is measured in one run on one machine, on JPEG files cut from scikit-image's photographs:

- preparation with two workers against one, and one against Pillow alone (open, resize, crop, to an array), at 256²;
- training batches in Lab on the device against a `Dataset` that opens, resizes, crops and converts with
  `skimage.color.rgb2lab` behind a `DataLoader(num_workers=2)`, at 256² (files of 640×480) and at 32² (files of 32×32).

The benchmark exits with 1 if a target is missed. Much is imported late, because worker processes import this file anew.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from benchmark.data.batches import Batches

PHOTOS, PHOTO_SIZE, SIZE = 3000, (640, 480), 256
THUMBNAILS, THUMBNAIL_SIZE = 4000, 32
WANTED_SPEEDUP, WANTED_OVERHEAD = 1.8, 1.15
WANTED_BATCHES = {SIZE: 20, THUMBNAIL_SIZE: 50}
STEPS = 100
BATCH_SIZE = {SIZE: 16, THUMBNAIL_SIZE: 128}


def make_files(folder: Path, count: int, width: int, height: int) -> Path:
    """Writes JPEG files of random parts of five photographs."""
    spec = find_spec("skimage")
    assert spec
    assert spec.origin
    names = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
    photographs = [Image.open(Path(spec.origin).parent / "data" / name).convert("RGB") for name in names]
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        across = min(photograph.width, photograph.height * width / height) * random.uniform(0.4, 0.95)
        down = across * height / width
        left, top = random.uniform(0, photograph.width - across), random.uniform(0, photograph.height - down)
        box = (left, top, left + across, top + down)
        part = photograph.resize((width, height), Image.Resampling.BICUBIC, box=box)
        part.save(folder / f"{number:06d}.jpg", quality=90)
    return folder


def seconds(work: Callable[[], object]) -> float:
    """Returns the wall time of a piece of work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Took(NamedTuple):
    """The time of a piece of work, in seconds."""

    wall: float
    processor: float  # user and system time of this process and its children, which a busy machine hardly changes


def took(work: Callable[[], object]) -> Took:
    """Times a piece of work whose processes have ended when it returns."""
    before = os.times()
    wall = seconds(work)
    return Took(wall, sum(os.times()[:4]) - sum(before[:4]))


def preparation(photos: Path, scratch: Path) -> bool:
    """Prints times per image and their ratios; returns whether the targets are met."""
    from benchmark.contracts.registry import load_dataset
    from benchmark.data.preparation.prepare import prepare
    from benchmark.speed.plain import open_square

    paths = sorted(photos.iterdir())
    adapter = load_dataset("folder")

    def prepared_by(workers: int) -> Took:
        out = scratch / f"workers-{workers}"
        shutil.rmtree(out, ignore_errors=True)
        return took(lambda: prepare(adapter(adapter.Config(), photos), out, workers=workers, quiet=True))

    # The first preparation loads modules and tables and fills the disk cache; it is not timed.
    prepare(adapter(adapter.Config(image_size=32), photos), scratch / "warm", quiet=True)
    rounds = [
        (took(lambda: [np.asarray(open_square(path, SIZE)) for path in paths]), prepared_by(1), prepared_by(2))
        for _ in range(3)
    ]
    alone, one, two = (Took(*np.median(np.array(times), axis=0)) for times in zip(*rounds, strict=True))
    for label, each in (("Pillow alone", alone), ("prepare, 1 worker", one), ("prepare, 2 workers", two)):
        wall, processor = (total / len(paths) * 1e3 for total in each)
        print(f"  {label:20} {wall:7.2f} ms per image, {processor:.2f} ms of processor time")
    print(f"  2 workers against 1: {one.wall / two.wall:.2f}× (wanted {WANTED_SPEEDUP}×)")
    print(f"  by processor time, as if two cores did nothing else: {2 * one.processor / two.processor:.2f}×")
    overhead = one.wall / alone.wall
    print(f"  1 worker against Pillow alone: {overhead:.2f} of its time (wanted at most {WANTED_OVERHEAD})")
    return one.wall / two.wall >= WANTED_SPEEDUP and overhead <= WANTED_OVERHEAD


def run(ours: "Batches") -> None:
    """Makes `STEPS` batches."""
    import torch

    for step in range(STEPS):
        ours(step)
    if ours.device.type == "cuda":
        torch.cuda.synchronize()


def batches(folder: Path, size: int, scratch: Path) -> bool:
    """Prints images per second and their ratio; returns whether the target is met."""
    import torch

    from benchmark.contracts.registry import load_dataset
    from benchmark.data.batches import Batches
    from benchmark.data.preparation.prepare import prepare
    from benchmark.speed.plain import make_loader

    batch_size = BATCH_SIZE[size]
    loader = make_loader(sorted(folder.iterdir()), size, batch_size, flip=True)
    sum(1 for _ in loader)  # the first epoch starts the workers
    usual = len(loader) * batch_size / seconds(lambda: sum(1 for _ in loader))
    adapter = load_dataset("folder")
    prepared = prepare(adapter(adapter.Config(image_size=size), folder), scratch / f"size-{size}", quiet=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"  usual{'':17} {usual:9,.0f} images/s")
    ratios = []
    for on_device in ("yes", "no"):
        ours = Batches(prepared.images("train"), batch_size, seed=0, device=device, on_device=on_device)
        ours(0)
        speed = STEPS * batch_size / min(seconds(lambda ours=ours: run(ours)) for _ in range(3))  # type: ignore[misc]
        ratios.append(speed / usual)
        where = f"the split kept on the {device}" if on_device == "yes" else "read from the map"
        print(f"  ours, {where:25} {speed:9,.0f} images/s: {speed / usual:.0f}×")
    print(f"  wanted {WANTED_BATCHES[size]}×")
    return max(ratios) >= WANTED_BATCHES[size]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        photos = make_files(scratch / "photos", PHOTOS, *PHOTO_SIZE)
        thumbnails = make_files(scratch / "thumbnails", THUMBNAILS, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        print(f"preparation of {PHOTOS} photographs of {PHOTO_SIZE[0]}×{PHOTO_SIZE[1]} at {SIZE}²")
        met = [preparation(photos, scratch)]
        for size, files in ((SIZE, photos), (THUMBNAIL_SIZE, thumbnails)):
            print(f"batches of {BATCH_SIZE[size]} at {size}²")
            met.append(batches(files, size, scratch))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
