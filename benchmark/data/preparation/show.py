"""What `bench data` tells of data sets: facts as plain values, printed as text for people or as JSON for programs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from benchmark.contracts import registry
from benchmark.contracts.config import find_root
from benchmark.contracts.dataset import Dataset, MissingDataError
from benchmark.data.preparation.pictures import contact_sheet
from benchmark.data.preparation.places import download_folder
from benchmark.data.preparation.verify import Verified
from benchmark.data.prepared import META_FILE, Prepared
from benchmark.support.download import choose
from benchmark.support.errors import BenchError, InputError

CONTACT_SHEET = "contact_sheet.png"
_LISTED = 20  # photographs or classes that are named in text; JSON names all


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
    print(tabulate(rows, ("name", "originals", "prepared", "what it is"), tablefmt="plain", disable_numparse=True))


def fetch_data_set(dataset: type[Dataset], root: Path | None, mirror: str | None, files: Sequence[str]) -> list[Path]:
    """Downloads the named official files, or all, to `root` or the downloads, saying first how large they are.

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


def print_verified(verified: Verified, folder: Path, name: str) -> None:
    """One line for each file, then one for each photograph in several splits."""
    for file, right in verified.files.items():
        print(f"{'ok   ' if right else 'WRONG'} {file}")
    if not all(verified.files.values()):
        print(
            "bench data prepare makes wrong prepared files again; a wrong download is to be removed and fetched again"
        )
    if not verified.files:
        print(f"{name}: nothing to verify: no official archive is here, and {folder} is not prepared")
    found = {"in several splits": (" = ", verified.in_several_splits)}
    found["alike in two splits"] = (" ~ ", verified.alike_in_several_splits)
    for kind, (sign, groups) in found.items():
        for group in groups[:_LISTED]:
            print(f"note  {kind}: {sign.join(group)}")
        if len(groups) > _LISTED:
            print(f"note  … and {len(groups) - _LISTED:,} more")


def data_set_facts(dataset: Dataset, folder: Path, out: Path) -> dict[str, Any]:
    """What is known of a data set; if it is prepared, its pictures are drawn into `out`."""
    facts = {
        **{name: getattr(dataset, name) for name in ("name", "title", "licence", "homepage", "note")},
        "files": [
            {name: getattr(remote, name) for name in ("file", "url", "size", "sha256")} for remote in dataset.remotes
        ],
        "prepared": None,
        "pictures": [],
    }
    if folder.exists():
        prepared = Prepared.open(folder)
        sheet = contact_sheet(prepared, out / CONTACT_SHEET)
        facts |= {"prepared": prepared_facts(prepared), "pictures": [str(sheet)]}
    return facts


def prepared_facts(prepared: Prepared) -> dict[str, Any]:
    """What is known of a prepared data set: its meta.json without the images' ids, and what that does not say."""
    meta = prepared.meta.model_dump(mode="json", by_alias=True)
    for of_split in meta["splits"].values():
        del of_split["ids"]
    bins = int((prepared.ab_prior > 0).sum()) if prepared.trains else None
    size = sum(path.stat().st_size for path in prepared.folder.rglob("*") if path.is_file())
    return {"folder": str(prepared.folder), "bytes": size, "bins": bins, **meta}


def print_data_set(facts: dict[str, Any]) -> None:
    """The facts as YAML. Of long lists the first entries: `--json` has them all."""
    print(yaml.safe_dump(_shortened(facts), sort_keys=False, allow_unicode=True, width=sys.maxsize), end="")


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items() if item not in (None, [], {})}
    if not isinstance(value, list):
        return value
    rest = [f"… and {len(value) - _LISTED:,} more"] if len(value) > _LISTED else []
    return [_shortened(item) for item in value[:_LISTED]] + rest
