"""Tiny-ImageNet: 120,000 photographs of 64×64 in 200 classes of ImageNet.

Made for Stanford's course CS231n (Y. Le and X. Yang, "Tiny ImageNet Visual Recognition Challenge", 2015). The official
file is http://cs231n.stanford.edu/tiny-imagenet-200.zip (248 MB). The host gives no checksum; ours is the one that
public copies agree on. The photographs are ImageNet's, under its terms.

Split: the official train (500 photographs of each class) is train, the official val (50 of each) is test, and the last
twentieth of train in order of SHA-256(file name), 5,000 photographs, is validation. The official test part has no
labels and is not used. If only a part of the photographs is there, meta.json and every table say so.

Known layouts: the archive, or `tiny-imagenet-200/` unpacked, or a tar or zip of either, such as `git archive` makes of
a repository. The photographs lie in `train/<class>/images/`; those of val in `val/images/`, with their classes in
`val_annotations.txt`, or sorted into `val/<class>/`, as many copies have them.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.contracts.dataset import Dataset, DatasetConfig, Listing
from benchmark.data.preparation.archives import Found
from benchmark.data.preparation.images import SUFFIXES
from benchmark.support.download import Remote
from benchmark.support.errors import BenchError

from ._layouts import below, originals, train_and_val

FOLDER = "tiny-imagenet-200"
TRAIN, TEST = 100_000, 10_000  # numbers of photographs
ANNOTATIONS = "val_annotations.txt"


class TinyImageNetConfig(DatasetConfig):
    """Settings of Tiny-ImageNet."""

    image_size: Literal[64] = Field(64, description="S; pixels stay untouched")


class TinyImageNet(Dataset):
    """Tiny-ImageNet, with the labels of train and val."""

    name = "tiny-imagenet"
    Config = TinyImageNetConfig
    title = "Tiny-ImageNet: 110,000 labeled photographs of 64×64 in 200 classes (Stanford CS231n)"
    licence = "ImageNet's terms: non-commercial research and education only; https://image-net.org/download"
    homepage = "http://cs231n.stanford.edu"
    remotes: ClassVar[tuple[Remote, ...]] = (
        Remote(
            url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            file="tiny-imagenet-200.zip",
            size=248_100_043,
            sha256="6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
        ),
    )

    def find(self) -> Listing:
        """Lists train and val of the archive or the folder."""
        name, found = originals(self, (FOLDER,), (*SUFFIXES, ".txt"))
        parts = {part: list(_photographs(files)) for part, files in below(found, ("train", "val", "test")).items()}
        classes = {folder: folder for folder in sorted({file.name.partition("/")[0] for file in parts["train"]})}
        return train_and_val(self, parts, classes, (TRAIN, TEST), name or "a copy")


def _photographs(files: Sequence[Found]) -> Iterator[Found]:
    """The photographs of a part, named `<class>/…`: the class is the first folder, or stands in the annotations."""
    notes = next((file for file in files if file.name == ANNOTATIONS), None)
    classes = _classes(notes) if notes else {}
    for file in files:
        folder, _, name = file.name.rpartition("/")
        if file.name.endswith(".txt"):
            continue
        yield Found(f"{classes[name]}/{name}", file.source) if folder == "images" and name in classes else file


def _classes(notes: Found) -> dict[str, str]:
    """File name → class, from lines of `val_0.JPEG n03444034 0 32 44 62`, separated by tabs."""
    classes = {}
    for number, line in enumerate(notes.source.read().decode("utf-8", "replace").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise BenchError(f"{notes.source.where}, line {number}: {line[:60]!r} is not `<file> <class> …`")
        classes[fields[0]] = fields[1]
    return classes
