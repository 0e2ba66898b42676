"""Only regular files are opened; a pipe, a device or a socket with an image's name is refused, without any wait."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from data_files import Few, arrays, encoded, folder_of, photographs, picture, pixels, write_files

from benchmark.data.preparation.archives import list_archive, list_folder, read_image_file
from benchmark.data.preparation.images import SUFFIXES
from benchmark.data.preparation.prepare import prepare
from benchmark.data.prepared import Damaged, Prepared
from benchmark.photographs.colorize import color_files, plan
from benchmark.running.external import inspect
from benchmark.support.errors import BenchError
from benchmark.support.files import open_regular

pytestmark = pytest.mark.timeout(30)  # the old code waited for ever


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_RDONLY)  # a socket's own name may not be longer than 107 bytes
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


REASON = "no regular file, but a pipe, device, socket or folder"
special = pytest.mark.parametrize("make", [os.mkfifo, a_socket, a_device], ids=["pipe", "socket", "device"])
Make = Callable[[Path], None]


@special
def test_reading_names_what_is_no_regular_file(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "x.jpg")
    for read in (read_image_file, open_regular):
        with pytest.raises(OSError, match=REASON):
            read(tmp_path / "x.jpg")


@special
def test_a_folder_with_one_is_refused_before_anything_is_done(make: Make, tmp_path: Path) -> None:
    photos = write_files(tmp_path / "photos", photographs(5))
    make(photos / "000009.jpg")
    with pytest.raises(BenchError, match=rf"000009\.jpg is {REASON}: move it away"):
        list_folder(photos, SUFFIXES)
    with pytest.raises(BenchError, match=r"000009\.jpg is"):
        prepare(folder_of(photos), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(BenchError, match=r"000009\.jpg is"):
        plan([photos], ["l2"], tmp_path / "colored")


@special
def test_one_in_place_of_an_archive_is_named(make: Make, tmp_path: Path) -> None:
    for name in ("x.zip", "x.tar"):
        make(tmp_path / name)
        with pytest.raises(BenchError, match=rf"x\.(zip|tar): {REASON}"):
            list_archive(tmp_path / name, SUFFIXES)
        with pytest.raises(BenchError, match=REASON):
            prepare(folder_of(tmp_path / name), tmp_path / "out", quiet=True)


@special
def test_one_among_photographs_does_not_stop_the_others(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "x.jpg")
    jobs = plan([tmp_path / "x.jpg"], ["l2"], tmp_path / "colored")
    assert color_files(jobs, {}) == {tmp_path / "x.jpg": REASON}


@special
def test_one_among_scored_images_is_unfit(make: Make, tmp_path: Path) -> None:
    prepared = prepare(
        Few({split: pixels(2, seed=i) for i, split in enumerate(("train", "val", "test"))}), tmp_path / "d"
    )
    images = write_files(tmp_path / "scored", {"test-0.png": encoded(picture(1, 16, 16), "PNG")})
    make(images / "test-1.png")
    assert inspect(images, prepared).faults["unfit"] == [f"test-1.png (unreadable: {REASON})"]


@special
@pytest.mark.parametrize("name", ["test.npy", "ab_prior.npy", "meta.json"])
def test_one_in_place_of_an_array_is_damage_and_repaired(name: str, make: Make, tmp_path: Path) -> None:
    few = Few({split: pixels(2, seed=i) for i, split in enumerate(("train", "val", "test"))})
    clean = arrays(prepare(few, tmp_path / "d", quiet=True))
    (tmp_path / "d" / name).unlink()
    make(tmp_path / "d" / name)
    with pytest.raises(Damaged, match=f"{name}: {REASON}"):
        Prepared.open(tmp_path / "d")
    assert arrays(prepare(few, tmp_path / "d", quiet=True)) == clean
