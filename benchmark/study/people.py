"""Provides the columns of a study's judgments, if people judged the models and images of the table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import PROTOCOL
from benchmark.results.columns import Filled, LeftOut, TableCell
from benchmark.results.statistics import LEVEL, Estimate
from benchmark.results.tables import Measured
from benchmark.study.analysis import Column, Opinion, analyse
from benchmark.study.schema import RESULT_FILE, STUDY_METRICS, TRUTH, StudyResult, read
from benchmark.support.errors import BenchError

NOT_JUDGED = TableCell(None, note="not in the study")


@dataclass(frozen=True)
class Judged(Estimate):
    """A mean over people with the study's own interval."""

    low: float = 0.0
    high: float = 0.0

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns the study's 95 % interval."""
        return self.low, self.high


class People:
    """The provider of the study's columns (`benchmark.results.columns.Provider`)."""

    columns = STUDY_METRICS

    def fill(self, folder: Path, measured: Sequence[Measured]) -> Filled:
        """Returns the columns of `results/<data>/<preset>`'s study, or none without a study on the same images."""
        path = folder / RESULT_FILE
        if not path.is_file():
            return Filled()
        try:
            study = read(StudyResult, path)
        except BenchError as error:
            return Filled(left_out=[LeftOut(path, str(error).removeprefix(f"{path}: "))])
        if reason := _foreign(study, folder, measured):
            return Filled(left_out=[LeftOut(path, reason)])
        judged = [
            one
            for one in measured
            if one.result.run.seed == study.seed
            and one.result.provenance.config.get("model_sha256") == study.models.get(one.result.run.method, "")
        ]
        roles = {one.result.run.method: one.result.run.role for one in judged}
        names = {one.result.run.method for one in measured}
        columns = analyse(study)
        cells = {name: dict(_cells(column, roles, _note(study))) for name, column in columns.items()}
        return Filled(
            cells={column: {name: found.get(name, NOT_JUDGED) for name in names} for column, found in cells.items()},
            truth={
                name: _estimate(column.opinions[TRUTH]) for name, column in columns.items() if TRUTH in column.opinions
            },
            left_out=[
                LeftOut(path, f"{name} was judged by another model than the table's", "build the study again")
                for name in study.models
                if name not in roles
            ],
        )


PEOPLE = People()


def _cells(column: Column, roles: Mapping[str, str], note: str) -> Iterator[tuple[str, TableCell]]:
    """Yields the cells of the methods whose judged model is the one of the table."""
    for method, role in roles.items():
        if opinion := column.opinions.get(method):
            rank = column.ranks.get(method) if role == "method" else None
            best = rank is not None and rank.leads(len(column.ranks))
            yield method, TableCell(_estimate(opinion), note, rank, best)


def _estimate(opinion: Opinion) -> Judged:
    return Judged(np.array([opinion.mean]), low=opinion.low, high=opinion.high)


def _note(study: StudyResult) -> str:
    people = f"{study.participants} people on the models of seed {study.seed}"
    return f"{people}; intervals and ranks as docs/study.md says; not part of the mean rank"


def _foreign(study: StudyResult, folder: Path, measured: Sequence[Measured]) -> str | None:
    if study.protocol != PROTOCOL:
        return f"protocol {study.protocol}, the tables are of {PROTOCOL}"
    if (study.data, study.preset) != (folder.parent.name, folder.name):
        return f"a study of {study.data}/{study.preset}, not of this folder"
    if {study.data_sha256} != {one.result.provenance.data_sha256["test"] for one in measured}:
        return "its test images are not those of the results"
    return None
