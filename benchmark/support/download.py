"""Downloads over HTTP that resume after a break, verify a checksum, and name the file only when it is whole.

The dependency pooch is not used here: it cannot resume a download, and it reads without bound what a server sends.
"""

import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from benchmark.support.errors import BenchError, InputError, unknown
from benchmark.support.files import file_sha256

if TYPE_CHECKING:
    from rich.progress import Progress

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
    size: int | None = None  # bytes
    sha256: str | None = None
    by_hand: str | None = None  # a page where a person can get it, where the host often refuses programs
    alternative: bool = False  # another edition of a file before it: fetched only by its name

    def fetch(self, folder: Path, mirror: str | None = None) -> Path:
        """Downloads into `folder`; see `download`. A mirror that lacks the official path is asked for the bare name."""
        target = folder / self.file
        get = partial(download, target=target, sha256=self.sha256, size=self.size, mirror=mirror)
        try:
            try:
                return get(self.url)
            except NotFoundError:
                if mirror is None:
                    raise
                return get(f"https://host/{self.file}")
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


def download(
    url: str, target: Path, *, sha256: str | None = None, size: int | None = None, mirror: str | None = None
) -> Path:
    """Downloads a file to `target`, unless it is there and its checksum is right.

    The bytes go to `<target>.part`. A connection that breaks is taken up again where it broke, at once and by later
    calls, if the server still has the same file (by ETag or date, else by the checksum at the end). `target` appears
    only after size and checksum were right. A file under the final name that is shorter than it should be is taken for
    another program's half of the download.

    Args:
        url: http, https or file.
        target: the path of the file; missing folders are created.
        sha256: the expected hash, in hex.
        size: the expected size, bytes.
        mirror: a `http://host/prefix` that replaces the URL's scheme and host.

    Returns:
        `target`.

    Raises:
        InputError: the mirror is no URL.
        BenchError: in one line: no connection, refused by the server, no room, wrong size or checksum.
    """
    url = _at_mirror(url, mirror) if mirror else url
    if target.is_file() and is_intact(target, sha256, size):
        return target
    part = target.with_name(target.name + ".part")
    try:
        if target.is_file():
            _adopt(target, part, url, size if sha256 else None)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _progress() as progress:
            bar = partial(progress.update, progress.add_task(target.name, total=size))
            _fetch_all(url, part, size, sha256 is not None, bar)
        if not is_intact(part, sha256, size):
            wanted = ", ".join(([f"{size:,} bytes"] if size else []) + ([f"sha256 {sha256}"] if sha256 else []))
            got = f"{part.stat().st_size:,} bytes, sha256 {file_sha256(part)}"
            _remove(part)
            raise BenchError(f"{url}: wrong checksum, removed: expected {wanted}; got {got}")
        part.replace(target)
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror or error}") from None
    _validator_file(part).unlink(missing_ok=True)
    return target


def _adopt(target: Path, part: Path, url: str, size: int | None) -> None:
    """Continues the half-finished file of another program under the final name; leaves any other file unchanged."""
    if size is None or target.stat().st_size >= size or part.exists():
        raise BenchError(
            f"{target} is there, but is not the published file: it has {target.stat().st_size:,} bytes, sha256 "
            f"{file_sha256(target)}; move it away, or use it with --root"
        )
    target.rename(part)
    _validator_file(part).write_text(json.dumps({"url": url, "validator": ""}))


def is_intact(path: Path, sha256: str | None, size: int | None) -> bool:
    """Whether a file has the SHA-256 and the size that are given; None is not checked."""
    return (size is None or path.stat().st_size == size) and (sha256 is None or file_sha256(path) == sha256)


def _at_mirror(url: str, mirror: str) -> str:
    there, here = urlsplit(url), urlsplit(mirror)
    if here.scheme not in ("http", "https", "file") or not (here.netloc or here.scheme == "file"):
        raise InputError(f"--mirror {mirror!r} is no URL; expected something like https://host/prefix")
    return urlunsplit((here.scheme, here.netloc, here.path.rstrip("/") + there.path, there.query, ""))


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    text = TextColumn("{task.description}")
    columns = (text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _fetch_all(url: str, part: Path, size: int | None, checked: bool, bar: Callable[..., None]) -> None:
    """Fills `part` over several connections, as long as each of them brings bytes."""
    failures = 0
    while True:
        before = _size(part)
        try:
            if _fetch_some(url, part, size, checked, bar):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                kind = NotFoundError if error.code in (404, 410) else BenchError
                raise kind(f"{url}: the server answers {error.code} {error.reason}") from None
            reason = f"the server answers {error.code} {error.reason}"
        except _CUT as error:
            reason = str(getattr(error, "reason", "") or error) or type(error).__name__
        have = _size(part)
        failures = 0 if have > before else failures + 1
        if failures >= ATTEMPTS:
            kept = f"; {have:,} bytes are kept, the same command goes on from there" if have else ""
            raise BenchError(f"cannot download {url}: {' '.join(reason.split())}{kept}")
        if failures:
            time.sleep(_PAUSE * 2 ** (failures - 1))


def _fetch_some(url: str, part: Path, size: int | None, checked: bool, bar: Callable[..., None]) -> bool:
    """Downloads over one connection. Returns whether the file is whole now."""
    have = _size(part)
    validator = _read_validator(part, url)
    if validator is None or not (validator or checked):  # The part could belong to another version of the file.
        have = 0
    if have and have == size:
        return True
    request = urllib.request.Request(url, headers={"User-Agent": "colorbench", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    if have and validator:
        request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # The range starts past the end: the part is whole, or of another file.
            raise
        part.unlink()
        return False
    with response:
        resumed = getattr(response, "status", None) == 206
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else size
        _refuse_early(url, response.headers.get("Content-Type", ""), total, size, part)
        _write_validator(part, url, response.headers)
        bar(total=total, completed=have)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                have += len(block)
                if size is not None and have > size:
                    _remove(part)
                    raise BenchError(f"{url}: the server sends more than the {size:,} bytes expected; cut off, removed")
                file.write(block)
                bar(advance=len(block))
    return total is None or have >= total


def _refuse_early(url: str, content: str, total: int | None, size: int | None, part: Path) -> None:
    """Stops before the first byte where the answer cannot be the file, or cannot be stored."""
    if size is not None and total is not None and total != size:
        page = ", a web page" if content.startswith("text/html") else ""
        raise BenchError(f"{url}: the server offers {total:,} bytes{page}, expected {size:,}")
    if size is None and content.startswith("text/html") and not url.endswith((".html", ".htm", "/")):
        raise BenchError(f"{url}: the server answers with a web page instead of the file (a quota, or a log-in)")
    free = shutil.disk_usage(part.parent).free
    missing = (total or 0) - _size(part)
    if missing > free:
        raise BenchError(f"no room for {url}: {missing:,} bytes to come, {free:,} free in {part.parent}")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _remove(part: Path) -> None:
    part.unlink()
    _validator_file(part).unlink(missing_ok=True)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _write_validator(part: Path, url: str, headers: Any) -> None:
    """Remembers which version of the file the part is of. Weak ETags cannot vouch for byte ranges (RFC 9110, 8.8.1)."""
    etag = headers.get("ETag") or ""
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
    _validator_file(part).write_text(json.dumps({"url": url, "validator": validator}))


def _read_validator(part: Path, url: str) -> str | None:
    """Returns the validator of the part's version: "" where the server gave none, None for another URL."""
    try:
        noted = json.loads(_validator_file(part).read_text())
    except (OSError, ValueError):
        return None
    return noted.get("validator") if noted.get("url") == url else None
