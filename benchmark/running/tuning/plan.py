"""Which trials there are: the paper's values first, then points that fill the search space evenly."""

import json
import warnings
from collections.abc import Mapping, Sequence

from benchmark.contracts.config import Cell, Params, resolve
from benchmark.contracts.search import Search, searched
from benchmark.running.sweep.plan import Job
from benchmark.support.errors import BenchError, InputError

DIGITS = 3  # of a drawn value: a range of two decades has no use for more


def trial_cells(params: Params, *, method: str, data: str, preset: str, seed: int, trials: int) -> list[Cell]:
    """The cells of a tuning. They follow from the arguments and the search space alone, in any process.

    Raises:
        InputError: an unknown name, or the adapter declares no search space.
    """
    plain = resolve(params, method=method, data=data, preset=preset, seed=seed, tuned=False)
    spaces = searched(plain.method_class.Config)
    if not spaces:
        raise InputError(
            f"the adapter of {method!r} declares nothing to tune; mark a field of its Config (docs/tuning.md)"
        )
    paper = {name: float(plain.method_class.Config.model_fields[name].default) for name in spaces}
    return [
        resolve(
            params,
            method=method,
            data=data,
            preset=preset,
            seed=seed,
            assignments=[f"method.{name}={json.dumps(value)}" for name, value in settings.items()],
            tuned=False,
        )
        for settings in [paper, *_draw(spaces, trials - 1, seed)]
    ]


def settings_of(cell: Cell) -> dict[str, float]:
    """What a trial's cell tries."""
    return {name.removeprefix("method."): value for name, value in cell.overrides.items()}


def _draw(spaces: Mapping[str, Search], count: int, seed: int) -> list[dict[str, float]]:
    """Points of a scrambled Halton sequence: the first eight of sixteen are the same as of eight.

    A sampler that learns from trials, as TPE does, first draws ten at random, so eight trials give it nothing to learn
    from; and these do not depend on each other's outcomes, and may run at once.
    """
    try:
        import optuna
    except ImportError:
        raise BenchError("bench tune needs Optuna, which is not installed: pip install -e '.[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(qmc_type="halton", scramble=True, seed=seed)
    study = optuna.create_study(sampler=sampler)
    floats: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(one.low, one.high, log=one.log) for name, one in spaces.items()
    }
    study.enqueue_trial({name: one.low for name, one in spaces.items()})  # the sampler takes the space from a first one
    study.ask(floats)
    drawn = (study.ask(floats).params for _ in range(count))
    return [{name: float(f"{value:.{DIGITS}g}") for name, value in one.items()} for one in drawn]


def trial_jobs(cells: Sequence[Cell], pending: Sequence[int], options: Sequence[str]) -> list[Job]:
    """A job for each trial that is not done; the first of them before the others, as it trains the parents of all."""
    jobs: list[Job] = []
    for number in pending:
        cell = cells[number]
        arguments = ("tune", "--method", cell.method, "--data", cell.spec, "--preset", cell.preset)
        chosen = ("--seed", str(cell.seed), "--trials", str(len(cells)), "--trial", str(number + 1))
        jobs.append(
            Job(
                f"trial {number + 1} of {cell.name}",
                (*arguments, *chosen, *options),
                f"{cell.data}-{cell.preset}-{cell.method}-trial{number + 1}.log",
                tuple(job.name for job in jobs[:1]),
            )
        )
    return jobs
