"""Compressed tar archives, whose members cannot be read at random: decompressed once into a hidden file beside them."""

import bz2
import gzip
import lzma
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import open_regular

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"  # Python has read it only since 3.14
_SAME_TIME = 2_000_000_000  # ns: the coarsest file times in use, FAT's
_BLOCK = 1 << 22


def plain_tar(path: Path) -> Path:
    """The archive itself, or, of one compressed by gzip, bzip2 or xz, `.<name>.tar` beside it, made on first use.

    The plain file gets the time of the compressed one, which tells whether it is still of the same archive.

    Raises:
        InputError: compressed by zstd, or nothing can be written beside it.
        BenchError: cut off or damaged.
    """
    with open_regular(path) as file:
        start = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    by_hand = "unpack it yourself, and give the folder"
    if start.startswith(_ZSTD):
        raise InputError(f"{path} is compressed by zstd and cannot be read at random: {by_hand}")
    if opener is None:
        return path
    plain, time = path.with_name(f".{path.name}.tar"), path.stat().st_mtime_ns
    if plain.is_file() and abs(plain.stat().st_mtime_ns - time) < _SAME_TIME:
        return plain
    print(f"{path.name} is compressed: decompressing it once, to {plain}", file=sys.stderr)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=plain.name, suffix=".part", delete=False) as part:
            try:
                with opener(path) as packed:
                    shutil.copyfileobj(packed, part, _BLOCK)
                part.close()
                os.utime(part.name, ns=(time, time))
                Path(part.name).replace(plain)
            finally:
                Path(part.name).unlink(missing_ok=True)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BenchError(f"{path} is cut off or damaged ({' '.join(str(error).split())}): fetch it again") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be decompressed beside itself ({error.strerror or error}): {by_hand}"
        ) from None
    return plain
