"""The contract of a data set. Numpy only at import.

An adapter (one file in `datasets/`) lists its photographs by split; it decodes nothing. `benchmark.data.preparation`
turns the list once into arrays of uint8 on disk, and from then on training and scoring know only
`benchmark.data.prepared.Prepared`.
"""

import hashlib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from benchmark.contracts.returned import returned
from benchmark.support.errors import BenchError, InputError

if TYPE_CHECKING:
    from benchmark.support.download import Remote

SPLITS = ("train", "val", "test")


class Source(Protocol):
    """Where one image comes from: small, and picklable, for it is read in another process."""

    @property
    def where(self) -> str:
        """Names the file, or the archive and its member, for messages."""

    @property
    def signature(self) -> str:
        """Returns a text that changes with the image's bytes, but not when the whole data set moves."""

    def load(self, size: int) -> NDArray[np.uint8]:
        """The ground truth (size, size, 3) uint8, by docs/protocol.md §1.

        Raises:
            BadImage, OSError: the image cannot be read.
        """


class Pixels(NamedTuple):
    """An image that needs no decoding, already of the right size."""

    rgb: NDArray[np.uint8]  # (S, S, 3)

    @property
    def where(self) -> str:
        """Names the place for messages."""
        return "memory"

    @property
    def signature(self) -> str:
        """Returns the hash of the pixels themselves."""
        return hashlib.blake2b(np.ascontiguousarray(self.rgb).data, digest_size=8).hexdigest()

    def load(self, size: int) -> NDArray[np.uint8]:
        """The pixels (size, size, 3)."""
        if self.rgb.shape != (size, size, 3):
            raise ValueError(f"image of shape {self.rgb.shape}, not {(size, size, 3)}")
        return self.rgb


class Item(NamedTuple):
    """One photograph of a data set."""

    id: str  # unique; `<id>.png` is a legal relative path
    file: str  # The file's name, relative to the data set; subsets and splits are chosen by it.
    source: Source
    label: int | None = None  # index into the listing's classes


class Listing(NamedTuple):
    """The photographs that an adapter found."""

    splits: Mapping[str, Sequence[Item]]  # one entry for each of the data set's `split_names`
    layout: str  # A sentence for meta.json: the layout found, and how it was split.
    classes: tuple[str, ...] | None = None  # Names of the classes, where every image has a label.
    note: str | None = None  # A note to print beside every table made from the data.


class DatasetConfig(BaseModel):
    """Base of every `Dataset.Config`: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(256, ge=8, le=4096, description="S: images are S×S")
    train_count: int | None = Field(
        None, ge=1, description="so many training images, by hash of the file name; none: all"
    )
    val_count: int | None = Field(None, ge=1, description="so many validation images, chosen alike; none: all")
    test_count: int | None = Field(None, ge=1, description="so many test images, chosen alike; none: all")


class MissingDataError(BenchError):
    """The originals are not on this machine. The message names the files, the places looked at, and what to do."""


class Dataset(ABC):
    """One data set. An adapter sets the class variables and writes `find`."""

    name: ClassVar[str]
    Config: ClassVar[type[DatasetConfig]] = DatasetConfig
    title: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str | None] = None
    remotes: ClassVar[tuple["Remote", ...]] = ()  # what `bench data fetch` downloads, in this order
    note: ClassVar[str | None] = None  # printed beside every table of this data set
    split_names: ClassVar[tuple[str, ...]] = SPLITS  # ("test",): a test set, for models that were trained elsewhere

    def __init__(self, config: Any, root: Path | None = None) -> None:
        """Stores where to look; reads nothing yet.

        Args:
            config: an instance of this class's `Config`.
            root: the place where the user keeps the data set; None: `BENCH_DATA`, or the folder that `fetch` fills.
        """
        self.config = config
        self.root = root

    @abstractmethod
    def find(self) -> Listing:
        """Looks for the data set, in every layout it is known to come in, and lists it. Decodes no image.

        Raises:
            MissingDataError: the data set was not found.
            BenchError: the data set is damaged or refused.
        """

    @cached_property
    def listing(self) -> Listing:
        """Returns the result of `find`, which is called once."""
        return returned(self.find(), Listing, self.find)

    def items(self, split: str) -> Sequence[Item]:
        """The photographs of a split, in their fixed order."""
        return self.listing.splits[split]

    def images(self, split: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Decodes a split one by one: id and (S, S, 3) uint8. Preparation does the same in parallel."""
        for item in self.items(split):
            yield item.id, item.source.load(self.config.image_size)

    def fingerprint(self) -> str:
        """Hashes the originals' names, sizes and times; an equal hash means that nothing needs preparing again."""
        items = signature_of([item for split in self.split_names for item in self.items(split)])
        return hashlib.sha256(f"{items}\n{self.listing.note}".encode()).hexdigest()


def signature_of(items: Sequence[Item]) -> str:
    """SHA-256 over ids and signatures of items, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.id}\0{item.source.signature}\0{item.label}\n".encode())
    return digest.hexdigest()


def by_hash(items: Sequence[Item]) -> list[Item]:
    """Items in the order of SHA-256(file name): the same on every machine, and no list to ship."""
    return sorted(items, key=lambda item: hashlib.sha256(item.file.encode("utf-8", "surrogateescape")).digest())


def subset(items: Sequence[Item], count: int | None) -> list[Item]:
    """The first `count` items by hash, in their original order; all of them if there are not more."""
    if count is None or count >= len(items):
        return list(items)
    chosen = {item.id for item in by_hash(items)[:count]}
    return [item for item in items if item.id in chosen]


def parse_spec(spec: str) -> tuple[str, Path | None, str]:
    """Parses the value of `--data`.

    Args:
        spec: `celeba`, or `folder:/photos/holidays`.

    Returns:
        The adapter, the path if one was given, and the data set's name: `folder-holidays` for the second.

    Raises:
        InputError: a path for a data set that is not `folder`, none for it, or one that cannot be.
    """
    adapter, colon, text = spec.partition(":")
    if not colon and adapter != "folder":
        return adapter, None, adapter
    if not text.strip():
        raise InputError(f"--data {spec!r}: which folder? write folder:/path/to/photographs")
    if adapter != "folder":
        raise InputError(f"--data {spec!r}: only folder takes a path; for {adapter} give --root {text}")
    try:
        path = Path(text).expanduser().resolve()
        path.exists()  # Fails if the name is too long; preparation reports a missing folder.
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links or an unknown ~user, a null byte
        raise InputError(f"--data {spec!r}: {getattr(error, 'strerror', None) or error}; give another path") from None
    return adapter, path, f"folder-{safe_name(path.name.removesuffix('.tar').removesuffix('.zip') or 'root')}"


TRANSFER = "transfer-"  # begins the presets of tests on another data set: transfer-<trained on>-<preset>


def parse_transfer(preset: str, presets: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """Data set and preset of the training that `transfer-<data set>-<preset>` names, or None if it names none.

    Args:
        preset: the name.
        presets: the names of presets; of those that fit the longest counts.
        known: the names of data sets.
    """
    for name in sorted(presets, key=len, reverse=True):
        data = preset.removeprefix(TRANSFER).removesuffix(f"-{name}")
        if preset == f"{TRANSFER}{data}-{name}" and (data in known or data.startswith("folder-")):
            return data if data in known else data.replace("-", ":", 1), name
    return None


def safe_name(name: str) -> str:
    """A file's name as a legal name of results and folders: letters, digits, dot, hyphen, underscore.

    A legal name of at most 64 characters stays. Any other loses its accents and illegal characters and gets the
    beginning of its SHA-256 instead, so that `été` and `ete` stay apart; the result is the same on every machine.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,63}", name) and not name.endswith((".", "-")):
        return name
    same = unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")  # macOS takes letters apart
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_only).strip("-._")[:40]
    return "-".join(filter(None, [readable, hashlib.sha256(same).hexdigest()[:8]]))
