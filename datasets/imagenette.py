"""Imagenette: 13,394 photographs in ten easily told classes of ImageNet.

By Jeremy Howard, https://github.com/fastai/imagenette, second version (December 2019). The official files lie below
https://s3.amazonaws.com/fast-ai-imageclas/: `imagenette2.tgz` (1.6 GB, the photographs as ImageNet has them),
`imagenette2-320.tgz` (342 MB) and `imagenette2-160.tgz` (99 MB), in which the short side is 320 and 160 pixels.
fast.ai gives MD5 sums; our SHA-256 are those on which public copies of the files of these sizes agree. The photographs
are ImageNet's, under its terms.

Split: the official train (9,469 photographs) is train, the official val (3,925) is test, and the last twentieth of
train in order of SHA-256(file name) is validation. Of several editions that are there the one of 320 pixels is used,
then the full one, then 160. An image of S pixels is never made of an edition with fewer.

Known layouts: the archives, compressed or not; folders of their names; or any tar, zip or folder that holds
`train/<class>/` and `val/<class>/`, such as `git archive` makes of a public copy. Of a copy nobody knows how it was
resized, and its note says so.
"""

from typing import ClassVar

from pydantic import Field

from benchmark.contracts.dataset import Dataset, DatasetConfig, Listing
from benchmark.support.download import Remote
from benchmark.support.errors import InputError

from ._layouts import below, originals, train_and_val

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
EDITIONS = {"imagenette2-320": 320, "imagenette2": None, "imagenette2-160": 160}  # → short side, pixels
TRAIN, TEST = 9_469, 3_925  # numbers of photographs
_HOST = "https://s3.amazonaws.com/fast-ai-imageclas"


class ImagenetteConfig(DatasetConfig):
    """Settings of Imagenette."""

    image_size: int = Field(128, ge=8, le=320, description="S; the tables use 64, 128 and 224")


class Imagenette(Dataset):
    """Imagenette, second version."""

    name = "imagenette"
    Config = ImagenetteConfig
    title = "Imagenette: 13,394 photographs in ten classes of ImageNet (Howard 2019)"
    licence = "ImageNet's terms: non-commercial research and education only; https://image-net.org/download"
    homepage = "https://github.com/fastai/imagenette"
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote(
            url=f"{_HOST}/imagenette2-320.tgz",
            file="imagenette2-320.tgz",
            size=341_663_724,
            sha256="569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
        ),
        Remote(
            url=f"{_HOST}/imagenette2.tgz",
            file="imagenette2.tgz",
            size=1_557_161_267,
            sha256="6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd",
            alternative=True,
        ),
        Remote(
            url=f"{_HOST}/imagenette2-160.tgz",
            file="imagenette2-160.tgz",
            size=99_003_388,
            sha256="64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
            alternative=True,
        ),
    )

    def find(self) -> Listing:
        """Lists train and val of an edition, or of a copy."""
        edition, found = originals(self, tuple(EDITIONS))
        side, size = EDITIONS.get(edition or ""), self.config.image_size
        if side is not None and side < size:
            raise InputError(
                f"imagenette: image_size {size}, but {edition} has {side} pixels on the short side; "
                "run `bench data fetch imagenette imagenette2-320.tgz`"
            )
        listing = train_and_val(self, below(found, ("train", "val")), CLASSES, (TRAIN, TEST), edition or "a copy")
        copied = None if edition else "A copy, not an official archive: to be compared with the same copy only."
        return listing._replace(note=" ".join(filter(None, (copied, listing.note))) or None)
