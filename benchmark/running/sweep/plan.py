"""Which cells there are, which have to be run and why, and the jobs of a sweep in their order."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from benchmark.contracts.config import Cell, Params, resolve
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.results.facts import Budget


@dataclass(frozen=True)
class Choice:
    """Names to make cells of, as the product of all; an empty list stands for the suite's own."""

    methods: Sequence[str] = ()
    data: Sequence[str] = ()
    presets: Sequence[str] = ()
    seeds: Sequence[int] = ()


@dataclass(frozen=True)
class Listed:
    """A cell of the list."""

    cell: Cell
    why: str | None  # it has to be run; None if its result is current
    parents: tuple[Cell, ...]  # whose models it starts from
    budget: Budget  # with theirs


@dataclass(frozen=True)
class Job:
    """One `bench` command of a sweep."""

    name: str  # for messages
    arguments: tuple[str, ...]  # of bench
    log: str  # name of its log file
    after: tuple[str, ...] = ()  # names of the jobs that must have succeeded

    @property
    def is_cell(self) -> bool:
        """Whether it runs a cell; the others prepare data."""
        return self.arguments[0] != "data"


def command(cell: Cell) -> str:
    """The line that runs the cell, quoted for a shell."""
    return shlex.join(["bench", "run", *cell.arguments])


def choose(params: Params, choice: Choice) -> list[Cell]:
    """The chosen cells, each once: all of one data set before the next, all seeds of a method before the next.

    Raises:
        InputError: an unknown name, or settings in `params.yaml` that are not legal.
    """
    suite = params.suite
    names = product(
        choice.presets or (suite.preset,),
        choice.data or suite.data,
        choice.methods or suite.methods,
        choice.seeds or suite.seeds,
    )
    return [
        resolve(params, method=method, data=data, preset=preset, seed=seed)
        for preset, data, method, seed in dict.fromkeys(names)
    ]


class Planner:
    """Lists and orders cells of one project. `record`: they are to be references, and own results make none current."""

    def __init__(self, params: Params, workspace: Workspace, record: bool = False) -> None:
        self.params = params
        self.record = record
        self.workspace = workspace
        self.currency = Currency(params, workspace)

    def all(self, choice: Choice) -> list[Listed]:
        """The chosen cells, parents first."""
        return _parents_first(self._look(cell) for cell in choose(self.params, choice))

    def missing(self, choice: Choice) -> list[Listed]:
        """The chosen cells that have to be run, parents first.

        With them come parents that were not chosen, or whose results are current, if their models are not here: several
        cells that start from one model must not train it at the same time.
        """
        needed = {listed.cell.name: listed for listed in self.all(choice) if listed.why}
        pending = list(needed.values())
        for child in pending:  # which grows by the parents found
            for parent in (parent for parent in child.parents if parent.name not in needed):
                listed = self._look(parent)
                if why := listed.why or self.currency.why_untrained(parent):
                    needed[parent.name] = replace(listed, why=f"{why}, and {child.cell.method} starts from it")
                    pending.append(needed[parent.name])
        return _parents_first(needed.values())

    def _look(self, cell: Cell) -> Listed:
        why = self.currency.why_stale(cell, self.record)
        return Listed(cell, why, tuple(self.currency.parents(cell)), self.currency.budget(cell))


def _parents_first(found: Iterable[Listed]) -> list[Listed]:
    """The cells in their order, but each after those of its parents that are among them."""
    waiting = {listed.cell.name: listed for listed in found}
    ordered: list[Listed] = []

    def place(name: str) -> None:
        if listed := waiting.pop(name, None):
            for parent in listed.parents:
                place(parent.name)
            ordered.append(listed)

    for name in list(waiting):
        place(name)
    return ordered


def as_json(found: Sequence[Listed]) -> list[dict[str, Any]]:
    """The list for programs; `after` holds the commands of the same list that must have ended before."""
    names = {listed.cell.name for listed in found}
    return [
        {
            "command": command(listed.cell),
            **{name: getattr(listed.cell, name) for name in ("method", "data", "preset", "seed")},
            "budget_images": listed.budget.images,
            "budget_steps": listed.budget.steps,
            "missing": listed.why,
            "after": [command(parent) for parent in listed.parents if parent.name in names],
        }
        for listed in found
    ]


def ready(found: Sequence[Listed]) -> list[Listed]:
    """Those that need not wait for another one of the list."""
    names = {listed.cell.name for listed in found}
    return [listed for listed in found if not names & {parent.name for parent in listed.parents}]


def jobs_of(found: Sequence[Listed], run_options: Sequence[str] = ()) -> list[Job]:
    """One job for each data set to prepare, one for each cell in its order; `run_options` go to every `bench run`."""
    names = {listed.cell.name for listed in found}
    preparations: dict[str, Job] = {}
    runs = []
    for listed in found:
        cell = listed.cell
        prepared = f"preparing {cell.data}, preset {cell.preset}"
        arguments = ("data", "prepare", cell.spec, "--preset", cell.preset)
        preparations[prepared] = Job(prepared, arguments, f"prepare-{cell.data}-{cell.preset}.log")
        runs.append(
            Job(
                cell.name,
                ("run", *cell.arguments, *run_options),
                f"{cell.data}-{cell.preset}-{cell.method}-seed{cell.seed}.log",
                (prepared, *(parent.name for parent in listed.parents if parent.name in names)),
            )
        )
    return [*preparations.values(), *runs]


def lines(jobs: Sequence[Job], found: Sequence[Listed]) -> list[str]:
    """What a shell would be told to do each job, and behind it why its cell has to be run."""
    whys = {listed.cell.name: listed.why for listed in found}
    return [f"{shlex.join(['bench', *job.arguments])}  # {whys.get(job.name, 'unless it is done')}" for job in jobs]
