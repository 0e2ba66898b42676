"""The loop that people usually write, with which ours is compared; it is a good one of its kind and uses none of ours.

A `Dataset` opens, resizes, crops, mirrors and converts one image with Pillow and scikit-image, and a `DataLoader` has
two workers. Networks, losses and optimizers are the same, and every setting of torch has its default: float32,
contiguous tensors, optimizers that are not fused, and full gradients of `backward()`. Losses are read every 20 steps.
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
    """A data set of L (1, S, S) and ab (2, S, S), float32, Lab units, read from image files.

    Args:
        paths: paths of images in any format that Pillow reads.
        size: S; bicubic interpolation brings the short side to it, then the center is cut out (docs/protocol.md §1).
        flip: whether to mirror half of the images.
        crop: the side of a random square of each image, or None.
    """

    def __init__(self, paths: Sequence[Path], size: int, flip: bool, crop: int | None = None) -> None:
        self.paths, self.size, self.flip, self.crop = list(paths), size, flip, crop or size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from skimage.color import rgb2lab

        rgb = np.asarray(open_square(self.paths[index], self.size))
        if self.flip and torch.rand(()) < 0.5:
            rgb = rgb[:, ::-1]
        top, left = torch.randint(self.size - self.crop + 1, (2,)).tolist()
        rgb = rgb[top : top + self.crop, left : left + self.crop]
        lab = torch.from_numpy(rgb2lab(rgb).astype(np.float32)).movedim(-1, 0)
        return lab[:1], lab[1:]


def open_square(path: Path, size: int) -> Image.Image:
    """Returns an image file as an RGB square of this side."""
    image = Image.open(path).convert("RGB")
    short = min(image.size)
    if short != size:
        scaled = (round(image.width * size / short), round(image.height * size / short))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def make_loader(
    paths: Sequence[Path], size: int, batch_size: int, flip: bool, crop: int | None = None
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Makes a loader of L (B, 1, S, S) and ab (B, 2, S, S) in random order, with two persistent worker processes."""
    return DataLoader(
        ImageFiles(paths, size, flip, crop),
        batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
    )


def endless(loader: DataLoader[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[Batch]:
    """Yields batches on the device, epoch after epoch without end."""
    while True:
        for L, ab in loader:
            yield Batch(L.to(device), ab.to(device))


class PlainTraining:
    """Trains the networks of a method with its losses in the usual way, in one of its phases.

    Args:
        method: an untrained method, on the device.
        phase: a phase of the method.
    """

    def __init__(self, method: Method, phase: str) -> None:
        self.method = method
        self.phase = phase
        self.optimizers = method.optimizers(phase)
        self.steps = 0

    def step(self, batch: Batch) -> Mapping[str, float]:
        """Takes a training step; returns the losses by optimizer at every 20th step from the first on, else nothing."""
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
    """Undoes `benchmark.training.trainer.keep_freed_memory`, because people's own loops do not have it.

    glibc raises its thresholds up to these values while a program runs, but no longer does so once they have been set.
    Setting them favors the plain loop: without it, twice as many pages were zeroed per step at 256².
    """
    mmap_max, mmap_threshold, trim_threshold = (-4, 65536), (-3, 32 << 20), (-1, 64 << 20)  # names in glibc's malloc.c
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        for parameter, value in (mmap_max, mmap_threshold, trim_threshold):
            libc.mallopt(parameter, value)
