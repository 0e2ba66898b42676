"""Photographs of two splits that are the same to the eye are found and told of, and stay where they are."""

import io
from pathlib import Path

import numpy as np
import pytest
from data_files import Few, encoded, picture, pixels
from numpy.typing import NDArray
from PIL import Image

from benchmark.contracts.dataset import Pixels, Source
from benchmark.data.preparation.alike import alike_in_several_splits, keys_of
from benchmark.data.preparation.prepare import prepare
from benchmark.data.preparation.verify import verify
from benchmark.data.prepared import write_meta


def rough(seed: int, size: int = 64) -> NDArray[np.uint8]:
    """Returns a picture with detail, as photographs have it, (size, size, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    detail = np.asarray(Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    return ((detail + picture(seed, size, size)) / 2).astype(np.uint8)


def again(image: NDArray[np.uint8], quality: int = 75) -> NDArray[np.uint8]:
    """Returns the image encoded as JPEG and decoded."""
    return np.asarray(Image.open(io.BytesIO(encoded(image, quality=quality))))


def found(train: list[NDArray[np.uint8]], test: list[NDArray[np.uint8]]) -> list[list[str]]:
    images = {"train": np.stack(train), "test": np.stack(test)}
    ids = {split: [str(k) for k in range(len(of_split))] for split, of_split in images.items()}
    return alike_in_several_splits({split: keys_of(of_split) for split, of_split in images.items()}, images, ids)


def test_keys_are_the_mean_colors_of_a_grid() -> None:
    images = np.stack([rough(seed, 66) for seed in range(3)])
    keys = keys_of(images)
    assert keys.shape == (3, 48)
    expected = images[:, :64, :64].reshape(3, 4, 16, 4, 16, 3).mean(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_allclose(keys, expected, rtol=1e-6)


@pytest.mark.parametrize("quality", [95, 75, 60])
def test_a_photograph_encoded_again_is_found_among_others(quality: int) -> None:
    images = [rough(seed) for seed in range(300)]
    assert found(images[:250], [*images[250:], again(images[7], quality)]) == [["train/7", "test/50"]]
    assert found([*images[250:], again(images[7], quality)], images[:250]) == [["train/50", "test/7"]]


def test_equal_bytes_and_other_photographs_are_not_alike() -> None:
    images = [rough(seed) for seed in range(60)]
    assert found(images, [images[3]]) == []  # told of as `in_several_splits`
    brighter = np.clip(images[5].astype(int) + 25, 0, 255).astype(np.uint8)
    assert found(images, [rough(99), brighter, images[8][:, ::-1].copy()]) == []


def test_few_images_or_none() -> None:
    assert found([rough(1)], [again(rough(1))]) == [["train/0", "test/0"]]
    empty, none = np.empty((0, 64, 64, 3), np.uint8), dict[str, list[str]](train=[], test=[])
    keys = {split: keys_of(empty) for split in none}
    assert alike_in_several_splits(keys, dict.fromkeys(none, empty), none) == []


def test_preparation_and_verify_tell_of_them(tmp_path: Path) -> None:
    train, test = [*pixels(6, 64), Pixels(rough(1))], [Pixels(again(rough(1)))]
    splits: dict[str, list[Source]] = {"train": train, "val": pixels(2, 64, 50), "test": [*test]}
    prepared = prepare(Few(splits, size=64), tmp_path / "few", quiet=True)
    assert prepared.meta.alike_in_several_splits == [["train/train-6", "test/test-0"]]
    assert prepared.meta.in_several_splits == []
    assert "alike to the eye: 1" in (prepared.meta.note or "")
    assert "alike: 1" in prepared.summary()
    assert verify(tmp_path / "few").alike_in_several_splits == [["train/train-6", "test/test-0"]]
    write_meta(tmp_path / "few", prepared.meta.model_copy(update={"alike_in_several_splits": []}))
    assert not verify(tmp_path / "few").right
    write_meta(tmp_path / "few", prepared.meta.model_copy(update={"alike_in_several_splits": None}))
    assert verify(tmp_path / "few").right  # of an older preparation, which never looked for them
