"""Makes files for the tests of the data room: photographs, archives and folders as users have them."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from benchmark.contracts.dataset import SPLITS, Dataset, DatasetConfig, Item, Listing, Pixels, Source
from benchmark.contracts.registry import load_dataset
from benchmark.data.preparation.images import decode
from benchmark.data.prepared import Prepared
from benchmark.datasets.folder import Folder, FolderConfig

SIZE = 16  # size of prepared images


def picture(seed: int = 0, width: int = 40, height: int = 32) -> NDArray[np.uint8]:
    """Returns a smooth colorful picture (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(6 * (x * rng.uniform(0.5, 3) + y * rng.uniform(0.5, 3) + rng.uniform())) for _ in range(3)]
    return (np.stack(waves, axis=-1) * 120 + 128).astype(np.uint8)


def gray_picture(seed: int = 0, width: int = 40, height: int = 32) -> NDArray[np.uint8]:
    """Returns a picture without any color, which has three equal channels."""
    return np.repeat(picture(seed, width, height)[..., :1], 3, axis=-1)


def encoded(image: NDArray[np.uint8] | Image.Image, format_: str = "JPEG", **options: Any) -> bytes:
    """Returns the bytes of an image file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def photographs(count: int, **options: Any) -> dict[str, bytes]:
    """Returns the names and bytes of `count` JPEG files."""
    return {f"{number:06d}.jpg": encoded(picture(number, **options)) for number in range(1, count + 1)}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes files below a folder and makes all folders that they need."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], mode: str = "w") -> Path:
    """Writes a tar archive, with the names unchanged even if they hold `../`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(
    path: Path, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED
) -> Path:
    """Writes a zip archive with the names unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


class FewConfig(DatasetConfig):
    """Settings of `Few`."""

    image_size: int = Field(16, description="S")


class Few(Dataset):
    """A data set of given items, with what preparation uses of an adapter."""

    name = "few"
    Config = FewConfig
    title = "Made up for a test"
    licence = "none"

    def __init__(self, splits: Mapping[str, Sequence[Source]], classes: tuple[str, ...] | None = None, size: int = 16):
        super().__init__(FewConfig(image_size=size))
        self.splits, self.classes = splits, classes

    def find(self) -> Listing:
        label: Callable[[int], int | None] = lambda place: place % len(self.classes) if self.classes else None  # noqa: E731
        items = {
            split: [
                Item(f"{split}-{p}", f"{p}", source, label(p)) for p, source in enumerate(self.splits.get(split, ()))
            ]
            for split in SPLITS
        }
        return Listing(items, "made up", self.classes)


def pixels(count: int, size: int = 16, seed: int = 0) -> list[Source]:
    """Returns sources of `count` pictures that need no decoding."""
    return [Pixels(picture(seed + number, size, size)) for number in range(count)]


def data_set(name: str, root: Path | None, **settings: Any) -> Dataset:
    """Makes the data set of a name with these settings."""
    adapter = load_dataset(name)
    return adapter(adapter.Config(**settings), root)


def folder_of(root: Path, size: int = SIZE) -> Dataset:
    """Makes the data set of a folder of photographs."""
    return Folder(FolderConfig(image_size=size), root)


def arrays(prepared: Prepared) -> dict[str, bytes]:
    """Returns the bytes of every array's file."""
    return {path.name: path.read_bytes() for path in sorted(prepared.folder.glob("*.npy"))}


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that grows with every file that this process decodes."""
    decoded: list[int] = []

    def counting(data: bytes, size: int) -> np.ndarray:
        decoded.append(len(data))
        return decode(data, size)

    monkeypatch.setattr("benchmark.data.preparation.archives.decode", counting)
    return decoded


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises Ctrl-C's exception when `count` more images are decoded."""
    left = iter(range(count))

    def decoding(data: bytes, size: int) -> np.ndarray:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return decode(data, size)

    monkeypatch.setattr("benchmark.data.preparation.archives.decode", decoding)
