"""Where encoded images lie: files, members of tar and zip archives. Archives are read in place, never unpacked.

A *source* is small, picklable, and reads its bytes in whichever process asks. Listing an archive checks it whole: a
member with an absolute path or `..`, a link, a name that is there twice, or a cut-off end refuses the archive. Of a
compressed tar a decompressed copy is read (`compressed.py`).
"""

import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.data.preparation.compressed import plain_tar
from benchmark.data.preparation.images import MAX_FILE_BYTES, BadImage, decode
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import NOT_REGULAR, open_regular

_TAR_BLOCK = 512
_ZIP_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # APPNOTE 4.3.7
_TOO_LARGE = f"larger than {MAX_FILE_BYTES >> 20} MiB"
UNPACK = "unpack it yourself, and give the folder"
OUTPUT_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
"""Of images that programs colored. JPEG is scored as it is: it costs its maker."""
_HIDDEN = ("__MACOSX", "@eaDir")  # what macOS and Synology leave in archives and folders


def read_image_file(path: Path | str) -> bytes:
    """The bytes of an image file.

    Raises:
        BadImage, OSError: it is too large, cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise BadImage(_TOO_LARGE)
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded(ABC):
    """An image that is still to be decoded: a file, or a member of an archive."""

    path: str  # of the file or the archive
    member: str = ""
    signature: str  # changes when the bytes may have changed; stays when the whole data set moves

    @property
    def where(self) -> str:
        """For messages."""
        return printable(f"{self.path}:{self.member}" if self.member else self.path)

    @abstractmethod
    def read(self) -> bytes:
        """The bytes of the image file.

        Raises:
            BadImage, OSError: they cannot be read.
        """

    def load(self, size: int) -> NDArray[np.uint8]:
        """The ground truth (size, size, 3) uint8."""
        return decode(self.read(), size)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource(Encoded):
    """A file of its own."""

    def read(self) -> bytes:
        """The bytes of the file."""
        return read_image_file(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarSource(Encoded):
    """A member of an uncompressed tar archive."""

    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes of the member."""
        return read_at(self.path, self.offset, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipSource(Encoded):
    """A member of a zip archive, stored or deflated."""

    header: int  # offset of the local header
    packed: int  # bytes
    size: int  # bytes, unpacked
    method: int
    checksum: int  # CRC-32

    def read(self) -> bytes:
        """The bytes of the member, checked against their CRC-32."""
        if self.size > MAX_FILE_BYTES:
            raise BadImage(_TOO_LARGE)
        fields = _ZIP_LOCAL_HEADER.unpack(read_at(self.path, self.header, _ZIP_LOCAL_HEADER.size))
        if fields[0] != b"PK\3\4":
            raise BadImage("no zip header where the archive's directory says")
        data = read_at(self.path, self.header + _ZIP_LOCAL_HEADER.size + fields[-2] + fields[-1], self.packed)
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise BadImage(f"cannot be unpacked: {error}") from None
        if len(data) != self.size or zlib.crc32(data) != self.checksum:
            raise BadImage("its bytes do not match the archive's checksum")
        return data


class Found(NamedTuple):
    """An image file of a folder or archive."""

    name: str  # relative, with "/", as text
    source: Encoded


def read_at(path: str, offset: int, size: int) -> bytes:
    """Exactly `size` bytes from `offset`.

    Raises:
        BadImage: they are too many, or the file ends before.
    """
    if size > MAX_FILE_BYTES:
        raise BadImage(_TOO_LARGE)
    with open_regular(path) as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise BadImage("the archive ends within this member")
    return data


def printable(name: str) -> str:
    """A file name as legal, one-line UTF-8: bytes that are no UTF-8 and control characters become %XX."""
    if name.isprintable():
        return name
    return "".join(
        f"%{ord(c) & 0xFF:02X}" if 0xDC80 <= ord(c) <= 0xDCFF or ord(c) < 32 or ord(c) == 127 else c for c in name
    )


def is_visible(name: str) -> bool:
    """Whether no part of a relative path is hidden or some system's litter."""
    return not any(part.startswith(".") or part in _HIDDEN for part in name.split("/"))


def list_folder(root: Path, suffixes: Iterable[str]) -> list[Found]:
    """Every file below a folder with one of the suffixes, sorted by name.

    Links are followed, but each folder is listed once, under its own name rather than a link's: a loop ends, and no
    image counts twice.

    Raises:
        BenchError: a folder cannot be read, or holds a pipe, device or socket under an image's name.
    """
    suffixes = frozenset(suffixes)
    found: list[Found] = []
    seen: set[tuple[int, int]] = set()
    folders, linked = deque([(os.fspath(root), "")]), deque[tuple[str, str]]()
    while folders or linked:
        folder, prefix = (folders or linked).popleft()
        try:
            status = Path(folder).stat()
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise BenchError(f"cannot read the folder {printable(folder)}: {error.strerror}") from None
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in filter(lambda entry: is_visible(entry.name), entries):
            if _is_folder(entry):
                (linked if entry.is_symlink() else folders).append((entry.path, f"{prefix}{entry.name}/"))
            elif posixpath.splitext(entry.name)[1].lower() in suffixes:
                found.append(Found(prefix + entry.name, _file_source(entry)))
    return sorted(found, key=lambda found: os.fsencode(found.name))


def images_by_id(folder: Path) -> dict[str, Path]:
    """The images that a program colored, by image id, which is a file's path in the folder without its suffix.

    Raises:
        InputError: no such folder, no image in it, or two files for one image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one with a file for every image, named <image id>.png")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in OUTPUT_SUFFIXES):
        if not is_visible(path.name):
            continue
        image = path.relative_to(folder).with_suffix("").as_posix()
        if image in found:
            raise InputError(f"{folder}: two files for the image {image}: {found[image].name} and {path.name}")
        found[image] = path
    if not found:
        raise InputError(f"{folder} holds no image; name each <image id>.png (or {', '.join(OUTPUT_SUFFIXES[1:])})")
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _file_source(entry: os.DirEntry[str]) -> FileSource:
    """A link that leads nowhere is listed all the same: reading it will name it. What is no file at all is refused."""
    try:
        status = entry.stat()
    except OSError:
        return FileSource(path=entry.path, signature="0.0")
    if not stat.S_ISREG(status.st_mode):
        raise BenchError(f"{printable(entry.path)} is {NOT_REGULAR}: move it away")
    return FileSource(path=entry.path, signature=f"{status.st_size}.{status.st_mtime_ns}")


def list_archive(path: Path, suffixes: Iterable[str]) -> list[Found]:
    """Every member of a tar or zip archive with one of the suffixes, sorted by name.

    Raises:
        InputError: a compressed tar that cannot be decompressed here.
        BenchError: unreadable, cut off, or with members that reach out of it, are no files or share a name.
    """
    suffixes = frozenset(suffixes)
    try:
        open_regular(path).close()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None
    if zipfile.is_zipfile(path):
        found = _list_zip(path)
    elif path.suffix.lower() == ".zip":
        raise BenchError(f"{path} is cut off or no zip archive (its directory at the end is missing): fetch it again")
    else:
        found = _list_tar(plain_tar(path))
    wanted = [f for f in found if posixpath.splitext(f.name)[1].lower() in suffixes and is_visible(f.name)]
    for name, count in Counter(f.name for f in wanted).items():
        if count > 1:
            raise BenchError(f"{path}: refused, it holds {printable(name)!r} more than once: {UNPACK}")
    return sorted(wanted, key=lambda found: os.fsencode(found.name))


def _checked_name(archive: Path, name: str) -> str:
    name = name.replace("\\", "/").removeprefix("./")
    if name.startswith("/") or ".." in name.split("/") or (len(name) > 1 and name[1] == ":"):
        raise BenchError(f"{archive}: refused, its member {printable(name)!r} reaches out of the archive")
    return name


def _list_zip(path: Path) -> list[Found]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except NotImplementedError as error:  # "zip file version 9.9"
        raise BenchError(f"{path}: {error} cannot be read: {UNPACK}") from None
    except Exception as error:  # the module raises whatever the bytes make it: struct.error, OverflowError …
        raise BenchError(f"{path} is a damaged zip archive ({_one_line(error)}): fetch it again") from None
    found = []
    for info in infos:
        name = _checked_name(path, info.filename)
        if info.external_attr >> 16 & 0o170000 == 0o120000:
            raise BenchError(f"{path}: refused, its member {printable(name)!r} is a link")
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BenchError(f"{path}: {printable(name)!r} is encrypted or packed in an unusual way: {UNPACK}")
        source = ZipSource(
            path=os.fspath(path),
            member=name,
            signature=f"{info.file_size}.{info.CRC:08x}",
            header=info.header_offset,
            packed=info.compress_size,
            size=info.file_size,
            method=info.compress_type,
            checksum=info.CRC,
        )
        found.append(Found(name, source))
    return found


def _list_tar(path: Path) -> list[Found]:
    status = path.stat()
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            end = archive.offset
    except Exception as error:  # tarfile.ReadError; of fuzzed headers ValueError, OverflowError and others
        raise BenchError(f"{path} is cut off or no tar archive ({_one_line(error)}): fetch it again") from None
    if members and end + _TAR_BLOCK > status.st_size:  # a whole archive ends with blocks of zeros
        raise BenchError(f"{path} is cut off: {status.st_size:,} bytes, its end mark is missing; fetch it again")
    found = []
    for member in members:
        name = _checked_name(path, member.name)
        if not (member.isfile() or member.isdir()):
            raise BenchError(f"{path}: refused, its member {printable(name)!r} is a link or a device: {UNPACK}")
        if member.isfile():
            offset, size = member.offset_data, member.size
            signature = f"{offset}.{size}.{status.st_mtime_ns}"
            source = TarSource(path=os.fspath(path), member=name, signature=signature, offset=offset, size=size)
            found.append(Found(name, source))
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
