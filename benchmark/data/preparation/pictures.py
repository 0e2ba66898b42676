"""Pictures of a prepared data set: photographs of every split on one sheet."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.prepared import Prepared
from benchmark.support.montage import montage

_SHEET_COLUMNS, _SHEET_ROWS = 12, 3  # per split
_THUMBNAIL = 96  # pixels


def contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Writes a PNG with photographs of every split, evenly spaced over it, beside the split's name and size."""
    rows: list[list[Image.Image]] = []
    names: list[str] = []
    for split in prepared.meta.splits:
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
