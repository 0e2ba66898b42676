"""Compares trainings with the plain loop, and measures what each default of the trainer is worth.

    python tests/speed/bench_training.py ratios     # 4 to 8 minutes on 2 cores
    python tests/speed/bench_training.py choices    # 4 to 9 minutes, of which 1 is torch.compile
    python tests/speed/bench_training.py            # both

Everything is measured in one process, in alternation, on JPEG files cut from scikit-image's photographs; medians.

- ratios: `bench speed` for l2 and cgan (its adversarial phase) with the widths of the preset `quick`, at 256² in
  batches of 16 from files of 640×480, and at 32² in batches of 64 from files of 32×32; cgan at 256² with bf16, too,
  on a CPU that multiplies bf16 (the plain loop stays at fp32). Exits with 1 if a target is missed.
- choices: steps of cgan with the default settings, and with one setting changed.

On a GPU the same command measures the GPU. docs/speed.md has the figures and the machine.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from bench_data import make_files
from rich.console import Console

from benchmark.contracts.config import Cell, find_root, read_params, resolve
from benchmark.contracts.method import Batch
from benchmark.contracts.workspace import Workspace
from benchmark.data.batches import Batches
from benchmark.running.stages import Context, choose_device, prepare_data
from benchmark.scoring.evaluate import device_name
from benchmark.speed.loops import OurLoop
from benchmark.speed.measure import Plan, Report, measure, seconds_per_call
from benchmark.speed.plain import use_usual_malloc
from benchmark.speed.show import as_text
from benchmark.support.precision import resolved_precision

SIZES = {256: (16, (640, 480), 200), 32: (64, (32, 32), 4000)}  # image size → batch size, size and number of the files
MOST_WAITING, LEAST_STEP_RATIO = 0.02, 1 / 1.02
# Least training speed at 256², as a multiple of the plain loop's: on a GPU, and on a CPU by method and precision. A CPU
# spends cgan's step in float32 convolutions, the same in both loops; there, only bf16 can make it twice as fast.
GPU_TARGET, CPU_TARGETS = 3.0, {("l2", "fp32"): 2.0, ("cgan", "bf16"): 2.0}
RUNS = (
    ("l2", 256, 2, "auto"),
    ("cgan", 256, 2, "auto"),
    ("cgan", 256, 2, "bf16"),
    ("l2", 32, 10, "auto"),
    ("cgan", 32, 10, "auto"),
)
ROUNDS = 3


class Bench:
    """A project in a temporary folder, with photographs of each size."""

    def __init__(self, folder: Path) -> None:
        self.device = choose_device("auto")
        self.params = read_params(find_root(Path(__file__)))
        # One process prepares, because worker processes would import this file, and with it torch, anew.
        self.context = Context(self.params, Workspace(folder), Console(quiet=True), self.device, workers=1)
        self.folders = {
            size: make_files(folder / f"files-{size}", count, *file_size)
            for size, (_, file_size, count) in SIZES.items()
        }

    def cell(self, method: str, size: int, *assignments: str) -> Cell:
        """Returns the cell of a method on the photographs of a size."""
        only_adversarial = ("pretrain_share=0",) if method == "cgan" else ()
        given = (f"data.image_size={size}", f"batch_size={SIZES[size][0]}", *only_adversarial, *assignments)
        data = f"folder:{self.folders[size]}"
        return resolve(self.params, method=method, data=data, preset="quick", assignments=given)


def ratios(bench: Bench) -> bool:
    """Prints a table for each method, size and precision; returns whether all targets are met."""
    met = []
    for method, size, steps, precision in RUNS:
        if precision == "bf16" and (reason := no_run_with_bf16(bench.device)):
            print(f"{method} at {size}² with bf16: not measured, as {reason}\n")
            continue
        cell = bench.cell(method, size, f"precision={precision}")
        report = measure(cell, bench.context, Plan(ROUNDS, seconds=1.0, steps=steps))
        print(as_text(report), end="\n\n", flush=True)
        met.append(meets_targets(report, method, bench.device.type))
    return all(met)


def no_run_with_bf16(device: torch.device) -> str | None:
    """Returns why bf16 is not measured beside `auto`, or None where it is another precision and worth it."""
    if resolved_precision("auto", device) == "bf16":
        return "`auto` is bf16 here"
    known = torch.cpu.get_capabilities()
    multiplies = device.type == "cpu" and (known.get("avx512_bf16") or known.get("amx_bf16"))
    return None if multiplies else "this processor only emulates bf16"


def meets_targets(report: Report, method: str, device: str) -> bool:
    """Prints each missed target; returns whether all are met."""
    assert report.plain
    checks = [
        (f"waiting for data at most {MOST_WAITING:.0%}", report.ours.waiting <= MOST_WAITING),
        ("the step no slower than the plain one", report.ours.step / report.plain.step >= LEAST_STEP_RATIO),
    ]
    wanted = GPU_TARGET if device == "cuda" else CPU_TARGETS.get((method, report.precision))
    if report.image_size == 256 and wanted:
        checks.append((f"training {wanted:g}× the plain loop", report.ours.training >= wanted * report.plain.training))
    for text, good in checks:
        if not good:
            print(f"missed: {text}\n")
    return all(good for _, good in checks)


@dataclass(frozen=True)
class Choice:
    """One setting that differs from its default."""

    label: str
    assignments: tuple[str, ...] = ()
    change: Callable[[OurLoop], object] = lambda loop: None  # called after the first step
    during: Callable[[], object] = lambda: None  # called at the beginning of each block


def contiguous(loop: OurLoop) -> None:
    """Lays out weights, and with them activations, as (B, C, H, W) in memory."""
    loop.trainer.method.to(memory_format=torch.contiguous_format)


def unfused(loop: OurLoop) -> None:
    """Sets optimizers to torch's default implementation for the device."""
    for optimizer in loop.trainer.optimizers.values():
        for group in optimizer.param_groups:
            group["fused"] = None


def all_gradients(loop: OurLoop) -> None:
    """Lets each update compute every gradient that a bare `backward()` computes."""
    trainer = loop.trainer
    trainer.parameters = {name: list(trainer.method.parameters()) for name in trainer.parameters}


def channels_last_inputs(loop: OurLoop) -> None:
    """Lays out the batch as (B, H, W, C) in memory, like the weights."""
    loop.fixed = Batch(*(part.contiguous(memory_format=torch.channels_last) for part in loop.fixed))


def fill_memory() -> None:
    """Lets torch write to all memory before it is used, as it does by itself where it is to be deterministic."""
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]  # a property of the module


CHOICES = (
    Choice("as by default"),
    Choice("contiguous, not channels_last", change=contiguous),
    Choice("inputs in channels_last too", change=channels_last_inputs),
    Choice("gradients of all weights", change=all_gradients),
    Choice("optimizers not fused", change=unfused),
    Choice("freed memory given back", during=use_usual_malloc),
    Choice("memory filled before use", during=fill_memory),
    Choice("not deterministic", ("deterministic=false",)),
    Choice("bf16 autocast", ("precision=bf16",)),
    Choice("torch.compile", ("compile=always",)),
)


class Variant:
    """Our loop with one setting changed."""

    def __init__(self, bench: Bench, choice: Choice, size: int) -> None:
        cell = bench.cell("cgan", size, *choice.assignments)
        prepared = prepare_data(bench.cell("cgan", size), bench.context)
        batches = Batches(prepared.images("train"), cell.training.batch_size, seed=0, device=bench.device)
        self.choice, self.device = choice, bench.device
        self.loop = OurLoop(cell, prepared, bench.context, batches, "adversarial")
        with self.running():
            self.loop.step()
            choice.change(self.loop)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs our loop with the one setting changed."""
        with self.loop.running():
            self.choice.during()
            yield

    def seconds(self, plan: Plan) -> float:
        """Returns the seconds per step."""
        with self.running():
            return seconds_per_call(self.loop.step, self.device, plan)


def choices(bench: Bench) -> None:
    """Prints the time of a step for each setting, beside the default's."""
    for size, steps in ((256, 2), (32, 20)):
        variants = [Variant(bench, choice, size) for choice in CHOICES]
        rounds = [[variant.seconds(Plan(steps=steps)) for variant in variants] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        print(f"cgan at {size}², batch {SIZES[size][0]}, width of quick: a step on {device_name(bench.device)}")
        for choice, seconds in zip(CHOICES, medians, strict=True):
            print(f"  {choice.label:32} {seconds * 1e3:8.1f} ms  {seconds / medians[0]:5.2f} of the default's time")
        print(flush=True)


def main() -> int:
    wanted = sys.argv[1:] or ["ratios", "choices"]
    met = True
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        if "ratios" in wanted:
            met = ratios(bench)
        if "choices" in wanted:
            choices(bench)
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
