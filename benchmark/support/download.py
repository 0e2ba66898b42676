"""Downloads over HTTP: resumed where they were cut, checked by checksum, in place only when whole.

pooch, on which we depend anyway, takes up no broken download and reads whatever a server sends, so it is not used.
"""

import hashlib
import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from benchmark.support.errors import BenchError, InputError, unknown
from benchmark.support.files import open_regular

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # in a row without progress
_PAUSE = 0.5  # seconds before the second attempt, doubled each time
_BLOCK = 1 << 18
_CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True)
class Remote:
    """A file on the web, as the source publishes it."""

    url: str
    file: str  # its name on this machine
    size: int | None = None  # bytes
    md5: str | None = None
    sha256: str | None = None
    by_hand: str | None = None  # a page where a person can get it, where the host often refuses programs

    def fetch(self, folder: Path, mirror: str | None = None) -> Path:
        """Downloads into `folder`; see `download`. A mirror that lacks the official path is asked for the bare name."""
        target = folder / self.file
        try:
            try:
                return self._download(self.url, target, mirror)
            except NotFoundError:
                if mirror is None:
                    raise
                return self._download(f"https://host/{self.file}", target, mirror)
        except InputError:
            raise
        except BenchError as error:
            hint = f"; or get it by hand from {self.by_hand} and put it at {target}" if self.by_hand else ""
            raise BenchError(f"{error}{hint}") from None

    def _download(self, url: str, target: Path, mirror: str | None) -> Path:
        expected = {"sha256": self.sha256, "md5": self.md5}
        return download(url, target, **expected, size=self.size, label=self.file, mirror=mirror)


class NotFoundError(BenchError):
    """The server has no such file."""


def choose(remotes: Sequence[Remote], names: Sequence[str]) -> list[Remote]:
    """The files of these names, all if there are none.

    Raises:
        InputError: an unknown name.
    """
    known = [remote.file for remote in remotes]
    for name in names:
        if name not in known:
            raise unknown("file", name, known)
    return [remote for remote in remotes if not names or remote.file in names]


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    label: str | None = None,
    mirror: str | None = None,
) -> Path:
    """Downloads a file to `target`, unless it is there and its checksum is right.

    The bytes go to `<target>.part`. A connection that breaks is taken up again where it broke, at once and by later
    calls, if the server still has the same file (by ETag or date, else by the checksum at the end). `target` appears
    only after size and checksum were right.

    Args:
        url: http, https or file.
        target: where it shall be; missing folders are made.
        sha256: expected, in hex.
        md5: expected, in hex; asked only where no SHA-256 is known.
        size: expected, bytes.
        label: what the progress bar says.
        mirror: `http://host/prefix` to take the place of the URL's scheme and host.

    A file under the final name that is shorter than it should be is taken for another program's half of the download.

    Returns:
        `target`.

    Raises:
        InputError: the mirror is no URL.
        BenchError: in one line: no connection, refused by the server, no room, wrong size or checksum.
    """
    url = _at_mirror(url, mirror) if mirror else url
    if target.is_file() and is_intact(target, sha256=sha256, md5=md5, size=size):
        return target
    part = target.with_name(target.name + ".part")
    try:
        if target.is_file():
            _adopt(target, part, url, size if sha256 or md5 else None)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _progress() as progress:
            bar = Bar(progress, progress.add_task(label or target.name, total=size))
            _fetch_all(url, part, size, bool(sha256 or md5), bar)
        _check(part, url, sha256=sha256, md5=md5, size=size)
        part.replace(target)
    except OSError as error:
        raise BenchError(f"cannot write {target}: {error.strerror or error}") from None
    _validator_file(part).unlink(missing_ok=True)
    return target


def _adopt(target: Path, part: Path, url: str, size: int | None) -> None:
    """Goes on with what another program left half-finished under the final name; keeps anything else as it is."""
    if size is None or target.stat().st_size >= size or part.exists():
        raise BenchError(
            f"{target} is there, but is not the published file: it has {target.stat().st_size:,} bytes, sha256 "
            f"{file_digest(target)}, md5 {file_digest(target, 'md5')}; move it away, or use it with --root"
        )
    target.rename(part)
    _validator_file(part).write_text(json.dumps({"url": url, "validator": ""}))


def is_intact(path: Path, *, sha256: str | None = None, md5: str | None = None, size: int | None = None) -> bool:
    """Whether a file has the size and the best checksum that are given; what is not given is not asked."""
    if size is not None and path.stat().st_size != size:
        return False
    if sha256 or not md5:
        return sha256 is None or file_digest(path) == sha256
    return file_digest(path, "md5") == md5


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file, in hex."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _at_mirror(url: str, mirror: str) -> str:
    there, here = urlsplit(url), urlsplit(mirror)
    if here.scheme not in ("http", "https", "file") or not (here.netloc or here.scheme == "file"):
        raise InputError(f"--mirror {mirror!r} is no URL; expected something like https://host/prefix")
    return urlunsplit((here.scheme, here.netloc, here.path.rstrip("/") + there.path, there.query, ""))


class Bar(NamedTuple):
    """One line of a progress display."""

    progress: "Progress"
    task: "TaskID"


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _fetch_all(url: str, part: Path, size: int | None, checked: bool, bar: "Bar") -> None:
    """Fills `part`, over as many connections as it takes while each brings something."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
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
        failures = 0 if part.exists() and part.stat().st_size > before else failures + 1
        if failures >= ATTEMPTS:
            have = part.stat().st_size if part.exists() else 0
            kept = f"; {have:,} bytes are kept, the same command goes on from there" if have else ""
            raise BenchError(f"cannot download {url}: {' '.join(reason.split())}{kept}")
        if failures:
            time.sleep(_PAUSE * 2 ** (failures - 1))


def _fetch_some(url: str, part: Path, size: int | None, checked: bool, bar: "Bar") -> bool:
    """One connection. Returns whether the file is whole now."""
    have = part.stat().st_size if part.exists() else 0
    validator = _read_validator(part, url)
    if validator is None or not (validator or checked):  # nothing would tell it from a part of another file
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
        if error.code != 416:  # the range is past the end: what is there is whole, or is no part of this file
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
        bar.progress.update(bar.task, total=total, completed=have)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                have += len(block)
                if size is not None and have > size:
                    _remove(part)
                    raise BenchError(f"{url}: the server sends more than the {size:,} bytes expected; cut off, removed")
                file.write(block)
                bar.progress.advance(bar.task, len(block))
    return total is None or have >= total


def _refuse_early(url: str, content: str, total: int | None, size: int | None, part: Path) -> None:
    """Stops before the first byte where the answer cannot be the file, or cannot be stored."""
    if size is not None and total is not None and total != size:
        page = ", a web page" if content.startswith("text/html") else ""
        raise BenchError(f"{url}: the server offers {total:,} bytes{page}, expected {size:,}")
    if size is None and content.startswith("text/html") and not url.endswith((".html", ".htm", "/")):
        raise BenchError(f"{url}: the server answers with a web page instead of the file (a quota, or a log-in)")
    free = shutil.disk_usage(part.parent).free
    missing = (total or 0) - (part.stat().st_size if part.exists() else 0)
    if missing > free:
        raise BenchError(f"no room for {url}: {missing:,} bytes to come, {free:,} free in {part.parent}")


def _check(part: Path, url: str, **expected: Any) -> None:
    """Removes a finished download that is not what was expected, and says so."""
    if is_intact(part, **expected):
        return
    wanted = ", ".join(f"{name} {value}" for name, value in expected.items() if value is not None)
    got = f"{part.stat().st_size} bytes, sha256 {file_digest(part)}"
    if expected.get("md5"):
        got += f", md5 {file_digest(part, 'md5')}"
    _remove(part)
    raise BenchError(f"{url}: wrong checksum, removed: expected {wanted}; got {got}")


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
    """What tells the version that the part is of: an empty text where the server gave none, None for another URL."""
    try:
        noted = json.loads(_validator_file(part).read_text())
    except (OSError, ValueError):
        return None
    return noted.get("validator") if noted.get("url") == url else None
