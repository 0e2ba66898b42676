"""The prepared arrays of a data set, as training and scoring read them. Numpy only at import."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.contracts.dataset import SPLITS
from benchmark.support.errors import BenchError, first_fault

if TYPE_CHECKING:
    from benchmark.contracts.method import DataInfo

META_FILE, PRIOR_FILE = "meta.json", "ab_prior.npy"


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
            raise _damaged(folder, f"{META_FILE}: {first_fault(error)}") from None
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
