"""Checks that the functions of an adapter return what the contract says."""

from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from types import CodeType
from typing import TypeVar

from benchmark.support.errors import BenchError

Value = TypeVar("Value")


def place(file: str, line: int | None) -> str:
    """`methods/mine.py:12`, for messages."""
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line}"


def returned(value: Value, kind: type, function: Callable[..., object]) -> Value:
    """Returns the value that an adapter's function returned, after checking its type.

    Raises:
        BenchError: the value has another type than the contract says; names the function and its line.
    """
    if not isinstance(value, kind):
        code: CodeType = unwrap(function).__code__
        name = getattr(function, "__qualname__", code.co_name)
        raise BenchError(
            f"{place(code.co_filename, code.co_firstlineno)}: {name} returned {type(value).__name__}, not "
            f"{kind.__name__}; CONTRIBUTING.md shows the contract"
        )
    return value
