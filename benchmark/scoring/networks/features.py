"""Feature vectors of many images under a network; those of true images are computed once and kept on disk."""

import io
import warnings
from array import array
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from benchmark.support.errors import BenchError
from benchmark.support.files import load_array, write_atomically
from benchmark.support.precision import exact_arithmetic


class FeatureNetwork(Protocol):
    """A network that turns images into features."""

    name: str
    sha256: str  # hash of the network's weights
    dimensions: int
    batch_sizes: tuple[int, int]  # images per batch on a CPU, and on a GPU

    def features(self, images: Tensor) -> Tensor: ...  # noqa: D102 - (B, H, W, 3) uint8 to (B, dimensions) float32


class Reference(NamedTuple):
    """An array of true images, whose features are computed once and kept on disk."""

    folder: Path
    images_sha256: str  # hash of the whole array
    images: int

    def file(self, network: FeatureNetwork, variant: str) -> Path:
        """Returns the features' file, named by the network's weights, the array, its variant, and the precision."""
        name = f"{network.name}-{network.sha256[:16]}-{self.images_sha256[:16]}-{variant}-float32.npy"
        return self.folder / name


class FeatureStream:
    """Collects the features of images that come in batches of any size.

    The network gets batches of one fixed size, which suits it better than the caller's sizes. Memory: 4 bytes per
    image and dimension, 80 MB for 10,000 images under Inception.
    """

    def __init__(
        self, network: FeatureNetwork, device: torch.device, truths: Reference | None = None, variant: str = "truth"
    ) -> None:
        """Reads the features from disk if the images are known truths and their whole features are there.

        Network and images are on the device. A variant names a change to the truths before the network sees them.
        """
        self.network = network
        self.images = truths.images if truths else 0
        self.cache = truths and truths.file(network, variant)
        self._batch = network.batch_sizes[device.type != "cpu"]
        self._waiting: list[Tensor] = []
        self._done = array("f")  # one growing block, as many small ones would fragment the network's memory
        self._found = _read(self.cache, (self.images, network.dimensions)) if self.cache else None

    @property
    def known(self) -> bool:
        """Whether the features were on disk, so that no images are needed."""
        return self._found is not None

    def update(self, images: Tensor) -> None:
        """Takes (B, H, W, 3) uint8. Does nothing where the features are known."""
        if self.known:
            return
        self._waiting.append(images)
        if sum(map(len, self._waiting)) >= self._batch:
            images = torch.cat(self._waiting)
            whole = len(images) - len(images) % self._batch
            self._run(images[:whole])
            self._waiting = [images[whole:].clone()]

    def compute(self) -> Tensor:
        """Returns the features of all images in their order, (N, d) float32 on the CPU.

        They are written to the cache if their number is the one that it should hold. A cache that cannot be written
        only causes a warning, as the scores do not depend on it.
        """
        if self._found is None:
            if self._waiting:
                self._run(torch.cat(self._waiting))
            self._found = torch.frombuffer(self._done, dtype=torch.float32).view(-1, self.network.dimensions)
            if self.cache and len(self._found) == self.images:
                _write(self.cache, self._found)
        return self._found

    def _run(self, images: Tensor) -> None:
        with exact_arithmetic(images.device):
            for batch in images.split(self._batch):
                if len(batch):
                    self._done.frombytes(self.network.features(batch).float().cpu().numpy().tobytes())


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Reads the features in a file; None where it is missing, cut off, or of another shape."""
    with suppress(OSError, ValueError):
        features = load_array(path)
        if features.shape == shape and features.dtype == np.float32:
            return torch.from_numpy(features)
    return None


def _write(path: Path, features: Tensor) -> None:
    content = io.BytesIO()
    np.save(content, features.numpy(), allow_pickle=False)
    try:
        write_atomically(path, content.getvalue())
    except BenchError as error:
        warnings.warn(f"the truth's features are not kept: {error}", stacklevel=2)
