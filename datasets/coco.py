"""COCO 2017: photographs of everyday scenes, 118,287 of train2017 and 5,000 of val2017, mostly 640×480.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. The official files lie below
http://images.cocodataset.org/zips/: `val2017.zip` (0.8 GB) and `train2017.zip` (19.3 GB). The host gives no checksums;
ours are those on which public copies agree. Each photograph is under the Flickr terms of its author; see
https://cocodataset.org/#termsofuse.

Split: train2017 is train and val2017 is test; the last `val_count` images of train2017 in order of SHA-256(file name)
are validation. If only one collection is there, it is split by hash instead. If only a part of the images is there,
meta.json and every table say so.

Known layouts: archives or folders `train2017` and `val2017`, also below `images/`; or one archive or folder of images.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from benchmark.contracts.dataset import Dataset, DatasetConfig, Listing, MissingDataError
from benchmark.data.preparation.archives import Found, printable
from benchmark.data.preparation.places import own_places, places
from benchmark.support.download import Remote

from ._layouts import hold_out, images_named, images_of, items_by_name, limited, part_note, split_by_hash

TRAIN, TEST = 118_287, 5_000  # numbers of photographs


class CocoConfig(DatasetConfig):
    """Settings of COCO. The shares count only where the official split cannot be used."""

    val_count: int = Field(2000, ge=1, description="images of train2017 that are held out for validation")
    val_share: float = Field(0.1, gt=0, lt=0.5, description="share of a collection that is split by hash")
    test_share: float = Field(0.1, gt=0, lt=0.5, description="share of a collection that is split by hash")


class Coco(Dataset):
    """COCO 2017's photographs, without their annotations."""

    name = "coco"
    Config = CocoConfig
    title = "COCO 2017: photographs of everyday scenes (Lin et al. 2014)"
    licence = "the Flickr terms of each photograph; https://cocodataset.org/#termsofuse"
    homepage = "https://cocodataset.org"
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote(
            url="http://images.cocodataset.org/zips/val2017.zip",
            file="val2017.zip",
            size=815_585_330,
            sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
        Remote(
            url="http://images.cocodataset.org/zips/train2017.zip",
            file="train2017.zip",
            size=19_336_861_798,
            sha256="69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
    )

    def find(self) -> Listing:
        """Lists the images of both archives or folders, or of any one collection."""
        looked = places(self.name, self.root)
        for place in [place / below for place in looked for below in ("", "images")]:
            train, test = images_named(place, "train2017"), images_named(place, "val2017")
            if train and test:
                return self._official(train, test)
            if one := train or test:
                return self._one_collection(one, "train2017" if train else "val2017")
        for place in own_places(self.name, self.root):
            if found := images_of(place):
                return self._one_collection(found, printable(place.name))
        raise MissingDataError(
            f"coco: neither train2017 and val2017 (.zip or folders) nor images in {' or '.join(map(str, looked))}; "
            "run `bench data fetch coco`, or give --root the folder that holds them"
        )

    def _official(self, train: Sequence[Found], test: Sequence[Found]) -> Listing:
        kept, held = hold_out(items_by_name(train), self.config.val_count)
        splits = {"train": kept, "val": held, "test": items_by_name(test)}
        layout = f"train2017 ({len(train):,}) and val2017 ({len(test):,}); {len(held):,} of train held out by hash"
        told = "{:,} of train2017's {:,} and {:,} of val2017's {:,} photographs"
        note = part_note(told, (len(train), TRAIN), (len(test), TEST))
        return Listing(limited(splits, self.config), layout, note=note)

    def _one_collection(self, found: Sequence[Found], name: str) -> Listing:
        splits = split_by_hash(items_by_name(found), self.config.val_share, self.config.test_share)
        layout = f"{len(found):,} images of {name}, not the official split: they are split by hash of the file name"
        note = f"{len(found):,} COCO photographs, not the official split: to be compared with nothing else."
        return Listing(limited(splits, self.config), layout, note=note)
