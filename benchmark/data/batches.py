"""Training batches from prepared arrays: whole gathers, on the device, a pure function of seed and step."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts.method import Batch
from benchmark.data.color import rgb_to_lab
from benchmark.support.errors import InputError
from benchmark.support.memory import free_memory

_SHARE = 0.5  # Share of free memory that a split may take; the network needs the rest.
_ASSUMED_FREE = 2 << 30  # Bytes of main memory assumed where the system reports none.


class Batches:
    """Training batches as a pure function of (seed, step): whole gathers, no worker processes, no Python per image.

    The images of all epochs form one endless sequence, each epoch a permutation of its own, and step k takes the k-th
    `batch_size` of them. Therefore resuming needs no state but the step's number, every batch is full, and no image is
    dropped. With several ranks each takes its slice of the same global batch. A training that starts from another
    model begins where that one's sequence ended: together they see what a single longer training sees.

    Where the split fits it stays on the device: as bytes on an accelerator, where conversion to Lab costs nothing, and
    as Lab in main memory, where it would be most of a batch's cost. Where it does not fit a GPU, a thread copies the
    next batch into pinned memory while the GPU works on this one.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        batch_size: int,
        seed: int,
        device: torch.device | str,
        *,
        flip: bool = True,
        crop: int | None = None,
        start: int = 0,
        on_device: Literal["auto", "yes", "no"] = "auto",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Moves the split to the device where that is wanted.

        Args:
            images: (N, S, S, 3) uint8, usually memory-mapped.
            batch_size: images per step over all ranks together; a multiple of `world`.
            seed: the seed of order and flips.
            device: the device on which batches are made.
            flip: whether to mirror half of the images.
            crop: the side of a square that is cut out of each image, at another place in each epoch; None: the whole.
            start: images at the beginning of the sequence that are left out.
            on_device: keep the whole split on the device. "auto": if it takes no more than half of the free memory,
                on a CPU together with the other ranks.
            rank: the number of this process, from 0.
            world: the number of processes.

        Raises:
            InputError: the split is empty, `batch_size` is no multiple of `world`, or `crop` is larger than the images.
        """
        if not len(images):
            raise InputError("the training split is empty")
        size = images.shape[1]
        if crop is not None and crop > size:
            raise InputError(f"crop {crop} is larger than the images; legal: 1 to {size}")
        if batch_size % world:
            raise InputError(f"batch_size {batch_size} cannot be shared equally by {world} processes")
        self.batch_size, self.seed, self.flip, self.start = batch_size, seed, flip, start
        self.device = torch.device(device)
        self._size, self._crop = size, crop or size
        self._world = world
        self._images = images
        share = batch_size // world
        self._slice = slice(rank * share, (rank + 1) * share)
        self._resident = self._move() if self._fits(on_device) else None
        self._ahead = _Ahead(images) if self._resident is None and self.device.type == "cuda" else None
        self._epochs: dict[int, Order] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of a step (from 0) for this rank: L and ab on the device, float32."""
        order = self.order(step)
        if self._resident is None:
            rgb = self._gathered(step, order).to(self.device, non_blocking=True)
            return Batch(*rgb_to_lab(self._shown(rgb.movedim(3, 1), order).movedim(1, 3)))
        image = torch.from_numpy(order.image).to(self.device)
        parts = [self._shown(part.index_select(0, image), order) for part in self._resident]
        return Batch(*parts) if len(parts) == 2 else Batch(*rgb_to_lab(parts[0].movedim(1, 3)))

    def _gathered(self, step: int, order: "Order") -> Tensor:
        """The images of a batch in main memory, (B, S, S, 3) uint8."""
        if self._ahead is None:
            return torch.from_numpy(self._images[order.image])
        images = self._ahead.take(step, order)
        self._ahead.begin(step + 1, self.order(step + 1))
        return images

    def order(self, step: int) -> "Order":
        """Returns which images this rank sees in a step, which of them are mirrored, and where they are cut."""
        count = len(self._images)
        first = self.start + step * self.batch_size
        positions = np.arange(first, first + self.batch_size)[self._slice]
        epochs, places = np.divmod(positions, count)
        parts = [self._epoch(int(epoch)).take(places[epochs == epoch]) for epoch in np.unique(epochs)]
        return Order(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _epoch(self, epoch: int) -> "Order":
        if epoch not in self._epochs:
            while len(self._epochs) >= 2:  # A batch may span two epochs.
                del self._epochs[next(iter(self._epochs))]
            count = len(self._images)
            random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, epoch])))
            self._epochs[epoch] = Order(
                image=random.permutation(count),
                mirrored=random.random(count) < 0.5,
                corner=random.integers(0, self._size - self._crop + 1, (count, 2)),
            )
        return self._epochs[epoch]

    def _shown(self, images: Tensor, order: "Order") -> Tensor:
        """Mirrors images (B, C, S, S), which are overwritten, as their order says, and cuts their squares out."""
        if self.flip:
            mirrored = torch.from_numpy(np.flatnonzero(order.mirrored)).to(self.device)
            images.index_copy_(0, mirrored, images.index_select(0, mirrored).flip(-1))
        if self._crop == self._size:
            return images
        image, side = (torch.arange(count, device=self.device) for count in (len(images), self._crop))
        top, left = torch.from_numpy(order.corner).to(self.device)[:, :, None].unbind(1)  # (B, 1)
        rows, columns = (top + side)[:, :, None], (left + side)[:, None]
        return images[image[:, None, None], :, rows, columns].movedim(3, 1)  # (B, C, crop, crop)

    def _fits(self, on_device: str) -> bool:
        if on_device != "auto":
            return on_device == "yes"
        if self.device.type == "cpu":
            in_lab = self._images.nbytes * torch.float32.itemsize * self._world  # ranks may share one machine
            return in_lab <= _SHARE * (free_memory() or _ASSUMED_FREE)
        if self.device.type == "cuda":
            return self._images.nbytes <= _SHARE * torch.cuda.mem_get_info(self.device)[0]
        return False

    def _move(self) -> tuple[Tensor, ...]:
        """The whole split on the device: L and ab on a CPU, else one uint8 tensor, (N, C, S, S) each.

        The split is copied in parts, so that main memory never holds a second copy.
        """
        count, size = self._images.shape[:2]
        in_lab = self.device.type == "cpu"
        channels, dtype = ((1, 2), torch.float32) if in_lab else ((3,), torch.uint8)
        resident = tuple(torch.empty((count, c, size, size), dtype=dtype, device=self.device) for c in channels)
        rows = max(1, (16 << 20) // (size * size * 3))
        for start in range(0, count, rows):
            rgb = torch.from_numpy(np.array(self._images[start : start + rows]))
            for whole, part in zip(resident, rgb_to_lab(rgb) if in_lab else (rgb.movedim(3, 1),), strict=True):
                whole[start : start + rows] = part
        return resident


class _Ahead:
    """Copies the images of batches out of a split (N, S, S, 3) uint8, one batch ahead, in a thread of its own."""

    def __init__(self, images: NDArray[np.uint8], pinned: bool = True) -> None:
        self._images, self._pinned = images, pinned
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._begun: tuple[int, Future[Tensor]] | None = None

    def begin(self, step: int, order: "Order") -> None:
        """Begins to copy the images of a step, which is the next one to be asked for."""
        self._begun = step, self._thread.submit(self._copy, order)

    def take(self, step: int, order: "Order") -> Tensor:
        """Returns the images of a step, (B, S, S, 3) uint8, in pinned memory; waits for them if they were begun."""
        begun, self._begun = self._begun, None
        return begun[1].result() if begun and begun[0] == step else self._copy(order)

    def _copy(self, order: "Order") -> Tensor:
        shape = len(order.image), *self._images.shape[1:]
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned)
        np.take(self._images, order.image, axis=0, out=images.numpy(), mode="clip")  # "raise" would copy twice
        return images


class Order(NamedTuple):
    """The order of the images in an epoch or a part of it, which of them are mirrored, and where they are cut."""

    image: NDArray[np.int64]  # (n,) into the split
    mirrored: NDArray[np.bool_]  # (n,)
    corner: NDArray[np.int64]  # (n, 2): first row and first column that are seen, of the mirrored image

    def take(self, places: NDArray[np.int64]) -> "Order":
        """The part at these places."""
        return Order(self.image[places], self.mirrored[places], self.corner[places])
