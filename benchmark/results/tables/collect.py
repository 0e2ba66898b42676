"""Reads one folder of results and sorts it: what may share a table, what was skipped, what is left out and why."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark import PROTOCOL
from benchmark.contracts.per_image import MANTISSA_BITS
from benchmark.contracts.result import Result, ResultError, read_per_image, read_result
from benchmark.results.columns import LeftOut, Measured
from benchmark.scoring.metrics import METRICS, Metric

AGREEMENT = 1e-4  # between a metric and its per-image values, relative
ROUNDING = 2.0 ** -(MANTISSA_BITS + 1)  # the largest relative error of a stored per-image value
PER_SEED = ("seed", "model_sha256", "data_note")  # what may differ between the configurations of one method's seeds


@dataclass(frozen=True)
class Collection:
    """Everything that a folder of results holds."""

    measured: list[Measured]
    skipped: list[Result]
    left_out: list[LeftOut]
    own: dict[str, list[int]] = field(default_factory=dict)  # method → seeds measured here, where references are beside


def tables_in(root: Path, data: str | None = None, preset: str | None = None) -> list[Path]:
    """The folders `<data>/<preset>` below the results folder that hold result files, sorted."""
    return sorted({path.parents[1] for path in root.glob(f"{data or '*'}/{preset or '*'}/*/seed*.json")})


def collect(folder: Path, references: Path | None = None) -> Collection:
    """Reads the result files of one data set and preset, `<results>/<data>/<preset>`.

    Args:
        folder: holds the results; own ones, where `references` is given.
        references: the same folder of the committed results: they stand for the cells that were not measured here.
    """
    references = references if references and references.is_dir() else None
    found = _read_all(folder)
    own = [place for place, one in found.items() if isinstance(one, Measured)] if references else []
    messages = [one for one in found.values() if isinstance(one, LeftOut)]
    if references:
        committed = _read_all(references)
        messages += [one for place, one in committed.items() if isinstance(one, LeftOut) and place not in own]
        found = {**committed, **{place: one for place, one in found.items() if place in own or place not in committed}}
    collection = _of_one_kind(
        Collection(
            measured=[one for _, one in sorted(found.items()) if isinstance(one, Measured)],
            skipped=[one for _, one in sorted(found.items()) if isinstance(one, Result)],
            left_out=messages,
        )
    )
    seeds = defaultdict(list)
    for one in collection.measured:
        if (one.path.parent.name, one.path.name) in own:
            seeds[one.result.run.method].append(one.result.run.seed)
    return replace(collection, own=dict(seeds))


def collect_row(one: Measured) -> list[Measured]:
    """A result and those of the row's other seeds that can be read and speak of as many images."""
    read = _read_all(one.path.parents[1], one.path.parent.name).values()
    others = [other for other in read if isinstance(other, Measured) and other.path != one.path]
    return [one, *(other for other in others if other.result.images == one.result.images)]


def _read_all(folder: Path, method: str = "*") -> dict[tuple[str, str], Measured | Result | LeftOut]:
    """Method and file name → what `_read` makes of the file."""
    paths = sorted(folder.glob(f"{method}/seed*.json"))
    with ThreadPoolExecutor() as pool:  # decompressing takes most of the time, and lets other threads run
        return {(path.parent.name, path.name): one for path, one in zip(paths, pool.map(_read, paths), strict=True)}


def _read(path: Path) -> Measured | Result | LeftOut:
    """What may stand in a table; the result alone when it was skipped; or the reason why it is left out."""
    try:
        result = read_result(path)
        if reason := _not_for_tables(result):
            return LeftOut(path, reason, f"run: {result.run.command}")
        if result.status == "skipped":
            return result
        return measured_at(path, result)
    except ResultError as error:
        return LeftOut(path, str(error).removeprefix(f"{path}: ").replace(f"{path.parent}/", ""))


def measured_at(path: Path, result: Result) -> Measured:
    """A result with its per-image values, and with the metrics that follow from these.

    Raises:
        ResultError: the per-image values are damaged, or say something else than the result.
    """
    columns = read_per_image(path, result)
    return Measured(path, result, columns, _metrics(path, result, columns))


def _not_for_tables(result: Result) -> str | None:
    if result.protocol != PROTOCOL:
        return f"protocol {result.protocol}, the tables are of {PROTOCOL}; evaluate it again"
    if result.run.overrides:
        return f"run with --set {', '.join(sorted(result.run.overrides))}, which the other rows were not"
    return None


def _metrics(path: Path, result: Result, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """The metrics of a result from its per-image values: means, intervals and tests have one source.

    Raises:
        ResultError: the file has another value for a metric than its per-image values say: it was edited.
    """
    values = {name: value for name, value in result.metrics.items() if value is not None}
    for name, metric in METRICS.items():
        if name not in result.metrics or not metric.columns or not columns.keys() >= set(metric.columns):
            continue
        expected, value = float(metric.pooled(columns)), result.metrics[name]
        if value is None or not np.isclose(value, expected, rtol=AGREEMENT, atol=_error(metric, columns, expected)):
            raise ResultError(f"{path}: {name} is {value}, but its per-image values say {expected:.6g}")
        values[name] = expected
    return values


def _error(metric: Metric, columns: dict[str, np.ndarray], expected: float) -> float:
    """How far the rounding of per-image values may move a metric: far, relatively, where two means nearly cancel."""
    moved = [metric.pooled(columns | {one: columns[one] * (1 + ROUNDING)}) for one in metric.columns]
    return float(sum(abs(value - expected) for value in moved)) if len(moved) > 1 else 0.0


def _of_one_kind(collection: Collection) -> Collection:
    """Leaves out results on other test images than the rest, or under other settings than the method's other seeds."""
    kept, left_out = _majority(
        collection.measured,
        kind=lambda measured: measured.result.provenance.data_sha256["test"],
        fault="its test images are not those of the other results; prepare the data again",
    )
    methods = defaultdict(list)
    for measured in kept:
        methods[measured.result.run.method].append(measured)
    agreed = []
    for group in methods.values():
        same, others = _majority(
            group, kind=_configuration, fault="its settings are not those of the method's other seeds"
        )
        agreed += same
        left_out += others
    return Collection(agreed, collection.skipped, [*collection.left_out, *left_out])


def _configuration(measured: Measured) -> str:
    config = measured.result.provenance.config
    return repr(sorted((key, repr(value)) for key, value in config.items() if key not in PER_SEED))


def _majority(
    group: Iterable[Measured], kind: Callable[[Measured], str], fault: str
) -> tuple[list[Measured], list[LeftOut]]:
    """Splits a group into its most frequent kind (the newest of equals) and what is said of each of the rest."""
    kinds = defaultdict(list)
    for measured in group:
        kinds[kind(measured)].append(measured)
    if not kinds:
        return [], []
    most = max(kinds, key=lambda name: (len(kinds[name]), max(m.result.provenance.date for m in kinds[name])))
    return kinds[most], [
        LeftOut(m.path, fault, f"run: {m.result.run.command}") for k in kinds if k != most for m in kinds[k]
    ]
