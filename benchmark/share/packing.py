"""What is sent of a trained model, and the check of what comes back.

    <data>/<preset>/<method>/seed<k>/model.safetensors   the colorizer's weights
                                     training.json       how it was made: identity, machine, cost
                                     history.csv         its curves
                                     README.md           its card
                                     SHA256SUMS          of the files above, for `sha256sum --check` too

Nothing that comes back is executed or unpickled, and no name that comes back becomes a path before it is checked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.contracts.curves import Count, Curves, Number
from benchmark.contracts.identity import Identity
from benchmark.contracts.result import Digest, Machine
from benchmark.results.tables import MODEL_SUMS
from benchmark.share.places import SUMS_FILE
from benchmark.support.errors import BenchError, InputError, first_fault
from benchmark.support.files import file_sha256
from benchmark.support.names import MAX_SEED, is_name
from benchmark.training.record import HISTORY_FILE, MODEL_FILE, RECORD_FILE

CARD_FILE = "README.md"
SENT = (MODEL_FILE, RECORD_FILE, HISTORY_FILE, CARD_FILE)
_SEED, _SUM = re.compile(r"seed(0|[1-9][0-9]{0,9})"), re.compile(r"([0-9a-f]{64})  (.+)")


class Trained(BaseModel):
    """`training.json`: every field that evaluation reads of it."""

    model_config = ConfigDict(extra="forbid")

    key: Digest
    model_sha256: Digest
    steps: Annotated[int, Field(ge=1)]
    budget_images: Count
    budget_steps: Count
    curves: Curves | None
    train_seconds: Number | None
    train_images_per_second: Number | None
    peak_memory_bytes: Count | None
    device: str
    devices: Count
    machine: Machine
    identity: Identity
    pulled_from: str | None = None


@dataclass(frozen=True, order=True)
class Address:
    """Which model: its folder, here below `models/` and there below the place."""

    data: str
    preset: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.data}/{self.preset}/{self.method}/seed{self.seed}"

    @classmethod
    def of(cls, folder: PurePosixPath) -> "Address | None":
        """The model that a relative folder names, or None if it is no legal name of one."""
        match folder.parts:
            case (data, preset, method, last) if all(map(is_name, (data, preset, method))):
                seed = _SEED.fullmatch(last)
                return cls(data, preset, method, int(seed[1])) if seed and int(seed[1]) <= MAX_SEED else None
        return None


@dataclass(frozen=True)
class Selection:
    """Which models are meant; an empty field means any."""

    methods: Sequence[str] = ()
    data: str | None = None
    preset: str | None = None
    seed: int | None = None
    best: bool = False  # only those of the committed hash lists

    def __contains__(self, address: Address) -> bool:
        wanted = {"data": self.data, "preset": self.preset, "seed": self.seed}
        fits = all(value is None or value == getattr(address, name) for name, value in wanted.items())
        return fits and (not self.methods or address.method in self.methods)


def write_sums(folder: Path) -> None:
    """Writes the hash list of a model's files."""
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in SENT if (folder / name).is_file()]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def addresses(names: Sequence[str]) -> list[Address]:
    """The models of a place, from the names of its files.

    Raises:
        BenchError: a hash list lies where no model may lie.
    """
    found = []
    for name in names:
        path = PurePosixPath(name)
        if path.name == SUMS_FILE:
            address = Address.of(path.parent)
            if address is None or f"{address}/{SUMS_FILE}" != name:
                raise BenchError(
                    f"{name!r} is no place of a model; legal: <data>/<preset>/<method>/seed<k>/{SUMS_FILE}"
                )
            found.append(address)
    return sorted(found)


def read_sums(folder: Path) -> dict[str, str]:
    """The hash list of a fetched model: file → SHA-256.

    Raises:
        BenchError: it is damaged, names another file than a model has, or lacks the weights or their record.
    """
    sums: dict[str, str] = {}
    for line in (folder / SUMS_FILE).read_text(encoding="utf-8", errors="replace").splitlines():
        match = _SUM.fullmatch(line)
        if not match or match[2] not in SENT or match[2] in sums:
            told = repr(match[2][:80]) if match else "no file, or no hash of it,"
            raise BenchError(f"{SUMS_FILE} names {told} in a line; legal, once each: {', '.join(SENT)}")
        sums[match[2]] = match[1]
    if absent := [name for name in (MODEL_FILE, RECORD_FILE) if name not in sums]:
        raise BenchError(f"{SUMS_FILE} names no {absent[0]}")
    return sums


def read_listed(root: Path) -> dict[Address, str]:
    """Model → SHA-256 of its weights, of every committed list below a results folder.

    Raises:
        BenchError: a list is damaged.
    """
    listed: dict[Address, str] = {}
    for path in sorted(root.glob(f"*/*/{MODEL_SUMS}")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = _SUM.fullmatch(line)
            file = PurePosixPath(match[2] if match else "")
            address = Address.of(file.parent) if file.name == MODEL_FILE else None
            if not match or address is None or address in listed:
                raise BenchError(f"{path}: {line!r} is no line of this list; run: bench leaderboard")
            listed[address] = match[1]
    return listed


def verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Compares fetched files with the hash list.

    Raises:
        BenchError: a file is missing or another one.
    """
    for name, wanted in sums.items():
        path = folder / name
        if not path.is_file():
            raise BenchError(f"{name} is missing")
        if (found := file_sha256(path)) != wanted:
            raise BenchError(f"{name} has SHA-256 {found[:12]}…, not {wanted[:12]}… as {SUMS_FILE} says; push it again")


def read_trained(folder: Path) -> Trained:
    """The record of a fetched model.

    Raises:
        BenchError: it has other keys or values than a record, or is not of the model beside it.
    """
    try:
        trained = Trained.model_validate_json((folder / RECORD_FILE).read_bytes())
    except ValidationError as error:
        raise BenchError(f"{RECORD_FILE} is no record of a training: {first_fault(error)}") from None
    if trained.model_sha256 != file_sha256(folder / MODEL_FILE):
        raise BenchError(f"{RECORD_FILE} is of another {MODEL_FILE}")
    if trained.key != trained.identity.key:
        raise BenchError(f"{RECORD_FILE}: key is not that of its identity")
    return trained


def nothing_of(selection: Selection, there: Sequence[Address], where: str, advice: str) -> InputError:
    """The error that nothing is what a selection means."""
    asked: dict[str, Any] = {"method": ", ".join(selection.methods), "data": selection.data, "preset": selection.preset}
    asked["seed"] = selection.seed
    told = ", ".join(f"--{name} {value}" for name, value in asked.items() if value not in (None, ""))
    held = ", ".join(map(str, there[:8])) + ("…" if len(there) > 8 else "") or "none"
    return InputError(f"no model {f'of {told} ' if told else ''}in {where}; there: {held}; {advice}")
