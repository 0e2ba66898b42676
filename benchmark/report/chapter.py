"""One table of the leaderboard → one chapter of the report: its charts, curves and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from benchmark.contracts import registry
from benchmark.report import charts
from benchmark.report.charts import Mark
from benchmark.report.gallery import Gallery
from benchmark.report.svg import Point
from benchmark.report.trained import Found, History, read_history
from benchmark.results.tables import ARROWS, HEADLINE, Measured, Row, Table, cell_text, headline
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.training.record import HISTORY_FILE

COSTS = {
    "macs": "multiply-adds per image",
    "parameters": "parameters",
    "train_seconds": "training time, seconds",
    "inference_images_per_second": "inference, images per second",
}
YES_OR_NO = ("top1",)  # an image is right or wrong: no distribution to draw
LABEL_LENGTH = 14  # characters of a name that fit beside a plot; longer ones are numbered
VALIDATION, RATE = "val_", "learning_rate"  # how names of logged quantities begin, and end


@dataclass(frozen=True)
class Figure:
    """One chart with what a reader, and the page's script, must know of it."""

    title: str
    svg: Markup
    metric: str = ""  # that it shows: the filter's business
    cost: str = ""  # key of `COSTS`
    note: str = ""

    @property
    def further(self) -> bool:
        """Whether it shows a metric that is not among the first ones to look at."""
        return bool(self.metric) and self.metric not in HEADLINE


@dataclass(frozen=True)
class Training:
    """How one method was trained."""

    method: str
    phases: str  # "pretrain from step 1, adversarial from step 301"
    constants: str  # what never changed: "generator learning rate 0.0002"
    figures: Sequence[Figure]  # a quantity each, a line per seed


@dataclass(frozen=True)
class Chapter:
    """Everything that the report says of one data set and preset."""

    table: Table
    keys: Mapping[str, str]  # method → its name, or its number where names are too long to stand in a chart
    intervals: Sequence[Figure]
    channels: Markup | None
    distributions: Sequence[Figure]
    costs: Sequence[Figure]
    validation: Sequence[Figure]
    trainings: Sequence[Training]
    gallery: Gallery

    @property
    def id(self) -> str:
        """Of the page, and the beginning of the ids on it."""
        return f"{self.table.data}-{self.table.preset}"

    @property
    def title(self) -> str:
        """Of the page."""
        return f"{self.table.data}, {self.table.preset}"

    @property
    def headline(self) -> list[Metric]:
        """The metrics to look at first."""
        return headline(self.table)

    @property
    def numbered(self) -> bool:
        """Whether charts need a list that says which number is which method."""
        return any(name != key for name, key in self.keys.items())


def make_chapter(table: Table, measured: Sequence[Measured], found: Found, gallery: Gallery) -> Chapter:
    """Draws the charts of a table, as the leaderboard has it: every number shown is one of its numbers.

    `measured` are the results that it was made from, `found` the models, `gallery` their pictures.
    """
    keys = short_names([row.name for row in table.all_rows])
    histories = read_histories(found)
    return Chapter(
        table=table,
        keys=keys,
        intervals=[_intervals(table, metric) for metric in table.metrics],
        channels=_channels(table),
        distributions=_distributions(table, measured),
        costs=_costs(table, keys),
        validation=_validation(histories, keys),
        trainings=[_training(name, group) for name, group in histories.items()],
        gallery=gallery,
    )


class DataCard(NamedTuple):
    """What a data set's adapter says of it."""

    title: str
    terms: str
    homepage: str


def described(data: str) -> DataCard | None:
    """What is known of a data set by its name; None of one whose adapter is not installed here."""
    known = registry.names("dataset")
    adapter = data if data in known else data.partition("-")[0]  # "folder-holidays" is data of the adapter "folder"
    if adapter not in known:
        return None
    found = registry.load_dataset(adapter)
    return DataCard(found.title, found.licence, found.homepage or "")


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Name → what stands for it beside a plot: itself, or its number if any name is too long."""
    if max(map(len, names), default=0) <= LABEL_LENGTH:
        return {name: name for name in names}
    return {name: str(k) for k, name in enumerate(names, 1)}


def read_histories(found: Found) -> dict[str, list[History]]:
    """Method → what was logged while each of its seeds was trained."""
    histories: dict[str, list[History]] = {}
    for model in found.models:
        if history := read_history(model.folder / HISTORY_FILE):
            histories.setdefault(model.cell.method, []).append(history)
    return histories


def per_image(measured: Sequence[Measured], column: str) -> dict[str, NDArray[np.float64]]:
    """Method → (N,) the mean over its seeds of a per-image column, for methods whose every seed has it."""
    groups: dict[str, list[NDArray[np.float32]]] = {}
    for one in measured:
        groups.setdefault(one.result.run.method, []).append(one.columns.get(column, np.empty(0, np.float32)))
    whole = {name: group for name, group in groups.items() if len(group[0]) and len(set(map(len, group))) == 1}
    return {name: np.mean(group, axis=0, dtype=np.float64) for name, group in whole.items()}


def _title(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.label}{unit}{ARROWS[metric.direction]}"


def _mark(row: Row, metric: Metric) -> Mark | None:
    cell = row.cells[metric.name]
    if cell.mean is None:
        return None
    text = cell_text(cell, metric.digits)
    return Mark(row.name, row.part, cell.mean, cell.interval, text, cell.best)


def _marks(table: Table, metric: Metric) -> list[Mark]:
    return [mark for row in table.all_rows if (mark := _mark(row, metric))]


def _floor(table: Table, metric: Metric) -> float | None:
    return table.floor.cells[metric.name].mean if table.floor else None


def _intervals(table: Table, metric: Metric) -> Figure:
    title = f"{metric.label} on {table.data}, mean and 95 % interval"
    svg = charts.whiskers(title, _marks(table, metric), _floor(table, metric))
    return Figure(_title(metric), svg, metric.name, note=metric.description)


def _channels(table: Table) -> Markup | None:
    metrics = [METRICS[name] for name in charts.CHANNELS.values()]
    rows = {row.name: [mark for metric in metrics if (mark := _mark(row, metric))] for row in table.all_rows}
    whole = {name: marks for name, marks in rows.items() if len(marks) == len(metrics)}
    return charts.channels(f"Mean absolute error per color channel on {table.data}", whole) if whole else None


def _distributions(table: Table, measured: Sequence[Measured]) -> list[Figure]:
    """Methods and baselines; a ceiling lies too far from them to share a scale."""
    order = [row for row in table.all_rows if row.run.role != "ceiling"]
    figures = []
    for metric in table.metrics:
        drawn = metric.has_image_values and metric.name not in YES_OR_NO
        values = per_image(measured, metric.name) if drawn else {}
        rows = {row.name: values[row.name] for row in order if row.name in values}
        if rows:
            title = f"{metric.label} over the test images of {table.data}"
            svg = charts.distributions(title, rows, {row.name: row.part for row in order}, metric.digits)
            figures.append(Figure(_title(metric), svg, metric.name))
    return figures


def _costs(table: Table, keys: Mapping[str, str]) -> list[Figure]:
    figures = []
    for cost, axis in COSTS.items():
        known = {row.name: float(value) for row in table.rows if (value := getattr(row.cost, cost))}
        for metric in table.metrics:
            marks = [mark for mark in _marks(table, metric) if mark.name in known]
            if marks and metric.direction:
                title = f"{metric.label} against {axis} on {table.data}"
                svg = charts.against_cost(title, marks, known, keys, axis, _floor(table, metric))
                figures.append(Figure(_title(metric), svg, metric.name, cost))
    return figures


def _validation(histories: Mapping[str, Sequence[History]], keys: Mapping[str, str]) -> list[Figure]:
    """What was measured on validation images while training, all methods in one chart."""
    figures = []
    for metric in METRICS.values():
        quantity = f"{VALIDATION}{metric.name}"
        if lines := {name: found for name, group in histories.items() if (found := _lines(group, quantity))}:
            svg = charts.curves(f"Validation {metric.label} while training", lines, keys)
            figures.append(Figure(_title(metric), svg))
    return figures


def _training(method: str, histories: Sequence[History]) -> Training:
    quantities = dict.fromkeys(name for history in histories for name in history.curves)
    figures, constants = [], []
    for quantity in quantities:
        lines = _lines(histories, quantity)
        values = {f"{value:.6g}" for line in lines for _, value in line}
        if quantity.endswith(RATE) and len(values) == 1:
            constants.append(f"{_words(quantity)} {values.pop()}")
        elif not quantity.startswith(VALIDATION):
            svg = charts.curves(f"{method}: {_words(quantity)}", {method: lines}, {})
            figures.append(Figure(_words(quantity), svg))
    phases = ", ".join(f"{name} from step {step}" for name, step in histories[0].phases)
    return Training(method, phases, ", ".join(constants), figures)


def _lines(histories: Sequence[History], quantity: str) -> list[Sequence[Point]]:
    return [history.curves[quantity] for history in histories if quantity in history.curves]


def _words(quantity: str) -> str:
    """`generator_gradient_norm` → `generator gradient norm`."""
    return quantity.replace("_", " ")
