"""`bench export`: a split as gray pictures for any other program, and the manifest by which its colors are scored."""

import hashlib
import io
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark import PROTOCOL
from benchmark.contracts.config import Cell
from benchmark.data.color import gray_of
from benchmark.data.prepared import Prepared
from benchmark.scoring.evaluate import batch_size_for
from benchmark.support.errors import BenchError, InputError, first_fault
from benchmark.support.files import write_atomically
from benchmark.support.names import Name

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MANIFEST_FILE, GRAY, TRUTH = "manifest.json", "gray", "truth"


class Manifest(BaseModel):
    """`manifest.json` of an exported split: of what it is, and the checksum of every file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(1, alias="schema")
    protocol: int
    data: Name
    preset: Name
    split: Split
    image_size: int = Field(description="height and width of every picture, in pixels")
    licence: str = Field(description="terms of the photographs")
    split_sha256: str = Field(description="of the bytes of the split's array, (N, S, S, 3) uint8 in C order")
    ids: list[str] = Field(description="of the images, in the split's order; a colored image is named <id>.png")
    files: dict[str, str] = Field(description="path below the folder → SHA-256 of the file")

    def require(self, cell: Cell) -> None:
        """Refuses to score images of an export as those of another table.

        Raises:
            InputError: it is of another protocol, data set or preset, or not of a test split.
        """
        wanted = {"protocol": PROTOCOL, "data": cell.data, "preset": cell.preset, "split": "test"}
        if other := [
            f"{name} {own}, not {wanted[name]}" for name in wanted if (own := getattr(self, name)) != wanted[name]
        ]:
            raise InputError(f"the manifest is of {'; of '.join(other)}: export the test split that is to be scored")

    def require_content(self, prepared: Prepared) -> None:
        """Refuses an export of other photographs than the prepared ones.

        Raises:
            BenchError: the test split that is here has other images or ids.
        """
        if (self.split_sha256, self.ids) != (prepared.sha256["test"], prepared.ids("test")):
            raise BenchError(
                f"the manifest is of {len(self.ids):,} other images than the {len(prepared.ids('test')):,} prepared in"
                f" {prepared.folder}: `bench data verify` says whether these are right; else export and color again"
            )


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest, or that of an exported folder.

    Raises:
        InputError: it cannot be read, or is none.
    """
    path = path / MANIFEST_FILE if path.is_dir() else path
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the {MANIFEST_FILE} that bench export wrote") from None
    except ValidationError as error:
        raise InputError(f"{path} is no manifest of bench export: {first_fault(error)}") from None


def export(prepared: Prepared, cell: Cell, split: Split, out: Path, truth: bool = False) -> Path:
    """Writes a split as PNGs, and then its manifest; returns the manifest's path.

    Args:
        prepared: the data.
        cell: data set and preset, for the manifest.
        split: which.
        out: a new or empty folder; it gets `gray/<id>.png`, and for `truth` also `truth/<id>.png`.
        truth: also write the photographs in color.

    Raises:
        BenchError: the data set has no such split.
        InputError: the folder holds something.
    """
    images, ids = prepared.images(split), prepared.ids(split)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"--out {out} is not an empty folder; name a new one, so that nothing else gets among the images"
        )
    files: dict[str, str] = {}
    size = batch_size_for(prepared.meta.image_size)
    for start in range(0, len(ids), size):
        colored = np.array(images[start : start + size])
        for kind, pictures in {GRAY: gray_of(colored), **({TRUTH: colored} if truth else {})}.items():
            for name, pixels in zip(ids[start : start + size], pictures, strict=True):
                place = f"{kind}/{name}.png"
                files[place] = _write_png(out / place, pixels)
    manifest = Manifest(
        protocol=PROTOCOL,
        data=cell.data,
        preset=cell.preset,
        split=split,
        image_size=prepared.meta.image_size,
        licence=prepared.meta.licence,
        split_sha256=prepared.sha256[split],
        ids=ids,
        files=files,
    )
    write_atomically(out / MANIFEST_FILE, f"{manifest.model_dump_json(by_alias=True, indent=2)}\n".encode())
    return out / MANIFEST_FILE


def _write_png(path: Path, pixels: np.ndarray) -> str:
    """Writes (S, S, 3) uint8 sRGB; returns the file's SHA-256."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
