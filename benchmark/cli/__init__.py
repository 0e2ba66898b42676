"""The `bench` command. Commands only parse and print; what they do lives in the modules they import when called."""

import errno
import sys
from typing import Any

import click

from benchmark.cli import cells, completion, data, methods, photographs, results, speed, study, sweep, weights
from benchmark.support.errors import BenchError

# The disk, its quota or a limit is full; a file system or folder may not be written.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class Bench(click.Group):
    """Turns our errors and the machine's into one line and an exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            known = error if isinstance(error, BenchError) else _of_the_machine(error)
            if known is None or ctx.params.get("debug"):
                raise
            click.echo(f"bench: error: {known}", err=True)
            ctx.exit(known.exit_code)


def _of_the_machine(error: Exception) -> BenchError | None:
    """One line for what is no fault of a program: no room on a disk or a GPU, no right to write. None for all else."""
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = f"{error.filename}: " if error.filename else ""
        return BenchError(f"{place}{error.strerror}; what was finished is kept, and the same command goes on")
    torch = sys.modules.get("torch")  # nothing that does not need it should wait for its import
    if torch and isinstance(error, torch.OutOfMemoryError):
        return BenchError(f"{str(error).splitlines()[0]} What was finished is kept, and the same command goes on")
    return None


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


for module in (cells, sweep, speed, methods, data, weights, results, photographs, study, completion):
    for command in module.COMMANDS:
        main.add_command(command)
completion.offer_names(main)
