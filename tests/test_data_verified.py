"""Prepared data is verified before it is used, whatever happened to it, and damaged data is prepared again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from data_files import Few, arrays, pixels

from benchmark.data.preparation.prepare import prepare, up_to_date
from benchmark.data.preparation.verify import verify
from benchmark.data.prepared import Damaged, Prepared
from benchmark.support import files
from benchmark.support.errors import BenchError


def few() -> Few:
    splits = {split: pixels(count, seed=10 * count) for split, count in (("train", 6), ("val", 2), ("test", 3))}
    return Few(splits, classes=("cat", "dog"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(few(), tmp_path / "few-quick", quiet=True).folder


def flip(path: Path, count: int = 50) -> None:
    """Changes bytes in place and keeps the size and the time of change, as a failing disk would."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).choice(np.arange(128, len(content)), count, replace=False):
        content[place] ^= 0x40
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", ["train.npy", "test.npy", "ab_prior.npy", "test_labels.npy"])
def test_flipped_bytes_are_never_used_and_are_repaired(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = arrays(Prepared.open(folder))
    flip(folder / name, 5)
    with pytest.raises(
        Damaged, match=rf"few-quick is damaged \({name}: its .*repair it: bench data prepare few"
    ) as caught:
        Prepared.open(folder)
    assert "\n" not in str(caught.value)
    assert up_to_date(few(), folder) is None
    assert arrays(prepare(few(), folder, quiet=True)) == clean
    assert f"{folder}: {name}: its" in capsys.readouterr().err


def test_bytes_that_flip_while_it_is_open_are_noticed(folder: Path) -> None:
    prepared = Prepared.open(folder)
    flip(folder / "test.npy")
    prepared.images("train")
    with pytest.raises(Damaged, match=r"test\.npy: its bytes are not those of the 3 prepared images"):
        prepared.images("test")


@pytest.mark.parametrize(
    ("key", "value"), [("mean_ab", [1.0, 2.0]), ("classes", ["dog", "cat"]), ("note", "none"), ("checksum", None)]
)
def test_a_number_changed_in_meta_is_noticed_and_repaired(key: str, value: object, folder: Path) -> None:
    path = folder / "meta.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: value}))
    with pytest.raises(Damaged, match="its checksum differs"):
        Prepared.open(folder)
    prepare(few(), folder, quiet=True)
    assert json.loads(path.read_text()) == content


@pytest.mark.parametrize("name", ["train.npy", "val_labels.npy", "ab_prior.npy", "meta.json"])
def test_an_empty_file_is_named_and_repaired(name: str, folder: Path) -> None:
    """numpy's EOFError once looked like Ctrl-C and ended even the command that repairs the file."""
    clean = arrays(Prepared.open(folder))
    os.truncate(folder / name, 0)
    with pytest.raises(Damaged, match=name):
        Prepared.open(folder)
    assert arrays(prepare(few(), folder, quiet=True)) == clean


def count_hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that grows with every file that is read to be hashed."""
    hashed: list[str] = []
    original = files.hashlib.file_digest

    def counting(file: object, *arguments: object) -> object:
        hashed.append(Path(file.name).name)  # type: ignore[attr-defined]
        return original(file, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files.hashlib, "file_digest", counting)
    return hashed


def test_an_untouched_array_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    Prepared.open(folder)
    hashed = count_hashed(monkeypatch)
    Prepared.open(folder)
    assert "train.npy" not in hashed
    (folder / "train.npy").touch()
    Prepared.open(folder)
    assert hashed.count("train.npy") == 1


def test_what_verify_finds_wrong_is_repaired_though_no_time_tells(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing disk changes bytes behind the file system's back."""
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    clean, notes = arrays(Prepared.open(folder)), folder.with_name(".few-quick.verified.json")
    flip(folder / "test.npy")
    noted, status = json.loads(notes.read_text()), (folder / "test.npy").stat()
    noted["test.npy"][-4:] = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    notes.write_text(json.dumps(noted))
    assert up_to_date(few(), folder) is not None  # nothing shows the damage
    assert [name for name, right in verify(folder).files.items() if not right] == ["test.npy"]
    assert arrays(prepare(few(), folder, quiet=True)) == clean


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"train.npy": 3}', b"[" * 5000])
def test_notes_that_cannot_be_read_are_not_trusted(
    content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SETTLED_NS", 0)
    notes = folder.with_name(".few-quick.verified.json")
    notes.write_bytes(content)
    hashed = count_hashed(monkeypatch)
    Prepared.open(folder)
    assert {"train.npy", "val.npy", "test.npy"} <= set(hashed)
    assert set(json.loads(notes.read_text())) == {"train.npy", "val.npy", "test.npy"}


def test_a_file_that_just_changed_is_not_noted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file could change again within one tick of the file system's clock and look the same."""
    monkeypatch.setattr(files, "_SETTLED_NS", 10**18)
    notes = folder.with_name(".few-quick.verified.json")
    notes.unlink(missing_ok=True)
    Prepared.open(folder)
    assert not notes.exists()


def test_what_an_earlier_version_prepared_is_prepared_again(folder: Path) -> None:
    content = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**content, "schema": 1}))
    with pytest.raises(Damaged, match="prepared by another version"):
        Prepared.open(folder)
    assert prepare(few(), folder, quiet=True).meta.schema_ == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"\x93NUMPY\x01\x00\xff", "header"), (b"PK\x03\x04", "not a .npy"), (b"text", "not a .npy")],
)
def test_what_is_no_array_is_a_value_error(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for mapped in (False, True):
        with pytest.raises(ValueError, match=reason):
            files.load_array(path, mapped=mapped)


def test_a_folder_that_is_not_prepared_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is not prepared; run: bench data prepare"):
        Prepared.open(tmp_path / "nothing")
