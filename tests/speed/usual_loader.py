"""The way of most repositories, to measure ours against: files in, one image at a time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def ground_truth(path: Path, size: int) -> np.ndarray:
    """The protocol's image (size, size, 3) as a script would make it with Pillow alone."""
    image = Image.open(path).convert("RGB")
    short = min(image.size)
    if short != size:
        scaled = (round(image.width * size / short), round(image.height * size / short))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def usual_loader(folder: Path, size: int, batch_size: int) -> Iterable[object]:
    """A `DataLoader` with two workers over a `Dataset` that opens, resizes, crops, mirrors and converts each image."""
    import torch
    from skimage.color import rgb2lab
    from torch.utils.data import DataLoader, Dataset

    class Usual(Dataset[tuple[torch.Tensor, torch.Tensor]]):
        def __init__(self) -> None:
            self.paths = sorted(folder.iterdir())

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            rgb = ground_truth(self.paths[index], size)
            if torch.rand(()) < 0.5:
                rgb = rgb[:, ::-1]
            lab = torch.from_numpy(rgb2lab(rgb).astype(np.float32)).movedim(-1, 0)
            return lab[:1], lab[1:]

    return DataLoader(Usual(), batch_size, shuffle=True, num_workers=2, persistent_workers=True)
