"""The only training loop: any method, any number of optimizers and phases, resumable at any step.

Everything random in step k is a function of (seed, k): the batch, its mirroring, dropout. So a resumed run needs no
state of random generators, and validation in between changes nothing.
"""

import fcntl
import hashlib
import os
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmark.checkpoint import load_checkpoint, save_checkpoint
from benchmark.config import Training
from benchmark.dataset import Batches
from benchmark.errors import BenchError
from benchmark.method import Method, Phase, Update

Row = dict[str, float | int | str]
REQUEUE = 75  # EX_TEMPFAIL: what a scheduler is told after SIGTERM, so that it starts the same command again


class Interrupted(BenchError):
    """Training was asked to stop; everything up to this step is saved."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Monitor(Protocol):
    """What the loop tells while it runs. It never changes the training."""

    def start(self, step: int, steps: int) -> None:
        """Training begins, or goes on after `step` steps."""

    def advance(self, step: int) -> None:
        """`step` steps are done."""

    def log(self, row: Row) -> None:
        """Losses and rates of a log step."""

    def validate(self, step: int) -> Row:
        """Validates and shows the method as it is now; what is returned goes into the history."""

    def message(self, text: str) -> None:
        """One line for the user."""


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves beside the weights."""

    steps: int
    seconds: float  # in the loop, over all sittings; validation and checkpoints included
    images_per_second: float | None
    history: Sequence[Row]


def phase_bounds(phases: Sequence[Phase], steps: int) -> list[tuple[str, int]]:
    """Each phase's name and the step at which it ends; shares are rounded so that the last ends at `steps`."""
    total = sum(phase.share for phase in phases)
    if abs(total - 1.0) > 1e-6:
        raise BenchError(f"the shares of the phases {[tuple(p) for p in phases]} add up to {total:g}, not to 1")
    bounds, done = [], 0.0
    for phase in phases:
        done += phase.share
        bounds.append((phase.name, round(done * steps)))
    return bounds


def step_seed(seed: int, step: int) -> int:
    """Seed of everything random inside one step; neighbouring (seed, step) pairs give unrelated streams."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:8], "little")


class Trainer:
    """Trains one method. `run` either finishes or leaves a checkpoint that the next `run` goes on from.

    Args:
        method: on its device already.
        training: the settings.
        batches: step → batch, on the device.
        seed: of the run.
        device: where the method is.
        folder: of checkpoints.
        key: hash of everything that decides the weights; a checkpoint with another key is never continued.
        monitor: told of progress.
    """

    def __init__(
        self,
        method: Method,
        training: Training,
        batches: Batches,
        *,
        seed: int,
        device: torch.device,
        folder: Path,
        key: str,
        monitor: Monitor,
    ) -> None:
        self.method = method
        self.training = training
        self.batches = batches
        self.seed = seed
        self.device = device
        self.folder = folder
        self.key = key
        self.monitor = monitor
        self.bounds = phase_bounds(method.phases, training.steps)
        self.step = 0
        self.seconds = 0.0
        self.history: list[Row] = []
        self.phase = ""
        self.optimizers: dict[str, Optimizer] = {}
        self.parameters: dict[str, list[Tensor]] = {}
        self.average = _clone(method.colorizer.state_dict()) if training.ema_decay else None
        self.finite = torch.ones((), dtype=torch.bool, device=device)

    def run(self) -> Outcome:
        """Trains to the end of the budget.

        Raises:
            BenchError: a loss is not finite; names phase, step and loss.
            Interrupted: SIGINT or SIGTERM came; the state is saved.
        """
        self.resume()
        self.monitor.start(self.step, self.training.steps)
        with stop_request() as stop:
            began = saved = time.perf_counter()
            while self.step < self.training.steps:
                self.train_step()
                self.monitor.advance(self.step)
                now = time.perf_counter()
                if stop.signal is not None or now - saved >= self.training.checkpoint_seconds:
                    self.save(self.seconds + now - began)
                    saved = time.perf_counter()
                if stop.signal is not None:
                    raise self._interrupted(stop.signal)
            self.seconds += time.perf_counter() - began
        self._check_finite("some loss since the last row of the history")
        if self.average is not None:
            self.method.colorizer.load_state_dict(self.average)
        images = self.training.steps * self.training.batch_size
        rate = images / self.seconds if self.seconds and images else None
        return Outcome(self.training.steps, self.seconds, rate, self.history)

    def train_step(self) -> None:
        """One step: every update that the method asks for, in its order."""
        phase = next(name for name, end in self.bounds if self.step < end)
        if phase != self.phase:
            self._enter(phase)
        last = self.step + 1 == self.training.steps
        logging = self.step % self.training.log_every == 0 or last
        row: Row = {"step": self.step + 1, "phase": phase}
        torch.manual_seed(step_seed(self.seed, self.step))
        self.method.train()
        updates = self.method.training_step(self.batches(self.step), phase)
        while (update := self._next(updates)) is not None:
            self._apply(update)
            if logging:  # reading a value waits for the device: only here
                row |= self._logs(update)
        if self.average is not None:
            self._update_average()
        self.step += 1
        if logging:
            self._check_finite(f"one of {', '.join(k for k in row if k.endswith('loss'))}")
            self.history.append(row)
            self.monitor.log(row)
        if self.step % self.training.validate_every == 0 or last:
            self.method.eval()
            self.history.append({"step": self.step, "phase": phase, **self.monitor.validate(self.step)})

    def _next(self, updates: Iterator[Update]) -> Update | None:
        with self._autocast():
            return next(updates, None)

    def _apply(self, update: Update) -> None:
        """One update: gradients of this loss for this optimizer's parameters alone, and a step."""
        optimizer, parameters = self.optimizers[update.optimizer], self.parameters[update.optimizer]
        self.finite &= torch.isfinite(update.loss.detach())
        if self.device.type == "cpu":  # costs nothing here: stop before the weights are spoilt
            self._check_finite(f"the loss of {update.optimizer!r}, {update.loss.item()},")
        optimizer.zero_grad(set_to_none=True)
        update.loss.backward(inputs=parameters)
        optimizer.step()

    def _logs(self, update: Update) -> Row:
        gradients = [p.grad for p in self.parameters[update.optimizer] if p.grad is not None]
        values = {
            "loss": update.loss.detach(),
            "gradient_norm": torch.nn.utils.get_total_norm(gradients),
            **update.logs,
        }
        return {f"{update.optimizer}_{name}": value.item() for name, value in values.items()}

    def _check_finite(self, what: str) -> None:
        if not self.finite.item():
            raise BenchError(
                f"{self.method.name}: {what} is not finite after step {self.step} (phase {self.phase!r}); stopped, "
                f"the last good checkpoint is kept in {self.folder}; a smaller learning rate may help"
            )

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.optimizers = self.method.optimizers(phase)
        self.parameters = {
            name: [p for group in optimizer.param_groups for p in group["params"]]
            for name, optimizer in self.optimizers.items()
        }

    def _autocast(self) -> AbstractContextManager[Any]:
        wanted = self.training.precision
        if wanted == "bf16" or (wanted == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def _update_average(self) -> None:
        assert self.average is not None
        for name, value in self.method.colorizer.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1.0 - self.training.ema_decay)
            else:
                self.average[name].copy_(value)

    def save(self, seconds: float) -> None:
        """Writes a checkpoint of the state after `self.step` steps and `seconds` of training."""
        self._check_finite("some loss since the last row of the history")
        state = {
            "key": self.key,
            "step": self.step,
            "phase": self.phase,
            "seconds": seconds,
            "history": self.history,
            "method": self.method.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "average": self.average,
        }
        save_checkpoint(self.folder, state)

    def resume(self) -> None:
        """Takes up the newest checkpoint of the folder, if there is one of this key."""
        state = load_checkpoint(self.folder, self.monitor.message)
        if state is None:
            return
        if state["key"] != self.key:
            self.monitor.message(f"{self.folder}: the checkpoint there is of other settings, code or data; not used")
            return
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]
        self.method.load_state_dict(state["method"])
        self._enter(state["phase"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.average is not None:
            self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.monitor.message(f"going on after step {self.step} of {self.training.steps}")

    def _interrupted(self, number: int) -> Interrupted:
        text = (
            f"stopped after step {self.step} of {self.training.steps}, saved in {self.folder}; the same command goes on"
        )
        return Interrupted(text, REQUEUE if number == signal.SIGTERM else 128 + number)


def _clone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    signal: int | None = None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request that the loop answers between two steps.

    A second one acts at once. Outside the main thread signals cannot be caught, and are left alone.
    """
    request = StopRequest()
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        request.signal = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread
        before.clear()
    try:
        yield request
    finally:
        restore()


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a folder for this process.

    Raises:
        BenchError: another process holds it; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BenchError(f"{folder} is being trained by {file.read().strip() or 'another process'}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def make_deterministic(device: torch.device) -> None:
    """Same seed, same machine, same versions: same bits."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def write_history(path: Path, history: Sequence[Row]) -> None:
    """The history as CSV: one row per log step or validation, one column per quantity, empty where there is none."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in history)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
