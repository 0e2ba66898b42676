"""One result = one cell of the benchmark under one seed: a small JSON file, and its per-image values beside it.

    results/<data>/<preset>/<method>/seed<k>.json      what was measured, under which protocol, from what
    results/<data>/<preset>/<method>/seed<k>.npz       one column per metric, one value per test image

`results/` holds the committed references; a run writes the same layout below `runs/results`. Tables, intervals, tests
and claims follow from these files alone, without torch, data or models (this module imports none of them). Numbers are
numbers here; how they are printed is the templates' business.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark import PROTOCOL
from benchmark.contracts.curves import Count, Curves, Number
from benchmark.contracts.identity import Identity
from benchmark.contracts.per_image import pack, unpack
from benchmark.support.errors import BenchError, first_fault
from benchmark.support.files import write_atomically

SCHEMA = 1
"""Version of the file's layout (what the numbers mean is PROTOCOL's business)."""

WRITTEN = ("results", "README.md", "docs", "dvc.lock")  # by `--record`: results, and the tables in pages; by DVC
REPORTED_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-image", "pillow", "lpips", "pytorch-fid")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Role = Literal["method", "floor", "baseline", "ceiling"]
"""What a row is for. The floor is the baseline that a method must beat to have learned anything: no color at all."""


class ResultError(BenchError):
    """A result file that must not be believed: truncated, of another layout, or not what its record says."""


class Record(BaseModel):
    """Immutable; unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Run(Record):
    """The run that a result belongs to."""

    method: Name  # the row: an entry of params.yaml, or the label of an external program
    adapter: Name
    data: Name
    preset: Name
    seed: Count
    role: Role = "method"
    external: bool = False  # a folder of images, colored by a program that is not ours
    pretrained_on: str | None = None  # what weights of others have seen with which it was trained
    overrides: dict[str, Any] = {}  # Settings changed by --set; such a run never enters a table.
    also: tuple[str, ...] = ()  # optional metrics that were asked for

    @property
    def file_stem(self) -> str:
        """The name of its files: `seed0`."""
        return f"seed{self.seed}"

    @property
    def command(self) -> str:
        """What repeats the run, with its overrides and optional metrics; an external one names its folder as DIR."""
        if self.external:
            return f"bench score DIR --name {self.method} --data {self.data} --preset {self.preset}"
        settings = "".join(f" --set {key}={json.dumps(value)}" for key, value in sorted(self.overrides.items()))
        settings += "".join(f" --also {name}" for name in self.also)
        cell = f"--method {self.method} --data {self.data} --preset {self.preset} --seed {self.seed}"
        return f"bench run {cell}{settings}"


class Cost(Record):
    """The cost of the run; None where it was not measured."""

    parameters: Count | None = None  # Parameters of the colorizer.
    macs: Count | None = None  # multiply-adds per image
    train_seconds: Number | None = None  # wall clock
    train_images_per_second: Number | None = None
    inference_images_per_second: Number | None = None
    peak_memory_bytes: Count | None = None
    budget_images: Count | None = None  # training images, those of the models that it started from included
    budget_steps: Count | None = None  # training steps, likewise
    device: str | None = None  # that trained; where nothing is trained, that scored


class Machine(Record):
    """The facts of a machine that decide the bits of a run, beside code, settings and data."""

    cpu: str  # The name that the system gives.
    instruction_set: str  # The CPU's, as far as torch uses it: "AVX2", "AVX512".
    threads: Count  # Number of torch's threads.
    torch: str
    kind: str  # Kind of device: "cpu", "cuda".
    device: str  # Name of the device.
    devices: Count = 1  # Number of devices that worked together.
    precision: str  # Precision used, with "auto" resolved: "fp32", "bf16".


class Provenance(Record):
    """Where the numbers come from."""

    commit: str | None = None  # Commit of the code; None outside a git checkout.
    dirty: bool | None = None  # whether the code differed from the commit
    command: str
    config: dict[str, Any]
    config_hash: str
    code_hash: str | None = None  # Only results older than `identity` have it.
    identity: Identity | None = None  # Compared by benchmark.results.currency.
    packages: dict[str, str]
    device: str | None = None
    machine: Machine | None = None  # The machine that scored.
    trained_on: Machine | None = None  # None where nothing was trained
    data_sha256: dict[str, Digest]  # split → SHA-256 of the prepared array
    date: str  # ISO 8601, UTC


class PerImage(Record):
    """The file of per-image values."""

    file: Annotated[str, Field(pattern=r"^seed[0-9]+\.npz$")]  # beside the JSON file
    sha256: Digest


class SetMetrics(Record):
    """The metrics that have no per-image column of their name: nothing else in the files would tell an edited one."""

    names: tuple[str, ...]
    sha256: Digest  # Hash of the values, exact to the bit.


class Result(Record):
    """One cell under one seed. `status` "skipped" means that it cannot run here, and `reason` says why."""

    schema_version: int = Field(SCHEMA, alias="schema", strict=True)
    protocol: int = Field(PROTOCOL, strict=True)
    run: Run
    status: Literal["ok", "skipped"] = "ok"
    reason: str | None = None
    metrics: dict[str, Number | None] = {}
    notes: dict[str, str] = {}  # metric → why it has no value, or what must be known of it (N, standard deviation)
    images: Count = 0  # Number of test images scored.
    set_metrics: SetMetrics | None = None
    per_image: PerImage | None = None
    cost: Cost = Cost()
    curves: Curves | None = None  # None: nothing was trained here
    provenance: Provenance

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.schema_version != SCHEMA:
            raise ValueError(f"layout {self.schema_version}, this program reads {SCHEMA}")
        if self.status == "skipped" and not self.reason:
            raise ValueError("skipped without a reason")
        if self.status == "ok" and not (self.images and self.metrics and "test" in self.provenance.data_sha256):
            raise ValueError("a measured cell needs metrics, its number of images and the test split's SHA-256")
        for name, value in self.metrics.items():
            if value is None and not self.notes.get(name):
                raise ValueError(f"metric {name} has no value and no note that says why")
        if self.set_metrics and self.set_metrics != _vouch(self.metrics, self.set_metrics.names):
            raise ValueError(f"one of {', '.join(self.set_metrics.names)} is not as measured: SHA-256 differs")
        return self


def _vouch(metrics: Mapping[str, float | None], names: Iterable[str]) -> SetMetrics:
    values = {name: metrics.get(name) for name in sorted(names)}
    return SetMetrics(names=tuple(values), sha256=hashlib.sha256(json.dumps(values).encode()).hexdigest())


def result_path(root: Path, run: Run) -> Path:
    """Where a run's result lies under the results folder."""
    return root / run.data / run.preset / run.method / f"{run.file_stem}.json"


def write_result(root: Path, result: Result, per_image: Mapping[str, np.ndarray] | None = None) -> Path:
    """Writes a result and its per-image values, each whole or not at all; returns the JSON file's path.

    The JSON file comes last, as it vouches for the other by checksums that are filled in here. A skipped cell never
    takes the place of a measured one. `per_image` is column → (N,) finite values, N = `result.images`, in the order of
    the test split.

    Raises:
        ResultError: a value is not finite, or a column has the wrong length.
    """
    path = result_path(root, result.run)
    if result.status == "skipped" and holds_measurement(path):
        return path
    arrays_path = path.with_suffix(".npz")
    vouched: dict[str, Any] = {}
    if per_image:
        vouched["set_metrics"] = _vouch(result.metrics, result.metrics.keys() - per_image.keys())
        try:
            content = pack(per_image, result.images)
        except ValueError as error:
            raise ResultError(f"{arrays_path}: {error}") from None
        vouched["per_image"] = PerImage(file=arrays_path.name, sha256=hashlib.sha256(content).hexdigest())
    result = _validated(result.model_copy(update=vouched).model_dump(by_alias=True), path)  # a copy is not validated
    if per_image:
        write_atomically(arrays_path, content)
    text = json.dumps(result.model_dump(mode="json", by_alias=True), indent=2, sort_keys=True, allow_nan=False)
    write_atomically(path, (text + "\n").encode())
    return path


def holds_measurement(path: Path) -> bool:
    """Whether something was measured for this file; also where it is damaged, as what it held may be had again."""
    try:
        return path.exists() and read_result(path).status == "ok"
    except ResultError:
        return True


def read_result(path: Path) -> Result:
    """Reads and validates a result file.

    Raises:
        ResultError: missing, truncated, of another layout, with a NaN, or not of the run that its place in the folder
            names. One line that names file and fault.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # Includes JSONDecodeError and UnicodeDecodeError.
        raise ResultError(f"{path}: not valid JSON, truncated perhaps ({error})") from None
    result = _validated(content, path)
    if result.metrics and result.provenance.machine and not result.set_metrics:  # Older files have neither field.
        raise ResultError(f"{path}: set_metrics, the checksum that was written beside its metrics, is missing")
    named = result_path(Path(), result.run)
    if named.parts != path.parts[-4:]:
        raise ResultError(f"{path}: holds the run {named.with_suffix('')}, not this place's")
    return result


def read_per_image(path: Path, result: Result) -> dict[str, np.ndarray]:
    """The per-image values of a result that was read from `path`.

    Column → (N,) float32, N = `result.images`, in the test split's order. Empty when the result has none.

    Raises:
        ResultError: the file is missing, truncated, or not the one that the result vouches for.
    """
    if result.per_image is None:
        return {}
    arrays_path = path.with_name(result.per_image.file)
    try:
        content = arrays_path.read_bytes()
    except OSError as error:
        raise ResultError(f"{arrays_path}: per-image values cannot be read ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != result.per_image.sha256:
        raise ResultError(f"{arrays_path}: SHA-256 differs from the one in {path.name}: truncated or of another run")
    try:
        return unpack(content, result.images)
    except ValueError as error:
        raise ResultError(f"{arrays_path}: {error}") from None


def provenance(command: Sequence[str], config: Mapping[str, Any], **recorded: Any) -> Provenance:
    """Everything that says where a number came from: the arguments, as in `sys.argv`, and this installation.

    `config` is every setting that decided the run, as plain JSON values; `recorded` are other fields of `Provenance`.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parents[2])
    packages = {"python": platform.python_version()}
    for package in ("colorbench", *REPORTED_PACKAGES):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return Provenance(
        commit=commit,
        dirty=dirty,
        command=" ".join([Path(command[0]).name, *command[1:]]) if command else "",
        config=dict(config),
        packages=packages,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        **recorded,
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")


def _validated(content: Any, path: Path) -> Result:
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        raise ResultError(f"{path}: {first_fault(error)}") from None


def _git_state(root: Path) -> tuple[str | None, bool | None]:
    """Commit and whether the code differs from it; what runs themselves write does not count."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None, None  # installed into an environment that happens to lie inside some other repository
        exclude = [f":(exclude){path}" for path in WRITTEN]
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", ".", *exclude))
    except (OSError, subprocess.SubprocessError):
        return None, None
