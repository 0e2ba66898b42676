"""Results of one data set and preset → one table: means, intervals, ranks, and what a reader must know beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmark import PROTOCOL
from benchmark.contracts import registry
from benchmark.contracts.curves import Curves
from benchmark.contracts.result import Cost, Run
from benchmark.results.columns import NOT_MEASURED, Filled, Kind, LeftOut, TableCell, columns, kind_of, providers
from benchmark.results.curves import falling, mean_psnr, still_improving
from benchmark.results.draws import image_weights
from benchmark.results.statistics import Estimate
from benchmark.results.tables.collect import Measured, collect
from benchmark.results.tables.origin import Origin, origin_of
from benchmark.results.tables.verdicts import SEEDS_WANTED, Decided, judge, mean_ranks
from benchmark.scoring.metrics import METRICS, Metric


@dataclass(frozen=True)
class Row:
    """One method in a table."""

    name: str
    run: Run  # of the first seed
    seeds: tuple[int, ...]
    images: int  # scored by every seed
    cells: Mapping[str, TableCell]  # by metric
    cost: Cost  # means over seeds; the largest peak memory
    improving: Sequence[str]  # validation scores that were still getting better when its training ended
    falling: bool  # whether validation psnr was getting worse then
    kind: Kind
    varies: str | None = None  # the entry that an ablation varies
    mean_rank: float | None = None  # of a family's means over the headline columns: the order of the rows, no more
    few_seeds: bool = False  # a trained row with fewer seeds than are wanted
    curves: Mapping[int, Curves] = field(
        default_factory=dict
    )  # seed → how its training went, after its parent's images
    models: Mapping[int, str] = field(default_factory=dict)  # seed → SHA-256 of the weights, of rows trained here

    @property
    def part(self) -> str:
        """Of the table: "method", "baseline" or "ceiling"; the floor is a baseline."""
        return "baseline" if self.run.role == "floor" else self.run.role

    @property
    def mean_curve(self) -> Mapping[int, float]:
        """Training images, a parent's counted → psnr on validation images, the mean over seeds."""
        return mean_psnr(list(self.curves.values()))

    @property
    def not_above_floor(self) -> list[str]:
        """The metrics of `FLOOR_TEST` in which it is not shown to beat the floor."""
        return [name for name, cell in self.cells.items() if cell.below_floor]

    @property
    def in_bold(self) -> list[str]:
        """The metrics in which its value is in bold."""
        return [name for name, cell in self.cells.items() if cell.best]


@dataclass(frozen=True)
class Table:
    """Everything that is printed, in whichever form."""

    data: str
    preset: str
    note: str  # what the data says of itself
    protocol: int
    data_sha256: str  # of the prepared test split
    images: int
    metrics: Sequence[Metric]  # those that have a value in some row
    rows: Sequence[Row]  # families, in the order of their mean rank
    ablations: Sequence[Row]  # beside the families that they vary
    baselines: Sequence[Row]
    ceilings: Sequence[Row]
    truth: Mapping[str, Estimate]  # metrics of the true images, where they have one
    skipped: Mapping[str, str]  # method → reason
    absent: Mapping[str, str]  # metric without any value → reason
    missing_seeds: Mapping[str, Sequence[int]]  # method → seeds that other methods have
    origin: Origin
    left_out: Sequence[LeftOut]
    decided: Decided
    seeds_wanted: int  # of a family
    own: Mapping[str, Sequence[int]] = field(default_factory=dict)  # row → seeds measured here, among references
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what is to be said → of which columns

    @property
    def all_rows(self) -> list[Row]:
        """Families, ablations, baselines, ceilings."""
        return [*self.rows, *self.ablations, *self.baselines, *self.ceilings]

    @property
    def floor(self) -> Row | None:
        """The row of a picture without any color."""
        return next((row for row in self.baselines if row.run.role == "floor"), None)

    def row(self, name: str) -> Row | None:
        """A row by name."""
        return next((row for row in self.all_rows if row.name == name), None)


def build_table(folder: Path, references: Path | None = None) -> Table:
    """The table of `<results>/<data>/<preset>`; without rows when none of its files may stand in one.

    Args:
        folder: holds the results; own ones, where `references` is given.
        references: the same folder of the committed results, for the cells that `folder` has no result of.
    """
    collection = collect(folder, references)
    measured = sorted(collection.measured, key=lambda one: (one.result.run.method, one.result.run.seed))
    groups = {name: list(group) for name, group in groupby(measured, key=lambda one: one.result.run.method)}
    images = max((one.result.images for one in measured), default=0)
    folders = [folder, references] if references else [folder]
    filled = [_filled([provider.fill(place, collection.measured) for place in folders]) for provider in providers()]
    project = collection.project
    kinds = {name: kind_of(group[0].result.run, project.varied) for name, group in groups.items()}
    cells, decided = judge(groups, kinds, project.varied, images)
    means = mean_ranks({name: cells[name] for name, kind in kinds.items() if kind == "family"})
    wanted = {"family": project.seeds_wanted, "ablation": min(SEEDS_WANTED, project.seeds_wanted), "reference": 1}
    rows = [
        Row(
            improving=still_improving(list((curves := _curves(group)).values())) or (),
            falling=falling(list(curves.values())),
            curves=curves,
            name=name,
            run=(run := group[0].result.run),
            seeds=tuple(one.result.run.seed for one in group),
            images=min(one.result.images for one in group),
            cells=cells[name] | {column: found[name] for one in filled for column, found in one.cells.items()},
            cost=_mean_cost([one.result.cost for one in group]),
            kind=kinds[name],
            varies=None if run.external else project.varied.get(name),
            mean_rank=means.get(name),
            models=_models(group),
            few_seeds=not run.external and len(group) < wanted[kinds[name]],
        )
        for name, group in groups.items()
    ]
    families = sorted((row for row in rows if row.kind == "family"), key=_order)
    places = {row.name: k for k, row in enumerate(families)}
    ablations = sorted(
        (row for row in rows if row.kind == "ablation"), key=lambda row: (places.get(row.varies or "", inf), row.name)
    )
    valued = {name for row in rows for name, cell in row.cells.items() if cell.estimate}
    asked = {name for row in rows for name in METRICS if row.cells[name].note != NOT_MEASURED}
    absent = [name for name in METRICS if rows and name not in valued and (name in asked or not METRICS[name].optional)]
    seeds = {row.name: set(row.seeds) for row in (*families, *ablations) if not row.run.external}
    origin = origin_of(groups)
    return Table(
        data=folder.parent.name,
        preset=folder.name,
        note=" ".join(origin.notes) or _note(folder.parent.name),
        protocol=PROTOCOL,
        data_sha256=next((one.result.provenance.data_sha256["test"] for one in collection.measured), ""),
        images=images,
        metrics=[metric for name, metric in columns().items() if name in valued],
        rows=families,
        ablations=ablations,
        baselines=[row for row in rows if row.part == "baseline"],
        ceilings=[row for row in rows if row.part == "ceiling"],
        truth=_truth(collection.measured) | {name: found for one in filled for name, found in one.truth.items()},
        skipped={result.run.method: result.reason or "" for result in collection.skipped},
        absent={name: "; ".join(dict.fromkeys(row.cells[name].note for row in rows)) for name in absent},
        missing_seeds={name: sorted(lacking) for name, own in seeds.items() if (lacking := _usual(rows, name) - own)},
        origin=origin,
        left_out=[*collection.left_out, *(message for one in filled for message in one.left_out)],
        decided=decided,
        seeds_wanted=project.seeds_wanted,
        own=collection.own,
        remarks={text: names for one in filled for text, names in one.remarks.items()},
    )


def _curves(group: Sequence[Measured]) -> dict[int, Curves]:
    return {one.result.run.seed: _after_parent(curves, one) for one in group if (curves := one.result.curves)}


def _after_parent(curves: Curves, one: Measured) -> Curves:
    """Counts the images that the parent's training saw, so that all curves of a table have one axis."""
    before = (one.result.cost.budget_images or curves.images[-1]) - curves.images[-1]
    return curves.model_copy(update={"images": tuple(before + images for images in curves.images)})


def _order(row: Row) -> tuple[float, float, str]:
    """Families by their mean rank, ties by psnr."""
    psnr = row.cells["psnr"].mean
    return inf if row.mean_rank is None else row.mean_rank, inf if psnr is None else -psnr, row.name


def _usual(rows: Sequence[Row], name: str) -> set[int]:
    """The seeds that rows of this one's kind have."""
    kind = next(row.kind for row in rows if row.name == name)
    return {seed for row in rows if row.kind == kind and not row.run.external for seed in row.seeds}


def _filled(found: Sequence[Filled]) -> Filled:
    """What a provider knows from the own folder, else from the references'."""
    nothing = Filled(left_out=[file for one in found for file in one.left_out])
    return next((one for one in found if one.cells or one.remarks), nothing)


def _models(group: Sequence[Measured]) -> dict[int, str]:
    trained = [one.result for one in group if one.result.run.role == "method" and not one.result.run.external]
    found = {one.run.seed: one.provenance.config.get("model_sha256") for one in trained}
    return {seed: str(sha256) for seed, sha256 in found.items() if sha256}


def _mean_cost(costs: Sequence[Cost]) -> Cost:
    def known(name: str) -> list[float]:
        return [value for cost in costs if (value := getattr(cost, name)) is not None]

    means = ("train_seconds", "train_images_per_second", "inference_images_per_second")
    update: dict[str, object] = {name: fmean(known(name)) if known(name) else None for name in means}
    update["peak_memory_bytes"] = max(known("peak_memory_bytes"), default=None)
    update["device"] = " / ".join(dict.fromkeys(cost.device for cost in costs if cost.device)) or None
    return costs[0].model_copy(update=update)


def _note(data: str) -> str:
    """What the data set's adapter says beside every table, for results that do not carry what the data says itself."""
    known = registry.names("dataset")
    adapter = data if data in known else data.partition("-")[0]  # "folder-holidays" is data of the adapter "folder"
    return (registry.load_dataset(adapter).note or "") if adapter in known else ""


def _truth(measured: Sequence[Measured]) -> dict[str, Estimate]:
    """Metrics of the true images themselves: from the columns named `<metric>_target`, the same in every result."""
    whole = max(measured, key=lambda one: one.result.images, default=None)
    found = {}
    for name, column in whole.columns.items() if whole else ():
        metric = name.removesuffix("_target")
        if metric != name and metric in METRICS:
            draws = image_weights(len(column)) @ column.astype(np.float64)[:, None]
            mean, bounds = np.array([column.mean(dtype=np.float64)]), METRICS[metric].bounds
            found[metric] = Estimate(mean, draws, trained=False, bounds=bounds)
    return found
