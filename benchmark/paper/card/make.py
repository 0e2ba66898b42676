"""Measures the card of a data set, for `bench card --data NAME`."""

from collections.abc import Sequence

from benchmark.contracts.config import Cell
from benchmark.paper.card.measure import count_of_sets, measure_card
from benchmark.paper.card.rows import FILE, Card, csv_text
from benchmark.paper.card.show import summary
from benchmark.running.stages import Context, prepare_data
from benchmark.support.files import write_atomically
from benchmark.support.progress import progress_bar


def make_card(cell: Cell, context: Context, metrics: Sequence[str] = (), record: bool = False) -> str:
    """Measures a data set's card and writes its CSV.

    Args:
        cell: data set and preset.
        context: workspace and device.
        metrics: names; then only these are measured, and nothing is written. None for all.
        record: make it the committed card under `results/`; otherwise it lies below `runs/results/`.

    Returns:
        What the page says of it in numbers.
    """
    prepared = prepare_data(cell, context)
    with progress_bar(context.console) as bar:
        sets = count_of_sets()
        task = bar.add_task("metric card", total=sets, figures="")

        def advance(what: str) -> None:
            bar.update(task, advance=1, figures=what)
            if bar.disable:  # a set of whole data takes a minute or more: a log shows that it goes on
                context.say(f"metric card: {bar.tasks[task].completed:g}/{sets}, {what}")

        rows = measure_card(prepared, context.device, metrics or None, advance=advance)
    if not metrics:
        root = context.workspace.references if record else context.workspace.own
        path = root / cell.data / cell.preset / FILE
        write_atomically(path, csv_text(rows).encode())
        context.say(f"written: {path}")
    return summary(Card(cell.data, cell.preset, rows))
