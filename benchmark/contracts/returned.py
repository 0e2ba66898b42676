"""What an adapter's functions return, held against the contract, and whose fault an error is.

What comes out of an adapter is told in one line with the adapter's file and line.
"""

import sys
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from inspect import unwrap
from pathlib import Path
from types import CodeType
from typing import TypeVar

from benchmark.contracts.registry import ROOMS, plugin_packages, room_folder
from benchmark.support.errors import BenchError

Value = TypeVar("Value")


def place(file: str, line: int | None) -> str:
    """`methods/mine.py:12`, for messages."""
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line}"


def returned(value: Value, kind: type, function: Callable[..., object]) -> Value:
    """What a function of an adapter returned.

    Raises:
        BenchError: it is not of the kind that the contract says; names the function and its line.
    """
    if not isinstance(value, kind):
        code: CodeType = unwrap(function).__code__
        name = getattr(function, "__qualname__", code.co_name)
        raise BenchError(
            f"{place(code.co_filename, code.co_firstlineno)}: {name} returned {type(value).__name__}, not "
            f"{kind.__name__}; CONTRIBUTING.md shows the contract"
        )
    return value


def is_adapters(file: str | None) -> bool:
    """Whether a source file belongs to an adapter: ours, or of another package's entry point."""
    if not file or file.startswith("<"):
        return False
    folders = {room_folder(kind) for kind in ROOMS}
    for name in plugin_packages():
        spec = find_spec(name)
        folders |= {Path(place).resolve() for place in (spec and spec.submodule_search_locations) or ()}
        folders |= {Path(spec.origin).resolve()} if spec and spec.origin else set()
    path = Path(file).resolve()
    return any(folder in (path, *path.parents) for folder in folders)


def blamed(error: BaseException, about: str = "") -> BenchError | None:
    """One line for an error that an adapter raised, from its deepest frame there; None for any other error.

    Args:
        error: also `SystemExit`: an adapter that ends the program would leave no result and no word.
        about: of which cell and settings, if known.
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
