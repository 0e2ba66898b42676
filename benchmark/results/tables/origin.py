"""Where a table's numbers come from: machines, time, software, seeds and commands, from the result files alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from benchmark.contracts.result import Run
from benchmark.results.columns import Measured
from benchmark.results.currency import precision_of

REPEATED = ("--device", "--devices", "--threads")  # options that numbers may depend on, beside those that name the cell
PACKAGES = ("python", "torch", "torchvision", "numpy", "colorbench")
COMMIT_DIGITS = 7
Key = TypeVar("Key")


@dataclass(frozen=True)
class Origin:
    """What made the cells of one table."""

    cells: int = 0
    train_seconds: float = 0.0  # sum over cells
    longest: tuple[str, float] | None = None  # the cell that trained longest, and its seconds
    color_seconds: float = 0.0  # coloring the test images once per cell; scoring them is not counted
    devices: Mapping[str, Sequence[str]] = field(default_factory=dict)  # device → rows
    precisions: Sequence[str] = ()  # in which methods were trained
    seeds: Mapping[tuple[int, ...], Sequence[str]] = field(default_factory=dict)  # seeds → rows
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict)  # package → versions
    commits: Sequence[str] = ()
    dirty: Sequence[str] = ()  # rows with a cell whose code differed from its commit
    image_size: int | None = None
    arrays: Mapping[str, str] = field(default_factory=dict)  # split → SHA-256 of the prepared array
    notes: Sequence[str] = ()  # what the prepared data says of itself
    budgets: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # row → steps, images per step
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)  # row → what repeats it


def origin_of(groups: Mapping[str, Sequence[Measured]]) -> Origin:
    """The origin of a table's rows.

    Args:
        groups: method → its results, by seed.
    """
    every = [one for group in groups.values() for one in group]
    origins = [one.result.provenance for one in every]
    runs = [(one.result.run, one.result.cost) for one in every]
    trained = [(f"`{run.method}`, seed {run.seed}", cost.train_seconds) for run, cost in runs if cost.train_seconds]
    rates = [(one.result.images, one.result.cost.inference_images_per_second) for one in every]
    data_configs = [origin.config.get("data_config") for origin in origins]
    sizes = {config.get("image_size") for config in data_configs if isinstance(config, Mapping)}
    return Origin(
        cells=len(every),
        train_seconds=sum(seconds for _, seconds in trained),
        longest=max(trained, key=lambda cell: cell[1], default=None),
        color_seconds=sum(images / rate for images, rate in rates if rate),
        devices=_rows_by(groups, lambda group: tuple(one.result.provenance.device for one in group)),
        precisions=_distinct(map(precision_of, (one.result for one in every))),
        seeds=_rows_by(groups, lambda group: (tuple(one.result.run.seed for one in group),)),
        packages={name: _distinct(origin.packages.get(name) for origin in origins) for name in PACKAGES},
        commits=_distinct(origin.commit and origin.commit[:COMMIT_DIGITS] for origin in origins),
        dirty=[name for name, group in groups.items() if any(one.result.provenance.dirty for one in group)],
        image_size=sizes.pop() if len(sizes) == 1 else None,
        arrays=dict(origins[0].data_sha256) if origins else {},
        notes=_distinct(origin.config.get("data_note") for origin in origins),
        budgets={name: budget for name, group in groups.items() if (budget := _budget(group[0]))},
        commands={name: _commands(group) for name, group in groups.items()},
    )


def machine_options(command: str) -> str:
    """Those options of a recorded command that say on what it ran, in front of each a space: ` --threads 1`."""
    words = command.replace("=", " ").split()
    given = {name: value for name, value in pairwise(words) if name in REPEATED and value != "auto"}
    return "".join(f" {name} {given[name]}" for name in REPEATED if name in given)


def _commands(group: Sequence[Measured]) -> list[str]:
    """One line for all seeds of a row that ran alike: the first seed's command, and the other seeds as a comment."""
    alike: dict[str, list[Run]] = defaultdict(list)
    for one in group:
        alike[machine_options(one.result.provenance.command)].append(one.result.run)
    lines = []
    for options, runs in alike.items():
        others = ", ".join(f"--seed {run.seed}" for run in runs[1:])
        lines.append(f"{runs[0].command}{options}{f'  # and {others}' if others else ''}")
    return lines


def _budget(one: Measured) -> tuple[int, int] | None:
    training = one.result.provenance.config.get("training")
    if not isinstance(training, Mapping) or not one.result.cost.train_seconds:
        return None
    return training["steps"], training["batch_size"]


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value})


def _rows_by(
    groups: Mapping[str, Sequence[Measured]], keys: Callable[[Sequence[Measured]], Iterable[Key | None]]
) -> dict[Key, list[str]]:
    """Key → the rows that have it, by key."""
    found: dict[Key, list[str]] = defaultdict(list)
    for name, group in groups.items():
        for key in dict.fromkeys(keys(group)):
            if key is not None:
                found[key].append(name)
    return dict(sorted(found.items(), key=lambda item: repr(item[0])))
