"""Measures what checkpoints cost a training at default settings: `python tests/speed/bench_checkpoint.py`.

Methods at their papers' widths are trained with and without a checkpoint being written, in turns. The cost of a
checkpoint is the time from `save` until the file is on the disk, less the usual time of the steps done meanwhile. Its
share is this cost divided by the trainer's time between two checkpoints. The benchmark exits with 1 if a share is more
than 1 %.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmark.contracts.registry import load_method
from benchmark.contracts.settings import Training
from benchmark.running.conformance import build, make_trainer, tiny_images
from benchmark.training.checkpoint import GENERATIONS
from benchmark.training.trainer import CHECKPOINT_SHARE, Trainer

WANTED = 0.01
METHODS = ("l2", "cgan")  # 16.7 and 19.5 million parameters
SIZE, REPEATS, PLAIN_SECONDS = 64, 3, 2.0


def seconds_per_step(trainer: Trainer) -> float:
    """Returns the median over at least `PLAIN_SECONDS` and three steps, while nothing is written."""
    steps: list[float] = []
    while sum(steps) < PLAIN_SECONDS or len(steps) < 3:
        began = time.perf_counter()
        trainer.train_step()
        steps.append(time.perf_counter() - began)
    return median(steps)


class Cost(NamedTuple):
    """The cost of one checkpoint, in seconds."""

    stood: float  # time in which no step was under way
    lost: float  # time lost until the file was written
    written: float  # time from the first copy to the disk


def cost_of_a_checkpoint(trainer: Trainer) -> Cost:
    """Saves once while training goes on; steps before and after give the usual time of the steps meanwhile."""
    before, earlier = seconds_per_step(trainer), trainer.writer.cost
    began, steps = time.perf_counter(), 0
    trainer.save()
    stood = time.perf_counter() - began
    while trainer.writer.cost == earlier:
        trainer.train_step()
        steps += 1
    seconds = time.perf_counter() - began
    step = (before + seconds_per_step(trainer)) / 2
    return Cost(stood, max(stood, seconds - steps * step), trainer.writer.cost)


def share_of(name: str, folder: Path) -> float:
    """Prints what the checkpoints of a method cost; returns their share of the time."""
    adapter = load_method(name)
    method = build(adapter, adapter.Config())
    trainer = make_trainer(method, 10**6, folder, images=tiny_images(image_size=SIZE), validate_every=10**6)
    cost_of_a_checkpoint(trainer)  # the first checkpoint allocates memory and is not counted
    measured = zip(*(cost_of_a_checkpoint(trainer) for _ in range(REPEATS)), strict=True)
    cost = Cost(*(median(column) for column in measured))
    trainer.writer.close()
    every = max(Training().checkpoint_seconds, cost.written / CHECKPOINT_SHARE)
    share = cost.lost / every
    size = (folder / GENERATIONS[1]).stat().st_size / 1e6
    print(
        f"  {name:5} {size:4.0f} MB, written in {cost.written:.2f} s; training stood {cost.stood:.2f} s, lost "
        f"{cost.lost:.2f} s; one every {every:.0f} s: {share:.2%}"
    )
    return share


def main() -> int:
    print(f"checkpoints of {SIZE}×{SIZE} trainings, {torch.get_num_threads()} threads")
    shares = []
    for name in METHODS:
        with tempfile.TemporaryDirectory() as folder:
            shares.append(share_of(name, Path(folder)))
    print(f"  largest share of the time: {max(shares):.2%} (wanted at most {WANTED:.0%})")
    return int(max(shares) > WANTED)


if __name__ == "__main__":
    sys.exit(main())
