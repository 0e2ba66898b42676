"""Reads everything that was prepared again, whatever was noted of it."""

from typing import NamedTuple

from rich.console import Console

from benchmark.contracts.dataset import SPLITS
from benchmark.data.preparation.arrays import Content, blocks, in_several_splits
from benchmark.data.prepared import Prepared
from benchmark.support.files import file_sha256, load_array
from benchmark.support.progress import progress_bar


class Verification(NamedTuple):
    """What reading everything that was prepared again has shown."""

    right: dict[str, bool]  # file → whether its content is what meta.json says
    in_several_splits: list[list[str]]  # photographs, as in meta.json; empty where an array is wrong


def verify(prepared: Prepared) -> Verification:
    """Reads every file again, noted as right or not, and looks for photographs in several splits."""
    right, contents = {}, {split: Content() for split in SPLITS}
    ids = {split: prepared.ids(split) for split in SPLITS}
    images = {}
    with progress_bar(Console(stderr=True), transient=True) as progress:
        for split, content in contents.items():
            path, size = prepared.folder / f"{split}.npy", prepared.meta.image_size
            task = progress.add_task(f"{prepared.meta.name} {split}", total=len(ids[split]), figures="")
            try:
                images[split] = load_array(path, mapped=True)
                for block in blocks(path, size, len(images[split])):
                    content.add(block)
                    progress.advance(task, len(block))
            except (OSError, ValueError):
                pass  # a missing, cut or other array has another checksum
            right[path.name] = content.sha256 == prepared.sha256[split]
    for name, sha256 in prepared.meta.files.items():
        path = prepared.folder / name
        right[name] = path.is_file() and file_sha256(path) == sha256
    if not all(right.values()):
        return Verification(right, [])
    return Verification(right, in_several_splits({split: c.keys for split, c in contents.items()}, images, ids))
