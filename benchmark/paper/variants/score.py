"""Scores a folder of colored images under other papers' evaluation codes, alone or side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import isfinite
from pathlib import Path

import numpy as np
import torch

from benchmark.data.preparation.archives import images_by_id, read_image_file
from benchmark.data.preparation.images import BadImage, open_rgb
from benchmark.data.prepared import Prepared
from benchmark.paper.variants.codes import CODES, Column, Fit, Measure
from benchmark.paper.variants.pieces import Picture
from benchmark.results.tables import NOTHING, markdown_grid
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer, Scores
from benchmark.support.errors import InputError, unknown

UNEQUAL = "output and truth differ in size"
Value = float | tuple[float, float] | None  # of one image; None: sizes differ
DIGITS = {"ssim": 4, "ssim_convert": 4}


@dataclass(frozen=True)
class Score:
    """One number of a code, or why there is none."""

    value: float | None
    says: str


@dataclass(frozen=True)
class Pairs:
    """Outputs and truths, read when they are asked for."""

    outputs: Sequence[Path]
    truths: Sequence[Path] | Prepared  # files, or a prepared test split, in the same order

    @property
    def prepared(self) -> Prepared | None:
        """The data set of the truths, where they are of one."""
        return self.truths if isinstance(self.truths, Prepared) else None

    def __iter__(self) -> Iterator[tuple[Picture, Picture]]:
        """Yields output and truth, (H, W, 3) uint8 each."""
        truths = self.truths.images("test") if isinstance(self.truths, Prepared) else map(_read, self.truths)
        for path, truth in zip(self.outputs, truths, strict=True):
            yield _read(path), np.asarray(truth)


def pairs_of(folder: Path, truth: Path | Prepared) -> Pairs:
    """Finds for every truth the output of the same name, without the suffix.

    Args:
        folder: colored images.
        truth: a folder of true images, of any sizes, or a prepared data set, whose test split it is.

    Raises:
        InputError: a folder or an output is missing, or a name has two files.
    """
    outputs = images_by_id(folder)
    truths = images_by_id(truth) if isinstance(truth, Path) else dict.fromkeys(truth.ids("test"), folder)
    if missing := [name for name in truths if name not in outputs]:
        raise InputError(
            f"{folder} lacks {len(missing)} of {len(truths)} images, {missing[0]} first; files are named as the truths"
        )
    chosen = [outputs[name] for name in truths]
    return Pairs(chosen, list(truths.values()) if isinstance(truth, Path) else truth)


def _read(path: Path) -> Picture:
    try:
        return np.asarray(open_rgb(read_image_file(path)))
    except BadImage as error:
        raise InputError(f"{path}: {error}; give a file that can be read") from None


def score_as(names: Sequence[str], pairs: Pairs, device: torch.device) -> dict[str, dict[str, Score]]:
    """Scores the images under each of the codes, in one pass over the files.

    Args:
        names: from `CODES`.
        pairs: the images.
        device: of the suite's own columns.

    Returns:
        Code → score's name → score; None where a code needs output and truth of one size and they are not.

    Raises:
        InputError: an unknown code.
    """
    for name in names:
        if name not in CODES:
            raise unknown("evaluation code", name, CODES)
    codes = {name: CODES[name] for name in names}
    values: dict[tuple[str, str], list[Value]] = {
        (name, column): [] for name in names for column in codes[name].columns
    }
    suite = _Suite(dict.fromkeys(metric for code in codes.values() for metric in code.ours.values()), pairs, device)
    for output, truth in pairs:
        measured = _measures(output, truth)
        for (name, column), found in values.items():
            found.append(measured(codes[name].columns[column]))
        suite.update(output, truth)
    return {
        name: {column: _pooled(one, values[name, column]) for column, one in code.columns.items()}
        | {score: suite.score(metric) for score, metric in code.ours.items()}
        | {score: Score(None, reason) for score, reason in code.absent.items()}
        for name, code in codes.items()
    }


class _Suite:
    """The suite's own metrics of the images, while these have one size."""

    def __init__(self, metrics: Iterable[str], pairs: Pairs, device: torch.device) -> None:
        self._scorer, self._device, self._equal = None, device, True
        if metrics := list(metrics):
            self._scorer = Scorer(device=device, prepared=pairs.prepared, metrics=metrics)

    def update(self, output: Picture, truth: Picture) -> None:
        self._equal &= output.shape == truth.shape
        if self._scorer and self._equal:
            first, second = (torch.from_numpy(one.copy())[None].to(self._device) for one in (output, truth))
            self._scorer.update(first, second)

    @cached_property
    def _scores(self) -> Scores | None:
        return self._scorer.compute() if self._scorer and self._equal else None

    def score(self, metric: str) -> Score:
        if self._scores is None:
            return Score(None, UNEQUAL)
        told = self._scores.notes.get(metric, METRICS[metric].description)
        return Score(self._scores.values[metric], told.removeprefix("n/a (").removesuffix(")"))


def _measures(output: Picture, truth: Picture) -> Callable[[Column], Value]:
    """Returns what measures a column of one output and truth; what several columns share is computed once."""

    @cache
    def fitted(fit: Fit, is_truth: bool) -> Picture:
        picture = truth if is_truth else output
        return fit(picture) if fit else picture

    @cache
    def measured(measure: Measure, fit: Fit, fit_truth: Fit) -> Value:
        first, second = fitted(fit, False), fitted(fit_truth, True)
        return measure(first, second) if first.shape == second.shape else None

    return lambda column: measured(column.measure, column.fit, column.fit_truth or column.fit)


def _pooled(column: Column, values: Sequence[Value]) -> Score:
    if None in values:
        return Score(None, UNEQUAL)
    found = column.pool(np.array(values, np.float64))
    return Score(None if np.isnan(found) else found, column.says)


def shown(scores: Mapping[str, Score]) -> str:
    """Returns a code's scores as a table."""
    lines = [[name, _text(name, score.value), score.says] for name, score in scores.items()]
    return markdown_grid(("score", "value", "what it is"), lines, left=1)


def side_by_side(found: Mapping[str, Mapping[str, Score]]) -> str:
    """Returns all codes beside each other, a line each, and below how far they lie apart."""
    columns = list(dict.fromkeys(score for scores in found.values() for score in scores))
    lines = [
        [code, *(_text(name, scores[name].value if name in scores else None) for name in columns)]
        for code, scores in found.items()
    ]
    spans = {}
    for name in columns:
        values = [scores[name].value for scores in found.values() if name in scores]
        numbers = [value for value in values if value is not None and isfinite(value)]
        spans[name] = max(numbers) - min(numbers) if len(numbers) > 1 else None
    lines.append(["between them", *(_text(name, spans[name]) for name in columns)])
    return markdown_grid(("code", *columns), lines, left=1)


def _text(name: str, value: float | None) -> str:
    return NOTHING if value is None else f"{value:.{DIGITS.get(name, 2)}f}"
