"""The files of a study: the key, a participant's answers, and the judgments that are committed with the results.

The module imports no torch, because the tables, which need none, read the judgments.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from benchmark.contracts.result import Count, Digest, Name, Number, Record
from benchmark.scoring.metrics import Metric
from benchmark.support.errors import BenchError, InputError, first_fault
from benchmark.support.files import write_atomically

TRUTH, CHECK = "truth", "check"  # sources of pictures that no method made
PAGE_FILE, KEY_FILE = "study.html", "key.json"  # names in the folder that `bench study build` writes
RESULT_FILE = "study.json"  # name in results/<data>/<preset>, beside the methods' folders

Task = Literal["pair", "single", "pick", "rate"]
TASKS: tuple[Task, ...] = ("pair", "single", "pick", "rate")  # the order in which a participant meets them
DAY = 86_400_000  # milliseconds; no posted number needs to be larger
Posted = Annotated[int, Field(strict=True, ge=0, le=DAY)]
Rating = Annotated[int, Field(strict=True, ge=1, le=5)]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Model = TypeVar("Model", bound=Record)

# The metrics of the columns that people's judgments fill; papers print `fooled`.
STUDY_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("fooled", "Fooled", "%", "higher", 1, "colored picture taken for real beside the real one"),
        Metric("fooled_single", "Fooled alone", "%", "higher", 1, "colored picture, shown alone, called real"),
        Metric("fooled_pick", "Fooled of k", "%", "higher", 1, "colored picture taken for the real one among several"),
        Metric("realism", "Realism", "", "higher", 2, "mean rating of the colors by people, 1–5"),
        Metric("quality", "Quality", "", "higher", 2, "mean rating of the picture by people, 1–5"),
    )
}
TASK_COLUMNS: dict[Task, tuple[str, ...]] = {
    "pair": ("fooled",),
    "single": ("fooled_single",),
    "pick": ("fooled_pick",),
    "rate": ("realism", "quality"),
}
RATED = frozenset(TASK_COLUMNS["rate"])


class StudyError(BenchError):
    """A file of a study is not to be trusted, or an answer is refused."""


class Picture(Record):
    """One picture of the page."""

    photograph: str  # id in the test split
    source: Name  # TRUTH, CHECK, or the method that colored the picture


class Trial(Record):
    """One question: the numbers of its pictures on the page, in the order in which they are shown."""

    task: Task
    pictures: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)]


class Key(Record):
    """What the page does not hold; a form lists the trials that one participant sees, in order."""

    schema_version: Literal[1] = Field(1, alias="schema")
    study: Token
    protocol: int
    data: Name
    preset: Name
    seed: Count  # seed of the models
    design_seed: Count
    data_sha256: Digest  # hash of the test split
    models: dict[Name, Digest]  # method → SHA-256 of its model file
    exposure: Number | None = None  # seconds, in tasks with a choice; None sets no limit
    pictures: tuple[Picture, ...]
    forms: Annotated[tuple[tuple[Trial, ...], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        sources = {TRUTH, CHECK, *self.models}
        for picture in self.pictures:
            if picture.source not in sources:
                raise ValueError(f"a picture of {picture.source!r}, which is not among the models")
        if any(number >= len(self.pictures) for form in self.forms for trial in form for number in trial.pictures):
            raise ValueError("a trial shows a picture that is not there")
        return self

    def sources(self, trial: Trial) -> list[str]:
        """Returns the sources of a trial's pictures, in their order."""
        return [self.pictures[number].source for number in trial.pictures]

    def is_check(self, trial: Trial) -> bool:
        """Returns whether a trial only tests attention, as its answer is plain to see."""
        return CHECK in self.sources(trial)


class Answer(Record):
    """One trial, answered."""

    trial: Posted  # place of the trial in the form
    choice: Posted | None = None  # place of the picture taken for real; for a single picture 0 is real, 1 is colored
    realism: Rating | None = None
    quality: Rating | None = None
    milliseconds: Posted  # time since the pictures appeared


class Participant(Record):
    """All answers of one participant, in the form of the file that the page gives out."""

    schema_version: Literal[1] = Field(1, alias="schema")
    study: Token
    participant: Token
    form: Count
    answers: tuple[Answer, ...]


class Judgments(Record):
    """People's judgments in one column of a table; each list has one entry per judgment."""

    participants: list[Count]
    photographs: list[Count]
    sources: list[Count]  # indices into the result's sources
    values: list[Count]  # 1 if taken for real, else 0; or a rating

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len({len(self.participants), len(self.photographs), len(self.sources), len(self.values)}) != 1:
            raise ValueError("lists of different lengths")
        return self


class StudyResult(Record):
    """A scored study: its questions, its models, and every judgment, without names.

    Rates, intervals and tests are not stored, because they follow from the judgments, as a table's do from images.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    protocol: int
    study: Token
    data: Name
    preset: Name
    seed: Count
    data_sha256: Digest
    models: dict[Name, Digest]
    exposure: Number | None
    participants: Count  # number of people whose answers count
    excluded: list[str]  # why the answers of each other person do not count
    alternatives: Count | None  # number of pictures side by side in `fooled_pick`
    sources: list[Name]
    judgments: dict[str, Judgments]
    date: str  # ISO 8601, UTC

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name, judged in self.judgments.items():
            if name not in STUDY_METRICS:
                raise ValueError(f"unknown column {name!r}; known: {', '.join(STUDY_METRICS)}")
            legal = range(1, 6) if name in RATED else range(2)
            if any(value not in legal for value in judged.values):
                raise ValueError(f"{name}: a value that is none of {', '.join(map(str, legal))}")
            if any(source >= len(self.sources) for source in judged.sources):
                raise ValueError(f"{name}: a source that is not there")
            if any(person >= self.participants for person in judged.participants):
                raise ValueError(f"{name}: a participant who is not there")
        return self


def fault(key: Key, form: int, answer: Answer) -> str | None:
    """Returns why an answer cannot belong to this form of the study, or None."""
    if form >= len(key.forms):
        return f"form {form} is not one of the {len(key.forms)} of this study"
    if answer.trial >= len(key.forms[form]):
        return f"trial {answer.trial} is not one of the {len(key.forms[form])} of form {form}"
    trial = key.forms[form][answer.trial]
    if trial.task == "rate":
        given = answer.choice is None and answer.realism is not None and answer.quality is not None
        return None if given else f"trial {answer.trial} asks for two ratings"
    choices = 2 if trial.task == "single" else len(trial.pictures)
    if answer.choice is None or answer.realism is not None or answer.quality is not None:
        return f"trial {answer.trial} asks for a choice"
    return None if answer.choice < choices else f"trial {answer.trial} has no choice {answer.choice}"


def parse(model: type[Model], text: str | bytes, where: str) -> Model:
    """Makes an instance from JSON.

    Raises:
        StudyError: the text is not JSON, or not of this layout; one line names the place.
    """
    try:
        content = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{where}: not valid JSON, cut off perhaps ({error})") from None
    return validated(model, content, where)


def validated(model: type[Model], content: Any, where: str) -> Model:
    """Makes an instance from JSON values.

    Raises:
        StudyError: the values are not of this layout; one line names the place.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise StudyError(f"{where}: {first_fault(error)}") from None


def read(model: type[Model], path: Path) -> Model:
    """Makes an instance from a file of JSON.

    Raises:
        InputError: the file cannot be read.
        StudyError: the file is not of this layout.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return parse(model, text, str(path))


def write(record: Record, path: Path) -> None:
    """Writes a file of a study, whole or not at all, with one line per field, which keeps lists of numbers short."""
    write_atomically(path, ("{\n" + ",\n".join(_fields(record)) + "\n}\n").encode())


def _fields(record: Record) -> Iterator[str]:
    for name, value in record.model_dump(mode="json", by_alias=True).items():
        yield f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")
