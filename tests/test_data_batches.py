"""Batches are a pure function of (seed, step): each epoch is a permutation, and the world size changes nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from benchmark.data.batches import Batches, _Ahead
from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.support.errors import InputError
from benchmark.support.memory import free_memory, peak_memory


def numbered(count: int, size: int = 8) -> np.ndarray:
    """Returns images (count, size, size, 3) uint8 whose red is their number and whose green is the column."""
    images = np.zeros((count, size, size, 3), dtype=np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    images[..., 1] = np.arange(size)[None, None]
    images[..., 2] = np.arange(size)[None, :, None]
    return images


def shown(batches: Batches, step: int) -> torch.Tensor:
    """Returns the bytes (B, S, S, 3) from which a batch was made; Lab keeps those of `numbered` images."""
    return lab_to_rgb(*batches(step))[0]


def numbers(batches: Batches, steps: range) -> list[int]:
    return [int(n) for step in steps for n in shown(batches, step)[:, 0, 0, 0]]


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    images = numbered(50)
    first, second = (Batches(images, 8, seed=3, device="cpu") for _ in range(2))
    for step in (0, 5, 6, 40, 7, 1000):
        assert torch.equal(shown(first, step), shown(second, step))
    for step in reversed(range(10)):  # earlier calls change nothing
        assert torch.equal(shown(first, step), shown(Batches(images, 8, seed=3, device="cpu"), step))
    assert not torch.equal(shown(first, 0), shown(Batches(images, 8, seed=4, device="cpu"), 0))
    assert not torch.equal(shown(first, 0), shown(first, 1))


def test_every_epoch_shows_every_image_once_in_another_order() -> None:
    batches = Batches(numbered(30), 8, seed=0, device="cpu")
    shown = numbers(batches, range(15))  # 120 images: four epochs
    epochs = [shown[start : start + 30] for start in range(0, 120, 30)]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs[0] != list(range(30))


def test_a_training_that_starts_later_sees_what_follows() -> None:
    images = numbered(30)
    whole = Batches(images, 8, seed=0, device="cpu")
    child = Batches(images, 4, seed=0, device="cpu", start=40)
    assert torch.equal(torch.cat([shown(child, 0), shown(child, 1)]), shown(whole, 5))


def test_a_split_smaller_than_a_batch_is_repeated() -> None:
    batches = Batches(numbered(3), 8, seed=0, device="cpu")
    assert shown(batches, 0).shape == (8, 8, 8, 3)
    assert np.bincount(numbers(batches, range(3)), minlength=3).tolist() == [8, 8, 8]


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_the_global_batch_is_the_same_at_any_world_size(world: int) -> None:
    images = numbered(20)
    settings: dict[str, Any] = {"batch_size": 12, "seed": 1, "device": "cpu"}
    whole = Batches(images, **settings)
    ranks = [Batches(images, **settings, rank=rank, world=world) for rank in range(world)]
    for step in range(5):
        assert torch.equal(torch.cat([shown(rank, step) for rank in ranks]), shown(whole, step))


def test_half_of_the_images_are_mirrored_anew_each_epoch() -> None:
    batches = Batches(numbered(200), 100, seed=0, device="cpu")
    epochs = []
    for epoch in range(2):
        rgb = torch.cat([shown(batches, 2 * epoch), shown(batches, 2 * epoch + 1)])
        mirrored = rgb[:, 0, 0, 1] == 7
        columns = rgb[:, 0, :, 1]
        assert torch.equal(columns[mirrored], _ramp().flip(0).expand(int(mirrored.sum()), -1))
        assert torch.equal(columns[~mirrored], _ramp().expand(int((~mirrored).sum()), -1))
        assert 70 <= int(mirrored.sum()) <= 130
        order = rgb[:, 0, 0, 0].argsort()
        epochs.append(mirrored[order])
    assert not torch.equal(*epochs)
    plain = Batches(numbered(200), 100, seed=0, device="cpu", flip=False)
    assert not (shown(plain, 0)[:, 0, 0, 1] == 7).any()


@pytest.mark.parametrize("on_device", ["no", "yes"])
def test_a_crop_is_a_square_of_the_mirrored_image_at_another_place_each_time(on_device: Literal["no", "yes"]) -> None:
    images = numbered(40)
    whole, cut = (Batches(images, 20, seed=1, device="cpu", crop=crop, on_device=on_device) for crop in (None, 5))
    corners = set()
    for step in range(4):  # two epochs
        order = cut.order(step)
        for row, image in enumerate(shown(cut, step)):
            top, left = order.corner[row]
            assert torch.equal(image, shown(whole, step)[row, top : top + 5, left : left + 5])
            corners.add((int(top), int(left)))
    assert {corner[axis] for corner in corners for axis in (0, 1)} == set(range(4))
    with pytest.raises(InputError, match="crop 9 is larger than the images; legal: 1 to 8"):
        Batches(images, 20, seed=1, device="cpu", crop=9)


def _ramp() -> torch.Tensor:
    return torch.arange(8, dtype=torch.uint8)


@pytest.mark.parametrize("on_device", ["no", "yes"])
@pytest.mark.parametrize("size", [16, 7])
def test_lab_is_that_of_the_bytes(on_device: Literal["no", "yes"], size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, size, size, 3), dtype=np.uint8)
    batches = Batches(images, 16, seed=0, device="cpu", on_device=on_device)
    for step in range(5):
        batch, order = batches(step), batches.order(step)
        rgb = images[order.image]
        rgb = np.where(order.mirrored[:, None, None, None], rgb[:, :, ::-1], rgb)
        L, ab = rgb_to_lab(torch.from_numpy(rgb))
        error = 0 if size == 16 else 1e-4  # other instructions handle the last pixels of odd sizes
        torch.testing.assert_close(batch.L, L, atol=error, rtol=0)
        torch.testing.assert_close(batch.ab, ab, atol=error, rtol=0)
        assert batch.L.is_contiguous()
        assert batch.ab.is_contiguous()
    assert (batch.L.shape, batch.ab.shape, batch.L.dtype) == ((16, 1, size, size), (16, 2, size, size), torch.float32)


def test_memory_maps_and_resident_splits_give_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", numbered(40))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    places: tuple[Literal["auto", "no", "yes"], ...] = ("no", "yes", "auto")
    mapped, resident, auto = (Batches(images, 16, seed=2, device="cpu", on_device=place) for place in places)
    for step in range(6):
        batch = mapped(step)
        for other in (resident(step), auto(step)):
            assert torch.equal(batch.L, other.L)
            assert torch.equal(batch.ab, other.ab)


@pytest.mark.parametrize(
    ("free", "world", "stays"), [(6144, 1, True), (6143, 1, False), (6144, 2, False), (None, 2, True)]
)
def test_a_split_stays_in_main_memory_only_if_it_fits(
    free: int | None, world: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.batches.free_memory", lambda: free)
    images = numbered(4)  # 768 bytes; Lab may take half of the memory and needs four times the bytes
    assert (Batches(images, 2, seed=0, device="cpu", world=world)._resident is not None) == stays
    assert Batches(images, 2, seed=0, device="cpu", on_device="no", world=world)._resident is None
    assert Batches(images, 2, seed=0, device="cpu", on_device="yes", world=world)._resident is not None


def machine(root: Path, groups: str, files: dict[str, int | str]) -> Path:
    """Makes a system with 1,000,000 KiB available whose control groups hold these files."""
    content = {"proc/meminfo": "MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n", "proc/self/cgroup": groups}
    for name, text in {**content, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_free_memory_is_what_the_control_groups_leave(tmp_path: Path) -> None:
    assert free_memory(machine(tmp_path / "none", "0::/", {})) == 1_000_000 * 1024
    job: dict[str, int | str] = {"memory.max": 5000, "memory.current": 4000, "memory.stat": "anon 1\ninactive_file 700"}
    step = {**job, "memory.max": "max"}
    files = {
        f"{folder}/{name}": text for folder, group in (("job", job), ("job/step", step)) for name, text in group.items()
    }
    assert free_memory(machine(tmp_path / "v2", "0::/job/step", files)) == 1700
    old: dict[str, int | str] = {"limit_in_bytes": 900, "usage_in_bytes": 1000, "stat": "total_inactive_file 0"}
    files = {f"memory/box/memory.{name}": text for name, text in old.items()}
    assert free_memory(machine(tmp_path / "v1", "4:cpu,memory:/box\n0::/", files)) == 0
    assert free_memory(tmp_path / "nothing") is None
    assert (free_memory() or 1) > 0


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_is_in_bytes_on_every_system(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("resource.getrusage", lambda who: SimpleNamespace(ru_maxrss=5000))
    assert peak_memory(torch.device("cpu")) == 5000 * unit


def test_batches_copied_ahead_are_the_same_in_any_order_of_steps() -> None:
    images = numbered(40)
    plain, ahead = (Batches(images, 16, seed=2, device="cpu", on_device="no") for _ in range(2))
    ahead._ahead = _Ahead(images, pinned=False)
    for step in (0, 1, 2, 7, 3, 4, 4, 0):
        assert torch.equal(ahead(step).L, plain(step).L)
        assert torch.equal(ahead(step).ab, plain(step).ab)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("on_device", ["auto", "no"])
def test_a_gpu_gives_the_same_batches(on_device: Literal["auto", "no"]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    here = Batches(images, 16, seed=0, device="cpu")
    there = Batches(images, 16, seed=0, device="cuda", on_device=on_device)
    for step in range(5):
        torch.testing.assert_close(there(step).L.cpu(), here(step).L, atol=1e-3, rtol=0)
        torch.testing.assert_close(there(step).ab.cpu(), here(step).ab, atol=1e-3, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size 5 cannot be shared equally by 2"):
        Batches(numbered(4), 5, seed=0, device="cpu", world=2)
    with pytest.raises(InputError, match="empty"):
        Batches(numbered(0), 2, seed=0, device="cpu")
