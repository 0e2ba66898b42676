"""Runs trials: trains each, scores the validation split, remembers what came of it, and makes the record of all."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from benchmark import PROTOCOL
from benchmark.contracts.config import Cell
from benchmark.contracts.method import Method
from benchmark.contracts.result import provenance
from benchmark.contracts.search import searched
from benchmark.contracts.tuning import FIDELITY, REALISM, Range, Trial, Tuning, choose, read_tuning, tuning_path
from benchmark.data.color import join, rgb_to_lab
from benchmark.results.currency import Currency
from benchmark.results.manifest import scoring_code
from benchmark.running.stages import Context, load_trained, prepare_data, train_cell
from benchmark.running.stages.context import machine_of
from benchmark.running.tuning.plan import settings_of
from benchmark.scoring.evaluate import batches, evaluate
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.support.errors import BenchError, Diverged
from benchmark.support.files import digest, write_atomically
from benchmark.training.acceleration import deciding_machine
from benchmark.training.record import read_record

SPLIT = "val"  # what decides; the test split is never looked at
INFORMING = ("colorfulness",)  # recorded beside the columns that decide


class Tuner:
    """The trials of one method on one data set. Their outcomes lie below runs/results until a record is made of them.

    What a committed record holds is not done again, so that a tuning can go on on another machine, or to more trials.

    Args:
        cells: of `trial_cells`.
        context: of the project.
        beside: the tuning of another method on the same data and preset, whose scores of gray are taken.

    Raises:
        BenchError: the validation split has fewer than two images.
    """

    def __init__(self, cells: Sequence[Cell], context: Context, beside: "Tuner | None" = None) -> None:
        self.cells, self.context = cells, context
        self.prepared = prepare_data(cells[0], context)
        if len(self.prepared.ids(SPLIT)) < 2:
            raise BenchError(f"{cells[0].data}: a tuning is decided on the validation split, which is too small here")
        self.currency = Currency(context.params, context.workspace)
        self.realism: str
        self.gray: dict[str, float]
        self.realism, self.gray = (beside.realism, beside.gray) if beside else self._find_realism()
        self.committed = self._read_committed()

    @property
    def pending(self) -> list[int]:
        """Indices of the trials that are not done with the present code and data."""
        return [number for number, cell in enumerate(self.cells) if self._remembered(cell) is None]

    def trial(self, number: int) -> Trial:
        """Trains and scores a trial, or finds it done.

        Raises:
            BenchError: it cannot run here, or failed otherwise than by diverging.
        """
        cell = self.cells[number]
        if done := self._remembered(cell):
            return done
        outcome: dict[str, object] = {"settings": settings_of(cell), "cell": self._digest(cell)}
        try:
            record = read_record(train_cell(cell, self.context))
        except Diverged as error:
            outcome["reason"] = str(error)
        else:
            if reason := record.get("skipped"):
                raise BenchError(f"{cell.name} cannot run here: {reason}")
            method = load_trained(cell, self.prepared, self.context)
            outcome |= {"key": record["key"], "train_seconds": record["train_seconds"]}
            outcome["metrics"] = self._score(method, (FIDELITY, self.realism, *INFORMING))
        trial = Trial.model_validate(outcome)
        write_atomically(self._place(cell), trial.model_dump_json().encode())
        return trial

    def record(self, trials: Sequence[Trial]) -> Tuning:
        """Everything about the tuning, with the settings that the rule chooses.

        Raises:
            BenchError: every trial diverged.
        """
        first = self.cells[0]
        named = {name: getattr(first, name) for name in ("method", "adapter", "data", "preset", "seed")}
        origin = provenance(
            sys.argv,
            {"training": first.training.model_dump(mode="json"), "data": first.data_config.model_dump(mode="json")},
            config_hash=digest(first.settings()),
            identity=self.currency.identity(first, self.prepared),
            data_sha256=self.prepared.sha256,
            machine=machine_of(self.context.device),
        )
        best = choose(trials, self.gray, self.realism)
        if best is None:
            raise BenchError(f"{first.method} on {first.data}: every trial diverged, so nothing is chosen")
        space = searched(first.method_class.Config)
        return Tuning(
            protocol=PROTOCOL,
            **named,
            space={name: Range(low=one.low, high=one.high, log=one.log) for name, one in space.items()},
            images=len(self.prepared.ids(SPLIT)),
            realism=self.realism,
            gray=self.gray,
            trials=tuple(trials),
            chosen=best.settings,
            provenance=origin,
        )

    def _find_realism(self) -> tuple[str, dict[str, float]]:
        """The first column of REALISM that these images and this machine allow, and gray's values."""
        values = self._score(None, (FIDELITY, *(column for column in REALISM if column in METRICS), *INFORMING))
        if column := next((column for column in REALISM if column in values), None):
            return column, {name: values[name] for name in (FIDELITY, column, *INFORMING)}
        raise BenchError("no column for realism can be had")

    def _score(self, method: Method | None, columns: Sequence[str]) -> dict[str, float]:
        """The validation columns of a method, or of the images without color."""
        images, device = self.prepared.images(SPLIT), self.context.device
        scorer = Scorer(prepared=self.prepared, device=device, metrics=columns, split=SPLIT)
        if method:
            scores = evaluate(method, images, scorer=scorer, device=device, ids=self.prepared.ids(SPLIT)).scores
        else:
            _score_gray(scorer, batches(images, device))
            scores = scorer.compute()
        return {name: value for name, value in scores.values.items() if value is not None}

    def _digest(self, cell: Cell) -> str:
        """Stands for everything that decides a trial's outcome, but for what decides its last bits alone."""
        key = self.currency.identity(cell, self.prepared).key
        machine = deciding_machine(cell.training, self.context.device, self.context.ranks.world)
        kind = [machine[name] for name in ("device", "precision", "compile", "world")]
        return digest([key, kind, scoring_code(), self.prepared.sha256[SPLIT], self.realism, list(INFORMING)])

    def _place(self, cell: Cell) -> Path:
        folder = tuning_path(self.context.workspace.own, cell.data, cell.preset, cell.method).with_suffix("")
        return folder / f"{self._digest(cell)[:32]}.json"

    def _read_committed(self) -> dict[str, Trial]:
        """The trials of the committed record, if there is one, by their digests."""
        first = self.cells[0]
        path = tuning_path(self.context.workspace.references, first.data, first.preset, first.method)
        trials = read_tuning(path).trials if path.is_file() else ()
        return {trial.cell: trial for trial in trials if trial.cell}

    def _remembered(self, cell: Cell) -> Trial | None:
        try:
            return Trial.model_validate_json(self._place(cell).read_bytes())
        except (OSError, ValidationError):  # not run here, or the file was cut short
            return self.committed.get(self._digest(cell))


@torch.inference_mode()
def _score_gray(scorer: Scorer, images: Iterable[Tensor]) -> None:
    for rgb in images:
        L, ab = rgb_to_lab(rgb)
        predicted, clipped = join(L, torch.zeros_like(ab))
        scorer.update(predicted, rgb, clipped, (L, ab))
