"""What `bench data` tells of data sets: facts as plain values, printed as text for people or as JSON for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.contracts import registry
from benchmark.contracts.config import find_root
from benchmark.contracts.dataset import SPLITS, Dataset, MissingDataError
from benchmark.data.preparation.pictures import chroma_histogram, contact_sheet
from benchmark.data.preparation.places import download_folder, places
from benchmark.data.preparation.verify import verify
from benchmark.data.prepared import META_FILE, Damaged, Prepared
from benchmark.support.download import choose, is_intact
from benchmark.support.errors import BenchError, InputError

CONTACT_SHEET, HISTOGRAM = "contact_sheet.png", "chroma_histogram.png"
_LISTED = 20  # photographs or classes that are named in text; JSON names all


def print_json(facts: Any) -> None:
    """The facts for programs, on standard output."""
    print(json.dumps(facts, indent=2, ensure_ascii=False))


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Plain aligned text, never cut: for eyes as for grep."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


# list -----------------------------------------------------------------------------------------------------------------


def data_sets() -> list[dict[str, Any]]:
    """All data sets: whether their originals are in `BENCH_DATA` or the downloads, what is prepared of them."""
    prepared = find_root() / "data"
    return [
        {
            "name": name,
            "title": dataset.title,
            "originals": _originals(dataset),
            "prepared": [path.parent.name for path in sorted(prepared.glob(f"{name}-*/{META_FILE}"))],
        }
        for name, dataset in ((name, registry.load_dataset(name)) for name in registry.names("dataset"))
    ]


def _originals(dataset: type[Dataset]) -> str:
    try:
        dataset(dataset.Config()).fingerprint()
    except MissingDataError:
        return f"bench data fetch {dataset.name}" if dataset.remotes else "missing"
    except InputError:  # a folder, whose path is not known
        return "–"
    except BenchError as error:
        return str(error)
    return "here"


def print_data_sets(facts: Sequence[dict[str, Any]]) -> None:
    """One line for each data set."""
    rows = [(each["name"], each["originals"], ", ".join(each["prepared"]) or "–", each["title"]) for each in facts]
    _print_columns([("name", "originals", "prepared", "what it is"), *rows])


# fetch ----------------------------------------------------------------------------------------------------------------


def fetch_data_set(dataset: type[Dataset], root: Path | None, mirror: str | None, files: Sequence[str]) -> list[Path]:
    """Downloads official files, saying first how large they are.

    Args:
        dataset: whose files.
        root: the folder to put them in; None: the downloads.
        mirror: see `benchmark.support.download.download`.
        files: names of the files; none: all.

    Raises:
        BenchError: nothing to download for this data set, or the download failed.
    """
    if not dataset.remotes:
        raise BenchError(f"{dataset.name} has nothing to download; it is {dataset.title[0].lower()}{dataset.title[1:]}")
    folder = root or download_folder(dataset.name)
    wanted = choose(dataset.remotes, files)
    size = sum(remote.size or 0 for remote in wanted)
    names = ", ".join(remote.file for remote in wanted)
    print(f"{dataset.name}: {names}, {size:,} bytes, to {folder}", file=sys.stderr)
    return [remote.fetch(folder, mirror) for remote in wanted]


# verify ---------------------------------------------------------------------------------------------------------------


class Verified(NamedTuple):
    """What reading everything of a data set has shown."""

    files: dict[str, bool]  # official file, prepared array or meta.json → whether its content is right
    in_several_splits: list[list[str]]  # photographs, each as the `split/id`s that show it

    @property
    def right(self) -> bool:
        """Whether there was something to verify, and nothing of it wrong."""
        return bool(self.files) and all(self.files.values())


def verify_data_set(dataset: Dataset, folder: Path) -> Verified:
    """Checks each official file that is here, and the prepared arrays.

    Photographs in several splits are no fault of the files (the official split may have them), but must be known.
    """
    files = {}
    for place in places(dataset.name, dataset.root) if dataset.remotes else []:
        for remote in dataset.remotes:
            if (path := place / remote.file).is_file():
                files[str(path)] = is_intact(path, sha256=remote.sha256, md5=remote.md5, size=remote.size)
    if not folder.exists():
        return Verified(files, [])
    try:
        prepared = Prepared.read(folder)
    except Damaged:
        return Verified(files | {str(folder / META_FILE): False}, [])
    found = verify(prepared)
    files |= {str(folder / name): right for name, right in found.right.items()}
    if all(found.right.values()):
        files[str(folder / META_FILE)] = prepared.meta.in_several_splits in (None, found.in_several_splits)
    return Verified(files, found.in_several_splits)


def print_verified(verified: Verified, folder: Path, name: str) -> None:
    """One line for each file, then one for each photograph in several splits."""
    for file, right in verified.files.items():
        print(f"{'ok   ' if right else 'WRONG'} {file}")
    if not verified.files:
        print(f"{name}: nothing to verify: no official archive is here, and {folder} is not prepared")
    for line in _shared(verified.in_several_splits):
        print(f"note  in several splits: {line}")


def _shared(groups: Sequence[Sequence[str]]) -> list[str]:
    """A line for each photograph that is in several splits; of many, the first."""
    lines = [" = ".join(group) for group in groups[:_LISTED]]
    return lines + ([f"… and {len(groups) - _LISTED:,} more"] if len(groups) > _LISTED else [])


# show -----------------------------------------------------------------------------------------------------------------


def data_set_facts(dataset: Dataset, folder: Path, out: Path) -> dict[str, Any]:
    """What is known of a data set; if it is prepared, its pictures are drawn into `out`."""
    facts = {
        **{name: getattr(dataset, name) for name in ("name", "title", "licence", "homepage", "note")},
        "files": [
            {name: getattr(remote, name) for name in ("file", "url", "size", "md5", "sha256")}
            for remote in dataset.remotes
        ],
        "prepared": None,
        "pictures": [],
    }
    if folder.exists():
        prepared = Prepared.open(folder)
        pictures = contact_sheet(prepared, out / CONTACT_SHEET), chroma_histogram(prepared, out / HISTOGRAM)
        facts |= {"prepared": prepared_facts(prepared), "pictures": list(map(str, pictures))}
    return facts


def prepared_facts(prepared: Prepared) -> dict[str, Any]:
    """What is known of a prepared data set: its meta.json without the images' ids, and what that does not say."""
    meta = prepared.meta.model_dump(mode="json", by_alias=True)
    for of_split in meta["splits"].values():
        del of_split["ids"]
    bins = int((prepared.ab_prior > 0).sum())
    return {"folder": str(prepared.folder), "bytes": disk_use(prepared.folder), "bins": bins, **meta}


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_data_set(facts: dict[str, Any]) -> None:
    """The facts of `data_set_facts`, a line for each."""
    lines = [(heading, facts[heading]) for heading in ("title", "licence", "homepage") if facts[heading]]
    lines += [("note", note)] if (note := (facts["prepared"] or facts)["note"]) else []
    for file in facts["files"]:
        size = f"{file['size']:,} bytes" if file["size"] else "size unknown"
        checksums = [f"{name} {file[key]}" for name, key in (("SHA-256", "sha256"), ("MD5", "md5")) if file[key]]
        lines.append((file["file"], f"{file['url']} ({', '.join([size, *(checksums or ['no checksum'])])})"))
    lines += _about_prepared(facts["prepared"]) if facts["prepared"] else []
    lines += [] if facts["prepared"] else [("prepared", f"not yet: bench data prepare {facts['name']}")]
    lines += [("picture", path) for path in facts["pictures"]]
    _print_columns(lines)


def _about_prepared(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """(Heading, text) pairs."""
    side, (a, b) = facts["image_size"], facts["mean_ab"]
    lines = [
        ("folder", f"{facts['folder']} ({facts['bytes']:,} bytes)"),
        ("originals", facts["layout"]),
        ("images", f"{side}×{side} uint8; {facts['rule']}"),
        ("decoder", ", ".join(f"{name} {version}" for name, version in facts["decoder"].items() if version)),
    ]
    for split in SPLITS:
        of_split, left_out = facts["splits"][split], facts["splits"][split]["left_out"]
        lost = [f"{len(left_out['grayscale']):,} grayscale photographs left out"]
        if left_out["corrupt"]:
            lost.append(f"{len(left_out['corrupt']):,} unreadable files left out")
        lines.append((split, f"{of_split['images']:,} images; {', '.join(lost)}; SHA-256 {of_split['sha256']}"))
        lines += [(f"  {name}", reason) for name, reason in left_out["corrupt"].items()]
    if facts["in_several_splits"] is not None:
        lines.append(("in several splits", f"{len(facts['in_several_splits']):,} photographs"))
        lines += [("", line) for line in _shared(facts["in_several_splits"])]
    if facts["classes"]:
        names = [*facts["classes"][:_LISTED], *(["…"] if len(facts["classes"]) > _LISTED else [])]
        lines.append(("classes", f"{len(facts['classes']):,}: {', '.join(names)}"))
    lines.append(("color", f"mean a {a:.2f}, b {b:.2f} (Lab units); {facts['bins']} of 313 bins occur in train"))
    return lines
