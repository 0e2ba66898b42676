"""`bench reproduce`: trains and scores committed rows anew, apart from everything else, and says how they compare.

All it makes lies below `runs/reproduce`, so a model that made a reference is never taken for its repetition; the same
command goes on where it was stopped. A cell runs on as many threads as the row did, unless told otherwise.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate

from benchmark.contracts.config import resolve
from benchmark.contracts.result import Provenance, Result, ResultError, read_result
from benchmark.contracts.workspace import Workspace
from benchmark.results.reference import OUTSIDE, Verdict, verdict_on
from benchmark.running.stages import Context, run_cell
from benchmark.running.sweep.plan import Choice
from benchmark.support.errors import BenchError, InputError
from benchmark.support.interruption import Interrupted
from benchmark.training.record import read_record

FAILED, NOT_RUN = "failed", "not run"
PLACE = "runs/reproduce"


class Repeated(NamedTuple):
    """A committed cell and what became of its repetition."""

    reference: Result
    verdict: Verdict


def committed(references: Path, choice: Choice) -> list[Result]:
    """The committed results of cells that can be run again; an empty list in the choice stands for all.

    Raises:
        InputError: none is of this choice.
    """
    chosen = found = [result for path in sorted(references.glob("*/*/*/seed*.json")) if (result := _runnable(path))]
    asked = {"data": choice.data, "preset": choice.presets, "method": choice.methods, "seed": choice.seeds}
    for field, names in asked.items():
        chosen = [result for result in chosen if not names or getattr(result.run, field) in names]
    if not chosen:
        rows = dict.fromkeys(f"{result.run.method} on {result.run.data}/{result.run.preset}" for result in found)
        raise InputError(f"no committed row is of this choice; legal: {', '.join(rows) or f'none in {references}'}")
    return chosen


def _runnable(path: Path) -> Result | None:
    try:
        result = read_result(path)
    except ResultError:
        return None
    return result if result.status == "ok" and not result.run.external else None


def reproduce(rows: Sequence[Result], context: Context, threads: int | None = None) -> Iterator[Repeated]:
    """Repeats committed cells one after the other; one that fails does not hold up the others.

    Results, models and work go below `PLACE`. `threads` are torch's; None: for each cell as many as are recorded of it.

    Raises:
        Interrupted: by a signal; what is done is kept.
    """
    apart = replace(context, workspace=Workspace(context.workspace.root, PLACE))
    for reference in rows:
        torch.set_num_threads(threads or _threads_of(reference.provenance) or torch.get_num_threads())
        try:
            verdict = _repeat(reference, apart)
        except Interrupted:
            raise
        except BenchError as error:
            verdict = Verdict(FAILED, reason=str(error))
        if context.ranks.first:
            yield Repeated(reference, verdict)


def _repeat(reference: Result, context: Context) -> Verdict:
    run = reference.run
    cell = resolve(context.params, method=run.method, data=run.data, preset=run.preset, seed=run.seed)
    finished = run_cell(cell, replace(context, also=run.also))
    skipped = read_record(context.workspace.model(cell)).get("skipped")
    verdict = verdict_on(finished[0], context.workspace.references) if finished and not skipped else None
    return verdict or Verdict(NOT_RUN, reason=str(skipped or "nothing was measured"))


def _threads_of(origin: Provenance) -> int | None:
    if machine := origin.trained_on or origin.machine:
        return machine.threads
    told = re.search(r", (\d+) threads$", origin.device or "")
    return int(told[1]) if told else None


def table_of(repeated: Sequence[Repeated]) -> str:
    """The verdicts as text, one line per cell."""
    runs = ((one.reference.run, one.verdict) for one in repeated)
    lines = [(run.method, f"{run.data}/{run.preset}", run.seed, *verdict) for run, verdict in runs]
    heads = ("method", "data, preset", "seed", "verdict", "largest difference", "likely reason")
    return tabulate(lines, heads, tablefmt="simple", disable_numparse=True)


def is_confirmed(repeated: Sequence[Repeated]) -> bool:
    """Whether nothing failed, and nothing lies outside of its row's interval."""
    return not any(one.verdict.kind in (OUTSIDE, FAILED) for one in repeated)
