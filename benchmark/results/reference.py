"""A repeated cell against the committed row that it repeats: the same bits or not, how far apart, and why."""

from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.contracts.result import Provenance, holds_measurement, read_result, result_path
from benchmark.results.currency import difference, made_on, read_whole
from benchmark.results.statistics import Estimate
from benchmark.results.tables.collect import collect_row
from benchmark.results.tables.verdicts import estimates_of
from benchmark.scoring.metrics import METRICS

SAME, INSIDE, OUTSIDE = "same bits", "inside the row's interval", "outside"
SLACK = 1e-3
"""Relative difference that is never called outside; where a row has one seed, set metrics have no interval at all."""

MACHINE = {
    "kind": "kind of device",
    "torch": "version of torch",
    "precision": "precision",
    "instruction_set": "instruction set",
    "cpu": "processor",
    "device": "device",
    "threads": "number of threads",
    "devices": "number of devices",
}
"""What is recorded of a machine and decides bits, the most telling first, in words."""


class Verdict(NamedTuple):
    """How a run compares with the committed row."""

    kind: str  # SAME, INSIDE or OUTSIDE
    difference: str = ""  # the largest, in units and against the row's interval
    reason: str = ""  # the likely one

    def __str__(self) -> str:
        if self.kind == SAME:
            return "same bits as the committed row"
        return f"differs from the committed row: {self.difference}: {self.kind}; likely reason: {self.reason}"


def verdict_on(path: Path, references: Path) -> Verdict | None:
    """Compares an own result with the reference of the same cell; None where nothing was measured on either side.

    SAME speaks of every metric and every per-image value that both have. Otherwise the row's 95 % interval decides,
    centered on the committed value of this seed and, for K > 1 seeds, widened by √(K+1): it is an interval of the mean
    over the seeds, and one run scatters that much wider about it.

    Raises:
        ResultError: one of the two is damaged.
    """
    result = read_result(path)
    committed = result_path(references, result.run)
    if result.status == "skipped" or not holds_measurement(committed):
        return None
    own, reference = (read_whole(file) for file in (path, committed))
    ours, theirs = own.result.provenance, reference.result.provenance
    if ours.data_sha256["test"] != theirs.data_sha256["test"] or own.result.protocol != reference.result.protocol:
        return Verdict(OUTSIDE, "not comparable", "other test images, or another protocol")
    shared = {
        name: (here, there)
        for name in METRICS
        if (here := own.result.metrics.get(name)) is not None
        and (there := reference.result.metrics.get(name)) is not None
    }
    columns = own.columns.keys() & reference.columns.keys()
    if all(here == there for here, there in shared.values()) and all(
        np.array_equal(own.columns[name], reference.columns[name]) for name in columns
    ):
        return Verdict(SAME)
    row = estimates_of(collect_row(reference))
    ratio, largest = max(_deviation(name, *values, row.get(name)) for name, values in shared.items())
    return Verdict(OUTSIDE if ratio > 1 else INSIDE, largest, likely_reason(ours, theirs))


def _deviation(name: str, here: float, there: float, estimate: Estimate | None) -> tuple[float, str]:
    """A metric's difference, in units of half the interval, and in words."""
    interval = (estimate and estimate.interval()) or (there, there)
    count = len(estimate.seeds) if estimate else 1
    half = (interval[1] - interval[0]) / 2 * (sqrt(count + 1) if count > 1 else 1.0)
    half = max(half, SLACK * abs(there) + 1e-12)
    shown = (f"{value:.{METRICS[name].digits + 1}f}" for value in (here, there, there - half, there + half))
    gap = f"{here - there:+.2g} {METRICS[name].unit}".rstrip()
    return abs(here - there) / half, "{} {} against {} [{}, {}], {}".format(name, *shown, gap)


def likely_reason(own: Provenance, reference: Provenance) -> str:
    """What is recorded of two runs and differs, the most telling first."""
    reasons = []
    if own.identity and reference.identity and (making := difference(made_on(own.identity, None), reference.identity)):
        there, here = ((origin.commit or "unknown")[:7] for origin in (reference, own))
        reasons.append(f"it is {making} (commit {there} there, {here} here)")
    ours, theirs = own.trained_on or own.machine, reference.trained_on or reference.machine
    if ours and theirs:
        facts = [(word, getattr(theirs, field), getattr(ours, field)) for field, word in MACHINE.items()]
    else:  # an older row recorded less
        facts = [("version of torch", reference.packages.get("torch"), own.packages.get("torch"))]
        facts.append(("machine", reference.device, own.device))
    reasons += [f"another {word} ({there} there, {here} here)" for word, there, here in facts if there != here]
    return "; ".join(reasons) or "nothing that is recorded differs"
