"""Progress bars for long work. Where standard error is no terminal, nothing is written, not even control characters."""

from collections.abc import Collection, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")


def progress_bar(console: Console, *, transient: bool = False) -> Progress:
    """The bar that every long task shows; nothing where the console, standard error, is not a terminal.

    Its tasks need the field `figures`, a text beside the bar.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        disable=not console.is_terminal,
        transient=transient,
    )


def tracked(items: Collection[Item], title: str) -> Iterator[Item]:
    """Goes through items under a bar on standard error that vanishes in the end."""
    with progress_bar(Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=len(items), figures="")
        for item in items:
            yield item
            bar.advance(task)
