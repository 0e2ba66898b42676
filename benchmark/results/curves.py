"""What validation curves say of a table: which trainings still got better, and where methods pass each other."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from benchmark.contracts.curves import Curves

LAST, POINTS = 0.2, 4  # the stretch that decides: the last fifth of the validations, but at least so many
CERTAINTY = 0.95  # of a one-sided test
LEAST = {"psnr": 0.05, "distance": 0.02}  # over the stretch: dB, and share of the distance; less is no news


def still_improving(curves: Sequence[Curves]) -> tuple[str, ...] | None:
    """Which of "psnr" and "distance" were still getting better at the end (docs/statistics.md has the rule).

    Args:
        curves: of the seeds of one row.

    Returns:
        Their names, none of them where training had settled; None where a curve has fewer than `POINTS` validations.
    """
    if not curves or any(len(one.images) < POINTS for one in curves):
        return None
    scores = {"psnr": [_end(one.psnr) for one in curves]}
    distances = [_end(one.distance) for one in curves if one.distance]
    if len(distances) == len(curves):
        size = np.abs(np.concatenate(distances)).mean() or 1.0
        scores["distance"] = [-one / size for one in distances]  # higher is better, in shares
    return tuple(name for name, ends in scores.items() if _rises(ends, LEAST[name]))


def falling(curves: Sequence[Curves]) -> bool:
    """Whether validation psnr surely fell at the end, by the rule of `still_improving` turned round."""
    if not curves or any(len(one.images) < POINTS for one in curves):
        return False
    return _rises([-_end(one.psnr) for one in curves], LEAST["psnr"])


def passings(rows: Mapping[str, Sequence[Curves]]) -> Iterator[tuple[str, str, int]]:
    """Yields who passes whom in mean validation PSNR, and after how many training images (docs/statistics.md).

    Args:
        rows: curves of each row's seeds, by name; those of a parent's child count the parent's images.

    Yields:
        (passes, is passed, images): behind by `LEAST` dB at a validation that both have, ahead by it at the last one,
        and ahead from that number of images on.
    """
    means = {name: mean_psnr(curves) for name, curves in rows.items()}
    for passing, passed in permutations(means, 2):
        common = sorted(means[passing].keys() & means[passed].keys())
        leads = np.array([means[passing][images] - means[passed][images] for images in common])
        if len(leads) and leads.min() <= -LEAST["psnr"] and leads[-1] >= LEAST["psnr"]:
            yield passing, passed, common[int(np.flatnonzero(leads <= 0)[-1]) + 1]


def mean_psnr(curves: Sequence[Curves]) -> dict[int, float]:
    """The mean over seeds at each number of images at which every seed was validated."""
    seeds = [dict(zip(one.images, one.psnr, strict=True)) for one in curves]
    shared = set.intersection(*map(set, seeds)) if seeds else set()
    return {images: float(np.mean([seed[images] for seed in seeds])) for images in shared}


def _end(values: Sequence[float]) -> NDArray[np.float64]:
    return np.array(values[-max(POINTS, ceil(LAST * len(values))) :])


def _rises(ends: Sequence[NDArray[np.float64]], least: float) -> bool:
    """Whether straight lines of one slope through the ends of curves, (n,) each, a line for each seed, surely go up."""
    x = np.concatenate([np.linspace(-0.5, 0.5, len(one)) for one in ends])  # the stretch has length 1
    y = np.concatenate([one - one.mean() for one in ends])
    rise = (x @ y) / (x @ x)
    freedom = len(y) - len(ends) - 1
    error = np.sqrt(np.square(y - rise * x).sum() / freedom / (x @ x))
    return bool(rise >= least and (error == 0 or stdtr(freedom, rise / error) > CERTAINTY))
