"""Functions that the data sets of photographs share: finding the originals, and splitting those that have no split."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from benchmark.contracts.dataset import SPLITS, DatasetConfig, Item, by_hash, subset
from benchmark.data.preparation.archives import Found, list_archive, list_folder, printable
from benchmark.data.preparation.images import SUFFIXES

ARCHIVES = (".zip", ".tar")


def images_named(place: Path, name: str) -> list[Found] | None:
    """Returns the images of a folder or an archive that is called `name` inside `place`, or None if there is none."""
    if (place / name).is_dir():
        return list_folder(place / name, SUFFIXES)
    for suffix in ARCHIVES:
        if (place / f"{name}{suffix}").is_file():
            return list_archive(place / f"{name}{suffix}", SUFFIXES)
    return None


def images_of(place: Path) -> list[Found]:
    """Returns the images of an archive, of a folder that holds one archive, or of a folder of images."""
    if not place.exists():
        return []
    if not place.is_dir():
        return list_archive(place, SUFFIXES)
    archives = [path for path in place.glob("*") if path.suffix.lower() in ARCHIVES and path.is_file()]
    return list_archive(archives[0], SUFFIXES) if len(archives) == 1 else list_folder(place, SUFFIXES)


def items_by_name(found: Sequence[Found]) -> list[Item]:
    """Returns items of a data set with unique file names: an id is the file's name without its folders and suffix."""
    items = [Item(printable(PurePosixPath(f.name).stem), PurePosixPath(f.name).name, f.source) for f in found]
    return sorted(items, key=lambda item: item.file.encode("utf-8", "surrogateescape"))


def split_by_hash(items: Sequence[Item], val_share: float, test_share: float) -> dict[str, list[Item]]:
    """Splits by SHA-256(file name): the last items in hash order are test, those before validation, the rest train.

    Each split keeps the items' order. With three items or more no split is empty.
    """
    ordered = by_hash(items)
    test, val = (max(1, round(len(items) * share)) for share in (test_share, val_share))
    parts = {"train": ordered[: -test - val], "val": ordered[-test - val : -test], "test": ordered[-test:]}
    chosen = {split: {item.id for item in part} for split, part in parts.items()}
    return {split: [item for item in items if item.id in chosen[split]] for split in SPLITS}


def hold_out(items: Sequence[Item], count: int) -> tuple[list[Item], list[Item]]:
    """Takes the last `count` items by hash out of a training split; returns the remaining and the taken items."""
    held = {item.id for item in by_hash(items)[max(1, len(items) - count) :]}
    return [i for i in items if i.id not in held], [i for i in items if i.id in held]


def limited(splits: Mapping[str, Sequence[Item]], config: DatasetConfig) -> dict[str, list[Item]]:
    """Returns the splits, cut to the config's counts."""
    counts = {"train": config.train_count, "val": config.val_count, "test": config.test_count}
    return {split: subset(splits[split], counts[split]) for split in SPLITS}
