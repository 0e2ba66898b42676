"""The columns that people fill: a study's judgments, if they were made on the models and images of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark import PROTOCOL
from benchmark.results.statistics import LEVEL, Estimate
from benchmark.results.tables.collect import Measured
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.study.analysis import Column, Opinion, analyse
from benchmark.study.schema import RESULT_FILE, STUDY_METRICS, TRUTH, StudyResult, read
from benchmark.support.errors import BenchError

COLUMNS: dict[str, Metric] = METRICS | STUDY_METRICS
"""Every column that a table may have, in order."""


@dataclass(frozen=True)
class Judged(Estimate):
    """A mean over people, with the study's own interval."""

    low: float = 0.0
    high: float = 0.0

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The study's 95 % interval."""
        return self.low, self.high


@dataclass(frozen=True)
class People:
    """What people judged of a table's rows."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    methods: frozenset[str] = frozenset()  # whose judged model is the one of the table
    note: str = ""
    left_out: Sequence[str] = ()  # one line each: what does not stand in the table, and why

    def estimate(self, column: str, method: str) -> Judged | None:
        """A row's value, or None where it was not judged."""
        opinion = self.columns[column].opinions.get(method) if method in self.methods else None
        return _estimate(opinion) if opinion else None

    @property
    def truth(self) -> dict[str, Estimate]:
        """Columns in which the true images were judged too."""
        found = {name: column.opinions.get(TRUTH) for name, column in self.columns.items()}
        return {name: _estimate(opinion) for name, opinion in found.items() if opinion}


def _estimate(opinion: Opinion) -> Judged:
    return Judged(np.array([opinion.mean]), None, opinion.judgments, opinion.low, opinion.high)


def judged_by_people(folder: Path, measured: Sequence[Measured]) -> People:
    """The study of `results/<data>/<preset>`; nothing where there is none, or where it is of other images."""
    path = folder / RESULT_FILE
    if not path.is_file():
        return People()
    try:
        study = read(StudyResult, path)
    except BenchError as error:
        return People(left_out=[str(error)])
    if reason := _foreign(study, folder, measured):
        return People(left_out=[f"{path}: {reason}"])
    current = {
        one.result.run.method: one.result.provenance.config.get("model_sha256")
        for one in measured
        if one.result.run.seed == study.seed
    }
    methods = frozenset(name for name, sha256 in study.models.items() if current.get(name) == sha256)
    left_out = [
        f"{path}: {name} was judged by another model than the table's; build the study again"
        for name in study.models
        if name not in methods
    ]
    return People(analyse(study), methods, _note(study), left_out)


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
