"""Which cells there are, in which order, and the command of each."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from benchmark.contracts.config import Cell, Params, resolve


@dataclass(frozen=True)
class Choice:
    """Names to make cells of, as the product of all; an empty list stands for the suite's own."""

    methods: Sequence[str] = ()
    data: Sequence[str] = ()
    presets: Sequence[str] = ()
    seeds: Sequence[int] = ()


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


def run_arguments(cell: Cell) -> list[str]:
    """The arguments of `bench` that run the cell."""
    return ["run", *cell.arguments]


def command(cell: Cell) -> str:
    """The line that runs the cell, quoted for a shell."""
    return shlex.join(["bench", *run_arguments(cell)])


def parents_first(cells: Iterable[Cell], parents: Callable[[Cell], Iterable[Cell]]) -> list[Cell]:
    """The cells in their order, but each after those of its parents that are among them."""
    wanted = {cell.name: cell for cell in cells}
    seen: set[str] = set()
    ordered: list[Cell] = []

    def place(cell: Cell) -> None:
        if cell.name in seen:
            return
        seen.add(cell.name)
        for parent in parents(cell):
            if parent.name in wanted:
                place(parent)
        ordered.append(cell)

    for cell in wanted.values():
        place(cell)
    return ordered
