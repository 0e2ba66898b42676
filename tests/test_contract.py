"""Every method, with the defaults and as every entry of params.yaml in the quick preset, holds the contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, find_root, read_params, resolve
from benchmark.contracts.method import Batch, Method, MethodConfig, Update
from benchmark.running.conformance import (
    CHECKS,
    Check,
    Violation,
    check_declaration,
    check_method,
    check_training_step,
    tiny_info,
)

PARAMS = read_params(find_root(Path(__file__).parent))
ENTRIES = sorted({*PARAMS.entries, *registry.names("method")})
STEPPING = (check_declaration, check_training_step)


def cases() -> Iterator[Any]:
    """Yields every entry with every check, or only a training step if it differs from an earlier one in numbers.

    A learning rate or a loss's weight changes no path through the code, unless it is 0. Entries whose name is not their
    adapter's are slow.
    """
    seen = set()
    for name in ENTRIES:
        cell = entry(name)
        path = {key: bool(value) if isinstance(value, int | float) else value for key, value in cell.method_config}
        known = (cell.method_class, repr(path)) in seen
        seen.add((cell.method_class, repr(path)))
        marks = [] if name == cell.method_class.name else [pytest.mark.slow]
        yield from (pytest.param(name, check, marks=marks) for check in (STEPPING if known else CHECKS))


def entry(name: str) -> Cell:
    return resolve(PARAMS, method=name, data="sample", preset="quick")


@pytest.mark.parametrize(
    ("method", "check"), list(cases()), ids=lambda value: getattr(value, "__name__", value).removeprefix("check_")
)
def test_contract(method: str, check: Check) -> None:
    cell = entry(method)
    if reason := cell.method_class.skip(cell.method_config, tiny_info()):
        pytest.skip(f"{method} cannot run here: {reason}")
    assert check(cell.method_class, cell.method_config)


class Faulty(Method):
    """A method that has one fault at a time."""

    name = "faulty"
    Config = MethodConfig
    fault = ""

    def __init__(self, config: MethodConfig, data: object) -> None:
        super().__init__(config, tiny_info())
        self.colorizer = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(0.5))
        self.other = nn.Linear(1, 1)
        self.scale = torch.tensor(0.01)

    def optimizers(self, phase: str) -> dict[str, torch.optim.Optimizer]:
        return {"colorizer": torch.optim.SGD(self.colorizer.parameters(), lr=1e-6)}

    def learning_rate(self, optimizer: str, progress: float) -> float:
        self.asked = getattr(self, "asked", 0) + 1
        return {"negative rate": 0.5 - progress, "no rate": 0.0, "rate with a state": self.asked}.get(self.fault, 1.0)

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        loss = (self.colorizer(batch.L * 0.01) - batch.ab).square().mean()
        if self.fault == "detached":
            loss = loss.detach()
        elif self.fault == "vector":
            loss = loss[None]
        elif self.fault == "not finite":
            loss = loss * float("nan")
        elif self.fault == "live logs":
            yield Update("colorizer", loss, {"loss": loss})
            return
        yield Update("generator" if self.fault == "unknown optimizer" else "colorizer", loss)

    def predict_ab(self, L: Tensor) -> Tensor:
        if self.fault == "dropout":
            self.train()
        ab = self.colorizer(L * 0.01)
        if self.fault == "batch":
            ab = ab + L.mean()
        elif self.fault == "scale":
            ab = ab + 1e4
        elif self.fault == "cropped":
            ab = ab[:, :1]
        elif self.fault == "half":
            ab = ab.half()
        elif self.fault == "device":
            ab = ab + torch.ones(1, 2, 1, 1, device="cpu").expand(1, 2, 1, 1).repeat(len(L), 1, 1, 1)
        elif self.fault == "in place":
            L.mul_(2)
        return ab


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        ("detached", "training step", "has no gradient"),
        ("vector", "training step", "not a scalar"),
        ("not finite", "training step", "is nan"),
        ("live logs", "training step", "must be detached"),
        ("unknown optimizer", "training step", "its optimizers are ['colorizer']"),
        ("negative rate", "training step", "negative or infinite"),
        ("no rate", "training step", "always 0"),
        ("rate with a state", "training step", "is state kept?"),
        ("dropout", "determinism", "dropout left on"),
        ("batch", "determinism", "other colors alone than in a batch"),
        ("scale", "shapes", "not Lab units"),
        ("cropped", "shapes", "gives colors of shape (2, 1, 32, 32), not (2, 2, h, w)"),
        ("half", "shapes", "not float32"),
        ("in place", "shapes", "changes its input"),
        ("device", "device", "not on another device"),
    ],
)
def test_the_kit_finds_each_fault(fault: str, check: str, words: str) -> None:
    broken = type("Broken", (Faulty,), {"fault": fault})
    verdicts = {verdict.check: verdict for verdict in check_method(broken)}
    assert not verdicts[check].passed
    assert words in verdicts[check].detail


def test_a_sound_method_passes_and_a_skipped_one_says_why() -> None:
    assert all(verdict.passed for verdict in check_method(Faulty))
    skipped = type("Skipped", (Faulty,), {"skip": classmethod(lambda cls, config, data: "no weights")})
    assert [(v.check, v.passed, v.detail) for v in check_method(skipped)] == [
        ("skip", True, "cannot run here, and says so: no weights")
    ]


def test_a_violation_is_an_assertion() -> None:
    assert issubclass(Violation, AssertionError)  # other packages' pytest then shows a failure, not an error
