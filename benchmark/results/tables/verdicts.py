"""What the tests say of a table's cells: who is ranked, where, and who is not shown to beat the floor (protocol §8)."""

from collections.abc import Iterator, Mapping, Sequence
from math import comb
from statistics import fmean
from typing import NamedTuple

import numpy as np

from benchmark.contracts.identity import Identity
from benchmark.results.columns import NOT_MEASURED, Kind, Measured, TableCell
from benchmark.results.statistics import Difference, Estimate, Rank, against, among, compare, ranks, resample, shown
from benchmark.scoring.metrics import METRICS, Metric

HEADLINE = (
    *("psnr", "ssim", "auc", "auc_rebal", "lpips_alex", "fid", "fd_lite", "top1", "agree_lite"),
    *("delta_colorfulness", "fooled"),
)
FLOOR_TEST = ("psnr", "ssim", "auc")  # in which a method that learned color must beat the floor, no color at all
DISTANCE = "psnr"  # what is further from the truth than no color at all is never bold: wrong colors are vivid, too
SEEDS_WANTED = 3  # of ablations, and of what a claim is decided by
SIGNS = {"higher": 1, "lower": -1, None: 0}


class Decided(NamedTuple):
    """How much a table decides."""

    shown: int  # pairs of families × headline columns that are shown to differ
    pairs: int  # all of them


class Tests(NamedTuple):
    """What the tests of one column say."""

    ranks: Mapping[str, Rank] = {}
    methods: int = 0  # among which they rank
    shown: int = 0  # pairs of families
    pairs: int = 0
    below_floor: frozenset[str] = frozenset()
    versus: Mapping[str, int] = {}  # ablation → 1 where it is shown to be better than the entry it varies, -1 worse


def judge(
    groups: Mapping[str, Sequence[Measured]], kinds: Mapping[str, Kind], varied: Mapping[str, str], images: int
) -> tuple[dict[str, dict[str, TableCell]], Decided]:
    """Row → metric → cell, and how much the table decides.

    Args:
        groups: row → its results, by seed.
        kinds: row → what it is.
        varied: ablation → the entry that it varies.
        images: of the test split; what was scored on fewer is not tested, as tests are paired by image.
    """
    estimates = {name: estimates_of(group) for name, group in groups.items()}
    floor = next((name for name, group in groups.items() if group[0].result.run.role == "floor"), "")
    whole = [name for name, group in groups.items() if all(one.result.images == images for one in group)]
    further = _further({name: estimates[name] for name in whole}, floor)
    cells: dict[str, dict[str, TableCell]] = {name: {} for name in groups}
    decided = Decided(0, 0)
    for metric in METRICS.values():
        have = {name: estimates[name][metric.name] for name in whole if metric.name in estimates[name]}
        tests = _test(metric, have, kinds, varied, floor)
        if metric.name in HEADLINE:
            decided = Decided(decided.shown + tests.shown, decided.pairs + tests.pairs)
        for name, group in groups.items():
            notes = dict.fromkeys(one.result.notes[metric.name] for one in group if metric.name in one.result.notes)
            rank = tests.ranks.get(name)
            cells[name][metric.name] = TableCell(
                estimate := estimates[name].get(metric.name),
                note="; ".join(notes) or ("" if estimate else NOT_MEASURED),
                rank=rank,
                best=rank is not None and rank.leads(tests.methods) and name not in further,
                below_floor=name in tests.below_floor,
                versus=tests.versus.get(name, 0),
            )
    return cells, decided


def _further(estimates: Mapping[str, Mapping[str, Estimate]], floor: str) -> set[str]:
    """The rows whose mean is further from the truth than the floor's."""
    means = {name: of_row[DISTANCE].mean for name, of_row in estimates.items() if DISTANCE in of_row}
    sign = SIGNS[METRICS[DISTANCE].direction]
    return {name for name, mean in means.items() if floor in means and sign * mean < sign * means[floor]}


def _test(
    metric: Metric, have: Mapping[str, Estimate], kinds: Mapping[str, Kind], varied: Mapping[str, str], floor: str
) -> Tests:
    """The tests of one column.

    Families are tested among themselves and, as one family of tests, against the floor; an ablation against the entry
    that it varies and against the floor, alone. One training has no verdict and no rank, but a place among the ranks of
    the others, none of which is shown to be better or worse. An external row without seeds has neither, as the luck of
    its training is not known: it stands against the floor on the images alone.
    """
    sign = SIGNS[metric.direction]
    if not sign:
        return Tests()
    families = {name: one for name, one in have.items() if kinds[name] == "family"}
    ablations = {name: one for name, one in have.items() if kinds[name] == "ablation"}
    trained = {name: one for name, one in families.items() if one.trained}
    ranked = {name: one for name, one in trained.items() if one.testable}
    differences = among(ranked)
    above: dict[str, Difference] = {}
    if metric.name in FLOOR_TEST and floor in have:
        above = against(families, have[floor])
        above |= {name: compare(one, have[floor]) for name, one in ablations.items()}
    compared = {name: compare(one, have[varied[name]]) for name, one in ablations.items() if varied[name] in have}
    places = ranks(list(trained), differences, sign > 0)
    return Tests(
        {name: rank for name, rank in places.items() if name in ranked},
        len(trained),
        sum(map(shown, differences.values())) // 2,
        comb(len(trained), 2),
        frozenset(name for name, one in above.items() if not (shown(one) and sign * one.effect > 0)),
        {name: 1 if sign * one.effect > 0 else -1 for name, one in compared.items() if shown(one)},
    )


def estimates_of(group: Sequence[Measured]) -> dict[str, Estimate]:
    """Metric → estimate, of one row, for the metrics that every seed has."""
    run, images = group[0].result.run, min(one.result.images for one in group)
    whole = all(one.result.images == images for one in group)
    shared = set.intersection(*(set(one.columns) for one in group)) if whole else set()
    drawn = resample({name: np.stack([one.columns[name] for one in group]) for name in sorted(shared)})
    lineage = (key for one in group for key in _lineage(one.result.provenance.identity))
    models = frozenset() if run.external else frozenset(lineage)  # of other programs' models nothing is known
    found = {}
    for name in (name for name in METRICS if all(name in one.metrics for one in group)):
        folded = METRICS[name].folded and name in drawn
        values = [METRICS[name].signed(one.columns) if folded else one.metrics[name] for one in group]
        found[name] = Estimate(
            np.array(values, dtype=np.float64),
            drawn.get(name),
            tuple(one.result.run.seed for one in group),
            models,
            trained=run.role == "method" and not (run.external and len(group) == 1),
            bounds=METRICS[name].bounds,
            folded=folded,
        )
    return found


def _lineage(identity: Identity | None) -> Iterator[str]:
    """The keys of a model and of those that it started from."""
    if identity:
        yield identity.key
        for parent in identity.parents.values():
            yield from _lineage(parent)


def mean_ranks(cells: Mapping[str, Mapping[str, TableCell]]) -> dict[str, float]:
    """Row → mean, over the headline columns in which others have a value too, of the rank of its mean.

    Equals share theirs; a row that is alone has none.
    """
    found: dict[str, list[float]] = {}
    for name in HEADLINE:
        sign = SIGNS[METRICS[name].direction] if name in METRICS else 0
        values = {row: of_row[name].mean for row, of_row in cells.items()} if sign else {}
        means = {row: sign * mean for row, mean in values.items() if mean is not None}
        for row, mean in means.items() if len(means) > 1 else ():
            better = sum(other > mean for other in means.values())
            equal = sum(other == mean for other in means.values())
            found.setdefault(row, []).append(better + (1 + equal) / 2)
    return {row: fmean(those) for row, those in found.items()}
