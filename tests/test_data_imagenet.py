"""Tiny-ImageNet and Imagenette are found in the layouts of their archives and of public copies, official split kept."""

import hashlib
from pathlib import Path

import pytest
from data_files import data_set, encoded, picture, write_files, write_tar, write_zip

from benchmark.contracts.config import validate
from benchmark.contracts.dataset import SPLITS, Dataset, MissingDataError
from benchmark.contracts.registry import load_dataset
from benchmark.data.preparation.prepare import prepare
from benchmark.support.errors import BenchError, InputError

TINY, NETTE = ("n01443537", "n01629819"), ("n01440764", "n02102040")


@pytest.fixture(autouse=True)
def no_data_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def tiny(prefix: str = "tiny-imagenet-200/", *, sorted_val: bool = False, train: int = 20) -> dict[str, bytes]:
    """Returns the files of Tiny-ImageNet's archive, with few photographs, and its unlabeled test part."""
    files, notes = {}, []
    for k, wnid in enumerate(TINY):
        for n in range(train):
            files[f"train/{wnid}/images/{wnid}_{n}.JPEG"] = encoded(picture(100 * k + n, 64, 64))
        files[f"train/{wnid}/{wnid}_boxes.txt"] = f"{wnid}_0.JPEG\t0\t10\t63\t58\n".encode()
    for n in range(4):
        wnid = TINY[n % 2]
        files[f"val/{wnid if sorted_val else 'images'}/val_{n}.JPEG"] = encoded(picture(300 + n, 64, 64))
        notes.append(f"val_{n}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    if not sorted_val:
        files["val/val_annotations.txt"] = "".join(notes).encode()
    files["test/images/test_0.JPEG"] = encoded(picture(400, 64, 64))
    files["wnids.txt"] = "\n".join(TINY).encode()
    return {prefix + name: content for name, content in files.items()}


def nette(prefix: str, side: int = 40) -> dict[str, bytes]:
    """Returns the files of Imagenette's archive, with few photographs of two classes."""
    files = {}
    for k, wnid in enumerate(NETTE):
        for n in range(20):
            files[f"train/{wnid}/{wnid}_{n}.JPEG"] = encoded(picture(100 * k + n, side + 8, side))
        files[f"val/{wnid}/ILSVRC2012_val_0000{k}.JPEG"] = encoded(picture(300 + k, side + 8, side))
    return {prefix + name: content for name, content in files.items()}


def labels(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Returns split → id → name of its class."""
    classes = dataset.listing.classes
    assert classes
    return {split: {item.id: classes[item.label or 0] for item in dataset.items(split)} for split in SPLITS}


@pytest.mark.parametrize(
    "layout",
    ["zip", "folder", "the folder itself", "sorted val", "git archive", "compressed git", "below test", "below train"],
)
def test_tiny_imagenet_in_every_layout(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    files = tiny(sorted_val=layout == "sorted val")
    if layout == "zip":
        write_zip(root / "tiny-imagenet-200.zip", files)
    elif layout.endswith("git archive"):
        write_tar(root / "copy.tar", {f"copy-0123abc/{name}": content for name, content in files.items()})
    elif layout.startswith("below"):  # a parent folder with the name of a part
        write_zip(root / "copy.zip", {f"{layout.split()[1]}/{name}": content for name, content in files.items()})
    elif layout == "compressed git":
        root = write_tar(root / "copy.tar.gz", files, "w:gz")
    else:
        write_files(root, files)
        root = root / "tiny-imagenet-200" if layout == "the folder itself" else root
    dataset = data_set("tiny-imagenet", root)
    found = labels(dataset)
    names = [f"{wnid}_{n}" for wnid in TINY for n in range(20)]
    held_out = sorted(names, key=lambda name: hashlib.sha256(f"{name}.JPEG".encode()).hexdigest())[-2:]
    assert set(found["val"]) == set(held_out)
    assert set(found["train"]) == set(names) - set(held_out)
    assert all(identity.startswith(wnid) for part in ("train", "val") for identity, wnid in found[part].items())
    assert found["test"] == {f"val_{n}": TINY[n % 2] for n in range(4)}
    assert "40 of 100,000 photographs of train and 4 of 10,000 of val" in (dataset.listing.note or "")


def test_tiny_imagenet_keeps_its_pixels_and_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.datasets.tiny_imagenet.TRAIN", 40)
    monkeypatch.setattr("benchmark.datasets.tiny_imagenet.TEST", 4)
    write_zip(tmp_path / "tiny-imagenet-200.zip", tiny())
    prepared = prepare(data_set("tiny-imagenet", tmp_path), tmp_path / "out", quiet=True)
    assert prepared.meta.note is None
    assert prepared.images("test").shape == (4, 64, 64, 3)
    with pytest.raises(InputError, match="image_size"):
        validate(load_dataset("tiny-imagenet").Config, {"image_size": 32}, "data set")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no annotations", "in no folder of one of the 2 classes"),
        ("a line cut off", r"val_annotations\.txt, line 2: 'val_1\.JPEG' is not"),
        ("no val", "no photographs in train/<class>/ and val/"),
    ],
)
def test_faults_of_tiny_imagenet_are_named(fault: str, message: str, tmp_path: Path) -> None:
    files = tiny("")
    if fault == "no annotations":
        del files["val/val_annotations.txt"]
    elif fault == "a line cut off":
        files["val/val_annotations.txt"] = b"val_0.JPEG\tn01443537\nval_1.JPEG"
    else:
        files = {name: content for name, content in files.items() if not name.startswith("val/")}
    write_files(tmp_path / "tiny-imagenet-200", files)
    with pytest.raises(BenchError, match=message) as caught:
        data_set("tiny-imagenet", tmp_path).items("train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["tgz", "folder", "the folder itself", "a copy", "the copy's archive"])
def test_imagenette_in_every_layout(layout: str, tmp_path: Path) -> None:
    root, files = tmp_path / "root", nette("imagenette2-160/")
    if layout == "tgz":
        write_tar(root / "imagenette2-160.tgz", files, "w:gz")
    elif layout.endswith("archive"):
        root = write_tar(root / "copy.tar", nette("copy-0123abc/"))
    else:
        write_files(root, nette("") if layout == "a copy" else files)
        root = root / "imagenette2-160" if layout == "the folder itself" else root
    dataset = data_set("imagenette", root, image_size=32)
    found = labels(dataset)
    assert {split: len(of_split) for split, of_split in found.items()} == {"train": 38, "val": 2, "test": 2}
    assert found["test"] == {"ILSVRC2012_val_00000": "tench", "ILSVRC2012_val_00001": "English springer"}
    assert ("A copy, not an official archive" in (dataset.listing.note or "")) == ("copy" in layout)
    assert dataset.listing.layout.startswith("a copy" if "copy" in layout else "imagenette2-160")
    assert prepare(dataset, tmp_path / "out", quiet=True).images("train").shape == (38, 32, 32, 3)


def test_imagenette_takes_the_edition_with_enough_pixels(tmp_path: Path) -> None:
    write_tar(tmp_path / "imagenette2-160.tgz", nette("imagenette2-160/"), "w:gz")
    with pytest.raises(InputError, match="image_size 224, but imagenette2-160 has 160 pixels"):
        data_set("imagenette", tmp_path, image_size=224).items("train")
    write_files(tmp_path, nette("imagenette2-320/"))
    assert data_set("imagenette", tmp_path, image_size=224).listing.layout.startswith("imagenette2-320")


def test_another_set_of_class_folders_is_refused(tmp_path: Path) -> None:
    files = {name.replace(NETTE[0], "n02086240"): content for name, content in nette("imagenette2/").items()}
    write_files(tmp_path, files)
    with pytest.raises(BenchError, match=r"n02086240/.*in no folder of one of the 10 classes \(n01440764, "):
        data_set("imagenette", tmp_path).items("train")


@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenette"])
def test_missing_photographs_of_imagenet_say_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=f"bench data fetch {name}"):
        data_set(name, tmp_path).items("train")
