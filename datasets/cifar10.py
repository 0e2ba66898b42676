"""CIFAR-10: 60,000 color images of 32×32 in ten classes.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. The official file is
https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz (170 MB). The source states no licence and asks to cite the
report. Split: the official 50,000 / 10,000; the last 5,000 images of train are validation.

Known layouts: the python archive, the binary archive, either of them unpacked, class folders of images
(`train/airplane/…`, `test/airplane/…`), and arrays (`train_rgb.npy`, `train_labels.npy`, `test_…`).
"""

import io
import pickle
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.contracts.dataset import Dataset, DatasetConfig, Item, Listing, MissingDataError, Pixels, by_hash
from benchmark.data.preparation.archives import Found, list_folder, printable
from benchmark.data.preparation.images import SUFFIXES
from benchmark.data.preparation.places import places
from benchmark.support.download import Remote
from benchmark.support.errors import BenchError
from benchmark.support.files import file_sha256, load_array, open_regular

from ._layouts import limited

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = {"train": 50_000, "test": 10_000}
VALIDATION = 5_000
ARCHIVE = Remote(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    file="cifar-10-python.tar.gz",
    size=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
)
_BINARY_ARCHIVE = "cifar-10-binary.tar.gz"
_SIDE = 32
_RECORD = 1 + 3 * _SIDE**2  # bytes of one image in the binary layout: label, then the R, G and B planes
_PYTHON = {"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}
_BINARY = {split: [f"{name}.bin" for name in names] for split, names in _PYTHON.items()}
_WANTED = (
    f"{ARCHIVE.file}, {_BINARY_ARCHIVE}, cifar-10-batches-py/, cifar-10-batches-bin/, train/<class>/ or train_rgb.npy"
)

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (N, 32, 32, 3) and labels (N,)


class Cifar10Config(DatasetConfig):
    """Settings of CIFAR-10."""

    image_size: Literal[32] = Field(32, description="S; pixels stay untouched")


class Cifar10(Dataset):
    """CIFAR-10, read from any of its known layouts."""

    name = "cifar10"
    Config = Cifar10Config
    title = "CIFAR-10: 60,000 color images of 32×32 in ten classes (Krizhevsky 2009)"
    licence = "none stated; cite Krizhevsky 2009"
    homepage = "https://www.cs.toronto.edu/~kriz/cifar.html"
    remotes: ClassVar[tuple[Remote, ...]] = (ARCHIVE,)

    def find(self) -> Listing:
        """Reads all images into memory (180 MB), or lists the files of class folders."""
        looked = places(self.name, self.root)
        for place in looked:
            if (listing := self._find_in(place)) is not None:
                return listing
        raise MissingDataError(
            f"cifar10: found neither {_WANTED} in {' or '.join(map(str, looked))}; "
            "run `bench data fetch cifar10`, or give --root the folder that holds one of them"
        )

    def fingerprint(self) -> str:
        """Returns names, sizes and times of the files, without unpacking the archive."""
        for place in places(self.name, self.root):
            found = [(path.name, path.stat()) for path in _candidates(place) if path.is_file()]
            if found:
                return ";".join(f"{name}:{status.st_size}:{status.st_mtime_ns}" for name, status in found)
        return super().fingerprint()

    def _find_in(self, place: Path) -> Listing | None:
        files = _candidates(place)
        if files:
            return self._listing(*_read_files(files))
        if place.is_dir() and all((place / split / CLASSES[0]).is_dir() for split in COUNTS):
            return self._class_folders(place)
        return None

    def _listing(self, images: dict[str, Images], layout: str) -> Listing:
        items = {}
        for split, (rgb, labels) in images.items():
            _check_count(split, len(rgb))
            items[split] = [
                Item(f"{split}-{place:05d}", f"{split}/{place:05d}", Pixels(image), int(label))
                for place, (image, label) in enumerate(zip(rgb, labels, strict=True))
            ]
        return self._split(items["train"], items["test"], f"{layout}; the last {VALIDATION:,} of train are validation")

    def _class_folders(self, place: Path) -> Listing:
        items = {}
        official = True
        for split, count in COUNTS.items():
            found = [
                (label, file)
                for label, name in enumerate(CLASSES)
                for file in list_folder(place / split / name, SUFFIXES)
            ]
            _check_count(split, len(found))
            stems = [Path(file.name).stem for _, file in found]
            numbered = all(map(str.isdecimal, stems)) and sorted(map(int, stems)) == list(range(count))
            official = official and numbered
            items[split] = [_file_item(split, label, file, numbered) for label, file in found]
            items[split].sort(key=lambda item: item.id)
        if official:
            return self._split(items["train"], items["test"], "class folders, files numbered in the official order")
        held_out = {item.id for item in by_hash(items["train"])[-VALIDATION:]}
        train = sorted(items["train"], key=lambda item: item.id in held_out)
        layout = (
            f"class folders whose files do not tell the official order: validation is {VALIDATION:,} of train by hash"
        )
        return self._split(train, items["test"], layout)

    def _split(self, train: Sequence[Item], test: Sequence[Item], layout: str) -> Listing:
        """Makes the last images of `train` the validation split."""
        splits = {"train": train[:-VALIDATION], "val": train[-VALIDATION:], "test": test}
        return Listing(limited(splits, self.config), layout, CLASSES)


def _candidates(place: Path) -> list[Path]:
    """Returns the archive, or the batch files, or the arrays of a folder, whichever of these it finds first."""
    if place.is_file():
        return [place]
    for name in (ARCHIVE.file, _BINARY_ARCHIVE):
        if (place / name).is_file():
            return [place / name]
    batches = (("", "cifar-10-batches-py/"), _PYTHON), (("", "cifar-10-batches-bin/"), _BINARY)
    for folders, names in batches:
        for folder in folders:
            paths = [place / folder / name for split in COUNTS for name in names[split]]
            if any(path.is_file() for path in paths):
                return paths
    arrays = [place / f"{split}_{part}.npy" for split in COUNTS for part in ("rgb", "labels")]
    return arrays if all(path.is_file() for path in arrays) else []


def _read_files(files: Sequence[Path]) -> tuple[dict[str, Images], str]:
    """Returns the images by split of the files that `_candidates` found, and the layout's description."""
    folder, suffix = files[0].parent, files[0].suffix
    if len(files) == 1:
        return _read_archive(files[0]), _describe(files[0])
    if suffix == ".npy":
        return {split: _read_arrays(folder, split) for split in COUNTS}, "arrays"
    names, parse = (_BINARY, parse_binary) if suffix == ".bin" else (_PYTHON, parse_python)
    images = {split: _join(parse, names[split], lambda name: _read(folder / name)) for split in COUNTS}
    return images, f"official {'binary' if suffix == '.bin' else 'python'} batches"


def _describe(archive: Path) -> str:
    found = file_sha256(archive)
    official = found == ARCHIVE.sha256
    return f"{archive.name}, {'the official archive' if official else f'not the official archive: SHA-256 {found}'}"


def _check_count(split: str, count: int) -> None:
    if count != COUNTS[split]:
        raise BenchError(
            f"cifar10: {count:,} {split} images found, the data set has {COUNTS[split]:,}: it is incomplete"
        )


def _file_item(split: str, label: int, found: Found, numbered: bool) -> Item:
    stem = printable(Path(found.name).stem)
    identity = f"{split}-{int(stem):05d}" if numbered else f"{split}-{CLASSES[label]}-{stem}"
    return Item(identity, f"{split}/{CLASSES[label]}/{found.name}", found.source, label)


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise BenchError(f"cifar10: cannot read {path}: {error.strerror}") from None


def _read_archive(path: Path) -> dict[str, Images]:
    """Returns the images by split of the python or binary archive, without unpacking anything to the disk."""
    content = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    content[Path(member.name).name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise BenchError(f"{path} is cut off or damaged ({reason}); run `bench data fetch cifar10` again") from None
    binary = _BINARY["test"][0] in content
    names, parse = (_BINARY, parse_binary) if binary else (_PYTHON, parse_python)
    if missing := [name for split in COUNTS for name in names[split] if name not in content]:
        raise BenchError(f"{path} is no CIFAR-10 archive: {', '.join(missing)} not in it")
    return {split: _join(parse, names[split], content.__getitem__) for split in COUNTS}


def _join(parse: Callable[[bytes, str], Images], names: Sequence[str], read: Callable[[str], bytes]) -> Images:
    rgb, labels = zip(*(parse(read(name), name) for name in names), strict=True)
    return np.concatenate(rgb), np.concatenate(labels)


def parse_binary(data: bytes, name: str) -> Images:
    """Reads a file of the official binary layout: records of a label byte and planes of R, G and B, 3,072 bytes."""
    if not data or len(data) % _RECORD:
        raise BenchError(f"cifar10: {name} is cut off: {len(data):,} bytes are no multiple of {_RECORD:,}")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _RECORD)
    return _hwc(records[:, 1:]), _checked_labels(records[:, 0], name)


def parse_python(data: bytes, name: str) -> Images:
    """Reads a file of the official python layout, a pickled dict, and builds only arrays and plain values from it."""
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        rgb, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except BenchError:
        raise
    except Exception as error:  # damaged bytes can make unpickling raise any exception
        raise BenchError(f"cifar10: {name} is no CIFAR-10 batch: {' '.join(str(error).split())}") from None
    if rgb.dtype != np.uint8 or rgb.ndim != 2 or rgb.shape != (len(labels), _RECORD - 1):
        raise BenchError(
            f"cifar10: {name} holds {rgb.dtype} {rgb.shape}, expected uint8 ({len(labels)}, {_RECORD - 1})"
        )
    return _hwc(rgb), _checked_labels(labels, name)


def _latin1(text: str, encoding: str) -> bytes:
    """Decodes bytes as Python 3 writes them into a pickle for Python 2."""
    if encoding != "latin1":
        raise ValueError(f"text in encoding {encoding!r}")
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays and plain values alone, because a pickle can otherwise call any function of any module."""

    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("_codecs", "encode"): _latin1,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # numpy 1 and 2 have different names for this function
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise BenchError(
                f"cifar10: refused, a batch file asks for {module}.{name}, which no CIFAR-10 file does"
            ) from None


def _read_arrays(folder: Path, split: str) -> Images:
    try:
        rgb, labels = (load_array(folder / f"{split}_{part}.npy", mapped=True) for part in ("rgb", "labels"))
    except (OSError, ValueError) as error:
        raise BenchError(f"cifar10: cannot read the arrays in {folder}: {error}") from None
    if rgb.dtype != np.uint8 or rgb.shape != (len(labels), _SIDE, _SIDE, 3):
        raise BenchError(
            f"cifar10: {split}_rgb.npy holds {rgb.dtype} {rgb.shape}, expected uint8 ({len(labels)}, 32, 32, 3)"
        )
    return rgb, _checked_labels(labels, f"{split}_labels.npy")


def _hwc(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(planes.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def _checked_labels(labels: NDArray[Any], name: str) -> NDArray[np.int64]:
    if labels.size and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise BenchError(f"cifar10: {name} holds the label {labels.max()}; legal: 0 to {len(CLASSES) - 1}")
    return labels.astype(np.int64)
