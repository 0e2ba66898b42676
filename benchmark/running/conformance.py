"""The conformance kit: what every method must hold, as checks that anyone can run (`bench check NAME`).

Our own contract tests run the same checks. They take seconds on a CPU, on tiny made-up pictures.
"""

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_args

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from torch import Tensor

from benchmark.contracts.config import find_root, read_params, resolve
from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig
from benchmark.contracts.result import Role
from benchmark.contracts.settings import Training
from benchmark.data.batches import Batches
from benchmark.data.color import rgb_to_lab
from benchmark.scoring.prediction import BadPrediction, fault_of, predict, require_steady
from benchmark.support.errors import InputError
from benchmark.training.checkpoint import load_model, save_model
from benchmark.training.progress import Monitor
from benchmark.training.trainer import Trainer, phase_bounds

SIZE, IMAGES, BATCH, STEPS = 32, 12, 4, 6
ODD_SIZES = ((32, 32), (33, 47), (20, 64), (5, 3))
LARGEST_AB = 200.0  # twice what sRGB reaches: more is a scale forgotten


@dataclass(frozen=True)
class Verdict:
    """Outcome of one check."""

    check: str
    passed: bool
    detail: str  # what was found, or what is wrong


class Violation(AssertionError):
    """The contract is broken; the message says how."""


def require(condition: object, message: str) -> None:
    """Raises `Violation` unless the condition holds."""
    if not condition:
        raise Violation(message)


def tiny_info(image_size: int = SIZE) -> DataInfo:
    """What a method is told of the made-up data."""
    prior = torch.rand(313, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # Under the name of a data set for which everything is there: labels, and a feature network trained on them.
    return DataInfo("cifar10", image_size, IMAGES, (2.0, 5.0), prior / prior.sum())


def tiny_images(count: int = IMAGES, image_size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Smooth made-up pictures whose color follows from their brightness: (count, S, S, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : image_size * 1j, 0 : 1 : image_size * 1j]
    phase = rng.uniform(0, 6.28, (count, 1, 1))
    brightness = 0.5 + 0.35 * np.sin(6.28 * (x + y) * rng.uniform(0.5, 2, (count, 1, 1)) + phase)
    rgb = np.stack([brightness, 0.9 * brightness**1.5, 1.0 - 0.8 * brightness], axis=-1)
    return np.clip(255 * rgb + 0.5, 0, 255).astype(np.uint8)


def tiny_batch(count: int = BATCH) -> Batch:
    """A batch of the made-up pictures."""
    return Batch(*rgb_to_lab(torch.from_numpy(tiny_images(count))))


def build(method_class: type[Method], config: MethodConfig, seed: int = 0) -> Method:
    """A method on the CPU with the weights of this seed."""
    torch.manual_seed(seed)
    method = method_class(config, tiny_info())
    method.load_pretrained()
    return method


def make_trainer(
    method: Method, steps: int, folder: Path, *, images: np.ndarray | None = None, **training: Any
) -> Trainer:
    """A trainer on the made-up pictures; checkpoints are written only when asked for."""
    settings = Training(steps=steps, batch_size=BATCH, checkpoint_seconds=1e9, **training)
    pictures = tiny_images() if images is None else images
    batches = Batches(pictures, BATCH, seed=0, device=torch.device("cpu"), flip=settings.flip, crop=settings.crop)
    return Trainer(
        method, settings, batches, seed=0, device=batches.device, folder=folder, key="tiny", monitor=Monitor()
    )


def is_trained(method: Method) -> bool:
    """Whether any phase of the method has an optimizer."""
    return any(method.optimizers(phase.name) for phase in method.phases)


# The checks. Each takes the class and a config and raises `Violation`, or says what it found. -------------------------


def check_declaration(method_class: type[Method], config: MethodConfig) -> str:
    """Name, Config, role and phases are as the contract wants them."""
    name = method_class.name
    require(name == name.lower() and "_" not in name, f"name {name!r}: lower case, with hyphens for underscores")
    require(
        issubclass(method_class.Config, MethodConfig), "Config must derive from benchmark.contracts.method.MethodConfig"
    )
    require(method_class.role in get_args(Role), f"role {method_class.role!r} is none of ours")
    method = build(method_class, config)
    bounds = phase_bounds(method.phases, 100)
    require(isinstance(method.colorizer, torch.nn.Module), "`colorizer` must be a module: it is saved and counted")
    return f"phases {', '.join(f'{phase} to {end} %' for phase, end in bounds)}"


def check_training_step(method_class: type[Method], config: MethodConfig) -> str:
    """Every phase yields scalar finite losses for its own optimizers, whose steps move their parameters alone."""
    method = build(method_class, config)
    seen = []
    for phase in method.phases:
        optimizers = method.optimizers(phase.name)
        if not optimizers:
            continue
        for key in optimizers:
            _check_rate(method, key)
        method.train()
        for update in method.training_step(tiny_batch(), phase.name):
            key = update.optimizer
            require(key in optimizers, f"phase {phase.name!r} yields {key!r}; its optimizers are {sorted(optimizers)}")
            require(update.loss.ndim == 0, f"the loss of {key!r} has shape {tuple(update.loss.shape)}, not a scalar")
            require(torch.isfinite(update.loss), f"the loss of {key!r} is {update.loss.item()}")
            require(update.loss.requires_grad, f"the loss of {key!r} has no gradient: is something detached?")
            require(not any(v.requires_grad for v in update.logs.values()), f"the logs of {key!r} must be detached")
            _check_moves(method, optimizers[key], update.loss, key)
            seen.append(f"{phase.name}: {key}")
    require(seen or not is_trained(method), "no phase yields an update")
    return "; ".join(seen) or "no training"


def _check_rate(method: Method, key: str) -> None:
    """Fails unless the optimizer's rate is a finite factor of progress alone, and is not always 0."""
    grid = [step / 100 for step in range(100)]
    factors = [method.learning_rate(key, progress) for progress in grid]
    require(all(0 <= f < math.inf for f in factors), f"learning_rate({key!r}, …) gives a negative or infinite factor")
    require(any(factors), f"learning_rate({key!r}, …) is always 0")
    again = [method.learning_rate(key, progress) for progress in reversed(grid)]
    require(again[::-1] == factors, f"learning_rate({key!r}, …) depends on more than progress: is state kept?")


def _check_moves(method: Method, optimizer: torch.optim.Optimizer, loss: Tensor, key: str) -> None:
    own = [p for group in optimizer.param_groups for p in group["params"]]
    others = [p for p in method.parameters() if not any(p is q for q in own)]
    before, before_others = [p.detach().clone() for p in own], [p.detach().clone() for p in others]
    optimizer.zero_grad()
    loss.backward(inputs=own)
    optimizer.step()
    moved = sum(not torch.equal(p, q) for p, q in zip(own, before, strict=True))
    require(moved, f"a step of {key!r} moves none of its {len(own)} parameters")
    same = all(torch.equal(p, q) for p, q in zip(others, before_others, strict=True))
    require(same, f"a step of {key!r} changes parameters that are not its own")


def check_shapes(method_class: type[Method], config: MethodConfig) -> str:
    """`predict_ab` takes any size and gives (B, 2, h, w) float32, finite, in Lab units, and leaves its input alone."""
    method = build(method_class, config).eval()
    shapes = []
    for height, width in ODD_SIZES:
        L = 100 * torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(1))
        given = L.clone()
        ab = _predict(method, L)
        fault = fault_of(ab, 2)
        require(not fault, f"{height}×{width}: gives {fault and fault[0]}")
        require(ab.dtype == torch.float32, f"{height}×{width}: gives {ab.dtype}, not float32")
        require(ab.abs().max() <= LARGEST_AB, f"{height}×{width}: |ab| up to {ab.abs().max():.0f}: not Lab units?")
        require(torch.equal(L, given), f"{height}×{width}: changes its input")
        shapes.append(f"{height}×{width} → {ab.shape[2]}×{ab.shape[3]}")
    return ", ".join(shapes)


def check_determinism(method_class: type[Method], config: MethodConfig) -> str:
    """Colors depend on the picture alone: not on chance (dropout left on), nor on the other pictures of the batch."""
    method = build(method_class, config).eval()
    L, ab = tiny_batch()
    try:
        with torch.inference_mode():
            require_steady(method, L, ab)
    except BadPrediction as error:
        raise Violation(str(error)) from None
    return f"{BATCH} pictures, twice in a batch and each alone"


def check_device(method_class: type[Method], config: MethodConfig) -> str:
    """No device is assumed: everything runs on torch's meta device, where a tensor made on the CPU is an error."""
    method = build(method_class, config).to("meta")
    batch = Batch(*(tensor.to("meta") for tensor in tiny_batch()))
    try:
        predict(method.eval(), *batch)
        for phase in method.train().phases:
            if method.optimizers(phase.name):
                for _ in method.training_step(batch, phase.name):
                    pass
    except (RuntimeError, NotImplementedError) as error:
        raise Violation(f"not on another device: {str(error).splitlines()[0]}") from error
    return "prediction and training steps run on a device that is not the CPU"


def check_resume(method_class: type[Method], config: MethodConfig) -> str:
    """Training stopped half-way and resumed gives the same bits as training in one go."""
    if not is_trained(build(method_class, config)):
        return "no training"
    with tempfile.TemporaryDirectory() as name:
        whole = build(method_class, config)
        make_trainer(whole, STEPS, Path(name) / "whole").run()
        first = make_trainer(build(method_class, config), STEPS, Path(name) / "halves")
        for _ in range(STEPS // 2):
            first.train_step()
        first.save()
        first.writer.close()
        second = build(method_class, config, seed=1)  # other weights: all must come from the checkpoint
        make_trainer(second, STEPS, Path(name) / "halves").run()
    after = second.state_dict()
    for key, value in whole.state_dict().items():
        require(torch.equal(value, after[key]), f"{key} differs after resuming: is state kept outside the modules?")
    return f"{STEPS} steps = {STEPS // 2} + {STEPS - STEPS // 2}, bit for bit"


def check_saving(method_class: type[Method], config: MethodConfig) -> str:
    """The model file holds all that prediction needs: the colorizer's state."""
    method, L = build(method_class, config), tiny_batch().L
    with tempfile.TemporaryDirectory() as name:
        if is_trained(method):
            make_trainer(method, 2, Path(name)).run()
        before = _predict(method.eval(), L)
        path = Path(name) / "model.safetensors"
        save_model(path, method.colorizer.state_dict(), {"method": method_class.name})
        fresh = build(method_class, config, seed=2)
        fresh.colorizer.load_state_dict(load_model(path)[0])
    after = _predict(fresh.eval(), L)
    require(torch.equal(before, after), "a model loaded from its file predicts otherwise: state outside `colorizer`?")
    parameters = sum(p.numel() for p in method.colorizer.parameters())
    return f"{parameters:,} parameters in the model file"


@torch.inference_mode()
def _predict(method: Method, L: Tensor) -> Tensor:
    return predict(method, L, torch.zeros_like(L).expand(-1, 2, -1, -1))


Check = Callable[[type[Method], MethodConfig], str]
CHECKS: tuple[Check, ...] = (
    check_declaration,
    check_training_step,
    check_shapes,
    check_determinism,
    check_device,
    check_resume,
    check_saving,
)


def check_method(method_class: type[Method], config: MethodConfig | None = None) -> Iterator[Verdict]:
    """Runs every check on an adapter with these settings, or its defaults.

    Yields:
        A verdict per check; a single one, passed, if the method says that it cannot run here.
    """
    config = method_class.Config() if config is None else config
    if reason := method_class.skip(config, tiny_info()):
        yield Verdict("skip", True, f"cannot run here, and says so: {reason}")
        return
    yield from run_checks(CHECKS, lambda check: check(method_class, copy.deepcopy(config)))


def run_checks(checks: Sequence[Callable[..., str]], call: Callable[[Callable[..., str]], str]) -> Iterator[Verdict]:
    """A verdict per check; `call` runs one."""
    for check in checks:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield Verdict(name, True, call(check))
        except Violation as violation:
            yield Verdict(name, False, str(violation))
        except Exception as error:
            yield Verdict(name, False, f"{type(error).__name__}: {error}")


def check_by_name(name: str, preset: str | None = None) -> Iterator[Verdict]:
    """Runs every check on an entry of params.yaml, an adapter, or a class given as `package.module:Class`.

    Raises:
        InputError: no such method, or nothing there that is one.
    """
    if ":" in name:
        return check_method(_import_class(name))
    params = read_params(find_root())
    cell = resolve(params, method=name, data="sample", preset=preset or params.suite.preset)
    return check_method(cell.method_class, cell.method_config)


def _import_class(reference: str) -> type[Method]:
    try:
        found = resolve_name(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"cannot import {reference!r}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise InputError(f"{reference!r} is no subclass of benchmark.contracts.method.Method")
    return found


def print_verdicts(name: str, verdicts: Iterator[Verdict]) -> bool:
    """Prints each verdict as it comes; returns whether all passed."""
    console, passed = Console(), True
    for verdict in verdicts:
        passed &= verdict.passed
        mark = "[green]ok  [/]" if verdict.passed else "[red]FAIL[/]"
        console.print(f"{mark} {verdict.check:14}", escape(verdict.detail), highlight=False, soft_wrap=True)
    console.print(f"{name} {'holds the contract' if passed else 'does not hold the contract'}", highlight=False)
    return passed
