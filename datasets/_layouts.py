"""Functions that the data sets of photographs share: finding the originals, and splitting those that have no split."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from benchmark.contracts.dataset import SPLITS, Dataset, DatasetConfig, Item, Listing, MissingDataError, by_hash, subset
from benchmark.data.preparation.archives import Found, is_visible, list_archive, list_folder, printable
from benchmark.data.preparation.images import SUFFIXES
from benchmark.data.preparation.places import own_places, places
from benchmark.support.errors import BenchError

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


def images_named(place: Path, name: str, suffixes: Iterable[str] = SUFFIXES) -> list[Found] | None:
    """Returns the images of a folder or an archive that is called `name` inside `place`, or None if there is none."""
    if (place / name).is_dir():
        return list_folder(place / name, suffixes)
    for suffix in ARCHIVES:
        if (place / f"{name}{suffix}").is_file():
            return list_archive(place / f"{name}{suffix}", suffixes)
    return None


def images_of(place: Path, suffixes: Iterable[str] = SUFFIXES) -> list[Found]:
    """Returns the images of an archive, of a folder that holds one archive, or of a folder of images."""
    if not place.exists():
        return []
    if not place.is_dir():
        return list_archive(place, suffixes)
    archives = [path for path in place.glob("*") if is_visible(path.name) and bare_name(path) and path.is_file()]
    return list_archive(archives[0], suffixes) if len(archives) == 1 else list_folder(place, suffixes)


def bare_name(path: Path) -> str | None:
    """Returns an archive's name without the suffix that makes it one, or None for a path that has no such suffix."""
    suffix = next((suffix for suffix in ARCHIVES if path.name.lower().endswith(suffix)), None)
    return path.name[: -len(suffix)] if suffix else None


def originals(
    dataset: Dataset, names: Sequence[str], suffixes: Iterable[str] = SUFFIXES
) -> tuple[str | None, list[Found]]:
    """Looks for the files of a data set whose archives and folders have names of their own.

    Args:
        dataset: the data set.
        names: what its archives (without suffix) or unpacked folders are called; the first that is there counts.
        suffixes: of the files that are wanted.

    Returns:
        The name, and the files; None as the name where the files were found in the data set's own place, under another.

    Raises:
        MissingDataError: nothing is there.
    """
    looked = places(dataset.name, dataset.root)
    for place in looked:
        for name in names:
            if found := images_named(place, name, suffixes):
                return name, found
    for place in own_places(dataset.name, dataset.root):
        if found := images_of(place, suffixes):
            known = bare_name(place) or place.name
            return known if known in names else None, found
    what = f"run `bench data fetch {dataset.name}`" if dataset.remotes else f"get them from {dataset.homepage}"
    raise MissingDataError(
        f"{dataset.name}: neither {' nor '.join(names)} ({', '.join(ARCHIVES)} or folder) nor other images in "
        f"{' or '.join(map(str, looked))}; {what}, or give --root the folder that holds them"
    )


def inside_scikit_image(dataset: Dataset, names: Sequence[str]) -> list[Path]:
    """Returns the files of these names among the photographs of the installed scikit-image; nothing is downloaded.

    Raises:
        MissingDataError: one is not there.
    """
    spec = find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path()
    paths = [folder / name for name in names]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise MissingDataError(
            f"{dataset.name}: {', '.join(missing)} not in {folder}: reinstall scikit-image from its wheel"
        )
    return paths


def below(found: Iterable[Found], folders: Sequence[str]) -> dict[str, list[Found]]:
    """Sorts files by the last of these folders on their path, as an archive's parent folder may be called `test` too.

    Returns:
        Folder → its files, named from there on: `imagenette2/train/n01440764/1.JPEG` is `n01440764/1.JPEG` of `train`.
    """
    parts: dict[str, list[Found]] = {folder: [] for folder in folders}
    for file in found:
        path = file.name.split("/")
        if place := max((place for place, part in enumerate(path[:-1], start=1) if part in parts), default=None):
            parts[path[place - 1]].append(Found("/".join(path[place:]), file.source))
    return parts


def labeled(found: Iterable[Found], label: Mapping[str, int]) -> list[Item]:
    """Returns the items of files whose first folder is their class, in the order of their file names.

    Raises:
        BenchError: a class that `label` does not know.
    """
    items = []
    for file in found:
        folder, slash, _ = file.name.partition("/")
        if not slash or folder not in label:
            known = ", ".join(sorted(label)[:3])
            raise BenchError(f"{file.source.where}: in no folder of one of the {len(label)} classes ({known}, …)")
        items.append(_item(file, label[folder]))
    return sorted(items, key=lambda item: item.file.encode("utf-8", "surrogateescape"))


def items_by_name(found: Sequence[Found]) -> list[Item]:
    """Returns items of a data set with unique file names: an id is the file's name without its folders and suffix."""
    items = [_item(file) for file in found]
    return sorted(items, key=lambda item: item.file.encode("utf-8", "surrogateescape"))


def part_note(told: str, *counts: tuple[int, int]) -> str | None:
    """Returns the note of a data set of which only a part is here, None of a whole one.

    Args:
        told: what is here, with places for all numbers: `{:,} of {:,} photographs`.
        counts: numbers of photographs that are here and of all, by split.
    """
    if all(here == whole for here, whole in counts):
        return None
    return f"{told.format(*chain.from_iterable(counts))}: to be compared with the same part only."


def test_only(dataset: Dataset, found: Sequence[Found], official: int) -> Listing:
    """Lists a test set, a data set without training split, that has `official` photographs; a note tells of fewer."""
    layout = f"{len(found):,} photographs, all of them test"
    splits = limited({"test": items_by_name(found)}, dataset.config)
    return Listing(splits, layout, note=part_note("{:,} of {:,} photographs", (len(found), official)))


HELD_OUT = 1 / 20  # share of an official train that becomes validation


def train_and_val(
    dataset: Dataset,
    found: Mapping[str, Sequence[Found]],
    classes: Mapping[str, str],
    official: tuple[int, int],
    of: str,
) -> Listing:
    """Lists the class folders of an official `train` and `val`: val is test, and validation is held out of train.

    Args:
        dataset: whose photographs.
        found: `train` and `val` → their files, each named `<class folder>/…`.
        classes: class folder → name of the class, in the order of the labels.
        official: how many photographs the official train and val have. With fewer, a note says so.
        of: what the photographs are of, for the layout's sentence.

    Raises:
        MissingDataError: one of the two has no photographs.
        BenchError: a photograph lies in no class folder.
    """
    if not (found["train"] and found["val"]):
        raise MissingDataError(
            f"{dataset.name}: no photographs in train/<class>/ and val/ of {of}; "
            f"run `bench data fetch {dataset.name}`, or give --root the folder that holds both"
        )
    label = {folder: place for place, folder in enumerate(classes)}
    items, test = (labeled(found[part], label) for part in ("train", "val"))
    train, val = hold_out(items, max(1, round(len(items) * HELD_OUT)))
    layout = f"{of}: train ({len(items):,}), val ({len(test):,}) as test; {len(val):,} of train held out by hash"
    counts = zip((len(items), len(test)), official, strict=True)
    note = part_note("{:,} of {:,} photographs of train and {:,} of {:,} of val", *counts)
    splits = limited({"train": train, "val": val, "test": test}, dataset.config)
    return Listing(splits, layout, tuple(classes.values()), note)


def _item(found: Found, label: int | None = None) -> Item:
    file = posixpath.basename(found.name)
    return Item(printable(posixpath.splitext(file)[0]), file, found.source, label)


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
    return {split: subset(items, counts[split]) for split, items in splits.items()}
