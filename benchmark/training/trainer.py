"""The only training loop: any method, any number of optimizers and phases, resumable at any step.

Everything random in step k is a function of (seed, k): the batch, its mirroring, dropout. Therefore a resumed run needs
no state of random generators, and a validation between two steps changes nothing.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmark.contracts.method import Method, Phase, Update
from benchmark.contracts.returned import returned
from benchmark.contracts.settings import Training
from benchmark.data.batches import Batches
from benchmark.support.errors import BenchError, Diverged
from benchmark.support.interruption import Interrupted, StopRequest, stop_request
from benchmark.support.precision import exact_products, resolved_precision
from benchmark.training.acceleration import compile_networks, compiles, fuse, keep_freed_memory, uncompiled
from benchmark.training.checkpoint import CheckpointWriter, load_checkpoint, stale_checkpoints
from benchmark.training.distributed import ALONE, Ranks
from benchmark.training.progress import Monitor, Outcome, Row

CHECKPOINT_SHARE = 0.01  # Checkpoints take at most this share of the time, however large they are.
AGREE_EVERY = 10  # Several ranks agree once in this many steps whether to save or stop.


def phase_bounds(phases: Sequence[Phase], steps: int) -> list[tuple[str, int]]:
    """Returns each phase's name and end step; shares are rounded so that the last phase ends at `steps`."""
    total = sum(phase.share for phase in phases)
    if abs(total - 1.0) > 1e-6:
        raise BenchError(f"the shares of the phases {[tuple(p) for p in phases]} add up to {total:g}, not to 1")
    bounds, done = [], 0.0
    for phase in phases:
        done += phase.share
        bounds.append((phase.name, round(done * steps)))
    return bounds


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Returns the seed of everything random in one step on one rank; neighboring steps get unrelated streams."""
    text = f"{seed}:{step}" + (f":{rank}" if rank else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


@dataclass(eq=False)
class Trainer:
    """Trains one method. `run` either finishes or leaves a checkpoint from which the next `run` continues."""

    method: Method  # The method, already on its device.
    training: Training
    batches: Batches  # Step → batch on the device.
    _: KW_ONLY
    seed: int
    device: torch.device
    folder: Path  # The folder that holds the checkpoints.
    key: str  # Hash of all that decides the weights; a checkpoint with another key is never continued.
    monitor: Monitor
    ranks: Ranks = ALONE
    check_data: Callable[[], None] = lambda: None  # Called before saving; raises if the data changed.

    def __post_init__(self) -> None:
        self.writer = CheckpointWriter(self.folder)
        self.bounds = phase_bounds(self.method.phases, self.training.steps)
        self.step = 0
        self.seconds = 0.0
        self.history: list[Row] = []
        self.phase = ""
        self.optimizers: dict[str, Optimizer] = {}
        self.parameters: dict[str, list[Tensor]] = {}
        self.base_rates: dict[str, list[float]] = {}  # Optimizer → its groups' initial rates.
        self.average = _clone(self.method.colorizer.state_dict()) if self.training.ema_decay else None
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)
        if compiles(self.training, self.device):
            compile_networks(self.method)

    def run(self) -> Outcome:
        """Trains to the end of the budget.

        Raises:
            BenchError: a loss is not finite, the device's memory is full, a checkpoint cannot be written, or
                the data changed. The last checkpoint is kept.
            Interrupted: SIGINT or SIGTERM came; the state is saved.
        """
        if self.device.type == "cpu":
            keep_freed_memory()
        self.resume()
        self.monitor.start(self.step, self.training.steps)
        try:
            with stop_request() as stop:
                self._loop(stop)
        except torch.OutOfMemoryError:
            raise BenchError(
                f"out of GPU memory in step {self.step + 1}; the last checkpoint is kept in {self.folder}; "
                f"a smaller batch_size than {self.training.batch_size} may help"
            ) from None
        except OSError as error:  # The monitor could not write its curves or pictures.
            raise BenchError(
                f"stopped after step {self.step}: {error}; the last checkpoint is kept in {self.folder}"
            ) from None
        finally:
            self.writer.close()
        self._check_finite("some loss since the last row of the history")
        self._check_weights()
        self.check_data()
        self._gather_statistics()
        if self.average is not None:
            self.method.colorizer.load_state_dict(self.average)
        images = self.training.steps * self.training.batch_size
        rate = images / self.seconds if self.seconds and images else None
        return Outcome(self.training.steps, self.seconds, rate, self.history)

    def _loop(self, stop: StopRequest) -> None:
        """Takes steps until the budget is spent; `self.seconds` sums their time over all runs."""
        before, began = self.seconds, time.perf_counter()
        saved = began
        while self.step < self.training.steps:
            self.train_step()
            self.monitor.advance(self.step)
            self.seconds = before + time.perf_counter() - began
            due = self.ranks.first and self._checkpoint_due(time.perf_counter() - saved)
            if self.ranks.world > 1:
                if self.step % AGREE_EVERY:
                    continue
                due, stop.signal = bool(self.ranks.largest(due)), self.ranks.largest(stop.signal)
            if due or stop.signal:
                self.save()
                saved = time.perf_counter()
            if stop.signal:
                self.writer.close()
                raise Interrupted(
                    f"stopped after step {self.step} of {self.training.steps}, saved in {self.folder}; "
                    "the same command goes on",
                    stop.signal,
                )

    def _checkpoint_due(self, elapsed: float) -> bool:
        wanted = self.training.checkpoint_seconds
        return wanted == 0 or elapsed >= max(wanted, self.writer.cost / CHECKPOINT_SHARE)

    @exact_products()
    def train_step(self) -> None:
        """Takes one step: applies every update that the method yields, in the method's order."""
        phase = next(name for name, end in self.bounds if self.step < end)
        if phase != self.phase:
            self._enter(phase)
        last = self.step + 1 == self.training.steps
        logging = self.step % self.training.log_every == 0 or last
        row: Row = {"step": self.step + 1, "phase": phase}
        self._set_learning_rates()
        torch.manual_seed(step_seed(self.seed, self.step, self.ranks.rank))
        self.method.train()
        step = self.method.training_step
        updates = returned(step(self.batches(self.step), phase), Iterator, step)
        while (update := self._next(updates)) is not None:
            self._apply(update)
            if logging:  # Reading a value waits for the device, so only log steps do it.
                row |= self._logs(update)
        if self.average is not None:
            self._update_average()
        self.step += 1
        if logging:
            self._check_finite(f"one of {', '.join(k for k in row if k.endswith('loss'))}")
            self.history.append(row)
            self.monitor.log(row)
        if self.step % self.training.validate_every == 0 or last:
            self._check_finite("some loss since the last row of the history")
            self._check_weights()
            self._gather_statistics()
            self.method.eval()
            with self._averaged(), uncompiled(self.training, self.device):
                self.history.append({"step": self.step, "phase": phase, **self.monitor.validate(self.step)})

    def _next(self, updates: Iterator[Update]) -> Update | None:
        with self._autocast():
            return next(updates, None)

    def _apply(self, update: Update) -> None:
        """Applies one update: takes the loss's gradients for this optimizer's parameters alone, and steps."""
        optimizer, parameters = self.optimizers[update.optimizer], self.parameters[update.optimizer]
        self.finite &= torch.isfinite(update.loss.detach())
        if self.device.type == "cpu":  # This check waits for no device on a CPU, and it saves the weights.
            self._check_finite(f"the loss of {update.optimizer!r}, {update.loss.item()},")
        optimizer.zero_grad(set_to_none=True)
        update.loss.backward(inputs=parameters)
        self.ranks.average_gradients(parameters)
        optimizer.step()

    def _logs(self, update: Update) -> Row:
        gradients = [p.grad for p in self.parameters[update.optimizer] if p.grad is not None]
        values = {
            "loss": update.loss.detach(),
            "gradient_norm": torch.nn.utils.get_total_norm(gradients),
            **update.logs,
        }
        logs: Row = {f"{update.optimizer}_{name}": value.item() for name, value in values.items()}
        rate = float(self.optimizers[update.optimizer].param_groups[0]["lr"])
        return logs | {f"{update.optimizer}_learning_rate": rate}

    def _check_finite(self, what: str) -> None:
        if not self.finite.item():
            raise Diverged(
                f"{self.method.name}: {what} is not finite after step {self.step} (phase {self.phase!r}); stopped, "
                f"the last good checkpoint is kept in {self.folder}; a smaller learning rate may help"
            )

    def _check_weights(self) -> None:
        """Checks the weights: a finite loss can have gradients that are not, and the next loss comes after the save."""
        weights = [value.detach() for value in self.method.parameters()]
        self.finite &= torch.isfinite(torch.nn.utils.get_total_norm(weights))
        self._check_finite("a weight")

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self.optimizers = returned(self.method.optimizers(phase), dict, self.method.optimizers)
        for optimizer in self.optimizers.values():
            fuse(optimizer)
        self.parameters = {
            name: [p for group in optimizer.param_groups for p in group["params"]]
            for name, optimizer in self.optimizers.items()
        }
        self.base_rates = {
            name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in self.optimizers.items()
        }

    def _set_learning_rates(self) -> None:
        """Sets every group's rate from its base rate and the step alone: no schedule has a state to be resumed."""
        for name, optimizer in self.optimizers.items():
            schedule = self.method.learning_rate
            factor = returned(schedule(name, self.step / self.training.steps), Real, schedule)
            if not 0 <= factor < math.inf:
                raise BenchError(
                    f"{self.method.name}: learning_rate({name!r}, …) gives {factor!r} in step {self.step + 1}; "
                    "it must be a finite factor of at least 0"
                )
            for group, base in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = base * factor

    def _autocast(self) -> AbstractContextManager[Any]:
        if resolved_precision(self.training.precision, self.device) == "bf16":
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

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Puts the averaged weights and buffers, if any, into the colorizer for a while: what will be saved."""
        if self.average is None:
            yield
            return
        own = _clone(self.method.colorizer.state_dict())
        self.method.colorizer.load_state_dict(self.average)
        try:
            yield
        finally:
            self.method.colorizer.load_state_dict(own)

    def _gather_statistics(self) -> None:
        """Averages the running statistics over all ranks; the moment does not matter, as they are averages."""
        buffers = list(self.method.buffers())
        if self.average is not None:
            buffers += [self.average[name] for name, _ in self.method.colorizer.named_buffers() if name in self.average]
        self.ranks.average_buffers(buffers)

    def save(self) -> None:
        """Hands the state after `self.step` steps to the writer, which works while training continues."""
        self._check_finite("some loss since the last row of the history")
        self._check_weights()
        self.check_data()
        self._gather_statistics()
        if not self.ranks.first:
            return
        state = {
            "key": self.key,
            "step": self.step,
            "phase": self.phase,
            "seconds": self.seconds,
            "history": self.history,
            "method": self.method.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "average": self.average,
        }
        self.writer.write(state)

    def resume(self) -> None:
        """Continues from the newest checkpoint of the folder, if it has this key."""
        state = self.ranks.from_first(lambda: load_checkpoint(self.folder, self.monitor.message))
        if state is None:
            for path in stale_checkpoints(self.folder):
                self.monitor.message(f"{path} is of other settings, code or data, and not used")
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


def _clone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
