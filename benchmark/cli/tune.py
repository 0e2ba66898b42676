"""`bench tune`: values of settings, chosen on validation, the same number of trials for every method."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options as shared
from benchmark.cli.sweep import names_in, resource_options
from benchmark.contracts.workspace import project
from benchmark.support.errors import InputError

if TYPE_CHECKING:
    from benchmark.contracts.tuning import Trial
    from benchmark.running.tuning import Tuner

TRIALS, SEED = 8, 1000


@click.command()
@click.option("--method", "methods", multiple=True, metavar="A,B,…", help="Entries of params.yaml, parents first.")
@click.option("--data", "data_sets", multiple=True, metavar="A,B,…", help="Data sets, or folder:/path.")
@click.option("--preset", metavar="NAME", help="Sizes and budgets; default: the suite's.")
@click.option("--trials", type=click.IntRange(1, 1000), default=TRIALS, show_default=True, help="For each method.")
@click.option("--trial", type=click.IntRange(min=1), metavar="K", help="Only this trial, for a scheduler.")
@click.option("--seed", type=shared.SEED, default=SEED, show_default=True, help="Of plan and training; in no table.")
@click.option("--show", is_flag=True, help="Print the committed tunings, run nothing.")
@click.option("--over-ray", is_flag=True, help="Trials at once, as bench sweep runs cells; see the next four.")
@resource_options
@shared.record_option
@shared.machine_options
def tune(
    methods: tuple[str, ...], data_sets: tuple[str, ...], preset: str | None, trials: int, seed: int, **more: Any
) -> None:
    """Try settings of a method, and choose by the validation split alone (docs/tuning.md). Ctrl-C saves; same command.

    The first trial has the paper's values. What is searched stands in the adapter's Config. With --record, the trials
    and what was chosen become results/DATA/PRESET/tuning/METHOD.json, which `tuned: METHOD` in params.yaml refers to.
    """
    params, space = project()
    if more.pop("show"):
        from benchmark.running.tuning import tunings_text

        click.echo(tunings_text(space.references, names_in(data_sets), preset))
        return
    if not methods or not data_sets:
        raise InputError("bench tune needs --method and --data, or --show")
    if more["devices"] > 1:
        raise InputError("bench tune --devices: a trial is trained by one process; --over-ray runs several at once")
    if more["gpus_per_cell"] > 1:
        raise InputError("bench tune --gpus-per-cell: a trial is trained by one process; legal: 0 to 1")
    resources = {name: more.pop(name) for name in ("address", "cpus", "cpus_per_cell", "gpus_per_cell")}
    over_ray, record, trial = (more.pop(name) for name in ("over_ray", "record", "trial"))
    if trial and trial > trials:
        raise InputError(f"--trial {trial}: there are {trials} trials; legal: 1 to {trials}")
    from benchmark.running.tuning import Tuner, trial_cells

    context = shared.make_context(**more)
    for data in names_in(data_sets):
        tuner = None
        for method in names_in(methods):
            preset = preset or params.suite.preset
            cells = trial_cells(params, method=method, data=data, preset=preset, seed=seed, trials=trials)
            if record and cells[0].data_path:
                raise InputError(f"--record with {cells[0].spec}: a private folder stays out of the committed results")
            tuner = Tuner(cells, context, beside=tuner)
            if trial:
                _run(tuner, trial - 1)
                continue
            if over_ray:
                _run_over_ray(tuner, more, resources)
            _finish(tuner, [_run(tuner, number) for number in range(trials)], record)


def _run(tuner: "Tuner", number: int) -> "Trial":
    from benchmark.results.tables.style import duration
    from benchmark.running.tuning import outcome_text

    began = time.perf_counter()
    trial = tuner.trial(number)
    took = duration(time.perf_counter() - began)
    text = outcome_text(trial, tuner.gray, tuner.realism)
    tuner.context.say(f"trial {number + 1} of {len(tuner.cells)} of {tuner.cells[0].method}, {took}: {text}")
    return trial


def _run_over_ray(tuner: "Tuner", machine: dict[str, Any], resources: dict[str, Any]) -> None:
    """Runs what is not done; exit code 1 if a trial failed."""
    from benchmark.running.sweep.over_ray import Resources, run_jobs, run_options
    from benchmark.running.tuning import trial_jobs

    given = Resources(**resources)
    jobs = trial_jobs(tuner.cells, tuner.pending, ["--device", machine["device"], *run_options(given)])
    if not jobs:
        return
    space = tuner.context.workspace
    report = run_jobs(jobs, space, given, retries=1, root=machine["root"], say=click.echo)
    if report.failed or report.blocked:
        sys.exit(1)


def _finish(tuner: "Tuner", trials: "list[Trial]", record: bool) -> None:
    from benchmark.contracts.tuning import write_tuning

    made, space = tuner.record(trials), tuner.context.workspace
    path = write_tuning(space.references if record else space.own, made)
    click.echo(f"chosen: {', '.join(f'{name} {value:g}' for name, value in made.chosen.items())}")
    click.echo(f"{'recorded' if record else 'written'}: {path}")
    if record:
        sections = [f"{made.adapter}@{made.data} (every entry of the adapter)"]
        sections += [f"{made.method}@{made.data} (this one)"] if made.method != made.adapter else []
        place = f"presets.{made.preset}.methods of params.yaml"
        use = f"`tuned: {made.method}` in {' or in '.join(sections)} in {place}"
        click.echo(f"to use it, once all families have theirs: {use}; commit both")
