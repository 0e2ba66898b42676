"""Folders and archives are listed whole and in order, and nothing in them leads outside."""

import io
import os
import tarfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import encoded, photographs, picture, write_files, write_tar, write_zip

from benchmark.data.preparation.archives import (
    ZipSource,
    images_by_id,
    list_archive,
    list_folder,
    printable,
    read_image_file,
)
from benchmark.data.preparation.images import SUFFIXES, BadImage
from benchmark.data.preparation.places import own_places, places
from benchmark.support.errors import BenchError, InputError

FILES = {
    **{f"b/{name}": data for name, data in photographs(3).items()},
    "a.PNG": encoded(picture(9), "PNG"),
    "notes.txt": b"hi",
}
IMAGES = {name: data for name, data in FILES.items() if name != "notes.txt"}


@pytest.mark.parametrize("kind", ["folder", "tar", "zip", "deflated zip"])
def test_every_container_gives_the_same_files_in_the_same_order(kind: str, tmp_path: Path) -> None:
    if kind == "folder":
        found = list_folder(write_files(tmp_path / "x", FILES), SUFFIXES)
    elif kind == "tar":
        found = list_archive(write_tar(tmp_path / "x.tar", {f"./{n}": d for n, d in FILES.items()}), SUFFIXES)
    else:
        compression = zipfile.ZIP_DEFLATED if kind == "deflated zip" else zipfile.ZIP_STORED
        found = list_archive(write_zip(tmp_path / "x.zip", FILES, compression), SUFFIXES)
    assert [file.name for file in found] == sorted(IMAGES)
    assert {file.name: file.source.read() for file in found} == IMAGES
    assert all(file.name in file.source.where for file in found)


def test_litter_is_not_listed(tmp_path: Path) -> None:
    litter = {"._000001.jpg": b"", ".git/000002.jpg": b"", "__MACOSX/b/000001.jpg": b"", "@eaDir/000001.jpg": b""}
    assert list_folder(write_files(tmp_path / "x", litter), SUFFIXES) == []
    assert list_archive(write_zip(tmp_path / "x.zip", litter), SUFFIXES) == []


def test_a_loop_of_links_ends_and_each_folder_counts_once(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"deep/er/1.jpg": b"1", "2.jpg": b"2"})
    (folder / "deep" / "er" / "loop").symlink_to(folder)
    (folder / "a-link").symlink_to(folder / "deep")
    elsewhere = write_files(tmp_path / "y", {"3.jpg": b"3"})
    (folder / "y").symlink_to(elsewhere)
    assert [file.name for file in list_folder(folder, SUFFIXES)] == ["2.jpg", "deep/er/1.jpg", "y/3.jpg"]


def test_a_link_that_leads_nowhere_is_listed_and_named_when_read(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    found = list_folder(tmp_path, SUFFIXES)
    assert [file.name for file in found] == ["gone.jpg", "self.jpg"]
    for file in found:
        with pytest.raises(OSError, match=file.name):
            file.source.read()


def test_names_that_are_no_utf8_become_printable(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.jpg")
    (tmp_path / name).write_bytes(b"1")
    found = list_folder(tmp_path, SUFFIXES)
    assert [file.name for file in found] == [name]
    assert printable(found[0].name) == "caf%E9%0A.jpg"
    assert found[0].source.where.endswith("caf%E9%0A.jpg")
    assert found[0].source.read() == b"1"
    assert printable("Äpfel/日本.jpg") == "Äpfel/日本.jpg"


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "..\\evil.jpg"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_that_reach_out_refuse_the_archive(kind: str, name: str, tmp_path: Path) -> None:
    write = write_tar if kind == "tar" else write_zip
    path = write(tmp_path / f"x.{kind}", {"good.jpg": b"1", name: b"2"})
    with pytest.raises(BenchError, match="reaches out of the archive"):
        list_archive(path, SUFFIXES)


def tar_with_link(path: Path, kind: bytes, target: str) -> Path:
    with tarfile.open(path, "w") as archive:
        real = tarfile.TarInfo("a/real.jpg")
        real.size = 4
        archive.addfile(real, io.BytesIO(b"real"))
        link = tarfile.TarInfo("b/link.jpg")
        link.type, link.linkname = kind, target
        archive.addfile(link)
    return path


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "a/real.jpg"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_out_of_a_tar_refuse_it(kind: bytes, target: str, tmp_path: Path) -> None:
    """As do links within it, which nobody needs to follow."""
    with pytest.raises(BenchError, match="is a link"):
        list_archive(tar_with_link(tmp_path / "x.tar", kind, target), SUFFIXES)


def test_a_device_refuses_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        device = tarfile.TarInfo("zero.jpg")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    with pytest.raises(BenchError, match="device"):
        list_archive(tmp_path / "x.tar", SUFFIXES)


def test_a_link_refuses_a_zip(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BenchError, match="is a link"):
        list_archive(tmp_path / "x.zip", SUFFIXES)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_cut_off_archive_is_named(kind: str, share: float, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", IMAGES) if kind == "tar" else write_zip(tmp_path / "x.zip", IMAGES)
    whole = path.stat().st_size if kind == "zip" else sum(-(-len(d) // 512) * 512 + 512 for d in IMAGES.values()) + 500
    os.truncate(path, int(whole * share))
    with pytest.raises(BenchError, match=r"x\.(tar|zip) is cut off"):
        list_archive(path, SUFFIXES)


def test_a_tar_cut_between_two_members_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"1.jpg": b"1" * 512, "2.jpg": b"2" * 512})
    os.truncate(path, 1024)
    with pytest.raises(BenchError, match="end mark is missing"):
        list_archive(path, SUFFIXES)


@pytest.mark.parametrize(("suffix", "mode"), [(".tgz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")])
def test_a_compressed_tar_is_decompressed_once(
    suffix: str, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tar(tmp_path / f"x{suffix}", FILES, mode)
    first = list_archive(path, SUFFIXES)
    assert "decompressing it once" in capsys.readouterr().err
    assert {file.name: file.source.read() for file in first} == IMAGES
    assert list_archive(path, SUFFIXES) == first
    assert capsys.readouterr().err == ""
    assert sorted(file.name for file in tmp_path.iterdir()) == [f".x{suffix}.tar", path.name]
    write_tar(path, {"other.jpg": b"1"}, mode)
    os.utime(path, ns=(10**18, 10**18))
    assert [file.name for file in list_archive(path, SUFFIXES)] == ["other.jpg"]


def test_a_compressed_tar_that_cannot_be_decompressed_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tgz", FILES, "w:gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchError, match="cut off or damaged"):
        list_archive(path, SUFFIXES)
    assert [file.name for file in tmp_path.iterdir()] == ["x.tgz"]
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(2000))
    with pytest.raises(InputError, match="unpack it yourself"):
        list_archive(path, SUFFIXES)


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"1.jpg": b"0123456789"})
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    [file] = list_archive(path, SUFFIXES)
    with pytest.raises(BadImage, match="checksum"):
        file.source.read()


def test_a_zip_member_larger_than_it_says_is_not_unpacked_whole(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"1.jpg": b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED)
    [file] = list_archive(path, SUFFIXES)
    assert isinstance(file.source, ZipSource)
    with pytest.raises(BadImage, match="checksum"):
        replace(file.source, size=1000).read()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_that_is_there_twice_refuses_the_archive(kind: str, tmp_path: Path) -> None:
    write = write_tar if kind == "tar" else write_zip
    path = write(tmp_path / f"x.{kind}", [("1.jpg", b"1"), ("2.jpg", b"2"), ("1.jpg", b"1")])
    with pytest.raises(BenchError, match=r"refused, it holds '1\.jpg' more than once") as caught:
        list_archive(path, SUFFIXES)
    assert "\n" not in str(caught.value)


def test_images_of_a_folder_are_found_by_their_ids(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"a/1.PNG": b"1", "2.0.jpg": b"2", "._2.0.jpg": b"", "notes.txt": b"hi"})
    assert images_by_id(folder) == {"a/1": folder / "a/1.PNG", "2.0": folder / "2.0.jpg"}
    write_files(folder, {"a/1.tif": b"1"})
    with pytest.raises(InputError, match=r"two files for the image a/1: 1\.PNG and 1\.tif"):
        images_by_id(folder)
    with pytest.raises(InputError, match="is not a folder"):
        images_by_id(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no image"):
        images_by_id(write_files(tmp_path / "y", {"notes.txt": b"hi"}))


@pytest.mark.parametrize(("place", "value"), [(6, 99), (10, 97)], ids=["version", "compression"])
def test_a_zip_of_an_unusual_kind_is_one_line(place: int, value: int, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", {"1.jpg": b"0123456789"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + place] = value  # changes the entry in the directory at the end
    path.write_bytes(content)
    with pytest.raises(BenchError, match="unpack it yourself") as caught:
        list_archive(path, SUFFIXES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_no_damage_of_an_archive_is_a_traceback(kind: str, tmp_path: Path) -> None:
    whole = (write_tar if kind == "tar" else write_zip)(tmp_path / f"x.{kind}", dict.fromkeys("abc", b"0" * 600))
    content, random = whole.read_bytes(), np.random.default_rng(0)
    heads = [n for n in range(len(content)) if content[n] not in b"0"][:600]
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.choice(heads, 3):
            damaged[place] = random.integers(256)
        whole.write_bytes(damaged)
        with suppress(BenchError):
            list_archive(whole, ["", *SUFFIXES])


@pytest.mark.slow
def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(300 << 20)  # a sparse file takes no room
    with pytest.raises(BadImage, match="larger than 256 MiB"):
        read_image_file(path)


def test_where_originals_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    downloads = places("coco", None)
    assert [place.parts[-3:] for place in downloads] == [("data", "downloads", "coco")]
    assert places("coco", tmp_path) == [tmp_path, tmp_path / "coco"]
    assert own_places("coco", tmp_path) == [tmp_path / "coco", tmp_path]
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert places("coco", None) == places("coco", tmp_path) == [tmp_path, tmp_path / "coco", *downloads]
    assert tmp_path not in own_places("coco", None)  # files there may belong to other data sets
    with pytest.raises(InputError, match="does not exist"):
        places("coco", tmp_path / "nowhere")
