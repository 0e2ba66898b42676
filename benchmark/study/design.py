"""Deals photographs to tasks and forms, so that every form shows each photograph once.

A participant who met a photograph in two colorings would recognise the real one because it recurs. So a form shows a
photograph in one trial only, and the method whose version it shows varies from form to form. Within a form all methods
come equally often (give or take one), and over the forms every photograph comes with every method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmark.study.schema import CHECK, TASKS, TRUTH, Picture, Task, Trial
from benchmark.support.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Design:
    """The size of a study."""

    trials: dict[Task, int]  # task → trials per participant
    checks: int = 3  # trials that test attention alone
    alternatives: int | None = None  # pictures side by side in `pick`; None means the real one and every method's
    forms: int = 100
    seed: int = 0

    @property
    def photographs(self) -> int:
        """The number of test images that the study needs."""
        return sum(self.trials.values()) + self.checks


@dataclass(frozen=True)
class Plan:
    """A study before its pictures are drawn."""

    pictures: tuple[Picture, ...]  # in the order of the page
    forms: tuple[tuple[Trial, ...], ...]


class _Pictures:
    """Numbers pictures so that a picture has the same number wherever it is shown."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str, int], int] = {}

    def __call__(self, photograph: str, source: str, variant: int = 0) -> int:
        return self.numbers.setdefault((photograph, source, variant), len(self.numbers))


def make_plan(design: Design, methods: Sequence[str], photographs: Sequence[str]) -> Plan:
    """Deals photographs to tasks and lays out every form.

    Args:
        design: the size of the study.
        methods: the methods whose pictures are judged.
        photographs: ids of test images; the first `design.photographs` of them are used.

    Raises:
        InputError: the design has no trials, or there are too few photographs or methods for it.
    """
    _check(design, methods, photographs)
    rng = np.random.default_rng(design.seed)
    dealt = iter(photographs)
    blocks = {task: [next(dealt) for _ in range(count)] for task, count in design.trials.items() if count}
    checks = [next(dealt) for _ in range(design.checks)]
    numbers = _Pictures()
    forms = [_form(design, methods, blocks, checks, numbers, rng) for _ in range(design.forms)]
    return _shuffled(numbers, forms, rng)


def _check(design: Design, methods: Sequence[str], photographs: Sequence[str]) -> None:
    if not any(design.trials.values()):
        raise InputError(f"a study without a question; give one of --{' N, --'.join(TASKS)} N")
    if not methods:
        raise InputError("a study without methods")
    for name in {TRUTH, CHECK} & set(methods):
        raise InputError(f"a method named {name!r} cannot be in a study")
    if design.photographs > len(photographs):
        raise InputError(
            f"{design.photographs} photographs wanted (one for each trial and check), the test split has "
            f"{len(photographs)}; ask for fewer trials"
        )
    if design.alternatives is not None and not 2 <= design.alternatives <= len(methods) + 1:
        raise InputError(
            f"{design.alternatives} alternatives are not possible with {len(methods)} methods: "
            f"2 to {len(methods) + 1} (the real one is among them)"
        )


def _form(
    design: Design,
    methods: Sequence[str],
    blocks: dict[Task, list[str]],
    checks: Sequence[str],
    numbers: _Pictures,
    rng: np.random.Generator,
) -> list[Trial]:
    rivals = (design.alternatives or len(methods) + 1) - 1
    form: list[Trial] = []
    for place, (task, photographs) in enumerate(blocks.items()):
        trials = [
            _trial(task, [numbers(photograph, source) for source in shown], rng)
            for photograph, shown in zip(photographs, _shown(task, methods, len(photographs), rivals, rng), strict=True)
        ]
        for check in checks[place :: len(blocks)]:
            wrong = [numbers(check, CHECK, variant) for variant in range(rivals if task == "pick" else 1)]
            shown = wrong if task in ("single", "rate") else [numbers(check, TRUTH), *wrong]
            trials.append(_trial(task, shown, rng))
        form += [trials[k] for k in rng.permutation(len(trials))]
    return form


def _shown(
    task: Task, methods: Sequence[str], count: int, rivals: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Returns the sources of the versions that are shown together of each of `count` photographs."""
    if task == "pair":
        return [(TRUTH, method) for method in _balanced(methods, count, rng)]
    if task == "single":  # half of the pictures are real
        real = count // 2
        sources = [TRUTH] * real + _balanced(methods, count - real, rng)
        return [(sources[k],) for k in rng.permutation(count)]
    if task == "rate":
        return [(source,) for source in _balanced([TRUTH, *methods], count, rng)]
    ring = [methods[k] for k in rng.permutation(len(methods))]  # neighbors on the ring are shown together
    firsts = _balanced(range(len(ring)), count, rng)
    return [(TRUTH, *(ring[(first + step) % len(ring)] for step in range(rivals))) for first in firsts]


def _balanced(sources: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """Returns `count` sources in random order, each of them equally often, give or take one."""
    whole, rest = divmod(count, len(sources))
    extra = [sources[k] for k in rng.choice(len(sources), rest, replace=False)]
    drawn = [*list(sources) * whole, *extra]
    return [drawn[k] for k in rng.permutation(count)]


def _trial(task: Task, pictures: Sequence[int], rng: np.random.Generator) -> Trial:
    return Trial(task=task, pictures=tuple(pictures[k] for k in rng.permutation(len(pictures))))


def _shuffled(numbers: _Pictures, forms: Sequence[Sequence[Trial]], rng: np.random.Generator) -> Plan:
    """Numbers the pictures anew, so that their place on the page does not tell their source."""
    order = rng.permutation(len(numbers.numbers))  # place on the page → old number
    place = np.argsort(order)
    listed = list(numbers.numbers)
    pictures = tuple(Picture(photograph=listed[k][0], source=listed[k][1]) for k in order)
    moved = tuple(
        tuple(Trial(task=t.task, pictures=tuple(int(place[k]) for k in t.pictures)) for t in form) for form in forms
    )
    return Plan(pictures, moved)
