"""Any folder, or tar or zip archive, of photographs: `--data folder:/path/to/photographs`.

Licence and terms are those of the photographs' owners.

If its top level is `train/` with `val/` or `test/`, as in ImageNet, that is the split; without a `test/`, `val/` is
test, and validation is held out of train by hash. Otherwise all images below it, nested or not, are split by hash of
their path: the last tenth in hash order is test, and the tenth before it is validation. If each image of a given split
lies in a folder of its class (`train/<class>/…`), the classes become labels.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from pydantic import Field

from benchmark.contracts.dataset import SPLITS, Dataset, DatasetConfig, Item, Listing, MissingDataError
from benchmark.data.preparation.archives import Found, printable
from benchmark.support.errors import InputError

from ._layouts import hold_out, images_of, limited, split_by_hash

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


class FolderConfig(DatasetConfig):
    """Settings of a folder."""

    val_share: float = Field(
        0.1, gt=0, lt=0.5, description="share of the images, or of train/ where val/ is lacking or is test"
    )
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of the images if the folder has no split")


class Folder(Dataset):
    """A folder or archive of photographs."""

    name = "folder"
    Config = FolderConfig
    title = "A folder of photographs"
    licence = "that of the photographs' owners"

    def find(self) -> Listing:
        """Lists the images below the folder and splits them."""
        if self.root is None:
            raise InputError("data set folder: which one? write --data folder:/path/to/photographs")
        if not self.root.exists():
            raise MissingDataError(f"folder {self.root} does not exist")
        found = _without_common_folder(images_of(self.root))
        if not found:
            raise MissingDataError(f"no images (.jpg, .png, .webp, …) below {self.root}")
        given = {SPLIT_FOLDERS[top] for file in found if (top := _top(file.name)) in SPLIT_FOLDERS}
        if "train" in given and len(given) > 1:
            return self._given_split(found, given)
        if len(found) < 3:
            raise InputError(f"{self.root} holds {len(found)} image(s); at least 3 are needed, one for each split")
        items = [_item(file) for file in found]
        splits = split_by_hash(items, self.config.val_share, self.config.test_share)
        return Listing(limited(splits, self.config), f"{len(found):,} images, split by hash of their path")

    def _given_split(self, found: Sequence[Found], given: set[str]) -> Listing:
        files: dict[str, list[Found]] = {split: [] for split in SPLITS}
        for file in found:
            if (top := _top(file.name)) in SPLIT_FOLDERS:
                files[SPLIT_FOLDERS[top]].append(file)
        aside = len(found) - sum(map(len, files.values()))
        if "test" not in given:
            files["test"], files["val"] = files["val"], []
        classes = _classes(files)
        items = {split: [_item(file, classes) for file in files[split]] for split in SPLITS}
        held = not items["val"]
        if held:
            items["train"], items["val"] = hold_out(
                items["train"], max(1, round(len(items["train"]) * self.config.val_share))
            )
        layout = (
            f"the folder's own split ({' and '.join(sorted(given))}): {len(files['test']):,} test images"
            + (", validation held out of train by hash" if held else "")
            + (f"; {aside:,} images beside these folders not used" if aside else "")
        )
        return Listing(limited(items, self.config), layout, classes)


def _top(name: str) -> str:
    return name.partition("/")[0].lower()


def _without_common_folder(found: Sequence[Found]) -> list[Found]:
    """Removes folders that hold all files from their names, such as `imagenette2/` in `imagenette2/train/…`."""
    found = list(found)
    while found and all("/" in file.name for file in found) and len({_top(file.name) for file in found}) == 1:
        found = [Found(file.name.partition("/")[2], file.source) for file in found]
    return found


def _classes(files: dict[str, list[Found]]) -> tuple[str, ...] | None:
    """Returns the names of the class folders, or None unless every image of every split lies in one."""
    parts = [PurePosixPath(file.name).parts for split in SPLITS for file in files[split]]
    return tuple(sorted({part[1] for part in parts})) if all(len(part) > 2 for part in parts) else None


def _item(file: Found, classes: tuple[str, ...] | None = None) -> Item:
    path = PurePosixPath(file.name)
    label = classes.index(path.parts[1]) if classes else None
    return Item(printable(str(path.with_suffix(""))), file.name, file.source, label)
