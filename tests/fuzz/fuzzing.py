"""Gives the fuzzers seeds, a budget of seconds, values that programs stumble over, and a watch for hangs.

Environment variables decide: FUZZ_SECONDS for all fuzzers together (60 in the test suite, 3600 in `make fuzz`),
FUZZ_SEED, and FUZZ_CASE to repeat one case alone. Case k of a seed is the same on every machine, but a case of `cli`
may depend on what the commands before it left in the project.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import pytest

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = os.environ.get("FUZZ_SEED", "0")
CASE = os.environ.get("FUZZ_CASE")
SHARES = {"cli": 0.5, "params": 0.1, "archives": 0.1, "images": 0.1, "results": 0.1, "posts": 0.1}
LEAST = 25  # cases that run on any machine, however slow
HANG_SECONDS = 20

TEXTS = (
    *(
        "",
        " ",
        "-",
        "--",
        "-x",
        ".",
        "..",
        "../../../x",
        "/",
        "/dev/null/x",
        "a/b",
        "my method",
        "é",
        "写真",
        "<script>",
    ),
    *("a\nb", "\t", "'", '"', "%s%n", "{x}", "$(id)", "x" * 300, "𝕏", "\u202e", "~", "null", "true", "nan", "1e999"),
    *(
        "gray",
        "l2",
        "sample",
        "tiny",
        "folder:",
        "folder:nowhere",
        "folder:photos",
        "seed0",
        "[1]",
        "{a: 1}",
        "&a [*a]",
    ),
    *(
        "2024-13-45",
        "0b_",
        "!!int a",
        "!!timestamp x",
        "9" * 5000,
        "10**23",
        ",",
        "a,b",
        "=",
        "a=b",
        "#",
        "cgan@sample",
    ),
)
NUMBERS = (-(2**63), -1, 0, 1, 2, 7, 16, 10**5, 2**31, 2**32, 2**63, 2**64, 10**23, 10**400)


def fuzzer(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a fuzzer as slow, and has pytest watch it in a thread, because `watched` uses pytest's signal."""
    return pytest.mark.slow(pytest.mark.timeout(4 * SECONDS + 600, method="thread")(test))


class HangError(AssertionError):
    """A case took longer than HANG_SECONDS."""


def cases(name: str) -> Iterator[tuple[int, random.Random]]:
    """Yields the numbers of cases, each with its own random generator, until the fuzzer's share of time is spent."""
    end, case = time.monotonic() + SHARES[name] * SECONDS, 0
    while CASE is None and (case < LEAST or time.monotonic() < end):
        yield case, random.Random(f"{name}/{SEED}/{case}")
        case += 1
    if CASE is not None:
        yield int(CASE), random.Random(f"{name}/{SEED}/{CASE}")
    print(f"{name}: {case} cases of seed {SEED}")


@contextmanager
def watched(name: str, case: int, told: object) -> Iterator[None]:
    """Fails on a case that hangs, and reports whatever a case raises with the command that repeats it."""

    def hang(number: int, frame: FrameType | None) -> NoReturn:
        raise HangError(f"longer than {HANG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    except BaseException as error:
        error.add_note(f"FUZZ_SEED={SEED} FUZZ_CASE={case}, fuzzer {name}: {ascii(told)[:2000]}")
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refused(error: Exception) -> None:
    """Checks that a refusal is one line that a person can read."""
    text = str(error)
    assert text.strip()
    assert "\n" not in text
    assert len(text) < 2000


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _leave_out(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 64)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randrange(1, 256)] * rng.choice((1, 1, 20))


def _insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = rng.choice([*(t.encode() for t in TEXTS), *(str(n).encode() for n in NUMBERS), b"\0\xff\xfe"])


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _flip, _cut, _leave_out, _repeat, _insert)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Returns the bytes, damaged in one to four places."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return bytes(data)
