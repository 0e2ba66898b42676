"""Safe files: written whole or not at all, opened only if regular, and verified by SHA-256."""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.support.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_REGULAR = "no regular file, but a pipe, device, socket or folder"
_SETTLED_NS = 50_000_000  # Within this time a file can change again under the same time stamp.


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
        with suppress(OSError):  # If the parent is a file, for example, there is nothing to remove.
            part.unlink()
        raise BenchError(f"cannot write {path}: {error.strerror}; what was there before is kept") from None


def update_files(contents: Mapping[Path, str | None], check: bool = False) -> list[Path]:
    """Writes the files that differ from the given contents (with `check`, writes none); returns those that differ.

    None stands for a file that is not to be there.
    """
    wanted = {path: None if text is None else text.encode() for path, text in contents.items()}
    stale = [path for path, content in wanted.items() if (path.read_bytes() if path.is_file() else None) != content]
    for path in [] if check else stale:
        if (content := wanted[path]) is None:
            path.unlink()
        else:
            write_atomically(path, content)
    return stale


def open_regular(path: Path | str) -> BufferedReader:
    """Opens a regular file for reading. A pipe, a device or a socket could block for ever, so each is refused.

    Raises:
        OSError: the file cannot be opened or is not regular; `strerror` says why.
    """

    def opener(name: str, flags: int) -> int:
        if not stat.S_ISREG(os.stat(name).st_mode):  # noqa: PTH116 - opening a device can already have an effect
            raise OSError(errno.EINVAL, NOT_REGULAR, name)
        return os.open(name, flags | os.O_NONBLOCK)  # should a pipe take the name in between, this does not wait

    return open(path, "rb", opener=opener)


def load_array(path: Path, *, mapped: bool = False) -> "NDArray[Any]":
    """The array in a .npy file, read or mapped read-only. Nothing in the file is executed.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it holds no whole array. (numpy itself raises EOFError for an empty file, which click takes for
            Ctrl-C, and whatever the bytes make it for others.)
    """
    import numpy as np

    with open_regular(path) as file:
        if (start := file.read(6)) != b"\x93NUMPY":
            raise ValueError("not a .npy file" if start else "the file is empty")
        file.seek(0)
        try:
            array: NDArray[Any] = np.load(path if mapped else file, mmap_mode="r" if mapped else None)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    return array


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path, notes: Path, offset: int = 0, *, again: bool = False) -> str:
    """SHA-256 of a file's bytes from `offset` on; the file is read only if it was touched since, or `again`.

    `notes` is a JSON file that holds each file's hash by name, with inode, size and times. Where notes cannot be read
    or written, the file is read. OSError: it cannot be read.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        stamp = [offset, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        known = _read_notes(notes)
        match known.get(path.name):
            case [str(sha256), *rest] if rest == stamp and not again:
                return sha256
        settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS
        file.seek(offset)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if settled:
        with suppress(BenchError):  # The folder may be read-only.
            write_atomically(notes, json.dumps({**known, path.name: [sha256, *stamp]}).encode())
    return sha256


def _read_notes(notes: Path) -> dict[str, Any]:
    try:
        known = json.loads(notes.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
