"""How a training went, as its result remembers it: a few validation scores by the training images seen until then."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from benchmark.contracts.settings import Strict

CURVE_POINTS = 30
"""A result keeps at most so many validations, so that it stays a small file."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]  # "24.1" as text is an error, and so is NaN
Count = Annotated[int, Field(strict=True, ge=0)]


class Curves(Strict):
    """Validation scores of a training as it went, one value per validation, always of the same images."""

    images: tuple[Count, ...]  # training images seen by then, in this training alone
    psnr: tuple[Number, ...]
    colorfulness: tuple[Number, ...]  # mean over the outputs
    colorfulness_truth: Number  # mean over the true images
    distance: tuple[Number, ...] | None = None  # from the truth in a judge's features; None: there is no judge
    distance_metric: str | None = None  # whose values these are: "fd_judge", or "kid_judge" of few images
    validation_images: Count

    @model_validator(mode="after")
    def _whole(self) -> Self:
        lengths = {
            len(values) for values in (self.images, self.psnr, self.colorfulness, self.distance) if values is not None
        }
        if len(lengths) != 1 or not 1 <= len(self.images) <= CURVE_POINTS:
            raise ValueError(f"curves of unequal lengths, or not of 1 to {CURVE_POINTS} points")
        if list(self.images) != sorted(set(self.images)):
            raise ValueError("curves whose images do not increase")
        if (self.distance is None) != (self.distance_metric is None):
            raise ValueError("curves need both distance and distance_metric, or neither")
        return self
