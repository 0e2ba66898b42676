"""Gives our training and the plain one the same three methods: make a batch, take a step, do both."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from benchmark.contracts.config import Cell
from benchmark.contracts.method import Batch
from benchmark.data.batches import Batches
from benchmark.data.prepared import Prepared
from benchmark.running.stages import Context, build_method
from benchmark.speed.plain import PlainTraining, endless, make_loader, use_usual_malloc
from benchmark.support.memory import leave_memory_unfilled
from benchmark.training.acceleration import keep_freed_memory, make_deterministic
from benchmark.training.progress import Monitor
from benchmark.training.trainer import Trainer, phase_bounds

Value = TypeVar("Value")
_ENDLESS = 10**9  # steps; so many that no phase ends, and no validation or checkpoint falls due


class Loop(Protocol):
    """A way to train, divided into parts for measuring; they are called only inside `running`."""

    clock: "Clock"  # sums the time that `train` spends on batches

    @contextmanager
    def running(self) -> Iterator[None]:
        """Applies this way's settings of torch and the process, and ends everything that it started."""

    def make_batch(self) -> object:
        """Makes the next batch on the device."""

    def step(self) -> object:
        """Takes a training step on one batch that exists already, the same in each call."""

    def train(self) -> object:
        """Makes the next batch and takes a training step on it."""


class Clock:
    """Sums the time of some calls; on a GPU it is the stream's time, which includes waiting for the host."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def measure(self, call: Callable[[], Value]) -> Value:
        """Makes a call, times it, and returns its value."""
        if self.device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            value = call()
            end.record()
            self._events.append((start, end))
            return value
        began = time.perf_counter()
        value = call()
        self._seconds += time.perf_counter() - began
        return value

    def take(self) -> float:
        """Waits for the GPU, and returns the seconds summed since the last call of `take`."""
        if self._events:
            torch.cuda.synchronize(self.device)
        seconds = self._seconds + sum(start.elapsed_time(end) / 1000 for start, end in self._events)
        self._seconds, self._events = 0.0, []
        return seconds


class OurLoop:
    """The suite's trainer with the settings of a cell, in one phase."""

    def __init__(self, cell: Cell, prepared: Prepared, context: Context, batches: Batches, phase: str) -> None:
        device = context.device
        method = build_method(cell, prepared, device)
        endless_training = cell.training.model_copy(
            update={"steps": _ENDLESS, "validate_every": _ENDLESS, "checkpoint_seconds": float(_ENDLESS)}
        )
        self.deterministic = cell.training.deterministic
        self.batches = batches
        self.fixed = batches(0)
        self.clock = Clock(device)
        self.trainer = Trainer(
            method,
            endless_training,
            batches,
            seed=cell.seed,
            device=device,
            folder=Path(os.devnull),  # nothing is ever saved
            key="speed",
            monitor=Monitor(),
        )
        bounds = [0, *(end for _, end in phase_bounds(method.phases, _ENDLESS))]
        self.trainer.step = bounds[[name for name, _ in method.phases].index(phase)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Applies the settings of a run of the suite."""
        before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        if self.deterministic:
            make_deterministic(self.trainer.device)
        leave_memory_unfilled()
        if self.trainer.device.type == "cpu":
            keep_freed_memory()
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.backends.cudnn.benchmark = before[1]

    def make_batch(self) -> Batch:
        """Makes the batch of the trainer's current step."""
        self.trainer.step += 1
        return self.batches(self.trainer.step)

    def step(self) -> None:
        """Takes a step on the first batch."""
        self._train_on(lambda _: self.fixed)

    def train(self) -> None:
        """Takes a step as in a run of the suite."""
        self._train_on(lambda step: self.clock.measure(lambda: self.batches(step)))

    def _train_on(self, batches: Callable[[int], Batch]) -> None:
        self.trainer.batches = batches  # type: ignore[assignment]  # it only ever calls them
        self.trainer.train_step()


class PlainLoop:
    """The plain training (`benchmark.speed.plain`) of the same networks from the same initial weights."""

    def __init__(self, cell: Cell, prepared: Prepared, context: Context, paths: list[Path], phase: str) -> None:
        torch.manual_seed(cell.seed)
        method = cell.method_class(cell.method_config, prepared.info()).to(context.device)
        self.device = context.device
        self.clock = Clock(self.device)
        self.training = PlainTraining(method, phase)
        size, training = prepared.meta.image_size, cell.training
        enough = paths * -(-training.batch_size // len(paths))  # at least one whole batch
        loader = partial(make_loader, enough, size, training.batch_size, training.flip, training.crop)
        self.open = lambda: endless(loader(), self.device)
        self.iterator = self.open()
        self.fixed = next(self.iterator)
        del self.iterator

    @contextmanager
    def running(self) -> Iterator[None]:
        """Starts the workers, and ends them."""
        if self.device.type == "cpu":
            use_usual_malloc()
        self.iterator = self.open()
        try:
            yield
        finally:
            del self.iterator  # the workers end with the last reference to the loader

    def make_batch(self) -> Batch:
        """Makes the loader's next batch."""
        return next(self.iterator)

    def step(self) -> None:
        """Takes a step on the loader's first batch."""
        self.training.step(self.fixed)

    def train(self) -> None:
        """Makes the loader's next batch and takes a step on it."""
        self.training.step(self.clock.measure(self.make_batch))
