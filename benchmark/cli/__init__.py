"""The `bench` command. Commands only parse and print; what they do lives in the modules they import when called."""

from typing import Any

import click

from benchmark.cli import cells, completion, data, methods, photographs, results, speed, study, sweep, weights
from benchmark.errors import BenchError


class Bench(click.Group):
    """Turns our errors into one line and an exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except BenchError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"bench: error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Bench, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="colorbench")
def main(debug: bool) -> None:
    """Which automatic colorization method is better, and by how much?

    Trains and scores colorization methods on one protocol. Start with:

    \b
      bench list                                      what there is, and what is ready here
      bench run --method cgan --data sample           train, score, and stand in the table
      bench leaderboard                               the tables, from the committed results
    """  # noqa: D301 - click wants the backspace itself, which keeps these lines apart


for command in (
    *cells.COMMANDS,
    *sweep.COMMANDS,
    *speed.COMMANDS,
    *methods.COMMANDS,
    *data.COMMANDS,
    *weights.COMMANDS,
    *results.COMMANDS,
    *photographs.COMMANDS,
    *study.COMMANDS,
    *completion.COMMANDS,
):
    main.add_command(command)
completion.offer_names(main)
