"""Scores every known change of a data set's test images by every metric."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

from benchmark import PROTOCOL
from benchmark.data.color import rgb_to_lab
from benchmark.data.prepared import Prepared
from benchmark.paper.card.changes import CHANGES, Change, Changed, Truth
from benchmark.paper.card.rows import NO_COLOR, PART, PARTS, CardRow
from benchmark.results.statistics import resample
from benchmark.scoring.evaluate import batch_size_for
from benchmark.scoring.metrics import METRICS, Metric
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.support.errors import InputError

_OTHER_SEED = 0
LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Scored:
    """One metric of one set of changed images."""

    value: float
    again: np.ndarray  # (R,): the same of resampled images, or of parts of them; the same ones for every change


def measure_card(
    prepared: Prepared,
    device: torch.device,
    metrics: Sequence[str] | None = None,
    changes: Sequence[str] | None = None,
    advance: Callable[[str], object] = lambda what: None,
) -> list[CardRow]:
    """Returns the rows of a data set's card; metrics that are not available leave none.

    Intervals of metrics of single images are those of 1,000 resamples of the images. Metrics of whole sets are measured
    again on disjoint parts of 1,000 images (five parts where there are fewer than 5,000), and the interval reaches from
    the least of the parts to the greatest.

    Args:
        prepared: the data set.
        device: what scores; images are changed on the CPU.
        metrics: names from `METRICS`; None for all but the optional ones.
        changes: names from `CHANGES`; None for all.
        advance: called with what is being scored, once for each set of images.

    Raises:
        InputError: an unknown metric or change.
    """
    for name in changes or ():
        if name not in CHANGES:
            raise InputError(f"unknown change {name!r}; legal: {', '.join(CHANGES)}")
    chosen = [one for name, one in CHANGES.items() if changes is None or name in changes]
    scored: dict[tuple[str, float], dict[str, Scored]] = {}
    wanted = [(one.name, strength) for one in chosen for strength in one.strengths]
    for name, strength in dict.fromkeys([NO_COLOR, *wanted]):
        advance(f"{name} {strength:g}")
        scored[name, strength] = _score(prepared, device, metrics, CHANGES[name].apply, strength)
    advance("the truth")
    truth = _score(prepared, device, metrics, _unchanged, 0.0)
    facts = {
        "images": len(prepared.ids("test")),
        "protocol": PROTOCOL,
        "test_sha256": prepared.sha256["test"][:12],
    }
    return [
        CardRow(**row, **facts)
        for name in truth
        for one in chosen
        for row in _rows(METRICS[name], one, scored, truth[name])
    ]


def count_of_sets() -> int:
    """Returns how many sets of images a whole card scores: every change at every strength, and the truth."""
    return 1 + sum(len(one.strengths) for one in CHANGES.values())


def _unchanged(truth: Truth, _: float) -> Changed:
    return Changed(truth.rgb, torch.zeros(truth.rgb.shape[:3], dtype=torch.bool))


def _score(
    prepared: Prepared,
    device: torch.device,
    metrics: Sequence[str] | None,
    apply: Callable[[Truth, float], Changed],
    strength: float,
) -> dict[str, Scored]:
    """Returns metric → what it is of the changed test images, for metrics that have a value."""
    scorer = Scorer(device=device, prepared=prepared, metrics=metrics)
    for truth in _batches(prepared):
        rgb, clipped = apply(truth, strength)
        clipped = None if clipped is None else clipped.to(device)
        scorer.update(rgb.to(device), truth.rgb.to(device), clipped, (truth.L.to(device), truth.ab.to(device)))
    scores = scorer.compute()
    drawn = resample({name: column[None] for name, column in scores.per_image.items()})
    again = {name: np.abs(draws[:, 0]) if METRICS[name].folded else draws[:, 0] for name, draws in drawn.items()}
    again |= _of_parts(scorer, len(prepared.ids("test")))
    return {
        name: Scored(value, again[name]) for name, value in scores.values.items() if value is not None and name in again
    }


def _batches(prepared: Prepared) -> Iterator[Truth]:
    images = prepared.images("test")
    size, count = batch_size_for(images.shape[1]), len(images)
    order = np.random.default_rng(_OTHER_SEED).permutation(count)
    other = np.empty(count, np.int64)
    other[order] = np.roll(order, 1)  # one cycle through all images: nobody keeps its own
    for start in range(0, count, size):
        part = slice(start, start + size)
        rgb = torch.from_numpy(np.array(images[part]))
        _, other_ab = rgb_to_lab(torch.from_numpy(images[other[part]]))
        yield Truth(rgb, *rgb_to_lab(rgb), other_ab, prepared.mean_ab, seed=start)


def _of_parts(scorer: Scorer, images: int) -> dict[str, np.ndarray]:
    """Returns metric of whole sets → its values on disjoint parts of the images, (R,)."""
    size = PART if images >= PART * PARTS else images // PARTS
    order = np.random.default_rng(_OTHER_SEED).permutation(images)
    found = [scorer.of(order[start : start + size]) for start in range(0, images - size + 1, size)]
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}


def _rows(
    metric: Metric, change: Change, scored: Mapping[tuple[str, float], Mapping[str, Scored]], truth: Scored
) -> Iterator[dict[str, object]]:
    """Yields the fields of a metric's rows under one change; none where it has no value there."""
    found = [scored[change.name, strength].get(metric.name) for strength in change.strengths]
    gray = scored[NO_COLOR].get(metric.name)
    values = [one for one in found if one is not None]
    if len(values) < len(found) or gray is None:
        return
    damages = [_damage(metric, one, truth) for one in values]
    unit = _damage(metric, gray, truth)
    rho = _ordering(damages)
    for strength, one, damage in zip(change.strengths, values, damages, strict=True):
        relative = _relative(damage, unit)
        yield {
            "metric": metric.name,
            "change": change.name,
            "aspect": change.aspect,
            "wrong": change.wrong,
            "strength": float(strength),
            "value": one.value,
            **dict(zip(("damage", "damage_low", "damage_high"), relative, strict=True)),
            **dict(zip(("rho", "rho_low", "rho_high"), rho, strict=True)),
        }


def _damage(metric: Metric, one: Scored, truth: Scored) -> Scored:
    """Returns how much worse than the truth it is; where neither direction is better, how far from it."""
    if metric.direction is None:
        return Scored(abs(truth.value - one.value), np.abs(truth.again - one.again))
    sign = 1 if metric.direction == "higher" else -1
    return Scored(sign * (truth.value - one.value), sign * (truth.again - one.again))


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation along the first axis of (n, …) arrays; 0 where one of them is constant."""
    ranks = [rankdata(values, axis=0) for values in (first, second)]
    x, y = (rank - rank.mean(axis=0) for rank in ranks)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    return np.asarray((x * y).sum(axis=0) / np.where(scale > 0, scale, 1))


def _ordering(damages: Sequence[Scored]) -> tuple[float | None, float | None, float | None]:
    """Returns Spearman's ρ of strength and damage with its interval."""
    if len(damages) < 2:
        return None, None, None
    places = np.arange(len(damages), dtype=float)
    again = spearman(places[:, None], np.stack([one.again for one in damages]))
    return float(spearman(places, np.array([one.value for one in damages]))), *_interval(again)


def _relative(damage: Scored, unit: Scored) -> tuple[float | None, float | None, float | None]:
    """Returns a damage in units of no color's, with its interval; nothing where no color does none."""
    if unit.value == 0 or (unit.again == 0).any():
        return None, None, None
    return damage.value / unit.value, *_interval(damage.again / unit.again)


def _interval(again: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of resamples; of few parts, their extremes."""
    low, high = np.quantile(again, LEVELS) if len(again) > 100 else (again.min(), again.max())
    return float(low), float(high)
