"""Closed forms for `Method.learning_rate`: factors of the base rate as functions of progress alone.

Progress is the share of the run's steps that is done, in [0, 1). A schedule is a product of such factors, for example
`warm_up(progress, 0.05) * linear_decay(progress, start=0.5)`.
"""

from collections.abc import Iterable


def warm_up(progress: float, share: float) -> float:
    """Rises linearly from 0 to 1 within the first `share`, in (0, 1], of the run, and stays there."""
    return min(1.0, progress / share)


def linear_decay(progress: float, start: float = 0.0, end: float = 0.0) -> float:
    """Stays 1 until `start`, in [0, 1), and then falls linearly to `end` at the end of the run."""
    return 1.0 - (1.0 - end) * max(0.0, progress - start) / (1.0 - start)


def steps(progress: float, marks: Iterable[float], factor: float = 0.1) -> float:
    """Multiplies by `factor` at each of `marks`, which are shares of the run in (0, 1)."""
    return factor ** sum(progress >= mark for mark in marks)
