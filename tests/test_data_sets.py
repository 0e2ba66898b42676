"""Each adapter finds its data set in every layout that users have, and splits it as docs/protocol.md §4 says."""

import hashlib
import pickle
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import Few, data_set, encoded, photographs, picture, pixels, write_files, write_tar, write_zip
from PIL import Image
from test_data_imagenet import nette, tiny

from benchmark.contracts import registry
from benchmark.contracts.dataset import (
    SPLITS,
    Dataset,
    Item,
    Listing,
    MissingDataError,
    Pixels,
    by_hash,
    parse_spec,
    safe_name,
    subset,
)
from benchmark.contracts.result import Run
from benchmark.data.preparation.prepare import prepare
from benchmark.running.conformance_data import CHECKS, check_dataset
from benchmark.support.errors import BenchError, InputError


def ids(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [item.id for item in dataset.items(split)] for split in SPLITS}


@pytest.fixture(autouse=True)
def no_data_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


# what is common -------------------------------------------------------------------------------------------------------


def test_a_subset_is_the_first_by_hash_of_the_file_name() -> None:
    items = [Item(str(n), f"{n:06d}.jpg", Pixels(picture())) for n in range(100)]
    expected = sorted(items, key=lambda item: hashlib.sha256(item.file.encode()).hexdigest())[:10]
    assert [item.id for item in by_hash(items)[:10]] == [item.id for item in expected]
    chosen = subset(items, 10)
    assert {item.id for item in chosen} == {item.id for item in expected}
    assert chosen == sorted(chosen, key=lambda item: item.file)
    assert subset(items, None) == subset(items, 100) == subset(items, 1000) == items


def test_what_data_means(tmp_path: Path) -> None:
    assert parse_spec("celeba") == ("celeba", None, "celeba")
    assert parse_spec(f"folder:{tmp_path}/My photos.tar") == (
        "folder",
        tmp_path / "My photos.tar",
        "folder-My-photos-4a07b389",
    )
    assert parse_spec("folder:.")[1:] == (tmp_path, f"folder-{tmp_path.name}")
    assert parse_spec("folder:/")[2] == "folder-root"
    for spec in ("folder", "folder:", "folder: "):
        with pytest.raises(InputError, match="which folder"):
            parse_spec(spec)
    with pytest.raises(InputError, match="--root /data"):
        parse_spec("celeba:/data")


@pytest.mark.parametrize(
    "folder",
    ["été", "写真", "a+b", "C++", "ünï", "a b", "-x", ".x", "x" * 250, "<script>", "\udce9t", "a.", "(1)", "\n"],
)
def test_any_folder_gets_a_legal_name_of_its_own(folder: str, tmp_path: Path) -> None:
    """The result's schema once refused some of these names, after the whole training."""
    _, path, name = parse_spec(f"folder:{tmp_path}/{folder}")
    assert path == tmp_path / folder
    assert Run(method="l2", adapter="l2", data=name, preset="quick", seed=0).data == name
    assert len(name) < 64
    neighbors = {
        parse_spec(f"folder:/{other}")[2] for other in ("ete", "a-b", "C", "uni", "x", "script", "t", "a", "1")
    }
    assert name not in neighbors


def test_a_name_is_the_same_however_the_system_writes_it() -> None:
    composed, apart = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    assert safe_name(composed) == safe_name(apart) == "ete-bd010c64"
    assert safe_name("Holidays_2024.v2-b") == "Holidays_2024.v2-b"


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "a\0b", "x" * 300])
def test_a_path_that_cannot_be_is_one_line(path: str) -> None:
    with pytest.raises(InputError, match="give another path") as caught:
        parse_spec(f"folder:{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_an_adapter_says_what_a_user_must_know(name: str) -> None:
    dataset = registry.load_dataset(name)
    assert dataset.title
    assert dataset.licence
    documentation = sys.modules[dataset.__module__].__doc__ or ""
    for remote in dataset.remotes:
        assert remote.file in documentation
    assert all(field.description for field in dataset.Config.model_fields.values())


@pytest.mark.parametrize("name", ["celeba", "cifar10", "coco"])
def test_missing_data_says_what_is_wanted_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        data_set(name, tmp_path).items("train")
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path) in message
    assert f"bench data fetch {name}" in message
    assert "--root" in message
    assert all(remote.file.partition(".")[0] in message for remote in registry.load_dataset(name).remotes[:1])


# sample ---------------------------------------------------------------------------------------------------------------


def test_the_sample_is_cut_by_region() -> None:
    from benchmark.datasets import sample  # type: ignore[import-not-found,unused-ignore]

    width, height = 600, 400
    boxes = {split: sample.region(split, width, height) for split in SPLITS}
    assert boxes["test"][0] == 450  # the right quarter
    for split in ("train", "val"):
        assert boxes[split][2] <= 450 - width // 40
    assert boxes["train"][3] <= boxes["val"][1] - height // 40


def test_tiles_of_two_splits_never_overlap() -> None:
    dataset = data_set("sample", None)
    tiles: list[tuple[str, Any]] = [(split, item.source) for split in SPLITS for item in dataset.items(split)]
    for path in {tile.path for _, tile in tiles}:
        seen = {split: np.zeros((1500, 1500), dtype=np.uint8) for split in SPLITS}
        for split, tile in tiles:
            if tile.path == path:
                seen[split][tile.top : tile.top + tile.side, tile.left : tile.left + tile.side] = 1
        assert all(mask.any() for mask in seen.values())
        assert np.sum(list(seen.values()), axis=0).max() == 1
    counts = {split: len(dataset.items(split)) for split in SPLITS}
    assert counts["train"] > 500
    assert 60 <= counts["test"] <= 150


def test_the_sample_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the sample asks for the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    prepared = prepare(data_set("sample", None, image_size=16, train_count=30), tmp_path / "out", quiet=True)
    assert prepared.meta.splits["train"].images <= 30
    assert prepared.meta.note
    assert "no evidence" in prepared.meta.note


def test_the_samples_one_photograph_in_adobe_rgb_is_converted_and_counted(tmp_path: Path) -> None:
    dataset = data_set("sample", None, image_size=16, train_count=30)
    prepared = prepare(dataset, tmp_path / "out", quiet=True)
    counted = [prepared.meta.splits[split].profiles_converted for split in SPLITS]
    assert counted == [sum("rocket" in item.id for item in dataset.items(split)) for split in SPLITS]
    assert counted[SPLITS.index("test")] > 0


# CIFAR-10 -------------------------------------------------------------------------------------------------------------

TRAIN, TEST, VAL = 50, 10, 5  # instead of 50,000, 10,000 and 5,000


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A CIFAR-10 of a thousandth of its size: split → images (N, 32, 32, 3) and labels (N,)."""
    module = sys.modules[registry.load_dataset("cifar10").__module__]
    monkeypatch.setattr(module, "COUNTS", {"train": TRAIN, "test": TEST})
    monkeypatch.setattr(module, "VALIDATION", VAL)
    images = np.stack([picture(n, 32, 32) for n in range(TRAIN + TEST)])
    labels = np.arange(TRAIN + TEST) % 10
    return {"train": (images[:TRAIN], labels[:TRAIN]), "test": (images[TRAIN:], labels[TRAIN:])}


def planes(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), 3072)


def batch_files(cifar: dict[str, tuple[np.ndarray, np.ndarray]], binary: bool) -> dict[str, bytes]:
    files = {}
    for split, parts in (("train", 5), ("test", 1)):
        for n, (images, labels) in enumerate(zip(*(np.array_split(a, parts) for a in cifar[split]), strict=True), 1):
            name = f"data_batch_{n}" if split == "train" else "test_batch"
            if binary:
                files[f"{name}.bin"] = np.hstack([labels[:, None].astype(np.uint8), planes(images)]).tobytes()
            else:
                content = {
                    b"batch_label": b"batch",
                    b"labels": labels.tolist(),
                    b"data": planes(images),
                    b"filenames": [],
                }
                files[name] = pickle.dumps(content, protocol=2)
    return files


def write_cifar(layout: str, cifar: dict[str, tuple[np.ndarray, np.ndarray]], root: Path) -> Path:
    """Writes CIFAR-10 in one of its layouts, and returns the root to use."""
    classes = registry.load_dataset("cifar10").__module__ and sys.modules["benchmark.datasets.cifar10"].CLASSES
    kind, _, form = layout.partition(" ")
    if kind in ("binary", "python"):
        files, folder = batch_files(cifar, kind == "binary"), f"cifar-10-batches-{'bin' if kind == 'binary' else 'py'}"
        if form == "archive":
            write_tar(
                root / f"cifar-10-{kind}.tar.gz", {f"{folder}/{name}": data for name, data in files.items()}, "w:gz"
            )
        else:
            write_files(root / folder, files)
        return root / folder if form == "batches" else root
    for split, (images, labels) in cifar.items():
        if kind == "arrays":
            root.mkdir(parents=True, exist_ok=True)
            np.save(root / f"{split}_rgb.npy", images)
            np.save(root / f"{split}_labels.npy", labels.astype(np.uint8))
        else:
            names = [f"{split}/{classes[label]}/{n:05d}.png" for n, label in enumerate(labels)]
            write_files(root, {name: encoded(image, "PNG") for name, image in zip(names, images, strict=True)})
    return root


LAYOUTS = [
    "binary",
    "binary batches",
    "binary archive",
    "python",
    "python batches",
    "python archive",
    "classes",
    "arrays",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_cifar10_gives_the_same(
    layout: str, cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    root = write_cifar(layout, cifar, tmp_path / "root")
    prepared = prepare(data_set("cifar10", root), tmp_path / "out", quiet=True)
    for split, (source, part) in {
        "train": ("train", slice(0, -VAL)),
        "val": ("train", slice(-VAL, None)),
        "test": ("test", slice(None)),
    }.items():
        images, labels = cifar[source]
        np.testing.assert_array_equal(prepared.images(split), images[part])
        np.testing.assert_array_equal(prepared.labels(split), labels[part])
        assert prepared.ids(split) == [f"{source}-{n:05d}" for n in range(len(images))][part]
    assert prepared.meta.classes
    assert prepared.meta.classes[3] == "cat"
    assert prepare(data_set("cifar10", root), tmp_path / "out", quiet=True).meta == prepared.meta


def test_an_archive_itself_can_be_the_root(cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> None:
    write_cifar("python archive", cifar, tmp_path)
    dataset = data_set("cifar10", tmp_path / "cifar-10-python.tar.gz")
    assert len(dataset.items("train")) == TRAIN - VAL
    assert "not the official archive: SHA-256" in dataset.listing.layout


def test_class_folders_without_the_official_order(
    cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    root = write_cifar("classes", cifar, tmp_path / "root")
    for folder in root.glob("*/*"):
        for n, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"{n:04d}_{folder.name}.png")
    dataset = data_set("cifar10", root)
    assert {split: len(found) for split, found in ids(dataset).items()} == {"train": 45, "val": 5, "test": 10}
    assert "by hash" in dataset.listing.layout
    everything = [identity for found in ids(dataset).values() for identity in found]
    assert len(set(everything)) == 60


def test_counts_choose_images_of_cifar10(cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> None:
    root = write_cifar("binary", cifar, tmp_path / "root")
    few = data_set("cifar10", root, train_count=7, val_count=2, test_count=3)
    assert {split: len(found) for split, found in ids(few).items()} == {"train": 7, "val": 2, "test": 3}


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/colorbench-was-here",)


def test_a_batch_that_would_run_code_is_refused(
    cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    root = write_cifar("python", cifar, tmp_path / "root")
    (root / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(BenchError, match=r"refused, a batch file asks for \w+\.system"):
        data_set("cifar10", root).items("train")


@pytest.mark.parametrize(
    ("layout", "name", "content", "message"),
    [
        ("binary", "cifar-10-batches-bin/data_batch_3.bin", b"\0" * 5000, r"data_batch_3\.bin is cut off"),
        ("binary", "cifar-10-batches-bin/data_batch_3.bin", b"\x0b" + b"\0" * 3072, "holds the label 11"),
        ("binary", "cifar-10-batches-bin/data_batch_3.bin", b"\0" * 3073, r"41 train images found.*incomplete"),
        ("binary", "cifar-10-batches-bin/test_batch.bin", None, r"cannot read .*test_batch\.bin"),
        ("python", "cifar-10-batches-py/data_batch_1", b"not a pickle", "no CIFAR-10 batch"),
        ("python", "cifar-10-batches-py/data_batch_1", pickle.dumps({b"data": 1, b"labels": [1]}), "expected uint8"),
        ("python archive", "cifar-10-python.tar.gz", b"\x1f\x8bnonsense", "cut off or damaged"),
        ("classes", "train/cat/00003.png", None, "49 train images found.*incomplete"),
        ("arrays", "train_rgb.npy", b"nonsense", "cannot read the arrays"),
    ],
)
def test_damaged_cifar10_is_named(
    layout: str,
    name: str,
    content: bytes | None,
    message: str,
    cifar: dict[str, tuple[np.ndarray, np.ndarray]],
    tmp_path: Path,
) -> None:
    root = write_cifar(layout, cifar, tmp_path / "root")
    if content is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(content)
    with pytest.raises(BenchError, match=message) as caught:
        data_set("cifar10", root).items("train")
    assert "\n" not in str(caught.value)


def test_a_cut_off_archive_of_cifar10_is_named(cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> None:
    path = write_cifar("python archive", cifar, tmp_path) / "cifar-10-python.tar.gz"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BenchError, match="is cut off or damaged"):
        data_set("cifar10", tmp_path).items("train")


# CelebA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
@pytest.mark.parametrize("layout", ["archive", "folder", "folder in folder"])
def test_celeba_by_its_partition_file(layout: str, suffix: str, tmp_path: Path) -> None:
    files = {f"img_align_celeba/{name}": data for name, data in photographs(12).items()}
    if layout == "archive":
        write_zip(tmp_path / "img_align_celeba.zip", files)
    else:
        write_files(tmp_path if layout == "folder" else tmp_path / "img_align_celeba", files)
    rows = [(f"{n:06d}.jpg", 0 if n <= 6 else 1 if n <= 8 else 2) for n in range(1, 13)]
    lines = [f"{name} {part}" for name, part in rows] if suffix == ".txt" else ["image_id,partition"]
    lines += [f"{name},{part}" for name, part in rows] if suffix == ".csv" else []
    (tmp_path / f"list_eval_partition{suffix}").write_text("\r\n".join(lines) + "\r\n")
    dataset = data_set("celeba", tmp_path)
    assert ids(dataset) == {
        "train": [f"{n:06d}" for n in range(1, 7)],
        "val": ["000007", "000008"],
        "test": [f"{n:06d}" for n in range(9, 13)],
    }
    assert "the lines of the partition file" in dataset.listing.layout
    assert "not used" not in dataset.listing.layout


def test_celeba_by_its_official_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["000001.jpg", "162770.jpg", "162771.jpg", "182637.jpg", "182638.jpg", "202599.jpg"]
    write_files(tmp_path / "img_align_celeba", dict.fromkeys([*names, "000000-cover.jpg"], encoded(picture())))
    dataset = data_set("celeba", tmp_path)
    assert ids(dataset) == {
        "train": ["000001", "162770"],
        "val": ["162771", "182637"],
        "test": ["182638", "202599"],
    }
    assert dataset.listing.note == "6 of CelebA's 202,599 images: to be compared with the same part only."
    assert "; 1 images that the official numbers do not know are not used" in dataset.listing.layout
    monkeypatch.setattr("benchmark.datasets.celeba.IMAGES", 6)
    assert data_set("celeba", tmp_path).listing.note is None


@pytest.mark.parametrize("container", ["folder", "tar", "tar in a folder", "tar in celeba/"])
def test_a_part_of_celeba_is_split_by_hash_and_says_so(container: str, tmp_path: Path) -> None:
    files = photographs(20)
    root = tmp_path / "root"
    if container == "folder":
        write_files(root, files)
    else:
        path = {"tar": "x.tar", "tar in a folder": "images.tar", "tar in celeba/": "celeba/images.tar"}[container]
        write_tar(root / path, files)
        root = root / path if container == "tar" else root
    dataset = data_set("celeba", root)
    found = ids(dataset)
    assert {split: len(names) for split, names in found.items()} == {"train": 16, "val": 2, "test": 2}
    assert "not the official split" in dataset.listing.layout
    assert "compared with nothing else" in (prepare(dataset, tmp_path / "out", quiet=True).meta.note or "")
    ordered = sorted(files, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert set(found["test"]) == {name[:-4] for name in ordered[-2:]}
    assert found["train"] == sorted(found["train"])


def test_more_of_a_part_prepares_anew(tmp_path: Path) -> None:
    """The note says how much of the data set is there, so it is part of the prepared data."""
    names = ["000001.jpg", "162771.jpg", "182638.jpg"]
    files = {f"img_align_celeba/{name}": encoded(picture(n)) for n, name in enumerate(names)}
    settings = {"image_size": 32, "train_count": 1}
    write_files(tmp_path, files)
    first = prepare(data_set("celeba", tmp_path, **settings), tmp_path / "out", quiet=True)
    write_files(tmp_path, {"img_align_celeba/000002.jpg": encoded(picture(9))})
    second = prepare(data_set("celeba", tmp_path, **settings), tmp_path / "out", quiet=True)
    assert (first.meta.note or "").startswith("3 of CelebA's")
    assert (second.meta.note or "").startswith("4 of CelebA's")


def test_a_damaged_partition_file_is_named(tmp_path: Path) -> None:
    write_files(tmp_path / "img_align_celeba", photographs(3))
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg\n")
    with pytest.raises(BenchError, match=r"list_eval_partition\.txt, line 2"):
        data_set("celeba", tmp_path).items("train")


# COCO -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["archives", "folders", "images/ folders", "coco/ archives"])
def test_coco_trains_on_train2017_and_tests_on_val2017(layout: str, tmp_path: Path) -> None:
    train = {f"train2017/{name}": data for name, data in photographs(10).items()}
    test = {f"val2017/9{name}": data for name, data in photographs(4).items()}
    if layout.endswith("archives"):
        place = tmp_path / "coco" if layout.startswith("coco/") else tmp_path
        write_zip(place / "train2017.zip", train)
        write_zip(place / "val2017.zip", test)
    else:
        write_files(tmp_path / "images" if layout.startswith("images/") else tmp_path, {**train, **test})
    found = ids(data_set("coco", tmp_path, val_count=3))
    ordered = sorted(photographs(10), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert set(found["val"]) == {name[:-4] for name in ordered[-3:]}
    assert set(found["train"]) == {name[:-4] for name in ordered[:-3]}
    assert found["test"] == [f"9{n:06d}" for n in range(1, 5)]
    assert "10 of train2017's 118,287 and 4 of val2017's 5,000" in (data_set("coco", tmp_path).listing.note or "")
    chosen = ids(data_set("coco", tmp_path, val_count=3, train_count=5, test_count=2))  # like preset seed-001
    assert set(chosen["train"]) == {name[:-4] for name in ordered[:5]}
    assert chosen["val"] == found["val"]
    assert len(chosen["test"]) == 2


def test_one_collection_of_coco_is_split_by_hash_and_says_so(tmp_path: Path) -> None:
    write_zip(tmp_path / "val2017.zip", {f"val2017/{name}": data for name, data in photographs(20).items()})
    dataset = data_set("coco", tmp_path)
    assert {split: len(found) for split, found in ids(dataset).items()} == {"train": 16, "val": 2, "test": 2}
    assert "20 images of val2017, not the official split" in dataset.listing.layout
    assert "compared with nothing else" in (dataset.listing.note or "")


def test_a_common_root_is_not_taken_for_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BENCH_DATA may hold other data sets: only a folder that is called coco, or COCO's own names, count there."""
    write_files(tmp_path / "data" / "holidays", photographs(5))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(MissingDataError):
        data_set("coco", None).items("train")
    write_tar(tmp_path / "data" / "coco" / "images.tar", photographs(10))
    assert len(data_set("coco", None).items("train")) == 8


# folder ---------------------------------------------------------------------------------------------------------------


def test_a_nested_folder_is_split_by_hash_of_the_path(tmp_path: Path) -> None:
    write_files(tmp_path / "x", {f"{'ab'[n % 2]}/{n}.jpg": encoded(picture(n)) for n in range(20)})
    dataset = data_set("folder", tmp_path / "x", val_share=0.2, test_share=0.25)
    found = ids(dataset)
    assert {split: len(names) for split, names in found.items()} == {"train": 11, "val": 4, "test": 5}
    assert "a/0" in {name for names in found.values() for name in names}
    assert dataset.listing.classes is None


def test_three_images_are_enough_and_two_are_not(tmp_path: Path) -> None:
    write_files(tmp_path / "x", photographs(3))
    assert all(len(names) == 1 for names in ids(data_set("folder", tmp_path / "x")).values())
    (tmp_path / "x" / "000003.jpg").unlink()
    with pytest.raises(InputError, match="at least 3"):
        data_set("folder", tmp_path / "x").items("train")


def class_folders(*splits: str, classes: str = "ab") -> dict[str, bytes]:
    return {
        f"{split}/{c}/{split}{c}{n}.jpg": encoded(picture(n)) for split in splits for c in classes for n in range(5)
    }


@pytest.mark.parametrize("container", ["folder", "tar", "folder in folder"])
def test_imagenet_style_classes(container: str, tmp_path: Path) -> None:
    files = class_folders("train", "val")
    if container == "tar":
        root = write_tar(tmp_path / "x.tar", files)
    else:
        root = tmp_path / "x"
        write_files(root if container == "folder" else root / "imagenette2", files)
    dataset = data_set("folder", root)
    found = ids(dataset)
    assert dataset.listing.classes == ("a", "b")
    assert found["test"] == [f"val/{c}/val{c}{n}" for c in "ab" for n in range(5)]
    assert len(found["train"]) == 9
    assert len(found["val"]) == 1
    assert all(item.label == "ab".index(item.id.split("/")[1]) for split in SPLITS for item in dataset.items(split))
    assert "own split" in dataset.listing.layout


def test_a_folder_with_all_three_splits_keeps_them(tmp_path: Path) -> None:
    files = {**class_folders("train", "valid", "test"), "readme/logo.png": encoded(picture(), "PNG")}
    write_files(tmp_path / "x", files)
    dataset = data_set("folder", tmp_path / "x")
    assert {split: len(names) for split, names in ids(dataset).items()} == {"train": 10, "val": 10, "test": 10}
    assert all(name.startswith("valid/") for name in ids(dataset)["val"])
    assert "1 images beside these folders not used" in dataset.listing.layout


def test_splits_without_classes_have_no_labels(tmp_path: Path) -> None:
    files = {f"{split}/{n}.jpg": encoded(picture(n)) for split in ("train", "test") for n in range(5)}
    write_files(tmp_path / "x", files)
    dataset = data_set("folder", tmp_path / "x")
    assert dataset.listing.classes is None
    assert {split: len(names) for split, names in ids(dataset).items()} == {"train": 4, "val": 1, "test": 5}


def test_a_folder_without_images_or_path(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(MissingDataError, match="no images"):
        data_set("folder", tmp_path / "x").items("train")
    with pytest.raises(MissingDataError, match="does not exist"):
        data_set("folder", tmp_path / "nowhere").items("train")
    with pytest.raises(InputError, match="which one"):
        data_set("folder", None).items("train")


def test_images_yield_ids_and_pixels(tmp_path: Path) -> None:
    write_files(tmp_path / "x", photographs(5))
    dataset = data_set("folder", tmp_path / "x", image_size=16)
    for identity, image in dataset.images("train"):
        assert Image.open(tmp_path / "x" / f"{identity}.jpg").size == (40, 32)
        assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)


# the conformance kit --------------------------------------------------------------------------------------------------


def make_root(name: str, cifar: dict[str, tuple[np.ndarray, np.ndarray]], folder: Path) -> Path:
    """Writes small originals of a data set, and returns the root."""
    if name == "cifar10":
        return write_cifar("binary", cifar, folder)
    if name == "coco":
        write_files(folder / "train2017", photographs(20))
        return write_files(folder / "val2017", {f"9{n}.jpg": encoded(picture(90 + n)) for n in range(4)}).parent
    if name in ("tiny-imagenet", "imagenette"):
        return write_files(folder, tiny() if name == "tiny-imagenet" else nette("imagenette2/"))
    return write_files(folder, photographs(20))


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_every_adapter_holds_the_contract(
    name: str, cifar: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    settings = {"val_count": 4} if name == "coco" else {}
    dataset = data_set(name, make_root(name, cifar, tmp_path / "root"), **settings)
    verdicts = list(check_dataset(dataset))
    assert [verdict.check for verdict in verdicts if not verdict.passed] == []
    assert len(verdicts) == len(CHECKS)


def broken(fault: str) -> Dataset:
    """Returns a data set with one fault."""
    splits = {"train": pixels(3), "val": pixels(1, seed=10), "test": pixels(1, seed=20)}
    dataset = Few(splits, classes=("a", "b"))
    items = {split: list(dataset.items(split)) for split in SPLITS}
    if fault == "an empty split":
        items["val"] = []
    elif fault == "an id twice":
        items["val"][0] = items["val"][0]._replace(id="train-0")
    elif fault == "an id that leads out":
        items["test"][0] = items["test"][0]._replace(id="../evil")
    elif fault == "a label too many":
        items["test"][0] = items["test"][0]._replace(label=2)
    elif fault == "a photograph in two splits":
        items["test"][0] = items["test"][0]._replace(source=items["train"][0].source)
    elif fault == "another size":
        items["test"][0] = items["test"][0]._replace(source=Pixels(picture(0, 8, 8)))
    dataset.listing = Listing(items, "made up", ("a", "b"))
    return dataset


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("an empty split", "splits"),
        ("an id twice", "splits"),
        ("a label too many", "splits"),
        ("an id that leads out", "ids"),
        ("another size", "images"),
        ("a photograph in two splits", "disjoint"),
    ],
)
def test_the_kit_finds_every_fault(fault: str, check: str) -> None:
    assert check in {verdict.check for verdict in check_dataset(broken(fault)) if not verdict.passed}
