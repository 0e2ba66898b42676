"""Errors that a user can act on: one line each, no traceback (`bench --debug` shows it)."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """Something went wrong that is not a bug of ours. The message is one line: what, and what to do. Exit code 1."""

    exit_code = 1


class InputError(BenchError):
    """What the user typed or wrote in a file is not legal. Exit code 2."""

    exit_code = 2


def unknown(kind: str, value: str, legal: Iterable[str]) -> InputError:
    """An `InputError` that names the bad value, the nearest legal one and all legal ones.

    Args:
        kind: what the value should have named, in the singular: "method", "metric", "key of params.yaml".
        value: what was given.
        legal: every value that would have been accepted.
    """
    names = sorted(legal)
    near = get_close_matches(value, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return InputError(f"unknown {kind} {value!r}{hint}; legal: {', '.join(names) or 'none'}")
