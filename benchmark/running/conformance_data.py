"""The conformance kit of data sets: what every adapter must hold, as checks for anyone (`bench data check NAME`)."""

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from benchmark.contracts.dataset import Dataset
from benchmark.running.conformance import Verdict, require, run_checks

DECODED = 24  # images of each split that are decoded


def check_declaration(dataset: Dataset) -> str:
    """A name, what a user must know before using it, and a described setting for everything."""
    require(dataset.title and dataset.licence, "title and licence must say what it is and what one may do with it")
    require((type(dataset).__doc__ or "").strip(), "the class has no docstring")
    bare = [name for name, field in type(dataset.config).model_fields.items() if not field.description]
    require(not bare, f"settings without a description: {', '.join(bare)}")
    for remote in dataset.remotes:
        require(bool(remote.sha256), f"{remote.file} has no checksum")
    return f"{dataset.name}: {dataset.title}"


def check_splits(dataset: Dataset) -> str:
    """Three splits, none empty, no id twice; labels for all images or for none."""
    require(
        set(dataset.listing.splits) == set(dataset.split_names),
        f"splits are {set(dataset.listing.splits)}, not {set(dataset.split_names)}",
    )
    items = [item for split in dataset.split_names for item in dataset.items(split)]
    require(all(dataset.items(split) for split in dataset.split_names), "a split is empty")
    require(len({item.id for item in items}) == len(items), "an id occurs twice")
    classes = dataset.listing.classes
    legal = [None] if classes is None else range(len(classes))
    for item in items:
        require(item.label in legal, f"{item.id} has the label {item.label}, of {len(classes or ())} classes")
    return ", ".join(f"{split} {len(dataset.items(split)):,}" for split in dataset.split_names)


def check_ids(dataset: Dataset) -> str:
    """`<id>.png` is a legal relative path that stays in its folder, and legal text."""
    for item in (item for split in dataset.split_names for item in dataset.items(split)):
        path = PurePosixPath(item.id)
        inside = item.id and not path.is_absolute() and ".." not in path.parts
        require(inside, f"{item.id!r} leads out of its folder")
        require(item.id.isprintable(), f"{item.id!r} is not printable text")
    return f"such as {dataset.items('test')[0].id}"


def check_images(dataset: Dataset) -> str:
    """Images are (S, S, 3) uint8, the same each time, and the same in another process."""
    size = dataset.config.image_size
    for item in (item for split in dataset.split_names for item in dataset.items(split)[:DECODED]):
        image = item.source.load(size)
        require(image.shape == (size, size, 3), f"{item.id} is {image.shape}, expected {(size, size, 3)}")
        require(image.dtype == np.uint8, f"{item.id} is {image.dtype}, expected uint8")
        again = pickle.loads(pickle.dumps(item.source)).load(size)
        require(np.array_equal(image, again), f"{item.id} differs when it is decoded again")
    return f"{size}×{size}, uint8"


def check_disjoint(dataset: Dataset) -> str:
    """No photograph is in two splits, under whatever name."""
    size, seen = dataset.config.image_size, dict[bytes, str]()
    for split in dataset.split_names:
        for item in dataset.items(split)[:DECODED]:
            digest = hashlib.sha256(np.ascontiguousarray(item.source.load(size)).data).digest()
            require(seen.setdefault(digest, split) == split, f"{item.id} of {split} is also in {seen[digest]}")
    return f"the first {DECODED} images of each split"


def check_listing(dataset: Dataset) -> str:
    """Listing twice gives the same items in the same order, and the same fingerprint; nothing is decoded for it."""
    another = type(dataset)(dataset.config, dataset.root)
    for split in dataset.split_names:
        first, second = ([item.id for item in one.items(split)] for one in (dataset, another))
        require(first == second, f"{split} differs")
    require(another.fingerprint() == dataset.fingerprint(), "the fingerprint differs")
    return dataset.listing.layout


CHECKS = (
    check_declaration,
    check_splits,
    check_ids,
    check_images,
    check_disjoint,
    check_listing,
)


def check_dataset(dataset: Dataset) -> Iterator[Verdict]:
    """Runs every check on a data set, with its settings and its root, whose originals are on this machine."""
    return run_checks(CHECKS, lambda check: check(dataset))
