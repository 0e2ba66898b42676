"""Where `bench tune` looks for the value of a setting: a mark in the annotation of a field of an adapter's `Config`.

An adapter writes `generator_rate: Annotated[float, RATE] = Field(2e-4, …)`. The kinds of settings stand here, not in
the adapters, so that every method's rates are searched over one range: `RATE` and `WEIGHT`, or a `Search` of one's own.
"""

from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel


@dataclass(frozen=True)
class Search:
    """The values from `low` to `high`, drawn uniformly, or with `log` uniformly in the logarithm.

    Raises:
        ValueError: the range is empty, or a logarithmic one reaches zero.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"from {self.low} to {self.high}: not a range{' of positive values' if self.log else ''}")

    def around(self, default: float) -> Self:
        """Returns the range for a setting with this default, on which it does not depend."""
        return self


@dataclass(frozen=True)
class Around:
    """The values from a `factor`-th of the default, which is the paper's value, to `factor` times it, log-uniform."""

    factor: float

    def around(self, default: float) -> Search:
        """Returns the range for a setting with this default; ValueError unless the default is positive."""
        return Search(default / self.factor, default * self.factor, log=True)


RATE = Around(10.0)
"""A learning rate: a decade to either side of the paper's."""

WEIGHT = Around(10.0)
"""The weight of a term of the loss: a decade to either side of the paper's."""


def searched(config: type[BaseModel]) -> dict[str, Search]:
    """Returns the settings of a `Config` that declare a range, in their order.

    Raises:
        TypeError: such a setting's default is no number.
    """
    found = {}
    for name, field in config.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Search | Around):
                if not isinstance(field.default, int | float):
                    raise TypeError(f"{config.__name__}.{name} declares a range, and its default is no number")
                found[name] = mark.around(float(field.default))
    return found
