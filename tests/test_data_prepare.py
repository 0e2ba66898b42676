"""Preparation gives the same bytes with any number of workers, resumes after a kill, and hides nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
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
from scipy.spatial import cKDTree

from benchmark.contracts.dataset import SPLITS, Pixels
from benchmark.data.ab_bins import centers
from benchmark.data.color import rgb_to_lab
from benchmark.data.preparation.chroma import ColorCount, grayscale
from benchmark.data.preparation.images import decode
from benchmark.data.preparation.prepare import prepare, up_to_date
from benchmark.data.preparation.verify import verify
from benchmark.data.prepared import Prepared
from benchmark.support.errors import BenchError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_files(tmp_path / "photos", photographs(40))


def test_the_arrays_hold_what_decoding_gives(photos: Path, tmp_path: Path) -> None:
    dataset = folder_of(photos)
    prepared = prepare(dataset, tmp_path / "out", quiet=True)
    assert [prepared.meta.splits[split].images for split in SPLITS] == [32, 4, 4]
    for split in SPLITS:
        assert prepared.images(split).shape == (len(dataset.items(split)), SIZE, SIZE, 3)
        for image, identity in zip(prepared.images(split), prepared.ids(split), strict=True):
            np.testing.assert_array_equal(image, decode((photos / f"{identity}.jpg").read_bytes(), SIZE))
    left = {path.name for path in tmp_path.iterdir()} - {
        ".out.verified.json"
    }  # noted only once the arrays have settled
    assert left == {".out.lock", "out", "photos"}


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 3)
    for name in ("000007.jpg", "000023.jpg"):
        (photos / name).write_bytes(b"")
    for name in ("000011.jpg", "000012.jpg", "000013.jpg"):
        (photos / name).write_bytes(encoded(gray_picture()))
    one, three = (
        prepare(folder_of(photos), tmp_path / f"{n}", workers=n, skip_corrupt=True, quiet=True) for n in (1, 3)
    )
    assert arrays(one) == arrays(three)
    assert one.meta == three.meta
    assert one.summary().endswith("left out: 3 grayscale, 2 unreadable")


def test_a_tar_and_its_files_give_the_same_arrays(photos: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "photos.tar", {file.name: file.read_bytes() for file in photos.iterdir()})
    from_folder, from_tar = (prepare(folder_of(p), tmp_path / p.name[-3:], quiet=True) for p in (photos, path))
    assert arrays(from_folder) == arrays(from_tar)


def test_nothing_is_done_twice(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert up_to_date(folder_of(photos), out) is None
    prepare(folder_of(photos), out, quiet=True)
    before = (out / "meta.json").stat().st_mtime_ns
    assert up_to_date(folder_of(photos), out) is not None
    prepare(folder_of(photos), out, quiet=True)
    assert (out / "meta.json").stat().st_mtime_ns == before
    photos.rename(tmp_path / "moved")
    prepare(folder_of(tmp_path / "moved"), out, quiet=True)  # a folder moved as a whole holds the same originals
    prepare(folder_of(photos), out, quiet=True)  # prepared arrays serve even if the originals are gone
    assert (out / "meta.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["content", "another file", "size", "name"])
def test_a_change_prepares_anew(change: str, photos: Path, tmp_path: Path) -> None:
    first = prepare(folder_of(photos), tmp_path / "out", quiet=True)
    size, name = SIZE, None
    if change == "content":
        (photos / "000001.jpg").write_bytes(encoded(picture(99)))
    elif change == "another file":
        (photos / "000041.jpg").write_bytes(encoded(picture(41)))
    elif change == "size":
        size = 8
    else:
        name = "other"
    second = prepare(folder_of(photos, size), tmp_path / "out", name=name, quiet=True)
    assert second.meta != first.meta
    fresh = prepare(folder_of(photos, size), tmp_path / "fresh", name=name, quiet=True)
    assert arrays(second) == arrays(fresh)


def test_meta_says_everything(tmp_path: Path) -> None:
    splits = {
        "train": [*pixels(3), Pixels(gray_picture(1, SIZE, SIZE))],
        "val": pixels(2, seed=10),
        "test": pixels(2, seed=20),
    }
    prepared = prepare(Few(splits, classes=("cat", "dog")), tmp_path / "out", quiet=True)
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert meta["splits"]["train"]["ids"] == ["train-0", "train-1", "train-2"]
    assert meta["splits"]["train"]["left_out"]["grayscale"] == ["train-3"]
    assert meta["decoder"]["pillow"]
    assert meta["config"]["image_size"] == SIZE
    assert (meta["schema"], meta["layout"], meta["classes"]) == (2, "made up", ["cat", "dog"])
    labels = prepared.labels("train")
    assert labels is not None
    assert labels.tolist() == [0, 1, 0]
    info = prepared.info()
    assert (info.name, info.image_size, info.train_images) == ("few", SIZE, 3)
    assert float(info.ab_prior.sum()) == pytest.approx(1)
    assert prepared.summary().endswith("train 3, val 2, test 2 images; left out: 1 grayscale")


def test_a_photograph_in_several_splits_is_kept_counted_and_named(tmp_path: Path) -> None:
    first, second, third = pixels(3)
    train = [first, second, third, Pixels(gray_picture(1, SIZE, SIZE)), first, third]
    dataset = Few({"train": train, "val": [second, *pixels(1, seed=10)], "test": [*pixels(1, seed=20), second, first]})
    prepared = prepare(dataset, tmp_path / "out", quiet=True)
    expected = [["train/train-0", "train/train-4", "test/test-2"], ["train/train-1", "val/val-0", "test/test-1"]]
    assert prepared.meta.in_several_splits == expected
    assert verify(prepared.folder).in_several_splits == expected
    assert [len(prepared.ids(split)) for split in SPLITS] == [5, 2, 3]
    assert prepared.meta.note == "Photographs in more than one split: 2."
    assert prepared.summary().endswith("in several splits: 2")


# a run that stops -----------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import benchmark.data.preparation.prepare as p
from benchmark.datasets.folder import Folder, FolderConfig
p._CHUNK_IMAGES = 2
real = p.Chunk.save
def slow(self, path):
    real(self, path)
    print("chunk", flush=True)
    sys.stdin.readline()
p.Chunk.save = slow
root, out, workers = sys.argv[1:]
p.prepare(Folder(FolderConfig(image_size=16), Path(root)), Path(out), workers=int(workers), quiet=True)
"""


def start_child(root: Path, out: Path, workers: int) -> subprocess.Popen[str]:
    """Starts a process that prepares one chunk for each line that we write to it."""
    command = [sys.executable, "-c", CHILD, str(root), str(out), str(workers)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker processes in /proc")
def test_a_killed_run_goes_on_where_it_stopped(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    child = start_child(photos, out, workers=2)
    assert child.stdin
    assert child.stdout
    for _ in range(5):
        assert child.stdout.readline() == "chunk\n"
        child.stdin.write("\n")
        child.stdin.flush()
    workers = children_of(child.pid)
    child.kill()
    child.wait()
    assert not out.exists()
    assert len(list(out.with_name("out.part").glob("train-*.npz"))) >= 5
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 2)
    decoded = count_decoded(monkeypatch)
    resumed = prepare(folder_of(photos), out, workers=1, quiet=True)
    assert len(decoded) <= 40 - 2 * 5
    assert arrays(resumed) == arrays(prepare(folder_of(photos), tmp_path / "whole", quiet=True))
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers outlive a parent that was killed"


def test_ctrl_c_says_how_to_go_on_and_changed_files_are_made_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 4)
    out = tmp_path / "out"
    interrupt_after(26, monkeypatch)
    with pytest.raises(BenchError, match=r"interrupted.*the same command goes on"):
        prepare(folder_of(photos), out, workers=1, quiet=True)
    changed = folder_of(photos).items("train")[9].id  # the item is in the third of six finished chunks
    (photos / f"{changed}.jpg").write_bytes(encoded(picture(99)))
    decoded = count_decoded(monkeypatch)
    resumed = prepare(folder_of(photos), out, workers=1, quiet=True)
    assert len(decoded) == 40 - 20
    assert arrays(resumed) == arrays(prepare(folder_of(photos), tmp_path / "whole", quiet=True))


@pytest.mark.parametrize("damage", ["a short file", "flipped bytes", "a file gone", "half a file", "half an array"])
def test_a_damaged_part_is_never_trusted(
    damage: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 4)
    out, part = tmp_path / "out", tmp_path / "out.part"
    interrupt_after(35, monkeypatch)
    with pytest.raises(BenchError, match="interrupted"):
        prepare(folder_of(photos), out, workers=1, quiet=True)
    chunk = sorted(part.glob("train-*.npz"))[2]
    if damage == "a short file":
        os.truncate(chunk, 1000)
    elif damage == "flipped bytes":
        content = bytearray(chunk.read_bytes())
        content[2000] ^= 1
        chunk.write_bytes(content)
    elif damage == "a file gone":
        chunk.unlink()
    elif damage == "half a file":
        chunk.rename(chunk.with_suffix(".part"))
    else:
        (part / "train.npy").write_bytes(chunk.read_bytes())
    decoded = count_decoded(monkeypatch)
    resumed = prepare(folder_of(photos), out, workers=1, quiet=True)
    assert len(decoded) == 40 - 32 + (0 if damage == "half an array" else 4)
    assert arrays(resumed) == arrays(prepare(folder_of(photos), tmp_path / "whole", quiet=True))
    assert sorted(path.name for path in out.iterdir()) == [
        "ab_prior.npy",
        "meta.json",
        "test.npy",
        "train.npy",
        "val.npy",
    ]


@pytest.mark.parametrize("change", ["size", "decoder", "rule"])
def test_chunks_of_other_settings_are_not_used(
    change: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.preparation.prepare._CHUNK_IMAGES", 4)
    interrupt_after(20, monkeypatch)
    with pytest.raises(BenchError, match="interrupted"):
        prepare(folder_of(photos), tmp_path / "out", workers=1, quiet=True)
    if change == "decoder":
        monkeypatch.setattr("benchmark.data.preparation.prepare.decoder_versions", lambda: {"pillow": "0"})
    if change == "rule":
        monkeypatch.setattr("benchmark.data.preparation.prepare.RULE", "another rule")
    decoded = count_decoded(monkeypatch)
    prepare(folder_of(photos, 8 if change == "size" else SIZE), tmp_path / "out", workers=1, quiet=True)
    assert len(decoded) == 40


@pytest.mark.slow
def test_two_at_once_do_the_work_once(photos: Path, tmp_path: Path) -> None:
    """The second waits for the first, finds everything prepared, and returns."""
    first = start_child(photos, tmp_path / "out", workers=1)
    assert first.stdin
    assert first.stdout
    assert first.stdout.readline() == "chunk\n"
    second = start_child(photos, tmp_path / "out", workers=1)
    output, _ = first.communicate("\n" * 40, timeout=60)
    assert output.count("chunk") == 15 + 2 + 2
    assert second.communicate(timeout=60)[0] == ""
    assert (first.returncode, second.returncode) == (0, 0)


MEMORY = """
import resource, sys
from pathlib import Path
from typing import NamedTuple
import numpy as np

class Made(NamedTuple):
    number: int
    where, signature = "made up", "1"
    def load(self, size):
        image = np.full((size, size, 3), self.number % 251, np.uint8)
        image[..., 0] = 255
        return image

def peak(count, out, workers):
    from data_files import Few  # here, for workers import this file anew
    from benchmark.data.preparation.prepare import prepare
    from benchmark.data.preparation.verify import verify

    splits = {"train": [Made(n) for n in range(count)], "val": [Made(1)], "test": [Made(2)]}
    verify(prepare(Few(splits, size=256), Path(out), workers=workers, quiet=True).folder)
    lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss counts whoever started this process, too
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024

if __name__ == "__main__":
    print(*(peak(count, f"{sys.argv[1]}/{count}", workers) for count, workers in ((50, 1), (1000, 2))))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/status of Linux")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """1,000 images of 256² are 188 MiB; neither making nor verifying them takes more memory than 50 do."""
    (tmp_path / "memory.py").write_text(MEMORY)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, str(tmp_path / "memory.py"), str(tmp_path)]
    small, large = map(int, subprocess.run(command, env=environment, check=True, capture_output=True).stdout.split())
    assert large - small < 128 << 20  # the workers' maps and threads take memory too
    assert large < 1.5 * (1 << 30)


# what is read again ---------------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(photos: Path, tmp_path: Path) -> Prepared:
    return prepare(folder_of(photos), tmp_path / "out", quiet=True)


def test_verify_finds_a_changed_byte(prepared: Prepared) -> None:
    assert verify(prepared.folder).right
    with (prepared.folder / "val.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert [name for name, right in verify(prepared.folder).files.items() if not right] == ["val.npy"]


@pytest.mark.parametrize("damage", ["cut meta", "no array", "short array", "another array", "no meta", "no prior"])
def test_damage_is_named_when_opened(damage: str, prepared: Prepared) -> None:
    folder = prepared.folder
    if damage == "cut meta":
        os.truncate(folder / "meta.json", 200)
    elif damage == "no array":
        (folder / "test.npy").unlink()
    elif damage == "short array":
        os.truncate(folder / "test.npy", 1000)
    elif damage == "another array":
        np.save(folder / "test.npy", np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8))
    elif damage == "no meta":
        (folder / "meta.json").unlink()
    else:
        (folder / "ab_prior.npy").unlink()
    with pytest.raises(BenchError, match="bench data prepare") as caught:
        _ = Prepared.open(folder).ab_prior
    assert str(folder) in str(caught.value)


# grayscale and statistics ---------------------------------------------------------------------------------------------


def test_grayscale_means_every_pixel() -> None:
    images = np.stack([gray_picture(n, 32, 32) for n in range(4)] + [picture(n, 32, 32) for n in range(4)])
    images[1, 5, 3] = (200, 0, 0)  # one red pixel lies off the coarse grid
    images[2, 5, 3] = images[2, 5, 3] + np.array([2, 0, 0], dtype=np.uint8)  # a tint within the limit
    assert grayscale(images).tolist() == [True, False, True, True, False, False, False, False]
    _, ab = rgb_to_lab(torch.from_numpy(images))
    assert grayscale(images).tolist() == (ab.abs().amax((1, 2, 3)) <= 5).tolist()
    assert grayscale(images[:0]).shape == (0,)


def test_statistics_agree_with_every_pixel_taken_alone() -> None:
    images = np.stack([picture(n, 24, 24) for n in range(6)])
    count = ColorCount()
    count.add(images[:4])
    count.add(images[4:])
    mean, prior = count.statistics()
    _, ab = rgb_to_lab(torch.from_numpy(images))
    points = ab.movedim(1, -1).reshape(-1, 2).double().numpy()
    np.testing.assert_allclose(mean, points.mean(0), atol=2e-6)
    expected = np.bincount(cKDTree(centers().numpy()).query(points)[1], minlength=313) / len(points)
    np.testing.assert_allclose(prior, expected, atol=2e-4)  # points halfway between two bins
    assert prior.sum() == pytest.approx(1)


def test_ctrl_c_reaches_only_the_parent() -> None:
    """Workers leave SIGINT to the parent, who ends them in order."""
    import benchmark.data.preparation.decoding as module

    before = signal.getsignal(signal.SIGINT)
    try:
        module._start_worker()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_up_to_date_is_known_without_listing_the_originals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CIFAR-10's fingerprint is its archive's size and time; listing it would unpack it at every start."""
    splits = {"train": pixels(3), "val": pixels(1), "test": pixels(1)}
    prepare(Few(splits), tmp_path / "out", quiet=True)
    again = Few(splits)
    known = again.fingerprint()
    monkeypatch.setattr(again, "fingerprint", lambda: known)
    monkeypatch.setattr(again, "items", None)
    assert up_to_date(again, tmp_path / "out") is not None
