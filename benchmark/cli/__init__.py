"""The `bench` command. Commands only parse and print; what they do lives in the modules they import when called."""

import atexit
import errno
import os
import re
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click
from click.exceptions import Abort, Exit

from benchmark.cli import cells, completion, data, parts, results, sweep, tune
from benchmark.cli.options import CELL
from benchmark.contracts.registry import blamed, thread_of_adapter
from benchmark.paper import commands as paper
from benchmark.paper.card.commands import card
from benchmark.paper.variants.commands import variants
from benchmark.photographs import commands as photographs
from benchmark.share import commands as share
from benchmark.speed.commands import sizes, speed
from benchmark.study.commands import study
from benchmark.support.errors import BenchError

# The disk, its quota or a limit is full; a file system or folder may not be written.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

KEPT = "what was finished is kept, and the same command goes on"
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
    number, told = None, ""
    if isinstance(error, OSError) and error.errno:
        number, told = error.errno, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if number in DISK_ERRORS:
        return BenchError(f"{told}; {KEPT}")
    torch = sys.modules.get("torch")  # nothing that does not need it should wait for its import
    if torch and isinstance(error, torch.OutOfMemoryError):
        return BenchError(f"{str(error).splitlines()[0]} {KEPT.capitalize()}")
    if fault := blamed(error, ctx.meta.get(CELL, "")):
        return fault
    if isinstance(error, EOFError):
        return BenchError("a file ends too early; bench --debug shows where")
    return BenchError(told) if told and number != errno.EPIPE else None  # a closed pipe is click's business


def _leave_threads(code: Any) -> None:
    """Ends the process if a thread would keep it from ending: Python waits for all of them, for ever if need be."""
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


def _say_whole_sentences(group: click.Group) -> None:
    """Lists of commands give the first sentence of each one's help; click alone would cut it where a line ends."""
    for command in group.commands.values():
        command.short_help = re.split(r"(?<=\.)\s", " ".join((command.help or "").split()), maxsplit=1)[0]
        if isinstance(command, click.Group):
            _say_whole_sentences(command)


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
    announce("benchmark.paper.card.notes:CARD")


for command in (
    *(cells.run, cells.train, cells.evaluate, cells.fingerprint, sweep.cells, sweep.sweep, sweep.reproduce),
    *(parts.list_, parts.check, parts.new_method, parts.weights_group, parts.judge, data.data, tune.tune),
    *(results.leaderboard, results.score, results.verify, results.report, results.site),
    *(paper.claims, paper.findings, paper.published, card, variants),
    *(photographs.colorize, photographs.app, photographs.compare, photographs.export, photographs.submit),
    *(photographs.strip, speed, sizes, study, share.push, share.pull),
):
    main.add_command(command)
completion.offer_names(main)
_say_whole_sentences(main)
