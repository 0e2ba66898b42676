"""Finds adapters by name: the plug-in rooms `methods/` and `datasets/`, and other packages' entry points.

One rule for names: file `gan_perceptual.py` ↔ `gan-perceptual` everywhere a person types or reads it. Files that begin
with an underscore are shared parts. Listing names imports nothing; loading imports one file. An error that an
adapter raises is reported in one line with the adapter's file and line.
"""

import sys
import traceback
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.contracts.returned import place
from benchmark.support.errors import BenchError, unknown

if TYPE_CHECKING:
    from benchmark.contracts.dataset import Dataset
    from benchmark.contracts.method import Method

Kind = Literal["method", "dataset"]
ROOMS: dict[Kind, str] = {"method": "benchmark.methods", "dataset": "benchmark.datasets"}  # also the entry-point groups
LABELS: dict[Kind, str] = {"method": "method", "dataset": "data set"}


def file_name(name: str) -> str:
    """`gan-perceptual` → `gan_perceptual`, the module's name."""
    return name.replace("-", "_")


@cache
def room_folder(kind: Kind) -> Path:
    """The folder that holds the adapters of a kind."""
    spec = find_spec(ROOMS[kind])
    if spec is None or not spec.submodule_search_locations:
        raise BenchError(f"the package {ROOMS[kind]} is not installed; run: pip install -e .")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


@cache
def _plugins(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ROOMS[kind])}


def plugin_packages() -> set[str]:
    """The top-level packages of the adapters that come by entry point."""
    return {point.value.partition(":")[0].partition(".")[0] for kind in ROOMS for point in _plugins(kind).values()}


def names(kind: Kind) -> list[str]:
    """Every adapter's name, sorted, without importing any.

    Raises:
        BenchError: two adapters claim one name.
    """
    own = {path.stem.replace("_", "-") for path in room_folder(kind).glob("[!_]*.py")}
    for name in own & _plugins(kind).keys():
        raise BenchError(
            f"two {LABELS[kind]}s are named {name!r}: {room_folder(kind) / file_name(name)}.py and the entry point "
            f"{_plugins(kind)[name].value!r}; rename one"
        )
    return sorted(own | _plugins(kind).keys())


def source_file(kind: Kind, name: str) -> Path | None:
    """The file of an adapter of ours, or None for one that comes by entry point."""
    path = room_folder(kind) / f"{file_name(name)}.py"
    return path if path.is_file() else None


def plugin_file(kind: Kind, name: str) -> Path | None:
    """The file of another package's adapter, found without importing it, or None."""
    if name not in _plugins(kind):
        return None
    package, *inner = _plugins(kind)[name].module.split(".")
    spec = find_spec(package)
    if spec is None or not inner:
        return Path(spec.origin) if spec and spec.origin else None
    stems = [Path(folder, *inner) for folder in spec.submodule_search_locations or ()]
    files = (file for stem in stems for file in (stem.with_suffix(".py"), stem / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def plugin_version(kind: Kind, name: str) -> str:
    """`package version` of the package that brings this adapter by entry point, or an empty text."""
    point = _plugins(kind).get(name)
    return f"{point.dist.name} {point.dist.version}" if point and point.dist else ""


def _load(kind: Kind, name: str) -> type:
    if name not in names(kind):
        raise unknown(LABELS[kind], name, names(kind))
    if point := _plugins(kind).get(name):
        found = point.load()
    else:
        module = import_module(f"{ROOMS[kind]}.{file_name(name)}")
        classes = [value for value in vars(module).values() if isinstance(value, type)]
        found = next((c for c in classes if c.__module__ == module.__name__ and vars(c).get("name") == name), None)
    if found is None or getattr(found, "name", None) != name:
        raise BenchError(f"{LABELS[kind]} {name!r}: its file holds no class with `name = {name!r}`")
    return found


def load_method(name: str) -> "type[Method]":
    """The method adapter of this name. Raises InputError with the legal names if there is none."""
    return _load("method", name)


def load_dataset(name: str) -> "type[Dataset]":
    """The data set adapter of this name. Raises InputError with the legal names if there is none."""
    return _load("dataset", name)


def is_adapters(file: str | None) -> bool:
    """Whether a source file belongs to an adapter: ours, or of another package's entry point."""
    if not file or file.startswith("<"):
        return False
    folders = {room_folder(kind) for kind in ROOMS}
    for name in plugin_packages():
        spec = find_spec(name)
        folders |= {Path(folder).resolve() for folder in (spec and spec.submodule_search_locations) or ()}
        folders |= {Path(spec.origin).resolve()} if spec and spec.origin else set()
    path = Path(file).resolve()
    return any(folder in (path, *path.parents) for folder in folders)


def blamed(error: BaseException, about: str = "") -> BenchError | None:
    """One line for an error that an adapter raised, from its deepest frame there; None for any other error.

    A `SystemExit`, with which an adapter would end the program without a message, is an error too. `about` is the cell
    and settings that it concerns, if known.
    """
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__) if is_adapters(f.filename)]
    if isinstance(error, SyntaxError) and is_adapters(error.filename):
        frames.append((error.filename or "", error.lineno))
    if not frames:
        return None
    reason = next(iter(str(error).splitlines()), "")
    what = f"asks to exit ({error.code})" if isinstance(error, SystemExit) else f"{type(error).__name__}: {reason}"
    return BenchError(f"{place(*frames[-1])}: {what}{about and f' ({about})'}; bench --debug shows the traceback")


def thread_of_adapter(ident: int | None) -> str | None:
    """Where an adapter's thread is: its deepest line in an adapter's file, or None if it is in none."""
    frame = sys._current_frames().get(ident or 0)
    while frame:
        if is_adapters(frame.f_code.co_filename):
            return place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
