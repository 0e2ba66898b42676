"""Draws the same test images as several methods color them, one row per method, as one picture."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmark.contracts.config import Cell
from benchmark.data.color import gray_of
from benchmark.data.preparation.pictures import evenly
from benchmark.data.prepared import open_data
from benchmark.running.stages import Context, load_trained
from benchmark.scoring.evaluate import colorize
from benchmark.support.errors import InputError
from benchmark.support.montage import montage
from benchmark.training.record import MODEL_FILE

GAP = 4  # pixels between images


def draw_comparison(cells: Sequence[Cell], context: Context, path: Path, images: int, size: int) -> None:
    """Draws gray, every method's output and the truth, a row each, with the name at its left.

    Args:
        cells: trained cells of one data set and preset.
        context: the workspace and the device.
        path: the PNG to write.
        images: number of test images, spread evenly over the test split.
        size: side in pixels of a shown image, which is enlarged by whole pixels or reduced smoothly.

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
    target = torch.from_numpy(split[evenly(len(split), images)].copy()).to(context.device)
    rows = {"gray (input)": gray_of(target.cpu().numpy())}
    for cell in cells:
        rows[cell.method] = colorize(load_trained(cell, prepared, context), target).predicted.cpu().numpy()
    rows["truth"] = target.cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, size, f"{prepared.meta.name}: {prepared.meta.licence}").save(path, optimize=True)


def draw(rows: dict[str, np.ndarray], size: int, terms: str = "") -> Image.Image:
    """Draws rows of images (B, H, W, 3) uint8 at `size` pixels, with the rows' names at the left, the terms below."""
    return montage(
        [[_sized(image, size) for image in images] for images in rows.values()], GAP, left=list(rows), below=terms
    )


def _sized(pixels: np.ndarray, size: int) -> Image.Image:
    image = Image.fromarray(pixels)
    filter_ = Image.Resampling.NEAREST if size > image.width else Image.Resampling.LANCZOS
    return image.resize((size, size), filter_)
