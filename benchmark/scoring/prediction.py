"""Predictions of methods, checked: every color that is scored or shown passes through this module."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.contracts.method import Method, OracleMethod
from benchmark.contracts.returned import returned
from benchmark.support.errors import BenchError
from benchmark.support.precision import exact_arithmetic

TOLERANCE = 0.05  # Lab units; another batch size changes only the order of summation
STRAYS = 1e-3  # share of values that may differ by more, as a choice between equally likely bins may flip


class BadPrediction(BenchError):
    """A method returned illegal colors, or other colors than before. The message names the method and the image."""


def predict(method: Method, L: Tensor, ab: Tensor) -> Tensor:
    """Returns a method's colors unchecked; only a ceiling gets the truth."""
    if isinstance(method, OracleMethod):
        return returned(method.predict_ab_knowing(L, ab), Tensor, method.predict_ab_knowing)
    return returned(method.predict_ab(L), Tensor, method.predict_ab)


def predicted_ab(method: Method, L: Tensor, ab: Tensor | None = None, ids: Sequence[str] | None = None) -> Tensor:
    """Returns a method's colors, (B, 2, h, w) float32 in Lab units, finite. The method gets copies that it may change.

    It computes in exact float32, on every device and whatever it was trained in.

    Args:
        method: the method, on the images' device and in evaluation mode.
        L: (B, 1, H, W) float32, [0, 100].
        ab: the truth's colors, which only a ceiling needs.
        ids: the images' names in errors.

    Raises:
        BadPrediction: the colors are of another shape, of an integer type, or not finite.
    """
    with exact_arithmetic(L.device):
        ab = L.new_zeros(1).expand(len(L), 2, *L.shape[2:]) if ab is None else ab.clone()
        found = predict(method, L.clone(), ab)
    if fault := fault_of(found, len(L)):
        what, index = fault
        image = ids[index] if ids else f"{index + 1} of {len(L)}"
        raise BadPrediction(f"{method.name} gives {what} for image {image}; run: bench check {method.name}")
    return found.float()


def fault_of(ab: Tensor, count: int) -> tuple[str, int] | None:
    """Returns the prediction's fault and the index of the faulty image; None if there is no fault."""
    if ab.ndim != 4 or ab.shape[:2] != (count, 2) or not ab.numel():
        return f"colors of shape {tuple(ab.shape)}, not ({count}, 2, h, w)", 0
    if not ab.is_floating_point():
        return f"colors of type {ab.dtype}, not floating point", 0
    finite = torch.isfinite(ab.float().flatten(1)).all(dim=1)  # float64 may exceed the range of float32
    return None if finite.all() else ("colors that are not finite", int(finite.int().argmin()))


def require_steady(method: Method, L: Tensor, ab: Tensor, ids: Sequence[str] | None = None) -> Tensor:
    """Returns the colors of a few images, predicted twice in one batch, the last image also alone.

    Raises:
        BadPrediction: as `predicted_ab`; or the two answers differ on a CPU; or the last one's differ beyond rounding.
    """
    together, again = (predicted_ab(method, L, ab, ids) for _ in range(2))
    exact = L.device.type == "cpu"
    require_same(method, again, together, "when asked again (is dropout left on?)", ids, exact=exact)
    if len(L) > 1:
        alone = predicted_ab(method, L[-1:], ab[-1:], ids and ids[-1:])
        require_same(method, alone, together[-1:], "alone than in a batch", ids and ids[-1:])
    return together


def require_same(
    method: Method, found: Tensor, before: Tensor, when: str, ids: Sequence[str] | None = None, exact: bool = False
) -> None:
    """Raises `BadPrediction` unless two predictions (B, 2, h, w) of the same images agree.

    They agree where at most `STRAYS` of an image's values differ by more than `TOLERANCE`, or, if `exact`, none.
    """
    if found.shape != before.shape:
        raise BadPrediction(f"{method.name} gives colors of another size {when}: {tuple(found.shape)}")
    gap = (found - before).abs().flatten(1)
    wrong = (gap > (0 if exact else TOLERANCE)).float().mean(dim=1) > (0 if exact else STRAYS)
    if wrong.any():
        index = int(wrong.int().argmax())
        image = ids[index] if ids else f"{index + 1} of {len(found)}"
        largest = f"{gap[index].max().item():.2g} Lab units"
        raise BadPrediction(f"{method.name} gives image {image} other colors {when}, by up to {largest}")
