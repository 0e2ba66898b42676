"""Whether a model, a result or a row is what would be made now: the one place that decides it.

A cell's `Identity` says what decides its bits. The key of a model is the hash of the part that decides weights, its
parents' parts included. A result is current if it is whole and its identity is the one that the cell has now; what
cannot be known is not compared. So tables, lists and DVC compare settings, code and parents, on any machine and without
torch, models or data; the stages compare data and machine too, as they have both.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark import PROTOCOL
from benchmark.contracts.config import Cell, Params, Preset, find_root, read_params
from benchmark.contracts.identity import Identity
from benchmark.contracts.per_image import MANTISSA_BITS
from benchmark.contracts.result import Result, ResultError, Run, read_per_image, read_result, result_path
from benchmark.contracts.settings import Training
from benchmark.contracts.workspace import Workspace
from benchmark.data.prepared import Prepared, open_data
from benchmark.results import manifest
from benchmark.results.columns import Measured
from benchmark.results.facts import Budget, Facts, cell_of, facts_of, parent_cell
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.support import weights
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import digest, file_sha256
from benchmark.training.record import MODEL_FILE, read_record

AGREEMENT = 1e-4  # between a metric and its per-image values, relative
ROUNDING = 2.0 ** -(MANTISSA_BITS + 1)  # the largest relative error of a stored per-image value
EXTERNAL = "external"  # adapter of rows that another program colored
ENTIRE, OF_WEIGHTS = ("training", "evaluation", "method", "data", "test"), ("training", "method")  # what is compared
MISSING = object()


class Currency:
    """What the cells of a project would be now, and whether what is there is that."""

    def __init__(self, params: Params, workspace: Workspace) -> None:
        self.params, self.workspace = params, workspace

    def parents(self, cell: Cell) -> list[Cell]:
        """The cells whose models this one starts from, with the overrides that they share with it."""
        return [parent_cell(self.params, cell.training_cell, name) for name in self._facts(cell).parents]

    def budget(self, cell: Cell) -> Budget:
        """What the cell's model costs in training by its settings: nothing where nothing is learned."""
        own = cell.training.steps if self._facts(cell).learns else 0
        before = [self.budget(parent) for parent in self.parents(cell)]
        return Budget(
            own * cell.training.batch_size + sum(parent.images for parent in before),
            own + sum(parent.steps for parent in before),
        )

    def identity(
        self,
        cell: Cell,
        prepared: Prepared | None = None,
        machine: Callable[[Training], dict[str, Any]] = Training.asked_of_machine,
        children: tuple[str, ...] = (),
    ) -> Identity:
        """What the cell would be, made now.

        Args:
            cell: of any method.
            prepared: its data; None: not looked at.
            machine: what a training's settings become on the machine; by default, what they fix whatever the machine.
            children: names of the entries that start from this one.

        Raises:
            InputError: settings are not legal, or an entry starts from itself.
        """
        if cell.trained_in:  # as it was trained, and the test set beside
            trained = self.identity(cell.trained_in, prepared, machine, children)
            test = {"data_set": cell.data, **cell.data_config.model_dump(mode="json")}
            return trained.model_copy(update={"settings": {**trained.settings, "test": test}})
        if cell.method in children:
            raise InputError(f"params.yaml: the entry {cell.method!r} starts from itself: {' ← '.join(children)}")
        again = partial(self.identity, prepared=prepared, machine=machine, children=(*children, cell.method))
        return Identity(
            protocol=PROTOCOL,
            adapter=cell.adapter,
            data_set=cell.data,
            seed=cell.seed,
            settings={
                "training": cell.training.deciding(),
                "method": self._facts(cell).config,
                "data": cell.data_config.model_dump(mode="json"),
            },
            code={"training": manifest.training_code(cell.adapter), "evaluation": manifest.scoring_code()},
            data=data_of(prepared) if prepared else {},
            machine=machine(cell.training),
            parents={parent.method: again(parent) for parent in self.parents(cell)},
        )

    def why_stale(self, cell: Cell, recorded: bool = False) -> str | None:
        """Why the cell has to be run, in a few words; None if it has a current result; `recorded`: a current reference.

        Data and models are looked at if they happen to be here. A result that lacks something for want of pretrained
        weights is current until these arrive.
        """
        try:
            prepared = open_data(self.workspace, cell)
        except BenchError:  # it will be prepared anew, and compared then
            prepared = None
        now = self.identity(cell, prepared)
        has_model = (self.workspace.model(cell) / MODEL_FILE).is_file()
        run = Run(method=cell.method, adapter=cell.adapter, data=cell.data, preset=cell.preset, seed=cell.seed)
        roots = [self.workspace.results_of(cell), *([] if cell.overrides else [self.workspace.references])]
        found = [path for root in roots[recorded:] if (path := result_path(root, run)).is_file()]
        reasons = [why_result_stale(path, now, has_model=has_model) for path in found]
        return None if None in reasons else next(iter(reasons), "no result")

    def why_untrained(self, cell: Cell, identity: Identity | None = None) -> str | None:
        """Why the model in the cell's folder is not its own, or None. Without `identity`, any machine's will do."""
        folder = self.workspace.model(cell)
        record = read_record(folder)
        if not record:
            return "it is not trained"
        if record.get("skipped") and not record.get("model_sha256"):
            return str(record["skipped"])
        model = folder / MODEL_FILE
        if not model.is_file() or file_sha256(model) != record.get("model_sha256"):
            return f"{MODEL_FILE} is missing, or not the file that training.json speaks of"
        try:
            then = Identity.model_validate(record.get("identity"))
        except ValueError:
            return "its record does not say how it was made"
        return difference(identity or self.identity(cell), then, of_weights=True)

    def why_left_out(self, result: Result) -> str | None:
        """Why a row's result may not stand in a table of this project now, or None."""
        try:
            return _never_in_tables(result) or _compared(self.identity_of(result.run), result.provenance.identity)
        except InputError as error:  # its entry or preset is no longer in params.yaml
            return str(error)

    def identity_of(self, run: Run) -> Identity:
        """What the run of a result would be, made now. InputError: as `cell_of`."""
        cell = cell_of(self.params, run)
        return external_identity(cell) if run.external else self.identity(cell)

    def _facts(self, cell: Cell) -> Facts:
        return facts_of(cell, self.workspace.root / ".cache" / "configs")


def made_on(identity: Identity, trained: Identity | None) -> Identity:
    """An identity with the machines, its own and its parents', on which it was trained; None: on whatever machine."""
    parents = {name: made_on(one, trained and trained.parents[name]) for name, one in identity.parents.items()}
    return identity.model_copy(update={"machine": trained.machine if trained else {}, "parents": parents})


def external_identity(cell: Cell, prepared: Prepared | None = None) -> Identity:
    """Of a row that another program colored: nothing but data and scoring decides it."""
    return Identity(
        protocol=PROTOCOL,
        adapter=EXTERNAL,
        data_set=cell.data,
        seed=cell.seed,
        settings={"data": cell.data_config.model_dump(mode="json")},
        code={"evaluation": manifest.scoring_code()},
        data=data_of(prepared) if prepared else {},
    )


def data_of(prepared: Prepared) -> dict[str, str]:
    """The content of prepared data: its arrays, and what methods are told of its colors."""
    statistics = digest([prepared.mean_ab, prepared.ab_prior.tolist()])
    return {**prepared.sha256, "statistics": statistics}


def why_result_stale(
    path: Path, now: Identity, *, has_model: bool = True, model_sha256: str | None = None
) -> str | None:
    """Why a result file is not what its cell would measure now, or None.

    Args:
        path: the JSON file.
        now: what the cell would be.
        has_model: whether its model is here: nothing is trained again for a metric that can now be had.
        model_sha256: of the model that is here; None: any.
    """
    try:
        result = read_result(path)
        if result.status == "ok":
            read_whole(path, result)
    except ResultError as error:
        return str(error)
    measured_on = result.provenance.config.get("model_sha256")
    if model_sha256 and result.status == "ok" and measured_on != model_sha256:
        return "measured on another model than the one that is here"
    return _compared(now, result.provenance.identity) or _lacks_what_is_here(result, has_model=has_model)


def read_whole(path: Path, result: Result | None = None) -> Measured:
    """A result that was measured, with its per-image values and the metrics that follow from these.

    So means, intervals and tests have one source. Without `result`, it is read from the path.

    Raises:
        ResultError: a file is missing or damaged, or has another value for a metric than the per-image values say.
    """
    result = result or read_result(path)
    columns = read_per_image(path, result)
    values = {name: value for name, value in result.metrics.items() if value is not None}
    for name, metric in METRICS.items():
        if name in result.metrics and metric.columns and columns.keys() >= set(metric.columns):
            expected, value = float(metric.pooled(columns)), result.metrics[name]
            if value is None or not np.isclose(value, expected, rtol=AGREEMENT, atol=_error(metric, columns, expected)):
                raise ResultError(f"{path}: {name} is {value}, but its per-image values say {expected:.6g}")
            values[name] = expected
    return Measured(path, result, columns, values)


def _error(metric: Metric, columns: dict[str, np.ndarray], expected: float) -> float:
    """How far the rounding of per-image values may move a metric: far, relatively, where two means nearly cancel."""
    moved = [metric.pooled(columns | {one: columns[one] * (1 + ROUNDING)}) for one in metric.columns]
    return float(sum(abs(value - expected) for value in moved)) if len(moved) > 1 else 0.0


def difference(now: Identity, then: Identity, *, of_weights: bool = False) -> str | None:
    """In what two identities differ, in a few words; None if `then` is what `now` would be.

    Data and machine count as far as `now` knows them. `of_weights` leaves out what decides scores alone.
    """
    if now.protocol != then.protocol and not of_weights:
        return f"of protocol {then.protocol}, not of {now.protocol}"
    sections = OF_WEIGHTS if of_weights else ENTIRE
    ours, theirs = _told(now, sections), _told(then, sections)
    if changed := [name for name in ours | theirs if ours.get(name, MISSING) != theirs.get(name, MISSING)]:
        return "of other code" if "code" in changed else f"of other settings: {', '.join(changed)}"
    names = [name for name in now.data if name in ("train", "statistics") or not of_weights]
    if any(now.data[name] != then.data.get(name) for name in names):
        return "of other data than is prepared here"
    for name, value in now.machine.items():
        if then.machine.get(name) != value:
            return f"of another machine: {name} {then.machine.get(name)}, not {value}"
    if now.parents.keys() != then.parents.keys():
        return f"of other parents: {', '.join(then.parents) or 'none'}, not {', '.join(now.parents) or 'none'}"
    for name, parent in now.parents.items():
        if reason := difference(parent, then.parents[name], of_weights=True):
            return f"its parent {name}: {reason}"
    return None


def _told(identity: Identity, sections: Iterable[str]) -> dict[str, Any]:
    """Code, and settings by their whole names, `training.steps`."""
    found: dict[str, Any] = {"code": [identity.code.get(stage) for stage in sections]}
    found["method, data set or seed"] = (identity.adapter, identity.data_set, identity.seed)
    for section in sections:
        found |= {f"{section}.{name}": value for name, value in identity.settings.get(section, {}).items()}
    return found


def one_kind(results: Sequence[Result]) -> dict[int, str]:
    """Which of the results of one table cannot stand beside the rest, by their place in the order, and why.

    All are of the same images and, where something was trained, of one precision. What most are decides; of equals the
    newest.
    """
    odd: dict[int, str] = {}
    kinds: dict[str, Callable[[Result], str | None]]
    kinds = {
        "other test images": lambda one: one.provenance.data_sha256["test"],
        "other training images": lambda one: one.provenance.data_sha256.get("train"),
        "another precision": precision_of,
    }
    for fault, kind_of in kinds.items():
        found = {k: kind for k, one in enumerate(results) if k not in odd and (kind := kind_of(one))}
        count = Counter(found.values())
        order = sorted(found, key=lambda k: (count[found[k]], results[k].provenance.date), reverse=True)
        odd |= {k: f"of {fault} than most rows of this table" for k in found if found[k] != found[order[0]]}
    return odd


def _never_in_tables(result: Result) -> str | None:
    if result.protocol != PROTOCOL:
        return f"of protocol {result.protocol}, not of {PROTOCOL}"
    if result.run.overrides:
        return f"run with --set {', '.join(sorted(result.run.overrides))}, which the other rows were not"
    return None


def _compared(now: Identity, then: Identity | None) -> str | None:
    return difference(now, then) if then else "it does not say how it was made; an older version wrote it"


def _lacks_what_is_here(result: Result, *, has_model: bool) -> str | None:
    """What pretrained weights can now give. BenchError: what lies in the place of such a file is another one."""
    if result.status == "skipped":
        told = str(result.reason)  # of a parent, it ends so
        arrived = [name for name in weights.WEIGHTS if told.endswith(weights.absent(name)) and weights.path(name)]
        return f"skipped for want of {arrived[0]}, which is here now" if arrived else None
    commands = [file.command for name, file in weights.WEIGHTS.items() if weights.path(name)]
    absent = {name: result.notes.get(name, "") for name, value in result.metrics.items() if value is None}
    lacking = [name for name, note in absent.items() if any(command in note for command in commands)]
    return f"lacks {', '.join(lacking)}, whose weights are here now" if lacking and has_model else None


def precision_of(result: Result) -> str | None:
    """In which a method was trained; None where it is not known, or nothing is learned."""
    identity = result.provenance.identity
    return identity.machine.get("precision") if identity and result.run.role == "method" else None


class Project(NamedTuple):
    """What the project around a folder of results says of its tables."""

    why_left_out: Callable[[Result], str | None]
    varied: dict[str, str]  # ablation → the entry that it varies
    seeds_wanted: int  # of a family in this preset


def of_project(folder: Path) -> Project:
    """The project around `<results>/<data>/<preset>`.

    Results outside of any project can only be compared with one another, which `one_kind` does.
    """
    try:
        root = find_root(folder)
    except InputError:
        return Project(_never_in_tables, {}, Preset().seeds)
    params = read_params(root)
    preset = params.presets.get(folder.name, Preset())
    return Project(Currency(params, Workspace(root)).why_left_out, params.varied, preset.seeds)
