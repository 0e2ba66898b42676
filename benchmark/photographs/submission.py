"""`bench submit` and `bench verify`: outputs packed by their authors, from which we compute every number ourselves."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.data.preparation.archives import OUTPUT_SUFFIXES, images_by_id, list_archive, read_image_file
from benchmark.data.preparation.images import BadImage
from benchmark.photographs.export import MANIFEST_FILE, Manifest
from benchmark.support.errors import BenchError, InputError, first_fault
from benchmark.support.files import file_sha256, write_atomically
from benchmark.support.names import Name

SUBMISSION_FILE = "submission.json"
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Submission(BaseModel):
    """`submission.json`: whose outputs these are and how they were made. It holds no score."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(1, alias="schema")
    name: Name
    paper: str = Field(description="address of the paper, or of the program")
    settings: str = Field(description="how the outputs were made: code and its version, weights, options")
    address: str | None = Field(None, description="where the archives can be had, if they do not lie beside")
    archives: list[Sha256] = Field(min_length=1, description="SHA-256 of seed0.zip, seed1.zip, …")


def submit(
    folders: Sequence[Path], manifest: Manifest, out: Path, *, name: str, paper: str, settings: str, address: str | None
) -> list[Path]:
    """Packs folders of colored images, one for each seed; returns the files. The same images give the same bytes.

    Args:
        folders: each with one file for every id of the manifest.
        manifest: of the export that was colored.
        out: a new or empty folder.
        name: of the row.
        paper: address of the paper, or of the program.
        settings: how the outputs were made.
        address: where the archives will be, if they are not to lie beside.

    Raises:
        InputError: a field is not legal, `out` holds something, or images are missing, extra or there twice.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} is not an empty folder; name a new one")
    packed = {f"seed{seed}.zip": _pack(folder, manifest.ids) for seed, folder in enumerate(folders)}
    archives = [hashlib.sha256(content).hexdigest() for content in packed.values()]
    try:
        told = Submission(name=name, paper=paper, settings=settings, address=address, archives=archives)
    except ValidationError as error:
        raise InputError(first_fault(error, value=True)) from None
    texts = {MANIFEST_FILE: manifest, SUBMISSION_FILE: told}
    packed |= {file: f"{one.model_dump_json(by_alias=True, indent=2)}\n".encode() for file, one in texts.items()}
    for file, content in packed.items():
        write_atomically(out / file, content)
    return [out / file for file in packed]


def _pack(folder: Path, ids: Sequence[str]) -> bytes:
    """A folder's images as a zip archive in the order of the ids."""
    found = images_by_id(folder)
    missing, extra = [name for name in ids if name not in found], sorted(found.keys() - set(ids))
    if missing or extra:
        raise InputError(
            f"{folder} has {len(found)} images for {len(ids)} ids: {len(missing)} missing ({', '.join(missing[:3])}),"
            f" {len(extra)} not in the manifest ({', '.join(extra[:3])}); give one file named <id>.png for each"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ids:  # images are compressed already; without a date the bytes follow from the images alone
            archive.writestr(zipfile.ZipInfo(name + found[name].suffix.lower()), read_image_file(found[name]))
    return buffer.getvalue()


def unpack(folder: Path, out: Path) -> tuple[Submission, list[Path]]:
    """Checks a submission's archives and unpacks their images below `out`, a folder for each seed.

    Raises:
        InputError: there is no submission, or it is not legal.
        BenchError: an archive is missing, another one, or damaged.
    """
    path = folder / SUBMISSION_FILE
    try:
        told = Submission.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a folder that bench submit wrote") from None
    except ValidationError as error:
        raise InputError(f"{path} is no submission: {first_fault(error)}") from None
    for seed, sha256 in enumerate(told.archives):
        archive = folder / f"seed{seed}.zip"
        if not archive.is_file():
            raise BenchError(f"{archive} is not here; fetch it from {told.address or 'its authors'} and put it there")
        if (found := file_sha256(archive)) != sha256:
            raise BenchError(f"{archive} has SHA-256 {found[:12]}…, not {sha256[:12]}… as submitted; fetch it again")
        for member in list_archive(archive, OUTPUT_SUFFIXES):
            target = out / f"seed{seed}" / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_bytes(member.source.read())
            except BadImage as error:
                raise BenchError(f"{archive}: {member.name}: {error}; ask its authors for a whole archive") from None
    return told, [out / f"seed{seed}" for seed in range(len(told.archives))]
