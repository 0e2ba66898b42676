"""The prepared arrays of a data set, as training and scoring read them. Numpy only at import."""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.support.errors import BenchError, first_fault
from benchmark.support.files import digest, file_sha256, known_sha256, load_array, open_regular

if TYPE_CHECKING:
    from benchmark.contracts.config import Cell
    from benchmark.contracts.method import DataInfo
    from benchmark.contracts.workspace import Workspace

META_FILE, PRIOR_FILE = "meta.json", "ab_prior.npy"


class LeftOut(BaseModel):
    """Photographs of a split that were not prepared."""

    model_config = ConfigDict(extra="forbid")

    grayscale: list[str] = Field([], description="ids: max |a|, |b| ≤ 5 everywhere (docs/protocol.md §1)")
    corrupt: dict[str, str] = Field({}, description="id → why it could not be read; only with --skip-corrupt")


class SplitMeta(BaseModel):
    """What is known of a prepared split."""

    model_config = ConfigDict(extra="forbid")

    images: int
    sha256: str = Field(description="of the array's bytes, (N, S, S, 3) uint8 in C order")
    left_out: LeftOut
    profiles_converted: int = Field(description="images whose color profile was not sRGB and was converted")
    profiles_unusable: dict[str, str] = Field(description="id → why its profile counted as absent")
    ids: list[str]


class Meta(BaseModel):
    """`meta.json` of a prepared data set."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[2] = Field(2, alias="schema")
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
    mean_ab: tuple[float, float] | None = Field(description="mean color of the training split, Lab units")
    splits: dict[str, SplitMeta]
    files: dict[str, str] = Field(description="name → SHA-256 of the whole file: ab_prior.npy, labels")
    in_several_splits: list[list[str]] | None = Field(
        None, description="photographs, each as the `split/id`s whose arrays are the same; null: never looked for"
    )
    alike_in_several_splits: list[list[str]] | None = Field(
        None, description="pairs of `split/id` that are the same to the eye alone; null: never looked for"
    )


class Damaged(BenchError):
    """Prepared data that are not what was prepared. `bench data prepare` replaces them."""

    def __init__(self, folder: Path, reason: str, data: str = "NAME") -> None:
        """Keeps the reason apart from the message, for code that repairs the data."""
        self.reason = reason
        command = f"bench data prepare {data}, with the --preset and --set that it was made with"
        super().__init__(f"{folder} is damaged ({reason}); repair it: {command}")


class Prepared:
    """A prepared data set on disk.

    The folder holds {train,val,test}.npy (N, S, S, 3) uint8, {train,val,test}_labels.npy where there are labels,
    ab_prior.npy and meta.json. Arrays are memory-mapped. No byte is given out that was not verified: small files are
    hashed whenever they are read, arrays when they are first opened and whenever inode, size or time changed since.
    What was found right is noted beside the folder, so an untouched array is not read again.
    """

    def __init__(self, folder: Path) -> None:
        """Reads meta.json alone, for code that verifies the other files itself. All other code uses `Prepared.open`.

        Raises:
            BenchError: not prepared.
            Damaged: meta.json cannot be read, or was changed.
        """
        self.folder, self.meta = folder, _read_meta(folder)

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Opens a prepared data set and verifies every file of it.

        Raises:
            BenchError: not prepared.
            Damaged: a file is missing or holds something else than was prepared.
        """
        prepared = cls(folder)
        for split in prepared.meta.splits:
            prepared.images(split)
            prepared.labels(split)
        if prepared.trains:
            _ = prepared.ab_prior
        return prepared

    @property
    def trains(self) -> bool:
        """Whether there is a training split; where there is none, nothing is known of its colors either."""
        return "train" in self.meta.splits

    def _split(self, split: str) -> SplitMeta:
        if split not in self.meta.splits:
            raise BenchError(
                f"{self.meta.name} is a test set without {split} split: train on another, and --test-on it"
            )
        return self.meta.splits[split]

    def images(self, split: str) -> NDArray[np.uint8]:
        """The images of a split, (N, S, S, 3) uint8, memory-mapped and read-only.

        Raises:
            Damaged: they are not those that were prepared.
        """
        path, of_split = self.folder / f"{split}.npy", self._split(split)
        try:
            array = load_array(path, mapped=True)
            shape = (of_split.images, self.meta.image_size, self.meta.image_size, 3)
            if array.shape != shape or array.dtype != np.uint8 or not array.flags.c_contiguous:
                raise ValueError(f"holds {array.dtype} {array.shape}, not uint8 {shape}")
            if known_sha256(path, notes_of(self.folder), path.stat().st_size - array.nbytes) != of_split.sha256:
                raise ValueError(f"its bytes are not those of the {of_split.images:,} prepared images")
        except (OSError, ValueError) as error:
            raise self._damaged(path, error) from None
        return array

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Class indices (N,) into `meta.classes`, or None for a data set without labels."""
        return None if self.meta.classes is None else self._small(f"{split}_labels.npy")

    def _small(self, name: str) -> NDArray[Any]:
        """An array that is read whole, and hashed each time."""
        path = self.folder / name
        try:
            if file_sha256(path) != self.meta.files.get(name):
                raise ValueError(f"its SHA-256 is not that of {META_FILE}")
            return load_array(path)
        except (OSError, ValueError) as error:
            raise self._damaged(path, error) from None

    def _damaged(self, path: Path, error: OSError | ValueError) -> Damaged:
        reason = error.strerror if isinstance(error, OSError) else error
        data = "folder:PATH" if self.meta.adapter == "folder" else self.meta.name
        return Damaged(self.folder, f"{path.name}: {reason}", data)

    def ids(self, split: str) -> list[str]:
        """The images' ids, in order."""
        return self._split(split).ids

    @property
    def sha256(self) -> dict[str, str]:
        """Split → SHA-256 of its array's bytes."""
        return {split: of_split.sha256 for split, of_split in self.meta.splits.items()}

    @property
    def mean_ab(self) -> tuple[float, float]:
        """Mean color of the training split, Lab units."""
        self._split("train")
        return cast(tuple[float, float], self.meta.mean_ab)

    @cached_property
    def ab_prior(self) -> NDArray[np.float64]:
        """(313,): the share of the training split's pixels whose nearest bin is this one. Sums to 1."""
        self._split("train")
        return self._small(PRIOR_FILE)

    def summary(self) -> str:
        """Returns one line with folder, counts, and numbers of images left out."""
        counts = ", ".join(f"{split} {of_split.images:,}" for split, of_split in self.meta.splits.items())
        left_out = [of_split.left_out for of_split in self.meta.splits.values()]
        gray, corrupt = sum(len(lost.grayscale) for lost in left_out), sum(len(lost.corrupt) for lost in left_out)
        unreadable = f", {corrupt:,} unreadable" if corrupt else ""
        splits = self.meta.splits.values()
        converted = sum(of_split.profiles_converted for of_split in splits)
        unusable = sum(len(of_split.profiles_unusable) for of_split in splits)
        profiles = f"; {converted:,} color profiles converted, {unusable:,} unusable" if converted or unusable else ""
        shared = f"; in several splits: {len(self.meta.in_several_splits):,}" if self.meta.in_several_splits else ""
        shared += f"; alike: {len(self.meta.alike_in_several_splits):,}" if self.meta.alike_in_several_splits else ""
        return f"{self.folder}: {counts} images; left out: {gray:,} grayscale{unreadable}{profiles}{shared}"

    def info(self) -> "DataInfo":
        """Returns the facts of the data set that a method may know."""
        import torch

        from benchmark.contracts.method import DataInfo

        return DataInfo(
            name=self.meta.name,
            image_size=self.meta.image_size,
            train_images=self._split("train").images,
            mean_ab=self.mean_ab,
            ab_prior=torch.from_numpy(self.ab_prior),
        )


class Transferred(Prepared):
    """The test split of one data set, with the other splits and the statistics of colors of another, trained on."""

    def __init__(self, tested: Prepared, trained: Prepared) -> None:
        """Both are opened already."""
        told = f"Trained on {trained.meta.name}: mean color and p of auc_rebal are of its training split."
        note = " ".join(filter(None, (told, tested.meta.note)))
        self.folder, self.meta, self._trained = tested.folder, tested.meta.model_copy(update={"note": note}), trained

    trains = True

    def images(self, split: str) -> NDArray[np.uint8]:
        """As of `Prepared`."""
        return super().images(split) if split == "test" else self._trained.images(split)

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """As of `Prepared`."""
        return super().labels(split) if split == "test" else self._trained.labels(split)

    def ids(self, split: str) -> list[str]:
        """As of `Prepared`."""
        return super().ids(split) if split == "test" else self._trained.ids(split)

    @property
    def sha256(self) -> dict[str, str]:
        """As of `Prepared`."""
        return {**self._trained.sha256, "test": super().sha256["test"]}

    @property
    def mean_ab(self) -> tuple[float, float]:
        """Of the data set trained on."""
        return self._trained.mean_ab

    @cached_property
    def ab_prior(self) -> NDArray[np.float64]:
        """Of the data set trained on."""
        return self._trained.ab_prior

    def info(self) -> "DataInfo":
        """Of the data set trained on."""
        return self._trained.info()


def open_data(space: "Workspace", cell: "Cell") -> Prepared:
    """The prepared data of a cell; of a transfer, those of both its data sets.

    Raises:
        BenchError: not prepared, or damaged.
    """
    prepared = Prepared.open(space.data(cell))
    return Transferred(prepared, Prepared.open(space.data(cell.trained_in))) if cell.trained_in else prepared


def notes_of(folder: Path) -> Path:
    """The file that remembers which arrays of a folder were found right."""
    return folder.with_name(f".{folder.name}.verified.json")


def write_meta(folder: Path, meta: Meta) -> None:
    """Writes meta.json with a checksum over all that it says."""
    content = meta.model_dump(mode="json", by_alias=True)
    content["checksum"] = digest(content)
    (folder / META_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_meta(folder: Path) -> Meta:
    try:
        with open_regular(folder / META_FILE) as file:
            content = json.load(file)
        checksum = content.pop("checksum", None)
        if content.get("schema") != 2:
            raise ValueError("it was prepared by another version")
        if checksum != digest(content):
            raise ValueError("it is not as it was written: its checksum differs")
        return Meta.model_validate(content)
    except FileNotFoundError:
        command = "bench data prepare NAME, with its --preset, and --root where it is kept"
        raise BenchError(f"{folder} is not prepared; run: {command}") from None
    except OSError as error:
        raise Damaged(folder, f"{META_FILE}: {error.strerror}") from None
    except ValidationError as error:
        raise Damaged(folder, f"{META_FILE}: {first_fault(error)}") from None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Damaged(folder, f"{META_FILE}: {str(error).splitlines()[0]}") from None
