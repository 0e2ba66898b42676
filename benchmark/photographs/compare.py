"""Draws the same test images as several methods color them, one row per method, as one picture, and scores them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tabulate import tabulate

from benchmark.contracts.config import Cell
from benchmark.data.color import gray_of
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import open_data
from benchmark.photographs.scores import HEADS, score_rows
from benchmark.results.currency import read_whole
from benchmark.running.stages import Context, evaluate_cell, load_trained
from benchmark.scoring.evaluate import colorize
from benchmark.support.errors import InputError
from benchmark.support.montage import montage
from benchmark.training.record import MODEL_FILE

GAP, TRUTH = 4, "truth"  # pixels between images; name of the last row


def draw_comparison(
    cells: Sequence[Cell], context: Context, path: Path, images: int, size: int, worst: bool = False
) -> str:
    """Draws gray, every method's output and the truth, a row each, with the name at its left.

    Returns:
        The scores of the shown images, as text.

    Args:
        cells: trained cells of one data set and preset.
        context: the workspace and the device.
        path: the PNG to write.
        images: number of test images, spread evenly over the test split.
        size: side in pixels of a shown image, which is enlarged by whole pixels or reduced smoothly.
        worst: show those on which the first cell, which is scored if it is not, has the lowest PSNR, the worst first.

    Raises:
        InputError: a cell is not trained, and the message says what to run; or the file's name is no PNG's.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--out {str(path)!r}: the name of a PNG is wanted, as in picture.png")
    for cell in cells:
        if not (context.workspace.model(cell) / MODEL_FILE).is_file():
            raise InputError(f"{cell.name} is not trained; run: {shlex.join(('bench', 'run', *cell.arguments))}")
    prepared = open_data(context.workspace, cells[0])
    split = prepared.images("test")
    chosen = _worst(cells[0], context, images) if worst else evenly(len(split), images)
    target = torch.from_numpy(split[chosen].copy()).to(context.device)
    rows = {"gray (input)": gray_of(target.cpu().numpy())}
    for cell in cells:
        rows[cell.method] = colorize(load_trained(cell, prepared, context), target).predicted.cpu().numpy()
    rows[TRUTH] = target.cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, size, f"{prepared.meta.name}: {prepared.meta.licence}").save(path, optimize=True)
    return scores_text(rows)


def _worst(cell: Cell, context: Context, images: int) -> NDArray[np.int64]:
    psnr = read_whole(evaluate_cell(cell, context)).columns["psnr"]
    return np.argsort(psnr, kind="stable")[:images]


def scores_text(rows: dict[str, np.ndarray]) -> str:
    """The scores of rows of images (B, H, W, 3) uint8 against the last of them, the truth, as a table for people."""
    versions = {name: images for name, images in rows.items() if name != TRUTH}
    table = tabulate(
        score_rows(versions, rows[TRUTH], TRUTH),
        HEADS,
        disable_numparse=True,
        colalign=["left", *["right"] * (len(HEADS) - 1)],
    )
    return (
        f"{table}\nof these {len(rows[TRUTH])} images alone; bench leaderboard has the whole test split, with intervals"
    )


def draw(rows: dict[str, np.ndarray], size: int, terms: str = "") -> Image.Image:
    """Draws rows of images (B, H, W, 3) uint8 at `size` pixels, with the rows' names at the left, the terms below."""
    return montage(
        [[_sized(image, size) for image in images] for images in rows.values()], GAP, left=list(rows), below=terms
    )


def _sized(pixels: np.ndarray, size: int) -> Image.Image:
    image = Image.fromarray(pixels)
    filter_ = Image.Resampling.NEAREST if size > image.width else Image.Resampling.LANCZOS
    return image.resize((size, size), filter_)
