"""Measures both loops in alternation, in one process, on the same data."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.contracts.config import Cell
from benchmark.contracts.method import Method, Phase
from benchmark.data.batches import Batches
from benchmark.data.prepared import Prepared
from benchmark.running.stages import Context, build_method, prepare_data
from benchmark.scoring.evaluate import batches as evaluation_batches
from benchmark.scoring.evaluate import colorize, device_name
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.speed.flops import peak_flops, training_flops
from benchmark.speed.loops import Loop, OurLoop, PlainLoop
from benchmark.speed.originals import image_files
from benchmark.support.errors import InputError
from benchmark.support.memory import peak_memory
from benchmark.support.precision import resolved_precision
from benchmark.training.acceleration import compiles

_WARM_UP = 2  # steps before the clock starts, in which memory is taken, queues are filled and networks are compiled


@dataclass(frozen=True)
class Plan:
    """How long to measure; each of our blocks is followed by the same block of the plain loop."""

    rounds: int = 3  # blocks over which medians are taken
    seconds: float = 5.0  # least length of a block
    steps: int | None = None  # exact length of a block in training steps; batches alone and evaluation use `seconds`


@dataclass(frozen=True)
class Speed:
    """Median rates of one loop in one phase, or over all phases."""

    data: float  # images/s of batches alone
    step: float  # images/s of steps on a batch that exists already
    training: float  # images/s of batches and steps
    waiting: float  # share of the training's time spent on getting batches, [0, 1]


@dataclass(frozen=True)
class PhaseSpeed:
    """Measurements of one phase of a method."""

    name: str
    share: float  # share of the training steps
    ours: Speed
    plain: Speed | None
    flops: float  # operations of one training step, per image


@dataclass(frozen=True)
class Report:
    """Everything that `bench speed` prints."""

    cell: str
    image_size: int
    batch_size: int
    precision: str
    compiled: bool
    deterministic: bool
    device: str
    files: str | None  # sentence on the files that the plain loop read
    phases: tuple[PhaseSpeed, ...]
    ours: Speed
    plain: Speed | None
    evaluation: float  # images/s of coloring and scoring
    flops: float  # operations of one training step, per image
    peak_flops: float | None  # the device's peak in FLOP/s
    peak_note: str | None  # why the peak is not known
    memory: int  # peak memory in bytes, of the GPU or, on a CPU, of the whole process
    plain_memory: int | None  # the plain loop's; None on a CPU, where one process holds both

    @property
    def flops_per_second(self) -> float:
        """The arithmetic of our step alone, in FLOP/s."""
        return self.flops * self.ours.step

    @property
    def utilization(self) -> float | None:
        """The share [0, 1] of the device's peak that our training uses."""
        return self.flops * self.ours.training / self.peak_flops if self.peak_flops else None


def measure(cell: Cell, context: Context, plan: Plan, *, plain: bool = True) -> Report:
    """Measures the training and evaluation of a cell.

    Args:
        cell: a cell of any method with training; its data is prepared if necessary.
        context: the workspace and the device.
        plan: how long to measure.
        plain: whether to measure the plain loop as well.

    Raises:
        InputError: the method has no training, or cannot run here.
    """
    prepared = prepare_data(cell, context)
    if reason := cell.method_class.skip(cell.method_config, prepared.info()):
        raise InputError(f"{cell.name} cannot run here: {reason}")
    method = build_method(cell, prepared, context.device)
    phases = [phase for phase in method.phases if phase.share and method.optimizers(phase.name)]
    if not phases:
        raise InputError(f"{cell.method} is not trained, so there is no step to measure; choose another method")
    with tempfile.TemporaryDirectory() as scratch:
        bench = _Bench(cell, prepared, context, plan, Path(scratch), plain)
        loops = [bench.start(phase.name) for phase in phases]
        measured = tuple(bench.measure_phase(*each) for each in zip(phases, loops, strict=True))
    precision = resolved_precision(cell.training.precision, context.device)
    peak = peak_flops(context.device, precision)
    return Report(
        cell=cell.name,
        image_size=prepared.meta.image_size,
        batch_size=cell.training.batch_size,
        precision=precision,
        compiled=compiles(cell.training, context.device),
        deterministic=cell.training.deterministic,
        device=device_name(context.device),
        files=bench.files,
        phases=measured,
        ours=over_phases([(phase.share, phase.ours) for phase in measured]),
        plain=over_phases([(phase.share, phase.plain) for phase in measured if phase.plain]) if plain else None,
        evaluation=evaluation_speed(method, prepared, context.device, plan.seconds),
        flops=sum(phase.share * phase.flops for phase in measured) / sum(phase.share for phase in measured),
        peak_flops=None if isinstance(peak, str) else peak,
        peak_note=peak if isinstance(peak, str) else None,
        memory=bench.memory,
        plain_memory=bench.plain_memory,
    )


class _Bench:
    """Measures the phases of one cell, and holds what they share."""

    def __init__(
        self, cell: Cell, prepared: Prepared, context: Context, plan: Plan, scratch: Path, plain: bool
    ) -> None:
        self.cell, self.prepared, self.context, self.plan = cell, prepared, context, plan
        training, device = cell.training, context.device
        self.batches = Batches(
            prepared.images("train"),
            training.batch_size,
            seed=cell.seed,
            device=device,
            flip=training.flip,
            crop=training.crop,
            on_device=context.on_device,
        )
        self.paths: list[Path] = []
        self.files: str | None = None
        if plain:
            dataset = cell.dataset_class(cell.data_config, cell.data_path or context.root)
            self.paths, self.files = image_files(dataset, prepared, scratch / "files")
        self.memory = 0
        self.plain_memory: int | None = None

    def start(self, phase: str) -> OurLoop:
        """Warms up our loop in a phase, before a plain loop exists whose memory would be counted as ours."""
        ours = OurLoop(self.cell, self.prepared, self.context, self.batches, phase)
        with ours.running():
            self.memory = max(self.memory, _peak_of(lambda: _repeat(ours.train, _WARM_UP), self.context.device))
        return ours

    def measure_phase(self, phase: Phase, ours: OurLoop) -> PhaseSpeed:
        """Measures both loops in one phase."""
        cell, prepared, context = self.cell, self.prepared, self.context
        flops = training_flops(build_method(cell, prepared, context.device), self.batches(0), phase.name)
        loops: list[Loop] = [ours]
        if self.paths:
            loops.append(self._start_plain(phase.name))
        speeds = measure_loops(loops, cell.training.batch_size, context.device, self.plan)
        return PhaseSpeed(phase.name, phase.share, speeds[0], speeds[1] if self.paths else None, flops)

    def _start_plain(self, phase: str) -> PlainLoop:
        device = self.context.device
        held = _held(device)
        plain = PlainLoop(self.cell, self.prepared, self.context, self.paths, phase)
        if device.type == "cuda":
            with plain.running():
                peak = _peak_of(lambda: _repeat(plain.train, _WARM_UP), device)
            self.plain_memory = max(self.plain_memory or 0, peak - held)
        return plain


def measure_loops(loops: Sequence[Loop], batch_size: int, device: torch.device, plan: Plan) -> list[Speed]:
    """Returns medians for each loop; the loops do their blocks in turn in every round.

    Args:
        loops: the loops to compare.
        batch_size: images per step.
        device: the device of the loops.
        plan: how long to measure.
    """
    rounds = [[_one_round(loop, batch_size, device, plan) for loop in loops] for _ in range(plan.rounds)]
    return [_median(column) for column in zip(*rounds, strict=True)]


def _one_round(loop: Loop, batch_size: int, device: torch.device, plan: Plan) -> Speed:
    with loop.running():
        data = batch_size / seconds_per_call(loop.make_batch, device, Plan(seconds=plan.seconds))
    with loop.running():
        step = batch_size / seconds_per_call(loop.step, device, plan)
    with loop.running():
        seconds, waiting = _seconds_and_waiting(loop, device, plan)
    return Speed(data, step, batch_size / seconds, waiting)


def _seconds_and_waiting(loop: Loop, device: torch.device, plan: Plan) -> tuple[float, float]:
    """Returns the seconds per training step, and the share of them spent on getting batches."""
    _repeat(loop.train, _WARM_UP)
    loop.clock.take()
    count, seconds = _block(loop.train, device, plan)
    return seconds / count, loop.clock.take() / seconds


def seconds_per_call(call: Callable[[], object], device: torch.device, plan: Plan) -> float:
    """Returns the mean seconds per call over one block, after some calls that are not counted."""
    _repeat(call, _WARM_UP)
    count, seconds = _block(call, device, plan)
    return seconds / count


def _block(call: Callable[[], object], device: torch.device, plan: Plan) -> tuple[int, float]:
    """Makes calls for as long as the plan says, and returns their number and the seconds they took."""
    began, count = _now(device), 0
    while count < plan.steps if plan.steps else time.perf_counter() - began < plan.seconds:
        call()
        count += 1
    return count, _now(device) - began


def _repeat(call: Callable[[], object], times: int) -> None:
    for _ in range(times):
        call()


def evaluation_speed(method: Method, prepared: Prepared, device: torch.device, seconds: float) -> float:
    """Colors and scores the test split with every available metric for at least so many seconds; returns images/s."""
    method.eval()
    images = prepared.images("test")
    scorer = Scorer(prepared=prepared, device=device, chosen=range(len(images)))
    splits: Iterator[torch.Tensor] = itertools.chain.from_iterable(
        evaluation_batches(images, device) for _ in itertools.count()
    )
    scorer.update(*colorize(method, next(splits)))
    began, count = _now(device), 0
    while time.perf_counter() - began < seconds or not count:
        rgb = next(splits)
        scorer.update(*colorize(method, rgb))
        count += len(rgb)
    return count / (_now(device) - began)


def _median(speeds: Sequence[Speed]) -> Speed:
    return Speed(*(statistics.median(column) for column in zip(*map(_values, speeds), strict=True)))


def over_phases(phases: Sequence[tuple[float, Speed]]) -> Speed:
    """Returns the speed over all phases, each with its share of the steps; rates are harmonic means."""
    total = sum(share for share, _ in phases)
    data, step, training = (
        total / sum(share / getattr(speed, name) for share, speed in phases) for name in ("data", "step", "training")
    )
    waiting = sum(share / speed.training * speed.waiting for share, speed in phases) * training / total
    return Speed(data, step, training, waiting)


def _values(speed: Speed) -> tuple[float, ...]:
    return speed.data, speed.step, speed.training, speed.waiting


def _held(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _peak_of(work: Callable[[], object], device: torch.device) -> int:
    """Returns the peak memory in bytes while `work` runs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    work()
    return peak_memory(device)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
