"""How far a preparation has come: a line for each finished chunk, so that a run that was killed goes on from there."""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.dataset import Item, signature_of
from benchmark.data.preparation.arrays import checksum
from benchmark.data.preparation.decoding import Decoded
from benchmark.support.files import write_atomically


class Entry(NamedTuple):
    """A line of the journal: a finished chunk."""

    split: str
    signature: str  # of its items: what it was made from
    kept: int  # images written
    checksum: int  # CRC-32 of them: a machine that lost power may have written the journal, and zeros for images
    gray: list[str]  # ids of grayscale photographs, which were left out
    corrupt: dict[str, str]  # id → why it could not be read
    profiles: dict[str, str]  # id of an image that was written → what became of its color profile

    @classmethod
    def of(cls, split: str, chunk: Sequence[Item], decoded: Decoded, gray: NDArray[np.bool_]) -> "Entry":
        """The line for a chunk; `gray` says of each decoded image whether it is left out as a grayscale photograph."""
        ids = [item.id for item in chunk]
        readable = [identity for place, identity in enumerate(ids) if place not in decoded.corrupt]
        left_out = [identity for identity, is_gray in zip(readable, gray, strict=True) if is_gray]
        return cls(
            split=split,
            signature=signature_of(chunk),
            kept=len(readable) - len(left_out),
            checksum=zlib.crc32(np.ascontiguousarray(decoded.images[~gray]).data),
            gray=left_out,
            corrupt={ids[place]: reason for place, reason in decoded.corrupt.items()},
            profiles={ids[place]: note for place, note in decoded.profiles.items() if ids[place] not in left_out},
        )


class Journal:
    """The finished chunks of a preparation: a line with the settings, then one JSON line for each chunk."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Reads what an earlier run left; of one under other settings, nothing."""
        self.path, self.settings = path, settings
        lines = list(_json_lines(path))
        self.resumes = bool(lines) and lines[0] == settings
        self._entries = [Entry(*line) for line in lines[1:]] if self.resumes else []

    def __enter__(self) -> "Journal":
        content = "".join(json.dumps(line) + "\n" for line in (self.settings, *self._entries))
        write_atomically(self.path, content.encode())
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def finished(self, split: str, chunks: Sequence[Sequence[Item]], path: Path, size: int) -> list[Entry]:
        """The entries of the first chunks that need not be made again; the others are not written down again.

        Args:
            split: which.
            chunks: its items, in chunks.
            path: of the array's file.
            size: S of its images.
        """
        entries = [entry for entry in self._entries if entry.split == split]
        good, start = [], 0
        for entry, chunk in zip(entries, chunks, strict=False):
            written = checksum(path, size, start, entry.kept)
            if written != entry.checksum or entry.signature != signature_of(chunk):
                break
            start += entry.kept
            good.append(entry)
        self._entries = [entry for entry in self._entries if entry.split != split] + good
        return good

    def add(self, entry: Entry) -> None:
        """Notes a chunk whose images are in the array's file."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _json_lines(path: Path) -> Iterator[Any]:
    """The lines of a journal up to the first that is not whole."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
