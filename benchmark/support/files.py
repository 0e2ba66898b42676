"""Files that are whole or not there."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from benchmark.support.errors import BenchError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file or nothing: under a temporary name beside it, flushed to the disk, then renamed.

    Raises:
        BenchError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # a parent that is a file, say: then there is nothing to remove
            part.unlink()
        raise BenchError(f"cannot write {path}: {error.strerror}; what was there before is kept") from None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
