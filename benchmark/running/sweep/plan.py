"""From cells to jobs: what has to run, and what has to be finished before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.contracts.config import Cell, Params
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.running.sweep.cells import Choice, choose, parents_first, run_arguments


@dataclass(frozen=True)
class Listed:
    """A cell of the list."""

    cell: Cell
    why: str | None  # it has to be run; None if its result is current
    parents: tuple[Cell, ...]  # whose models it starts from


@dataclass(frozen=True)
class Job:
    """One `bench` command of a sweep."""

    name: str  # for messages
    arguments: tuple[str, ...]  # of bench
    log: str  # name of its log file
    kind: str  # jobs of one kind take about as long
    after: tuple[str, ...] = ()  # names of the jobs that must have succeeded

    @property
    def is_cell(self) -> bool:
        """Whether it runs a cell; the others prepare data."""
        return self.arguments[0] == "run"


class Planner:
    """Lists and orders cells of one project.

    Args:
        params: the project's `params.yaml`.
        workspace: its folders.
        record: the cells are to be references: own results make none of them current.
    """

    def __init__(self, params: Params, workspace: Workspace, record: bool = False) -> None:
        self.params = params
        self.record = record
        self.workspace = workspace
        self.currency = Currency(params, workspace)

    def all(self, choice: Choice) -> list[Listed]:
        """The chosen cells, parents first."""
        return self._in_order([self._look(cell) for cell in choose(self.params, choice)])

    def missing(self, choice: Choice) -> list[Listed]:
        """The chosen cells that have to be run, parents first.

        With them come parents that were not chosen, or whose results are current, if their models are not here: several
        cells that start from one model must not train it at the same time.
        """
        needed = {listed.cell.name: listed for listed in self.all(choice) if listed.why}
        pending = list(needed.values())
        while pending:
            child = pending.pop()
            for parent in child.parents:
                if parent.name in needed:
                    continue
                listed = self._look(parent)
                if why := listed.why or self.currency.why_untrained(parent):
                    needed[parent.name] = Listed(
                        parent, f"{why}, and {child.cell.method} starts from it", listed.parents
                    )
                    pending.append(needed[parent.name])
        return self._in_order(needed.values())

    def _look(self, cell: Cell) -> Listed:
        return Listed(cell, self.currency.why_stale(cell, self.record), tuple(self.currency.parents(cell)))

    def _in_order(self, found: Iterable[Listed]) -> list[Listed]:
        by_name = {listed.cell.name: listed for listed in found}
        cells = [listed.cell for listed in by_name.values()]
        ordered = parents_first(cells, lambda cell: by_name[cell.name].parents)
        return [by_name[cell.name] for cell in ordered]


def ready(found: Sequence[Listed]) -> list[Listed]:
    """Those that need not wait for another one of the list."""
    names = {listed.cell.name for listed in found}
    return [listed for listed in found if not names & {parent.name for parent in listed.parents}]


def jobs_of(found: Sequence[Listed], run_options: Sequence[str] = ()) -> list[Job]:
    """One job for each data set to prepare, one for each cell.

    Args:
        found: in their order.
        run_options: more arguments of every `bench run`.
    """
    names = {listed.cell.name for listed in found}
    preparations: dict[str, Job] = {}
    runs = []
    for listed in found:
        cell = listed.cell
        prepared = f"preparing {cell.data}, preset {cell.preset}"
        arguments = ("data", "prepare", cell.spec, "--preset", cell.preset)
        preparations[prepared] = Job(prepared, arguments, f"prepare-{cell.data}-{cell.preset}.log", "preparing")
        runs.append(
            Job(
                cell.name,
                (*run_arguments(cell), *run_options),
                f"{cell.data}-{cell.preset}-{cell.method}-seed{cell.seed}.log",
                f"{cell.method} {cell.data} {cell.preset}",
                (prepared, *(parent.name for parent in listed.parents if parent.name in names)),
            )
        )
    return [*preparations.values(), *runs]
