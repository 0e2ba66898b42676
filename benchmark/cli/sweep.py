"""Many cells: list them for a scheduler, or run the missing ones over Ray."""

import sys
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli import options as shared
from benchmark.contracts.workspace import project
from benchmark.support.names import seed_of

if TYPE_CHECKING:
    from benchmark.running.sweep.plan import Choice


def _choosing(default: str) -> shared.Decorator:
    """The options that choose cells; for `_choice`."""
    return shared.together(
        click.option("--method", "methods", multiple=True, metavar="A,B,…", help=f"Entries; default: {default}."),
        click.option("--data", "data_sets", multiple=True, metavar="A,B,…", help=f"Data sets; default: {default}."),
        click.option("--preset", "presets", multiple=True, metavar="A,B,…", help=f"Default: {default}."),
        click.option("--seed", "seeds", multiple=True, metavar="0,1,…", help=f"Default: {default}."),
    )


choosing_options = _choosing("the suite's")


def _choice(
    methods: tuple[str, ...], data_sets: tuple[str, ...], presets: tuple[str, ...], seeds: tuple[str, ...]
) -> "Choice":
    from benchmark.running.sweep.plan import Choice

    return Choice(names_in(methods), names_in(data_sets), names_in(presets), tuple(map(seed_of, names_in(seeds))))


def names_in(values: tuple[str, ...]) -> tuple[str, ...]:
    """The names in comma lists; the path of a `folder:` may hold commas, and stands in an option of its own."""
    parts = (part for value in values for part in ([value] if value.startswith("folder:") else value.split(",")))
    return tuple(filter(None, map(str.strip, parts)))


@click.command()
@click.option("--missing", is_flag=True, help="Only cells without a current result.")
@click.option("--ready", is_flag=True, help="Only cells that need not wait for another one of the list.")
@click.option("--json", "as_json", is_flag=True, help="For programs; says why a cell is missing.")
@choosing_options
def cells(missing: bool, ready: bool, as_json: bool, **chosen: Any) -> None:
    """Print the command of every cell of the suite, or of those chosen, one per line for any scheduler.

    A cell that starts from the model of another comes after it. Behind each command stands, as a comment of the shell,
    how many training images the cell sees, with those of the models that it starts from.
    """
    choice = _choice(**chosen)
    from benchmark.running.sweep import plan

    planner = plan.Planner(*project())
    found = planner.missing(choice) if missing else planner.all(choice)
    found = plan.ready(found) if ready else found
    if as_json:
        shared.print_json(plan.as_json(found))
    for listed in [] if as_json else found:
        click.echo(f"{plan.command(listed.cell)}  # {listed.budget.images:,} images")


resource_options = shared.together(  # of Ray
    click.option("--address", metavar="auto|HOST:PORT|ray://…", help="A Ray cluster; default: this machine's cores."),
    click.option("--cpus", type=shared.MANY, help="Cores of this machine to use; default: all."),
    click.option("--cpus-per-cell", type=shared.MANY, default=1, show_default=True, help="Also its threads."),
    click.option("--gpus-per-cell", type=click.FloatRange(0, 1000), default=0.0, show_default=True, help="0.5: half."),
)


@click.command()
@resource_options
@click.option("--retries", type=click.IntRange(0, 1000), default=1, show_default=True, help="Of a cell that failed.")
@click.option("--dry-run", is_flag=True, help="Print what would be run, in its order, and why; run nothing.")
@shared.root_option
@shared.record_option
@choosing_options
def sweep(address: str | None, cpus: int | None, cpus_per_cell: int, gpus_per_cell: float, **more: Any) -> None:
    """Run the cells that have no current result, over Ray. Ctrl-C saves; the same command goes on.

    With --record, those that have no current reference. Each cell is a `bench run` of its own with a log file below
    runs/sweep. A cell that failed is tried again, then reported at the end, while the others go on. Exit code 1 if any
    failed.
    """
    retries, root, record, dry_run = (more.pop(name) for name in ("retries", "root", "record", "dry_run"))
    choice = _choice(**more)
    from benchmark.running.sweep.over_ray import Resources, run_options
    from benchmark.running.sweep.over_ray import sweep as run_sweep
    from benchmark.running.sweep.plan import Planner, jobs_of, lines

    planner = Planner(*project(), record)
    found = planner.missing(choice)
    if not found:
        click.echo("nothing is missing")
        return
    resources = Resources(address, cpus, cpus_per_cell, gpus_per_cell)
    if dry_run:
        click.echo("\n".join(lines(jobs_of(found, run_options(resources, record)), found)))
        return
    report = run_sweep(found, planner.workspace, resources, retries=retries, root=root, say=click.echo, record=record)
    sys.exit(1 if report.failed or report.blocked else 0)


@click.command()
@_choosing("all that are committed")
@shared.machine_options
def reproduce(**options: Any) -> None:
    """Train and score committed rows anew, below runs/reproduce; default: all of them. The same command goes on.

    Ends with a verdict for each cell: the same bits, inside the row's interval, or outside, with the likely reason.
    Exit code 1 if any is outside or failed.
    """
    choice = _choice(**{name: options.pop(name) for name in ("methods", "data_sets", "presets", "seeds")})
    context = shared.make_context(**options)
    from benchmark.running import reproduce as repeating

    rows = repeating.committed(context.workspace.references, choice)
    done = []
    for one in repeating.reproduce(rows, context, options["threads"]):
        context.say(f"{one.reference.run.command}: {one.verdict.kind}")
        done.append(one)
    click.echo(repeating.table_of(done))
    sys.exit(0 if repeating.is_confirmed(done) else 1)
