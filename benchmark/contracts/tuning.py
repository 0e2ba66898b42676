"""The record of a tuning: every trial, what validation said of it, and the settings that the rule chooses.

    results/<data>/<preset>/tuning/<entry>.json      committed; `tuned: <entry>` in params.yaml takes its settings

The rule was written before the first trial (docs/tuning.md). It stands here as code, and reading a record applies it
again: a record whose `chosen` are not the settings of its best trial is refused.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from benchmark.contracts.result import Digest, Name, Number, Provenance, Record, ResultError
from benchmark.support.errors import InputError, first_fault
from benchmark.support.files import write_atomically

FIDELITY = "psnr"
REALISM = ("fd_judge", "kid_judge", "fd_lite", "kid_lite", "delta_colorfulness")
"""The columns of which the first that can be had stands for realism; all are distances, and the truth has 0."""

SCHEMA = 1


class Range(Record):
    """Where a setting was looked for."""

    low: Number
    high: Number
    log: bool


class Trial(Record):
    """One training with chosen settings. `reason` says why it has no metrics: it diverged."""

    settings: dict[str, Number]
    metrics: Mapping[str, Number] = Field(default_factory=dict, description="of the validation split")
    reason: str | None = None
    key: Digest | None = None  # of the weights
    cell: Digest | None = Field(None, description="of what decides the outcome, but for its last bits")
    train_seconds: Number | None = None


class Tuning(Record):
    """A method's tuning on one data set under one preset. The first trial has the paper's values."""

    schema_version: int = Field(SCHEMA, alias="schema", strict=True)
    protocol: int
    method: Name
    adapter: Name
    data: Name
    preset: Name
    seed: int
    space: dict[str, Range]
    images: int = Field(ge=2, description="of the validation split")
    realism: str  # the column of REALISM that the rule uses
    gray: dict[str, Number]  # what the validation images without any color score
    trials: tuple[Trial, ...] = Field(min_length=1)
    chosen: dict[str, Number]
    provenance: Provenance

    @model_validator(mode="after")
    def _decided_by_the_rule(self) -> Self:
        if self.schema_version != SCHEMA:
            raise ValueError(f"layout {self.schema_version}, this program reads {SCHEMA}")
        best = choose(self.trials, self.gray, self.realism)
        if best is None:
            raise ValueError("no trial has metrics, so nothing can be chosen")
        if self.chosen != best.settings:
            raise ValueError(f"chosen are {self.chosen}, but the rule chooses {best.settings}")
        return self

    def score(self, trial: Trial) -> float | None:
        """What the rule makes of a trial; None if it diverged."""
        return score(trial.metrics, self.gray, self.realism) if trial.metrics else None


def score(metrics: Mapping[str, float], gray: Mapping[str, float], realism: str) -> float:
    """The mean of two shares: how much of gray's squared error is gone, and how much of gray's distance.

    Either is 1 for the truth, 0 for the images without color, and negative for what is worse than those. Neither
    depends on the other trials, so that one that diverged, or one more, changes no order.
    """
    error_left = 10 ** ((gray[FIDELITY] - metrics[FIDELITY]) / 10)  # of PSNR in dB: the ratio of squared errors
    return 1 - (error_left + metrics[realism] / gray[realism]) / 2


def choose(trials: Sequence[Trial], gray: Mapping[str, float], realism: str) -> Trial | None:
    """The trial of the highest score, of equals the earliest; None if all diverged."""
    return max((one for one in trials if one.metrics), key=lambda one: score(one.metrics, gray, realism), default=None)


def tuning_path(root: Path, data: str, preset: str, method: str) -> Path:
    """Where a tuning lies under a results folder."""
    return root / data / preset / "tuning" / f"{method}.json"


def read_tuning(path: Path) -> Tuning:
    """Reads a record and applies its rule again.

    Raises:
        InputError: there is none.
        ResultError: it is damaged, its choice is not that of the rule, or it is of another place.
    """
    try:
        tuning = Tuning.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        data, preset, method = path.parts[-4], path.parts[-3], path.stem
        command = f"bench tune --method {method} --data {data} --preset {preset} --record"
        raise InputError(f"params.yaml asks for {path}, which is not there; run: {command}") from None
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise ResultError(f"{path}: {first_fault(error)}") from None
    except ValueError as error:
        raise ResultError(f"{path}: not valid JSON, truncated perhaps ({error})") from None
    if tuning_path(Path(), tuning.data, tuning.preset, tuning.method).parts != path.parts[-4:]:
        raise ResultError(f"{path}: holds {tuning.method} on {tuning.data}, preset {tuning.preset}, not this place's")
    return tuning


def write_tuning(root: Path, tuning: Tuning) -> Path:
    """Writes a record whole or not at all, and returns its path."""
    path = tuning_path(root, tuning.data, tuning.preset, tuning.method)
    content = tuning.model_dump(mode="json", by_alias=True, exclude_none=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return path
