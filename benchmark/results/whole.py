"""Whether a result's two files are there and say the same."""

from pathlib import Path

import numpy as np

from benchmark.contracts.per_image import MANTISSA_BITS
from benchmark.contracts.result import Result, ResultError, read_per_image, read_result
from benchmark.results.columns import Measured
from benchmark.scoring.metrics import METRICS, Metric

AGREEMENT = 1e-4  # between a metric and its per-image values, relative
ROUNDING = 2.0 ** -(MANTISSA_BITS + 1)  # the largest relative error of a stored per-image value


def read_whole(path: Path) -> Measured:
    """A result that was measured, and its per-image values.

    Raises:
        ResultError: a file is missing or damaged, or a metric does not follow from its per-image values.
    """
    return measured_at(path, read_result(path))


def measured_at(path: Path, result: Result) -> Measured:
    """A result with its per-image values, and with the metrics that follow from these.

    Raises:
        ResultError: the per-image values are damaged, or say something else than the result.
    """
    columns = read_per_image(path, result)
    return Measured(path, result, columns, _metrics(path, result, columns))


def _metrics(path: Path, result: Result, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """The metrics of a result from its per-image values: means, intervals and tests have one source.

    Raises:
        ResultError: the file has another value for a metric than its per-image values say: it was edited.
    """
    values = {name: value for name, value in result.metrics.items() if value is not None}
    for name, metric in METRICS.items():
        if name not in result.metrics or not metric.columns or not columns.keys() >= set(metric.columns):
            continue
        expected, value = float(metric.pooled(columns)), result.metrics[name]
        if value is None or not np.isclose(value, expected, rtol=AGREEMENT, atol=_error(metric, columns, expected)):
            raise ResultError(f"{path}: {name} is {value}, but its per-image values say {expected:.6g}")
        values[name] = expected
    return values


def _error(metric: Metric, columns: dict[str, np.ndarray], expected: float) -> float:
    """How far the rounding of per-image values may move a metric: far, relatively, where two means nearly cancel."""
    moved = [metric.pooled(columns | {one: columns[one] * (1 + ROUNDING)}) for one in metric.columns]
    return float(sum(abs(value - expected) for value in moved)) if len(moved) > 1 else 0.0
