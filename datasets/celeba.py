"""CelebA: 202,599 photographs of faces, aligned and cropped to 178×218.

Z. Liu, P. Luo, X. Wang, X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015. The official page,
https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, leads to Google Drive: `img_align_celeba.zip` (1.4 GB, file
0B7EVK8r0v71pZjFTYXZWM3FlRnM) and `list_eval_partition.txt` (file 0B7EVK8r0v71pY0NSMzRuSXJEVkk). The data set is for
non-commercial research only and must not be redistributed. The host's daily quota often refuses programs; a browser
that is logged in succeeds more often.

Split: the official partition, 162,770 / 19,867 / 19,962. It follows the images' numbers, so the partition file is not
needed where all images are there. A part of the images that lacks some split is split by hash instead. If only a part
is there, meta.json and every table say so.

Known layouts: the archive, `img_align_celeba/` (each may lie in the other), any single archive or folder of images
named by number; the partition file lies beside them, as .txt or as Kaggle's .csv.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import Field

from benchmark.contracts.dataset import SPLITS, Dataset, DatasetConfig, Item, Listing, MissingDataError
from benchmark.data.preparation.archives import Found
from benchmark.data.preparation.places import own_places, places
from benchmark.support.download import Remote
from benchmark.support.errors import BenchError

from ._layouts import images_named, images_of, items_by_name, limited, part_note, split_by_hash

IMAGES = 202_599
LAST = {"train": 162_770, "val": 182_637, "test": IMAGES}  # number of each split's last image
HOMEPAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PARTITION_FILES = ("list_eval_partition.txt", "list_eval_partition.csv")
_DRIVE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"


class CelebaConfig(DatasetConfig):
    """Settings of CelebA. The shares count only where the official partition cannot be used."""

    val_share: float = Field(0.1, gt=0, lt=0.5, description="share of a part that is split by hash")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of a part that is split by hash")


class Celeba(Dataset):
    """CelebA, aligned and cropped."""

    name = "celeba"
    Config = CelebaConfig
    title = "CelebA: 202,599 aligned photographs of faces (Liu et al. 2015)"
    licence = "non-commercial research only, no redistribution"
    homepage = HOMEPAGE
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote(
            url=_DRIVE.format("0B7EVK8r0v71pZjFTYXZWM3FlRnM"),
            file="img_align_celeba.zip",
            size=1_443_490_838,
            sha256="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
            by_hand=HOMEPAGE,
        ),
        Remote(
            url=_DRIVE.format("0B7EVK8r0v71pY0NSMzRuSXJEVkk"),
            file="list_eval_partition.txt",
            size=2_836_386,
            sha256="fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
            by_hand=HOMEPAGE,
        ),
    )

    def find(self) -> Listing:
        """Lists the archive or folder, split by the official partition if that leaves no split empty."""
        looked = places(self.name, self.root)
        for place in looked:
            if found := images_named(place, "img_align_celeba"):
                return self._listing(found, place)
        for place in own_places(self.name, self.root):
            if found := images_of(place):
                return self._listing(found, place)
        raise MissingDataError(
            f"celeba: neither img_align_celeba.zip, img_align_celeba/ nor images in {' or '.join(map(str, looked))}; "
            f"run `bench data fetch celeba`, or get them by hand from {HOMEPAGE} and give --root their folder"
        )

    def _listing(self, found: Sequence[Found], place: Path) -> Listing:
        items = items_by_name(found)
        partition = _read_partition(place)
        source = "the lines of the partition file" if partition else "the official numbers"
        splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
        for item in items:
            split = partition.get(item.file) if partition else _split_of_number(item.file)
            if split is not None:
                splits[split].append(item)
        if all(splits.values()):
            used = sum(map(len, splits.values()))
            layout = f"{used:,} of the {IMAGES:,} aligned images, split by {source}"
            if used < len(items):
                layout += f"; {len(items) - used:,} images that {source} do not know are not used"
            note = part_note("{:,} of CelebA's {:,} images", (used, IMAGES))
        else:
            empty = " and ".join(split for split in SPLITS if not splits[split])
            splits = split_by_hash(items, self.config.val_share, self.config.test_share)
            layout = (
                f"{len(items):,} of the {IMAGES:,} images, not the official split: by {source} none were {empty}, "
                "so they are split by hash of the file name"
            )
            note = f"{len(items):,} CelebA images, not the official split: to be compared with nothing else."
        return Listing(limited(splits, self.config), layout, note=note)


def _split_of_number(file: str) -> str | None:
    stem = PurePosixPath(file).stem
    if not stem.isdecimal():
        return None
    return next((split for split in SPLITS if int(stem) <= LAST[split]), None)


def _read_partition(place: Path) -> dict[str, str]:
    """Returns file name → split from a partition file in the place or beside it; empty if there is none."""
    folders = (place.parent,) if place.is_file() else (place, place / "Eval", place.parent / "Eval")
    path = next((folder / name for folder in folders for name in PARTITION_FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    partition = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        fields = line.replace(",", " ").split()
        if not fields or fields == ["image_id", "partition"]:
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise BenchError(f"{path}, line {number}: {line!r} is not `<file> <0, 1 or 2>`; fetch it again")
        partition[fields[0]] = SPLITS[int(fields[1])]
    return partition
