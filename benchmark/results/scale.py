"""Scales without ends for metrics that have some: on them intervals are made that never leave a metric's range."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

Bounds = tuple[float | None, float | None]


class Scale(NamedTuple):
    """A scale without ends for values between bounds: logit, logarithm, or the values themselves without a bound."""

    low: float | None
    high: float | None

    def to(self, values: np.ndarray | float) -> np.ndarray:
        """Values on the scale; infinite at a bound, and where rounding put them beyond it."""
        if self.low is None:
            return np.asarray(values, dtype=np.float64)
        above = np.asarray(values, dtype=np.float64) - self.low
        with np.errstate(divide="ignore"):
            if self.high is None:
                return np.log(above.clip(min=0))
            return np.asarray(logit((above / (self.high - self.low)).clip(0, 1)))

    def back(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `to`."""
        if self.low is None:
            return values
        return self.low + (np.exp(values) if self.high is None else (self.high - self.low) * expit(values))

    def slope(self, value: float) -> float:
        """How much the scale moves with the value."""
        if self.low is None:
            return 1.0
        return 1 / (value - self.low) + (0.0 if self.high is None else 1 / (self.high - value))
