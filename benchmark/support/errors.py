"""Errors that a user can act on: one line each, no traceback (`bench --debug` shows it)."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

VALUE_SHOWN = 80  # Characters of a wrong value that a message repeats.


class BenchError(Exception):
    """An error that is no bug of this program. Its message is one line: the fault, and what to do. Exit code 1."""

    exit_code = 1

    def __str__(self) -> str:
        """The message as one line that any terminal shows, whatever a name or value in it holds."""
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in super().__str__())


class InputError(BenchError):
    """What the user typed or wrote in a file is not legal. Exit code 2."""

    exit_code = 2


class Diverged(BenchError):
    """A training whose losses or weights are no longer finite: an outcome of its settings."""


def unknown(kind: str, value: str, legal: Iterable[str]) -> InputError:
    """An `InputError` that names the bad value, the nearest legal one and all legal ones.

    `kind` is what the value should have named, in the singular: "method", "metric", "key of params.yaml".
    """
    names = sorted(legal)
    near = get_close_matches(value[:VALUE_SHOWN], names, n=1)  # The search time grows with the square of the length.
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return InputError(f"unknown {kind} {value[:VALUE_SHOWN]!r}{hint}; legal: {', '.join(names) or 'none'}")


def first_fault(error: "ValidationError", value: bool = False) -> str:
    """The first thing that pydantic found wrong, on one line: `training.steps: Input should be greater than 0`.

    `value` repeats the wrong value, shortened: a file's may be hundreds of numbers.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:VALUE_SHOWN] for part in first["loc"] if part != "[key]") or "the whole"
    told = f"{place}: {first['msg'].removeprefix('Value error, ')}"
    if not value:
        return told
    given = repr(first["input"])
    return f"{told}, got {given if len(given) <= VALUE_SHOWN else f'{given[:VALUE_SHOWN]}…'}"
