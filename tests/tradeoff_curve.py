"""What a method's scores become when its colors are made stronger or mixed with another's: `tests/tradeoff_curve.py`.

    python tests/tradeoff_curve.py --method house --data imagenette --preset quick
    python tests/tradeoff_curve.py --method house --toward cgan-lite --data tiny-imagenet --preset quick --steps 0,0.5,1

One number beside trained models moves along the trade between being near the truth and looking like photographs
(Blau and Michaeli 2018, "The Perception-Distortion Tradeoff"): a factor of a method's ab, or the share of another
method's ab in the mean of both. No model is trained, and no result is written; a table is printed, with the best value
of each column in bold.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional as F

from benchmark.cli.options import make_context, resolve_cell
from benchmark.contracts.method import Method
from benchmark.results.tables import ARROWS, number
from benchmark.running.stages import load_trained, prepare_data
from benchmark.scoring.evaluate import evaluate
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer

COLUMNS = ("psnr", "ssim", "auc", "agree_lite", "fd_lite", "kid_lite", "fd_judge", "colorfulness")


@contextmanager
def recolored(method: Method, change: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Method]:
    """The method with another ab: `change` of lightness and its ab."""
    predict: Callable[[Tensor], Tensor] = method.predict_ab
    method.predict_ab = lambda L: change(L, predict(L))  # type: ignore[method-assign]
    try:
        yield method
    finally:
        del method.predict_ab


def mixed(L: Tensor, ab: Tensor, other: Method, share: float) -> Tensor:
    """The mean of two methods' ab at the size of L, (B, 2, H, W)."""
    first, second = (
        F.interpolate(x, size=L.shape[-2:], mode="bilinear", align_corners=False) for x in (ab, other.predict_ab(L))
    )
    return (1 - share) * first + share * second


def as_table(header: str, rows: dict[float, dict[str, float | None]]) -> str:
    """The scores of each step as Markdown, without columns that have no value; the best of a column is bold."""
    table = {header: [f"{step:g}" for step in rows]}
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
@click.option("--toward", help="Another trained entry; steps are then its share of the mean. Else factors of ab.")
@click.option("--toward-seed", type=int, help="The other's seed, if it is not the same.")
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True)
@click.option("--steps", default="0,0.5,0.75,1,1.25,1.5,2", show_default=True)
def main(
    method: str,
    data: str,
    preset: str | None,
    seed: int,
    toward: str | None,
    toward_seed: int | None,
    split: str,
    steps: str,
) -> None:
    """Score a trained method at several strengths of its colors, or mixed with another."""
    cell, context = resolve_cell(method, data, preset, seed), make_context()
    prepared = prepare_data(cell, context)
    model, other = load_trained(cell, prepared, context), None
    if toward:
        second = resolve_cell(toward, data, preset, seed if toward_seed is None else toward_seed)
        other = load_trained(second, prepared, context)
    images, ids = prepared.images(split), prepared.ids(split)
    rows = {}
    for step in map(float, steps.split(",")):
        scorer = Scorer(prepared=prepared, device=context.device, metrics=COLUMNS, split=split)
        with recolored(model, lambda L, ab: mixed(L, ab, other, step) if other else step * ab) as changed:  # noqa: B023
            found = evaluate(changed, images, scorer=scorer, device=context.device, ids=ids)
        rows[step] = dict(found.scores.values)
        click.echo(as_table("step", {step: rows[step]}), err=True)
    click.echo(as_table(f"share of {toward}" if toward else "factor", rows))


if __name__ == "__main__":
    main()
