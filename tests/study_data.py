"""Makes studies of made-up pictures for tests, and participants with known rates of being fooled."""

from collections.abc import Mapping, Sequence

import numpy as np
from data_files import picture

from benchmark import PROTOCOL
from benchmark.photographs.colorizer import Rgb
from benchmark.study.build import tinted
from benchmark.study.design import Design, make_plan
from benchmark.study.schema import CHECK, TRUTH, Answer, Key, Participant, Trial

METHODS = ("cgan", "l2", "eccv16")
SMALL = Design({"pair": 3, "single": 2, "pick": 2, "rate": 2}, checks=3, forms=8)


def make_key(design: Design = SMALL, methods: Sequence[str] = METHODS, **changes: object) -> Key:
    """Makes the key of a study of made-up photographs."""
    plan = make_plan(design, methods, [f"photo-{k}" for k in range(design.photographs)])
    content = {
        "study": "study-of-tests",
        "protocol": PROTOCOL,
        "data": "sample",
        "preset": "quick",
        "seed": 0,
        "design_seed": design.seed,
        "data_sha256": "ab" * 32,
        "models": {name: f"{k:064x}" for k, name in enumerate(methods)},
        "pictures": plan.pictures,
        "forms": plan.forms,
    }
    return Key.model_validate(content | changes)


def make_pictures(key: Key, size: int = 16) -> list[Rgb]:
    """Makes a picture for each number of the page."""
    drawn = [picture(k, size, size) for k in range(len(key.pictures))]
    return [tinted(p, k) if key.pictures[k].source == CHECK else p for k, p in enumerate(drawn)]


def logistic(x: float) -> float:
    """Returns the rate of log-odds."""
    return float(1 / (1 + np.exp(-x)))


def log_odds(rate: float) -> float:
    """Returns the log-odds of a rate."""
    return float(np.log(rate / (1 - rate)))


def take_part(
    key: Key,
    name: str,
    fooled: Mapping[str, float],
    rng: np.random.Generator,
    *,
    form: int | None = None,
    credulity: float = 0.0,
    attentive: bool = True,
) -> Participant:
    """Makes all answers of a made-up participant.

    Args:
        key: the study's key.
        name: the participant's token.
        fooled: method → rate at which its pictures are taken for real.
        rng: the generator of everything random.
        form: number of the participant's form, or None for any.
        credulity: amount added to the log-odds of every rate.
        attentive: whether the participant passes the checks.
    """
    form = int(rng.integers(len(key.forms))) if form is None else form
    rates = {method: logistic(log_odds(rate) + credulity) for method, rate in fooled.items()}
    answers = []
    for number, trial in enumerate(key.forms[form]):
        chosen = _check(key, trial, attentive) if key.is_check(trial) else _judge(key, trial, rates, rng)
        answers.append(Answer.model_validate({"trial": number, "milliseconds": 1000, **chosen}))
    return Participant(study=key.study, participant=name, form=form, answers=tuple(answers))


def _check(key: Key, trial: Trial, attentive: bool) -> dict[str, int]:
    if trial.task == "rate":
        return {"realism": 1 if attentive else 5, "quality": 3}
    if trial.task == "single":
        return {"choice": int(attentive)}
    real = key.sources(trial).index(TRUTH)
    return {"choice": real if attentive else (real + 1) % len(trial.pictures)}


def _judge(key: Key, trial: Trial, rates: Mapping[str, float], rng: np.random.Generator) -> dict[str, int]:
    sources = key.sources(trial)
    if trial.task == "rate":  # the truth gets 4 or 5, and a method's rating grows with its rate
        score = 4 + int(rng.integers(2)) if sources[0] == TRUTH else 1 + int(rng.binomial(4, rates[sources[0]]))
        return {"realism": score, "quality": score}
    if trial.task == "single":
        real = rng.random() < (0.9 if sources[0] == TRUTH else rates[sources[0]])
        return {"choice": 0 if real else 1}
    shares = [0.0 if source == TRUTH else rates[source] for source in sources]
    if trial.task == "pick":  # only one of several pictures can be taken for real
        shares = [share / (len(sources) - 1) for share in shares]
    shares[sources.index(TRUTH)] = 1 - sum(shares)
    return {"choice": int(rng.choice(len(sources), p=shares))}
