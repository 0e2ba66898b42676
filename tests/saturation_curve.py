"""What a method's scores become when its colors are made stronger or weaker: `python tests/saturation_curve.py …`.

    python tests/saturation_curve.py --method house --data imagenette --preset quick

One number beside a trained model moves along the trade between being near the truth and looking like photographs
(Blau and Michaeli 2018, "The Perception-Distortion Tradeoff"): a factor of its ab. No model is trained, and no result
is written; the table is printed, with the best value of each column in bold.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from tabulate import tabulate
from torch import Tensor

from benchmark.cli.options import make_context, resolve_cell
from benchmark.contracts.method import Method
from benchmark.results.tables import ARROWS, number
from benchmark.running.stages import load_trained, prepare_data
from benchmark.scoring.evaluate import evaluate
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer

COLUMNS = ("psnr", "ssim", "auc", "agree_lite", "fd_lite", "fd_judge", "colorfulness")


@contextmanager
def multiplied(method: Method, factor: float) -> Iterator[Method]:
    """The method with ab times `factor`."""
    predict: Callable[[Tensor], Tensor] = method.predict_ab
    method.predict_ab = lambda L: factor * predict(L)  # type: ignore[method-assign]
    try:
        yield method
    finally:
        del method.predict_ab


def as_table(rows: dict[float, dict[str, float | None]]) -> str:
    """The scores of each factor as Markdown, without columns that have no value; the best of a column is bold."""
    table = {"factor": [f"{factor:g}" for factor in rows]}
    for metric in (METRICS[name] for name in COLUMNS):
        values = [value for row in rows.values() if (value := row.get(metric.name)) is not None]
        if len(values) == len(rows):
            best = {"higher": max(values), "lower": min(values)}.get(metric.direction or "")
            texts = [(number(value, metric.digits), value == best) for value in values]
            table[metric.label + ARROWS[metric.direction]] = [f"**{text}**" if bold else text for text, bold in texts]
    return tabulate(table, headers="keys", tablefmt="pipe", disable_numparse=True, colalign=["right"] * len(table))


@click.command()
@click.option("--method", required=True, help="A trained entry.")
@click.option("--data", required=True)
@click.option("--preset")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--factors", default="0,0.5,0.75,1,1.25,1.5,2", show_default=True)
def main(method: str, data: str, preset: str | None, seed: int, factors: str) -> None:
    """Score a trained method at several strengths of its colors."""
    cell, context = resolve_cell(method, data, preset, seed), make_context()
    prepared = prepare_data(cell, context)
    model = load_trained(cell, prepared, context)
    rows = {}
    for factor in map(float, factors.split(",")):
        scorer = Scorer(prepared=prepared, device=context.device, metrics=COLUMNS)
        with multiplied(model, factor) as changed:
            found = evaluate(changed, prepared.images("test"), scorer=scorer, device=context.device)
        rows[factor] = dict(found.scores.values)
        click.echo(f"{factor:g} done", err=True)
    click.echo(as_table(rows))


if __name__ == "__main__":
    main()
