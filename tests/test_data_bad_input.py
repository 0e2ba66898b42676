"""Every kind of file that users have gives the right array, or one line that names the file."""

import os
import resource
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from data_files import (
    SIZE,
    Few,
    arrays,
    count_decoded,
    encoded,
    folder_of,
    gray_picture,
    interrupt_after,
    photographs,
    picture,
    pixels,
    write_files,
    write_tar,
)
from numpy.typing import NDArray
from PIL import Image

from benchmark.contracts.dataset import SPLITS, MissingDataError, Pixels
from benchmark.data.preparation.prepare import prepare
from benchmark.support.errors import BenchError, InputError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_files(tmp_path / "photos", photographs(40))


RED, GREEN, BLUE = (200, 30, 40), (30, 180, 50), (40, 50, 210)


def halves(first: tuple[int, ...], second: tuple[int, ...], mode: str = "RGB", *, upright: bool = True) -> Image.Image:
    """Returns a picture of 32×32 with one color above the other, or left of it."""
    image = Image.new(mode, (32, 32), second)
    image.paste(first, (0, 0, 32, 16) if upright else (0, 0, 16, 32))
    return image


def png16(image: Image.Image) -> bytes:
    """Returns a PNG with 16 bits per channel, which Pillow cannot write for RGB."""
    levels = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    header = struct.pack(">2I5B", image.width, image.height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND")
    )


def png_chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Returns a chunk of a PNG: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def turned() -> bytes:
    """Returns a JPEG that lies on its side and says so in its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer has to turn it by 90° clockwise
    return encoded(
        halves(RED, GREEN).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95, subsampling=0
    )


def panorama() -> Image.Image:
    """Returns a picture of 30,000×20, of which preparation keeps the middle 20×20."""
    image = Image.new("RGB", (30_000, 20), BLUE)
    image.paste(RED, (14_990, 0, 15_010, 10))
    image.paste(GREEN, (14_990, 10, 15_010, 20))
    return image


ODD = {  # each file shows red over green
    "alpha.png": encoded(halves((*RED, 255), (*GREEN, 255), "RGBA"), "PNG"),
    "cmyk.jpg": encoded(halves(RED, GREEN).convert("CMYK"), "JPEG", quality=95),
    "palette.gif": encoded(halves(RED, GREEN).quantize(4), "GIF"),
    "16-bit.png": png16(halves(RED, GREEN)),
    "turned.jpg": turned(),
    "30000x20.png": encoded(panorama(), "PNG"),
}


def test_odd_files_become_what_they_show(tmp_path: Path) -> None:
    dot = encoded(Image.new("RGB", (1, 1), RED), "PNG")
    glass = encoded(halves((*RED, 255), (0, 0, 0, 0), "RGBA"), "PNG")
    write_files(tmp_path / "odd", {**ODD, "1x1.png": dot, "glass.png": glass})
    prepared = prepare(folder_of(tmp_path / "odd"), tmp_path / "out", workers=1, quiet=True)
    found = {
        name: image for split in SPLITS for name, image in zip(prepared.ids(split), prepared.images(split), strict=True)
    }
    expected = {name.partition(".")[0]: (RED, GREEN) for name in ODD} | {"1x1": (RED, RED), "glass": (RED, (255,) * 3)}
    assert set(found) == set(expected)
    for name, (above, below) in expected.items():
        image = found[name].astype(int)
        assert np.abs(image[3, 8] - above).max() <= 12, name
        assert np.abs(image[12, 8] - below).max() <= 12, name


def bomb() -> bytes:
    """Returns a PNG that claims 50,000×50,000 pixels in 100 bytes."""
    header = struct.pack(">2I5B", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.jpg", encoded(picture(6, 64, 64))[:-600], "truncated"),
        ("empty.jpg", b"", "the file is empty"),
        ("text.jpg", b"not a picture", "not an image file of a known format"),
        ("bomb.png", bomb(), "2,500,000,000 pixels: refused as a possible decompression bomb"),
    ],
    ids=["truncated", "empty", "text", "bomb"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_file_among_good_ones_is_named_whoever_reads_it(
    name: str, content: bytes, reason: str, workers: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 16)
    write_files(photos, {name: content})
    with pytest.raises(BenchError, match=rf"{name}.*{reason}.*--skip-corrupt") as caught:
        prepare(folder_of(photos), tmp_path / "out", workers=workers, quiet=True)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_one_corrupt_file_among_thousands(tmp_path: Path) -> None:
    colors = ((255, n % 250, n // 250) for n in range(3000))
    files = {f"{n:04d}.ppm": b"P6 8 8 255\n" + bytes(color) * 64 for n, color in enumerate(colors)}
    folder = write_files(tmp_path / "many", {**files, "1234.ppm": b"P6 8 8 255\n" + bytes(50)})
    with pytest.raises(BenchError, match=r"1234\.ppm.*truncated.*--skip-corrupt"):
        prepare(folder_of(folder, 8), tmp_path / "out", workers=1, quiet=True)
    prepared = prepare(folder_of(folder, 8), tmp_path / "out", workers=1, skip_corrupt=True, quiet=True)
    lost = [prepared.meta.splits[split].left_out.corrupt for split in SPLITS]
    assert [name for of_split in lost for name in of_split] == ["1234"]
    assert sum(len(prepared.ids(split)) for split in SPLITS) == 2999


class Killer(NamedTuple):
    """An image that kills the process which loads it, as a lack of memory does."""

    where: str = "nowhere"
    signature: str = "1"

    def load(self, size: int) -> NDArray[np.uint8]:
        """Kills this process."""
        os._exit(9)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    splits = {"train": [*pixels(3), Killer()], "val": pixels(1, seed=5), "test": pixels(1, seed=6)}
    with pytest.raises(BenchError, match="a worker process was killed, perhaps for want of memory"):
        prepare(Few(splits), tmp_path / "out", workers=2, quiet=True)


def test_a_loop_of_links_is_prepared_once(photos: Path, tmp_path: Path) -> None:
    (photos / "again").symlink_to(photos)
    prepared = prepare(folder_of(photos), tmp_path / "out", workers=1, quiet=True)
    assert sum(len(prepared.ids(split)) for split in SPLITS) == 40


def test_a_corrupt_file_is_named_and_can_be_left_out(photos: Path, tmp_path: Path) -> None:
    bad = photos / "000007.jpg"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(BenchError, match=r"000007\.jpg.*Truncated.*--skip-corrupt") as caught:
        prepare(folder_of(photos), tmp_path / "out", workers=1, quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    prepared = prepare(folder_of(photos), tmp_path / "out", workers=1, skip_corrupt=True, quiet=True)
    recorded = {key: reason for split in SPLITS for key, reason in prepared.meta.splits[split].left_out.corrupt.items()}
    assert list(recorded) == ["000007"]
    assert "Truncated" in recorded["000007"]
    assert sum(prepared.meta.splits[split].images for split in SPLITS) == 39
    assert "1 unreadable" in prepared.summary()
    assert prepared.meta.note == "Unreadable files left out: 1."


def test_a_corrupt_file_left_out_before_is_not_forgotten(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with --skip-corrupt that was interrupted does not hide the file from one without."""
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 4)
    (photos / f"{folder_of(photos).items('train')[0].id}.jpg").write_bytes(b"")
    interrupt_after(20, monkeypatch)
    with pytest.raises(BenchError, match="interrupted"):
        prepare(folder_of(photos), tmp_path / "out", workers=1, skip_corrupt=True, quiet=True)
    with pytest.raises(BenchError, match=r"the file is empty.*--skip-corrupt"):
        prepare(folder_of(photos), tmp_path / "out", workers=1, quiet=True)


@pytest.fixture
def as_nobody(photos: Path, tmp_path: Path) -> Iterator[Path]:
    """Gives a folder that everyone may read, and takes an ordinary user's rights for the length of the test.

    One preparation runs before, so that all code is loaded, because that user may be unable to read the project.
    """
    prepare(folder_of(photos), tmp_path / "before", workers=1, quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        if os.geteuid() != 0:
            yield path
            return
        os.seteuid(65534)
        try:
            yield path
        finally:
            os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named(as_nobody: Path) -> None:
    photos = write_files(as_nobody / "photos", photographs(5))
    (photos / "000003.jpg").chmod(0)
    with pytest.raises(BenchError, match=r"000003\.jpg.*Permission denied"):
        prepare(folder_of(photos), as_nobody / "out", workers=1, quiet=True)


def test_a_folder_that_may_not_be_read_or_written_is_named(as_nobody: Path) -> None:
    photos = write_files(as_nobody / "photos", photographs(5))
    (as_nobody / "readonly").mkdir(mode=0o555)
    with pytest.raises(BenchError, match=r"cannot write.*readonly.*Permission denied"):
        prepare(folder_of(photos), as_nobody / "readonly" / "out", quiet=True)
    photos.chmod(0)
    with pytest.raises(BenchError, match=r"cannot read the folder .*photos: Permission denied"):
        prepare(folder_of(photos), as_nobody / "out", quiet=True)
    photos.chmod(0o777)
    archive = write_tar(as_nobody / "x.tar", photographs(3))
    archive.chmod(0)
    with pytest.raises(BenchError, match=r"cannot read .*x\.tar: Permission denied"):
        prepare(folder_of(archive), as_nobody / "out", quiet=True)
    (photos / "secret").mkdir(mode=0)
    with pytest.raises(BenchError, match=r"cannot read the folder .*secret: Permission denied"):
        prepare(folder_of(photos), as_nobody / "out", quiet=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_loses_nothing(
    workers: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (25 * SIZE**2 * 3, hard))  # the kernel refuses to write beyond
    try:
        with pytest.raises(BenchError, match=r"no room to prepare .*goes on where it stopped"):
            prepare(folder_of(photos), tmp_path / "out", workers=workers, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()
    decoded = count_decoded(monkeypatch)
    resumed = prepare(folder_of(photos), tmp_path / "out", workers=1, quiet=True)
    assert 0 < len(decoded) < 40
    assert arrays(resumed) == arrays(prepare(folder_of(photos), tmp_path / "whole", quiet=True))


def test_a_disk_that_is_too_small_is_known_before_the_first_image(tmp_path: Path) -> None:
    photos = write_files(tmp_path / "photos", photographs(4))
    huge = folder_of(photos)
    huge.config = huge.config.model_copy(update={"image_size": 2_000_000})  # 48 TB
    with pytest.raises(BenchError, match=r"no room to prepare.*bytes are needed"):
        prepare(huge, tmp_path / "out", quiet=True)


def test_duplicate_ids_are_named(photos: Path, tmp_path: Path) -> None:
    (photos / "000007.png").write_bytes(encoded(picture(7), "PNG"))
    with pytest.raises(BenchError, match=r"id '000007': .*000007\.(jpg|png) and .*000007\.(jpg|png)"):
        prepare(folder_of(photos), tmp_path / "out", quiet=True)


def test_names_that_are_no_utf8_are_prepared(photos: Path, tmp_path: Path) -> None:
    (photos / os.fsdecode(b"caf\xe9.jpg")).write_bytes(encoded(picture(50)))
    prepared = prepare(folder_of(photos), tmp_path / "out", quiet=True)
    assert "caf%E9" in {key for split in SPLITS for key in prepared.ids(split)}


def test_a_text_file_with_an_image_name_is_named(photos: Path, tmp_path: Path) -> None:
    (photos / "readme.jpg").write_text("not a picture")
    with pytest.raises(BenchError, match=r"readme\.jpg.*not an image file"):
        prepare(folder_of(photos), tmp_path / "out", quiet=True)


def test_no_image_left_for_a_split(tmp_path: Path) -> None:
    gray = Pixels(gray_picture(1, SIZE, SIZE))
    with pytest.raises(BenchError, match=r"no image is left for test \(2 grayscale, 0 unreadable, 2 found"):
        prepare(Few({"train": pixels(2), "val": pixels(1, seed=5), "test": [gray, gray]}), tmp_path / "out", quiet=True)


def test_no_workers(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--workers 0"):
        prepare(folder_of(photos), tmp_path / "out", workers=0, quiet=True)


def test_nothing_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no images"):
        prepare(Few({}), tmp_path / "out", quiet=True)
