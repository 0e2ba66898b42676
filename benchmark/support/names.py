"""One rule for every name that becomes part of a path, a command or a table."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from benchmark.support.errors import InputError

MAX_LENGTH = 64
MAX_SEED = 2**32 - 1  # The largest seed that every generator in use takes.
RULE = f"1 to {MAX_LENGTH} of the letters a–z and A–Z, digits, dot, hyphen and underscore, the first a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_name(text: str) -> bool:
    """Whether a text may name an entry, a preset or an external row."""
    return len(text) <= MAX_LENGTH and _NAME.fullmatch(text) is not None


def check_name(kind: str, text: str) -> str:
    """Returns a legal name; raises an InputError that says what is legal. `kind` says what is named: "--name"."""
    if not is_name(text):
        raise InputError(f"{kind} {text[:80]!r} is not a legal name; legal: {RULE}")
    return text


def seed_of(text: str) -> int:
    """Returns the seed that a text means; raises InputError unless it is a whole number from 0 to MAX_SEED."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_SEED)) and int(text) <= MAX_SEED):
        raise InputError(f"--seed {text[:80]!r}: not a whole number from 0 to {MAX_SEED}; a list reads 0,1,2")
    return int(text)


def _checked(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"not a legal name; legal: {RULE}")
    return text


Name = Annotated[str, AfterValidator(_checked)]
Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
