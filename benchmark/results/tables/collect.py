"""Reads one folder of results and sorts it: what may share a table, what was skipped, what is left out and why."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.contracts.result import Result, ResultError, read_result
from benchmark.results import currency
from benchmark.results.columns import LeftOut, Measured


@dataclass(frozen=True)
class Collection:
    """Everything that a folder of results holds."""

    measured: list[Measured]
    skipped: list[Result]
    left_out: list[LeftOut]
    project: currency.Project
    own: dict[str, list[int]] = field(default_factory=dict)  # method → seeds measured here, where references are beside


def tables_in(root: Path, data: str | None = None, preset: str | None = None) -> list[Path]:
    """The folders `<data>/<preset>` below the results folder that hold result files, sorted."""
    folders = {path.parents[1] for path in root.glob("*/*/*/seed*.json")}
    return sorted(f for f in folders if data in (None, "", f.parent.name) and preset in (None, "", f.name))


def collect(folder: Path, references: Path | None = None) -> Collection:
    """Reads the result files of one data set and preset, `<results>/<data>/<preset>`.

    What is not current is left out: currency decides. Of the rest, what cannot stand beside most of it is left out too.

    Args:
        folder: holds the results; own ones, where `references` is given.
        references: the same folder of the committed results: they stand for the cells that were not measured here.
    """
    project = currency.of_project(folder)
    references = references if references and references.is_dir() else None
    here = _read_all(folder, project.why_left_out)
    own = [place for place, one in here.items() if isinstance(one, Measured)] if references else []
    committed = _read_all(references, project.why_left_out) if references else {}
    there = {place: one for place, one in committed.items() if place not in own}
    left_out = [one for one in (*here.values(), *there.values()) if isinstance(one, LeftOut)]
    shown = [one for _, one in sorted((here | there).items())]  # an own result that was not measured gives way
    measured = [one for one in shown if isinstance(one, Measured)]
    odd = currency.one_kind([one.result for one in measured])
    left_out += [LeftOut(measured[k].path, why, f"run: {measured[k].result.run.command}") for k, why in odd.items()]
    kept = [one for k, one in enumerate(measured) if k not in odd]
    seeds = defaultdict(list)
    for run in (one.result.run for one in kept if (one.path.parent.name, one.path.name) in own):
        seeds[run.method].append(run.seed)
    return Collection(
        measured=kept,
        skipped=[one for one in shown if isinstance(one, Result)],
        left_out=sorted(left_out, key=lambda one: one.path),
        project=project,
        own=dict(seeds),
    )


def collect_row(one: Measured) -> list[Measured]:
    """A result and those of the row's other seeds that can be read and speak of as many images."""
    read = _read_all(one.path.parents[1], lambda result: None, one.path.parent.name).values()
    others = [other for other in read if isinstance(other, Measured) and other.path != one.path]
    return [one, *(other for other in others if other.result.images == one.result.images)]


def _read_all(
    folder: Path, why_left_out: Callable[[Result], str | None], method: str = "*"
) -> dict[tuple[str, str], Measured | Result | LeftOut]:
    """Method and file name → what `_read` makes of the file."""
    paths = sorted(folder.glob(f"{method}/seed*.json"))
    with ThreadPoolExecutor() as pool:  # decompressing takes most of the time, and lets other threads run
        read = pool.map(lambda path: _read(path, why_left_out), paths)
        return {(path.parent.name, path.name): one for path, one in zip(paths, read, strict=True)}


def _read(path: Path, why_left_out: Callable[[Result], str | None]) -> Measured | Result | LeftOut:
    """What may stand in a table; the result alone when it was skipped; or the reason why it is left out."""
    try:
        result = read_result(path)
        if reason := why_left_out(result):
            return LeftOut(path, reason, f"run: {result.run.command}")
        return result if result.status == "skipped" else currency.read_whole(path, result)
    except ResultError as error:
        return LeftOut(path, str(error).removeprefix(f"{path}: ").replace(f"{path.parent}/", ""))
