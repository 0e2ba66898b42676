"""The `bench` command. Commands only parse and print; what they do lives in the modules they import when called."""

import atexit
import errno
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click
from click.exceptions import Abort, Exit

from benchmark.cli import cells, completion, data, methods, photographs, results, speed, study, sweep, weights
from benchmark.cli.options import CELL
from benchmark.support.errors import BenchError

# The disk, its quota or a limit is full; a file system or folder may not be written.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

GRACE_SECONDS = 1.0  # for a thread that is about to end


class Bench(click.Group):
    """Turns our errors and the machine's into one line and an exit code; `--debug` lets the traceback through."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (Exception, SystemExit) as error:
            known = error if isinstance(error, BenchError) else _in_one_line(error, ctx)
            if known is None or (known is error and ctx.params.get("debug")):
                raise
            if ctx.params.get("debug"):
                raise known from error
            click.echo(f"bench: error: {known}", err=True)
            ctx.exit(known.exit_code)

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        """Runs the command line. A process of its own (no `args`) ends also if an adapter's threads do not."""
        try:
            return super().main(args, *more, **options)
        except SystemExit as end:
            if args is None:
                _leave_threads(end.code)
            raise


def _in_one_line(error: BaseException, ctx: click.Context) -> BenchError | None:
    """What is no bug of ours: the machine's limits, an adapter's fault, or a file that cannot be used."""
    if isinstance(error, click.ClickException | Exit | Abort):
        return None
    from benchmark.contracts.blame import blamed

    return _of_the_machine(error) or blamed(error, ctx.meta.get(CELL, "")) or _of_a_file(error)


def _of_a_file(error: BaseException) -> BenchError | None:
    if isinstance(error, OSError) and error.errno and error.errno != errno.EPIPE:  # a closed pipe is click's business
        return BenchError(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    return BenchError("a file ends too early; bench --debug shows where") if isinstance(error, EOFError) else None


def _leave_threads(code: Any) -> None:
    """Ends the process if a thread would keep it from ending: Python waits for all of them, for ever if need be."""
    from benchmark.contracts.blame import thread_of_adapter

    for thread in threading.enumerate():
        if thread.daemon or thread is threading.current_thread():
            continue
        thread.join(GRACE_SECONDS)
        where = thread_of_adapter(thread.ident)
        if thread.is_alive() and (where or not thread.name.startswith("ThreadPoolExecutor")):  # those end by themselves
            told = f"{where}: leaves the thread {thread.name!r}" if where else f"the thread {thread.name!r} is left"
            click.echo(f"bench: error: {told} running; end it, or make it a daemon", err=True)
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) and code else 1)


def _of_the_machine(error: BaseException) -> BenchError | None:
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
    from benchmark.results.columns import announce

    announce("benchmark.study.people:PEOPLE")


for module in (cells, sweep, speed, methods, data, weights, results, photographs, study, completion):
    for command in module.COMMANDS:
        main.add_command(command)
completion.offer_names(main)
