"""The contract of a data set, and its prepared arrays. Numpy only at import.

An adapter (one file in `datasets/`) lists its photographs by split; it decodes nothing. `benchmark.data.preparation`
turns the list once into arrays of uint8 on disk, and from then on training and scoring know only `Prepared`.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.support.errors import BenchError, InputError

if TYPE_CHECKING:
    from benchmark.contracts.method import DataInfo
    from benchmark.support.download import Remote

SPLITS = ("train", "val", "test")
META_FILE, PRIOR_FILE = "meta.json", "ab_prior.npy"


class Source(Protocol):
    """Where one image comes from: small, and picklable, for it is read in another process."""

    @property
    def where(self) -> str:
        """For messages: the file, or the archive and its member."""

    @property
    def signature(self) -> str:
        """Changes when the image's bytes may have changed; stays when the whole data set moves."""

    def load(self, size: int) -> NDArray[np.uint8]:
        """The ground truth (size, size, 3) uint8, by PROTOCOL.md §1.

        Raises:
            BadImage, OSError: it cannot be read.
        """


class Pixels(NamedTuple):
    """An image that needs no decoding, already of the right size."""

    rgb: NDArray[np.uint8]  # (S, S, 3)

    @property
    def where(self) -> str:
        """For messages."""
        return "memory"

    @property
    def signature(self) -> str:
        """Of the pixels themselves."""
        return hashlib.blake2b(np.ascontiguousarray(self.rgb).data, digest_size=8).hexdigest()

    def load(self, size: int) -> NDArray[np.uint8]:
        """The pixels (size, size, 3)."""
        if self.rgb.shape != (size, size, 3):
            raise ValueError(f"image of shape {self.rgb.shape}, not {(size, size, 3)}")
        return self.rgb


class Item(NamedTuple):
    """One photograph of a data set."""

    id: str  # unique; `<id>.png` is a legal relative path
    file: str  # what subsets and splits are chosen by: the file's name, relative to the data set
    source: Source
    label: int | None = None  # index into the listing's classes


class Listing(NamedTuple):
    """What an adapter found."""

    splits: Mapping[str, Sequence[Item]]  # one entry for each of SPLITS
    layout: str  # what was found, and how it was split: a sentence for meta.json
    classes: tuple[str, ...] | None = None  # names, where every image has a label
    note: str | None = None  # what must stand beside every table made from it


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

    def __init__(self, config: Any, root: Path | None = None) -> None:
        """Reads nothing yet.

        Args:
            config: an instance of this class's `Config`.
            root: where the user keeps the data set; None: `BENCH_DATA`, or the folder that `fetch` fills.
        """
        self.config = config
        self.root = root

    @abstractmethod
    def find(self) -> Listing:
        """Looks for the data set, in every layout it is known to come in, and lists it. Decodes no image.

        Raises:
            MissingDataError: nothing there.
            BenchError: something there, but damaged or refused.
        """

    @cached_property
    def listing(self) -> Listing:
        """What `find` returned, looked for once."""
        return self.find()

    def items(self, split: str) -> Sequence[Item]:
        """The photographs of a split, in their fixed order."""
        return self.listing.splits[split]

    def images(self, split: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Decodes a split one by one: id and (S, S, 3) uint8. Preparation does the same in parallel."""
        for item in self.items(split):
            yield item.id, item.source.load(self.config.image_size)

    def fingerprint(self) -> str:
        """Hash of what the originals are, by names, sizes and times; equal means that nothing needs preparing again."""
        items = signature_of([item for split in SPLITS for item in self.items(split)])
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
    """What `--data` means.

    Args:
        spec: `celeba`, or `folder:/photos/holidays`.

    Returns:
        The adapter, the path if one was given, and the data set's name: `folder-holidays` for the second.

    Raises:
        InputError: a path for a data set that is not `folder`, or none for it.
    """
    adapter, colon, text = spec.partition(":")
    if not colon and adapter != "folder":
        return adapter, None, adapter
    if not text.strip():
        raise InputError(f"--data {spec!r}: which folder? write folder:/path/to/photographs")
    if adapter != "folder":
        raise InputError(f"--data {spec!r}: only folder takes a path; for {adapter} give --root {text}")
    path = Path(text).expanduser().resolve()
    name = re.sub(r"[^\w.+-]+", "-", path.name.removesuffix(".tar").removesuffix(".zip")).strip("-.") or "root"
    return adapter, path, f"folder-{name}"


class LeftOut(BaseModel):
    """Photographs of a split that were not prepared."""

    model_config = ConfigDict(extra="forbid")

    grayscale: list[str] = Field([], description="ids: max |a|, |b| ≤ 5 everywhere (PROTOCOL.md §1)")
    corrupt: dict[str, str] = Field({}, description="id → why it could not be read; only with --skip-corrupt")


class SplitMeta(BaseModel):
    """What is known of a prepared split."""

    model_config = ConfigDict(extra="forbid")

    images: int
    sha256: str = Field(description="of the array's bytes, (N, S, S, 3) uint8 in C order")
    left_out: LeftOut
    ids: list[str]


class Meta(BaseModel):
    """`meta.json` of a prepared data set."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = Field(1, alias="schema")
    protocol: int
    name: str
    adapter: str
    title: str
    licence: str
    note: str | None = Field(description="what must stand beside every table: a part only, photographs left out, …")
    config: dict[str, Any]
    image_size: int
    classes: list[str] | None
    layout: str
    fingerprint: str
    rule: str
    decoder: dict[str, str | None] = Field(description="versions of the programs that decoded and resized")
    mean_ab: tuple[float, float] = Field(description="mean color of the training split, Lab units")
    splits: dict[str, SplitMeta]
    in_several_splits: list[list[str]] | None = Field(
        None, description="photographs, each as the `split/id`s whose arrays are the same; null: never looked for"
    )


class Prepared:
    """A prepared data set on disk.

    The folder holds {train,val,test}.npy (N, S, S, 3) uint8, {train,val,test}_labels.npy where there are labels,
    ab_prior.npy and meta.json. Arrays are memory-mapped: opening costs nothing, whatever their size.
    """

    def __init__(self, folder: Path, meta: Meta) -> None:
        """Use `Prepared.open`."""
        self.folder = folder
        self.meta = meta

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Opens a prepared data set, checking that every file is there and of the size that meta.json says.

        Raises:
            BenchError: not prepared, or damaged; says how to make it anew. (Content is checked by `bench data verify`.)
        """
        try:
            meta = Meta.model_validate_json((folder / META_FILE).read_bytes())
        except FileNotFoundError:
            raise BenchError(f"{folder} is not prepared; run: bench data prepare") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise _damaged(folder, f"{META_FILE}: {place}: {first['msg']}") from None
        prepared = cls(folder, meta)
        for split in SPLITS:
            shape = (meta.splits[split].images, meta.image_size, meta.image_size, 3)
            if prepared.images(split).shape != shape or len(meta.splits[split].ids) != shape[0]:
                raise _damaged(folder, f"{split}.npy does not hold the {shape[0]} images that {META_FILE} says")
        return prepared

    def images(self, split: str) -> NDArray[np.uint8]:
        """The images of a split, (N, S, S, 3) uint8, memory-mapped and read-only."""
        path = self.folder / f"{split}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, f"{path.name}: {error}") from None
        if array.dtype != np.uint8:
            raise _damaged(self.folder, f"{path.name} holds {array.dtype}, not uint8")
        return array

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Class indices (N,) into `meta.classes`, or None for a data set without labels."""
        if self.meta.classes is None:
            return None
        try:
            return np.load(self.folder / f"{split}_labels.npy")
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, f"{split}_labels.npy: {error}") from None

    def ids(self, split: str) -> list[str]:
        """The images' ids, in order."""
        return self.meta.splits[split].ids

    @property
    def sha256(self) -> dict[str, str]:
        """Split → SHA-256 of its array's bytes."""
        return {split: self.meta.splits[split].sha256 for split in SPLITS}

    @property
    def mean_ab(self) -> tuple[float, float]:
        """Mean color of the training split, Lab units."""
        return self.meta.mean_ab

    @cached_property
    def ab_prior(self) -> NDArray[np.float64]:
        """(313,): the share of the training split's pixels whose nearest bin is this one. Sums to 1."""
        try:
            prior = np.load(self.folder / PRIOR_FILE)
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, f"{PRIOR_FILE}: {error}") from None
        if prior.shape != (313,) or not np.isclose(prior.sum(), 1):
            raise _damaged(self.folder, f"{PRIOR_FILE} is no distribution over 313 bins")
        return prior

    def summary(self) -> str:
        """One line: folder, counts, and what was left out."""
        counts = ", ".join(f"{split} {self.meta.splits[split].images:,}" for split in SPLITS)
        left_out = [self.meta.splits[split].left_out for split in SPLITS]
        gray, corrupt = sum(len(lost.grayscale) for lost in left_out), sum(len(lost.corrupt) for lost in left_out)
        unreadable = f", {corrupt:,} unreadable" if corrupt else ""
        shared = f"; in several splits: {len(self.meta.in_several_splits):,}" if self.meta.in_several_splits else ""
        return f"{self.folder}: {counts} images; left out: {gray:,} grayscale{unreadable}{shared}"

    def info(self) -> "DataInfo":
        """What a method may know of it."""
        import torch

        from benchmark.contracts.method import DataInfo

        return DataInfo(
            name=self.meta.name,
            image_size=self.meta.image_size,
            train_images=self.meta.splits["train"].images,
            mean_ab=self.mean_ab,
            ab_prior=torch.from_numpy(self.ab_prior),
        )


def _damaged(folder: Path, reason: str) -> BenchError:
    return BenchError(f"{folder} is damaged ({reason}); remove it and run: bench data prepare")
