"""The loop that people write, to measure ours against. It is meant to be good of its kind, and knows nothing of ours.

A `Dataset` that opens, resizes, crops, mirrors and converts one image with Pillow and scikit-image; a `DataLoader` with
two workers; the same networks, losses and optimizers, with every setting of torch left as it is (float32, contiguous
tensors, optimizers not fused, gradients wherever `backward()` leaves them); losses read every 20 steps.
"""

import ctypes
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmark.contracts.method import Batch, Method

WORKERS = 2
LOG_EVERY = 20  # steps, as in our trainer


class ImageFiles(Dataset[tuple[Tensor, Tensor]]):
    """Image files → L (1, S, S) and ab (2, S, S), float32, Lab units.

    Args:
        paths: of images in any format that Pillow reads.
        size: S; the short side is brought to it by bicubic interpolation, then the center is cut out (PROTOCOL.md §1).
        flip: mirror half of the images.
    """

    def __init__(self, paths: Sequence[Path], size: int, flip: bool) -> None:
        self.paths, self.size, self.flip = list(paths), size, flip

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from skimage.color import rgb2lab

        rgb = np.asarray(open_square(self.paths[index], self.size))
        if self.flip and torch.rand(()) < 0.5:
            rgb = rgb[:, ::-1]
        lab = torch.from_numpy(rgb2lab(rgb).astype(np.float32)).movedim(-1, 0)
        return lab[:1], lab[1:]


def open_square(path: Path, size: int) -> Image.Image:
    """An image file as an RGB square of this side."""
    image = Image.open(path).convert("RGB")
    short = min(image.size)
    if short != size:
        scaled = (round(image.width * size / short), round(image.height * size / short))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def make_loader(paths: Sequence[Path], size: int, batch_size: int, flip: bool) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of L (B, 1, S, S) and ab (B, 2, S, S), in a random order, from two worker processes that stay."""
    return DataLoader(
        ImageFiles(paths, size, flip),
        batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def endless(loader: DataLoader[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[Batch]:
    """Epoch after epoch, on the device."""
    while True:
        for L, ab in loader:
            yield Batch(L.to(device), ab.to(device))


class PlainTraining:
    """The networks and losses of a method, trained the obvious way in one of its phases.

    Args:
        method: fresh, on the device.
        phase: of the method.
    """

    def __init__(self, method: Method, phase: str) -> None:
        self.method = method
        self.phase = phase
        self.optimizers = method.optimizers(phase)
        self.steps = 0

    def step(self, batch: Batch) -> Mapping[str, float]:
        """One training step; the losses by optimizer, at every 20th step from the first on, else nothing."""
        self.method.train()
        losses = {}
        for update in self.method.training_step(batch, self.phase):
            optimizer = self.optimizers[update.optimizer]
            optimizer.zero_grad()
            update.loss.backward()
            optimizer.step()
            if self.steps % LOG_EVERY == 0:
                losses[update.optimizer] = update.loss.item()
        self.steps += 1
        return losses


def use_usual_malloc() -> None:
    """Undoes `benchmark.training.trainer.keep_freed_memory`: nobody's own loop has that.

    glibc raises its thresholds while a program runs, up to these; once they have been set, it does so no longer. To the
    plain loop's advantage: in a process that was never touched, twice as many pages were zeroed per step at 256².
    """
    mmap_max, mmap_threshold, trim_threshold = (-4, 65536), (-3, 32 << 20), (-1, 64 << 20)  # of glibc's malloc.c
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        for parameter, value in (mmap_max, mmap_threshold, trim_threshold):
            libc.mallopt(parameter, value)
