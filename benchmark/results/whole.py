"""Whether a result's two files are there and say the same."""

from pathlib import Path

import numpy as np

from benchmark.contracts.per_image import MANTISSA_BITS
from benchmark.contracts.result import Result, ResultError, read_per_image, read_result
from benchmark.results.columns import Measured
from benchmark.scoring.metrics import METRICS, Metric

AGREEMENT = 1e-4  # between a metric and its per-image values, relative
ROUNDING = 2.0 ** -(MANTISSA_BITS + 1)  # the largest relative error of a stored per-image value


def read_whole(path: Path, result: Result | None = None) -> Measured:
    """A result that was measured, with its per-image values and the metrics that follow from these.

    So means, intervals and tests have one source. Without `result`, it is read from the path.

    Raises:
        ResultError: a file is missing or damaged, or has another value for a metric than the per-image values say.
    """
    result = result or read_result(path)
    columns = read_per_image(path, result)
    values = {name: value for name, value in result.metrics.items() if value is not None}
    for name, metric in METRICS.items():
        if name in result.metrics and metric.columns and columns.keys() >= set(metric.columns):
            expected, value = float(metric.pooled(columns)), result.metrics[name]
            if value is None or not np.isclose(value, expected, rtol=AGREEMENT, atol=_error(metric, columns, expected)):
                raise ResultError(f"{path}: {name} is {value}, but its per-image values say {expected:.6g}")
            values[name] = expected
    return Measured(path, result, columns, values)


def _error(metric: Metric, columns: dict[str, np.ndarray], expected: float) -> float:
    """How far the rounding of per-image values may move a metric: far, relatively, where two means nearly cancel."""
    moved = [metric.pooled(columns | {one: columns[one] * (1 + ROUNDING)}) for one in metric.columns]
    return float(sum(abs(value - expected) for value in moved)) if len(moved) > 1 else 0.0
