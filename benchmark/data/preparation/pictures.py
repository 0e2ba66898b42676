"""Pictures of a prepared data set: photographs of every split on one sheet, and the colors of its training split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.contracts.dataset import SPLITS
from benchmark.data.preparation.chroma import ColorCount, ab_of
from benchmark.data.prepared import Prepared
from benchmark.support.montage import montage

_SHEET_COLUMNS, _SHEET_ROWS = 12, 3  # per split
_THUMBNAIL = 96  # pixels
_HISTOGRAM_IMAGES = 5000
_AB_RANGE = 110  # Lab units: sRGB reaches from -108 to 99


def contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Writes a PNG with photographs of every split, evenly spaced over it, beside the split's name and size."""
    rows: list[list[Image.Image]] = []
    names: list[str] = []
    for split in SPLITS:
        images = prepared.images(split)
        shown = [
            Image.fromarray(images[place]).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BICUBIC)
            for place in evenly(len(images), _SHEET_COLUMNS * _SHEET_ROWS)
        ]
        rows += [shown[start : start + _SHEET_COLUMNS] for start in range(0, len(shown), _SHEET_COLUMNS)]
        names += [f"{split}: {len(images):,}", *[""] * (len(rows) - len(names) - 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    montage(rows, gap=4, left=names).save(path)
    return path


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Spreads `wanted` indices evenly over [0, count); gives all of them if there are fewer."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def chroma_density(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """How often each color occurs.

    Args:
        images: one after the other, (S, S, 3) uint8 each.

    Returns:
        (2R, 2R) float64 with R = 110: the share of pixels per square Lab unit, row = b + R, column = a + R. Sums to 1.
    """
    count = ColorCount()
    for image in images:
        count.add(image)
    colors, counts = count.colors()
    a, b = ab_of(colors)[0, :, 0].numpy()
    edges = np.arange(-_AB_RANGE, _AB_RANGE + 1)
    density = np.histogram2d(b, a, bins=(edges, edges), weights=counts)[0]
    return density / density.sum()


def chroma_histogram(prepared: Prepared, path: Path) -> Path:
    """Writes a PNG of the training split's colors in the ab plane, on a logarithmic scale.

    Of splits with more than 5,000 images, 5,000 evenly spaced ones are counted.
    """
    import torch
    from matplotlib.figure import Figure

    from benchmark.data.color import lab_to_rgb

    images = prepared.images("train")
    density = chroma_density(images[place] for place in evenly(len(images), _HISTOGRAM_IMAGES))
    axis = torch.arange(-_AB_RANGE, _AB_RANGE, dtype=torch.float32) + 0.5
    ab = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))[None]  # (1, 2, 2R, 2R)
    hues = lab_to_rgb(torch.full_like(ab[:, :1], 65.0), ab)[0][0].numpy() / 255
    with np.errstate(divide="ignore"):
        strength = np.clip((np.log10(density) + 7) / 5, 0, 1)[..., None]  # from 1e-7 to 1e-2 of all pixels
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    extent = (-_AB_RANGE, _AB_RANGE, -_AB_RANGE, _AB_RANGE)
    axes.imshow(1 - strength * (1 - hues), origin="lower", extent=extent)
    axes.axhline(0, color="0.7", linewidth=0.5)
    axes.axvline(0, color="0.7", linewidth=0.5)
    axes.plot(*prepared.mean_ab, "k+", label="mean")
    axes.set(
        xlabel="a (green – red)",
        ylabel="b (blue – yellow)",
        title=f"{prepared.meta.name}: colors of the training split",
    )
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    return path
