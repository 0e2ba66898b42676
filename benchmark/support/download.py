"""Downloads over HTTP that resume after a break, stop at the expected size, and name a file only when it is whole.

The package pooch is not used: it cannot resume a download, and it reads without bound what a server sends.
"""

import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TaskID

from benchmark.support.errors import BenchError, InputError, unknown
from benchmark.support.files import file_sha256

TIMEOUT = 30.0  # Seconds without a byte.
ATTEMPTS = 5  # Attempts in a row without progress.
_PAUSE = 0.5  # seconds before the second attempt, doubled each time
_BLOCK = 1 << 18
_CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True)
class Remote:
    """A file on the web, as the source publishes it."""

    url: str
    file: str  # its name on this machine
    size: int  # bytes
    sha256: str
    by_hand: str | None = None  # a page where a person can get it, where the host often refuses programs
    alternative: bool = False  # another edition of a file before it: fetched only by its name

    def fetch(self, folder: Path, mirror: str | None = None) -> Path:
        """Downloads into `folder`; see `download`. A mirror that lacks the official path is asked for the bare name."""
        target = folder / self.file
        try:
            try:
                return download(self.url, target, self.size, self.sha256, mirror)
            except NotFoundError:
                if mirror is None:
                    raise
                return download(f"https://host/{self.file}", target, self.size, self.sha256, mirror)
        except InputError:
            raise
        except BenchError as error:
            hint = f"; or get it by hand from {self.by_hand} and put it at {target}" if self.by_hand else ""
            raise BenchError(f"{error}{hint}") from None


class NotFoundError(BenchError):
    """The server has no such file."""


def choose(remotes: Sequence[Remote], names: Sequence[str]) -> list[Remote]:
    """Returns the files with these names; without names, all but those that are alternatives.

    Raises:
        InputError: an unknown name.
    """
    known = [remote.file for remote in remotes]
    for name in names:
        if name not in known:
            raise unknown("file", name, known)
    return [remote for remote in remotes if (remote.file in names if names else not remote.alternative)]


def download(url: str, target: Path, size: int, sha256: str, mirror: str | None = None) -> Path:
    """Downloads a file to `target`, unless it is there and its checksum is right.

    The bytes go to `<target>.part`. A connection that breaks is taken up again where it broke, at once and by later
    calls; `target` appears only when its checksum was right. A file under the final name that is shorter than it should
    be is taken for another program's half of the download.

    Args:
        url: http, https or file.
        target: the path of the file; missing folders are created.
        size: bytes; more are not read.
        sha256: the hash in hex, or as much of its beginning as the publisher tells.
        mirror: a `http://host/prefix` that replaces the URL's scheme and host.

    Returns:
        `target`.

    Raises:
        InputError: the mirror is no URL.
        BenchError: in one line: no connection, refused by the server, no room, wrong size or checksum.
    """
    url = _at_mirror(url, mirror) if mirror else url
    part = target.with_name(target.name + ".part")
    try:
        if target.is_file():
            if is_intact(target, sha256, size):
                return target
            if target.stat().st_size >= size or part.exists():
                raise BenchError(
                    f"{target} is there, but is not the published file: it has {target.stat().st_size:,} bytes, sha256 "
                    f"{file_sha256(target)}; move it away, or use it with --root"
                )
            target.rename(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True)
        columns = (*Progress.get_default_columns(), DownloadColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            _fetch_all(url, part, size, bar, bar.add_task(target.name, total=size))
        if not (found := file_sha256(part)).startswith(sha256):
            part.unlink()
            raise BenchError(f"{url}: wrong checksum, removed: expected sha256 {sha256}; got {found}")
        part.replace(target)
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror or error}") from None
    return target


def is_intact(path: Path, sha256: str, size: int) -> bool:
    """Whether a file has this size and this SHA-256, of which the beginning is enough."""
    return path.stat().st_size == size and file_sha256(path).startswith(sha256)


def _at_mirror(url: str, mirror: str) -> str:
    there, here = urlsplit(url), urlsplit(mirror)
    if here.scheme not in ("http", "https", "file") or not (here.netloc or here.scheme == "file"):
        raise InputError(f"--mirror {mirror!r} is no URL; expected something like https://host/prefix")
    return urlunsplit((here.scheme, here.netloc, here.path.rstrip("/") + there.path, there.query, ""))


def _fetch_all(url: str, part: Path, size: int, bar: Progress, task: TaskID) -> None:
    """Fills `part` over several connections, as long as each of them brings bytes."""
    failures = 0
    while (before := _size(part)) < size:
        reason = "the connection was cut"
        try:
            _fetch_some(url, part, size, bar, task)
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code != 429:
                raise (NotFoundError if error.code in (404, 410) else BenchError)(f"{url}: {reason}") from None
        except _CUT as error:
            reason = str(getattr(error, "reason", "") or error) or type(error).__name__
        have = _size(part)
        failures = 0 if have > before else failures + 1
        if have < size and failures >= ATTEMPTS:
            kept = f"; {have:,} bytes are kept, the same command goes on from there" if have else ""
            raise BenchError(f"cannot download {url}: {' '.join(reason.split())}{kept}")
        if failures:
            time.sleep(_PAUSE * 2 ** (failures - 1))


def _fetch_some(url: str, part: Path, size: int, bar: Progress, task: TaskID) -> None:
    """Downloads over one connection what is missing, or all where the server cannot send a part."""
    have = _size(part)
    headers = {"User-Agent": "colorbench", "Accept-Encoding": "identity"} | (
        {"Range": f"bytes={have}-"} if have else {}
    )
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        have = have if getattr(response, "status", None) == 206 else 0
        offered = have + int(response.headers.get("Content-Length") or size - have)
        if offered != size:
            page = ", a web page" if response.headers.get("Content-Type", "").startswith("text/html") else ""
            raise BenchError(f"{url}: the server offers {offered:,} bytes{page}, expected {size:,}")
        free = shutil.disk_usage(part.parent).free
        if size - have > free:
            raise BenchError(f"no room for {url}: {size - have:,} bytes to come, {free:,} free in {part.parent}")
        with part.open("ab" if have else "wb") as file:
            while block := response.read(_BLOCK):
                have += len(block)
                if have > size:
                    part.unlink()
                    raise BenchError(f"{url}: the server sends more than the {size:,} bytes expected; cut off, removed")
                file.write(block)
                bar.update(task, completed=have)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
