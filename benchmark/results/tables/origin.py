"""Where a table's numbers come from: machines, time, software, seeds and commands, from the result files alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmark.contracts.result import Run
from benchmark.results.columns import Measured
from benchmark.results.currency import precision_of
from benchmark.results.tables.style import device_text

REPEATED = ("--device", "--devices", "--threads")  # options that numbers may depend on, beside those that name the cell
PACKAGES = ("python", "torch", "torchvision", "numpy", "colorbench")
COMMIT_DIGITS = 7


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
    """The origin of a table's rows: method → its results, by seed."""
    every = [one.result for group in groups.values() for one in group]
    origins = [result.provenance for result in every]
    trained = {f"`{one.run.method}`, seed {one.run.seed}": one.cost.train_seconds or 0.0 for one in every}
    data_configs = [origin.config.get("data_config") for origin in origins]
    sizes = {config.get("image_size") for config in data_configs if isinstance(config, Mapping)}
    devices, seeds = defaultdict[str, list[str]](list), defaultdict[tuple[int, ...], list[str]](list)
    for name, group in groups.items():
        seeds[tuple(one.result.run.seed for one in group)].append(name)
        for device in _distinct(one.result.provenance.device for one in group):
            devices[device_text(device)].append(name)
    return Origin(
        cells=len(every),
        train_seconds=sum(trained.values()),
        longest=max(((name, time) for name, time in trained.items() if time), key=lambda cell: cell[1], default=None),
        color_seconds=sum(one.images / rate for one in every if (rate := one.cost.inference_images_per_second)),
        devices=dict(sorted(devices.items())),
        precisions=_distinct(map(precision_of, every)),
        seeds=dict(sorted(seeds.items(), key=repr)),
        packages={name: _distinct(origin.packages.get(name) for origin in origins) for name in PACKAGES},
        commits=_distinct(origin.commit and origin.commit[:COMMIT_DIGITS] for origin in origins),
        dirty=[name for name, group in groups.items() if any(one.result.provenance.dirty for one in group)],
        image_size=sizes.pop() if len(sizes) == 1 else None,
        arrays=dict(origins[0].data_sha256) if origins else {},
        notes=_distinct(origin.config.get("data_note") for origin in origins),
        budgets={
            name: (training["steps"], training["batch_size"])
            for name, group in groups.items()
            if isinstance(training := group[0].result.provenance.config.get("training"), Mapping)
            and group[0].result.cost.train_seconds
        },
        commands={name: _commands(group) for name, group in groups.items()},
    )


def _commands(group: Sequence[Measured]) -> list[str]:
    """One line for all seeds of a row that ran alike: the first seed's command, and the other seeds as a comment."""
    alike: dict[str, list[Run]] = defaultdict(list)
    for one in group:
        words = one.result.provenance.command.replace("=", " ").split()
        given = {name: value for name, value in pairwise(words) if value != "auto"}
        alike["".join(f" {name} {given[name]}" for name in REPEATED if name in given)].append(one.result.run)
    lines = []
    for options, runs in alike.items():
        others = ", ".join(f"--seed {run.seed}" for run in runs[1:])
        lines.append(f"{runs[0].command}{options}{f'  # and {others}' if others else ''}")
    return lines


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value})
