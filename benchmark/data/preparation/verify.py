"""Reads everything of a data set again, whatever was noted of it: official files and what was prepared from them."""

from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmark.contracts.dataset import Dataset
from benchmark.data.preparation.arrays import Content, alike, blocks, in_several_splits
from benchmark.data.preparation.places import places
from benchmark.data.prepared import META_FILE, Damaged, Prepared, notes_of
from benchmark.support.download import is_intact
from benchmark.support.files import file_sha256, load_array
from benchmark.support.progress import progress_bar


class Verified(NamedTuple):
    """What reading everything of a data set has shown."""

    files: dict[str, bool]  # official file, prepared array or meta.json → whether its content is right
    in_several_splits: list[list[str]]  # photographs, each as the `split/id`s that show it; none if an array is wrong
    alike_in_several_splits: list[list[str]]  # pairs of `split/id` that are the same to the eye alone, likewise

    @property
    def right(self) -> bool:
        """Whether there was something to verify, and nothing of it wrong."""
        return bool(self.files) and all(self.files.values())


def verify_data_set(dataset: Dataset, folder: Path) -> Verified:
    """Checks each official file that is here, and what is prepared in a folder.

    Photographs in several splits are no fault of the files (the official split may have them), but must be known.
    """
    files = {}
    for place in places(dataset.name, dataset.root) if dataset.remotes else []:
        for remote in dataset.remotes:
            if (path := place / remote.file).is_file():
                files[str(path)] = is_intact(path, remote.sha256, remote.size)
    if not folder.exists():
        return Verified(files, [], [])
    prepared = verify(folder)
    return prepared._replace(files=files | {str(folder / name): right for name, right in prepared.files.items()})


def verify(folder: Path) -> Verified:
    """Reads every prepared file again, and looks for photographs in several splits."""
    try:
        prepared = Prepared(folder)
    except Damaged:
        return Verified({META_FILE: False}, [], [])
    files, contents = {}, {split: Content() for split in prepared.meta.splits}
    ids = {split: prepared.ids(split) for split in contents}
    with progress_bar(Console(stderr=True), transient=True) as progress:
        for split, content in contents.items():
            path, size = folder / f"{split}.npy", prepared.meta.image_size
            task = progress.add_task(f"{prepared.meta.name} {split}", total=len(ids[split]), figures="")
            try:
                for block in blocks(path, size, len(load_array(path, mapped=True))):
                    content.add(block)
                    progress.advance(task, len(block))
            except (OSError, ValueError):
                pass  # a missing, cut or other array has another checksum
            files[path.name] = content.sha256 == prepared.sha256[split]
    for name, sha256 in prepared.meta.files.items():
        files[name] = (folder / name).is_file() and file_sha256(folder / name) == sha256
    if not all(files.values()):
        notes_of(folder).unlink(missing_ok=True)  # a failing disk changes bytes and no time: `prepare` must look again
        return Verified(files, [], [])
    shared = in_several_splits({split: content.keys for split, content in contents.items()}, ids)
    look_alike = alike(folder, contents, ids)
    files[META_FILE] = prepared.meta.in_several_splits in (None, shared)
    files[META_FILE] &= prepared.meta.alike_in_several_splits in (None, look_alike)
    return Verified(files, shared, look_alike)
