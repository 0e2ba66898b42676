"""Where the originals of a data set are looked for."""

import os
from pathlib import Path

from benchmark.support.errors import InputError


def places(name: str, root: Path | None) -> list[Path]:
    """Where to look for a data set's originals, best first.

    Args:
        name: the data set's name: a folder so named inside a root counts as well as the root itself.
        root: what the user gave with `--root`, a folder or an archive; None: `BENCH_DATA`, then the downloads.

    Raises:
        InputError: the root is not there.
    """
    common = _common_root(root)
    root = root or common
    if root is None:
        return [download_folder(name)]
    root = root.expanduser()
    if not root.exists():
        raise InputError(f"{root} does not exist; give --root (or BENCH_DATA) the folder that holds {name}")
    if root.is_file():
        return [root]
    return [root, root / name, *([download_folder(name)] if common else [])]


def own_places(name: str, root: Path | None) -> list[Path]:
    """The places among `places` that hold this data set alone, best first: there, any image belongs to it.

    `BENCH_DATA` itself is none, for other data sets may lie beside.
    """
    return [place for place in reversed(places(name, root)) if place != _common_root(root)]


def _common_root(root: Path | None) -> Path | None:
    """`BENCH_DATA`, if the user gave no other root."""
    given = os.environ.get("BENCH_DATA")
    return Path(given).expanduser() if given and root in (None, Path(given)) else None


def download_folder(name: str) -> Path:
    """Where `bench data fetch` puts originals when no root is given."""
    from benchmark.contracts.config import find_root

    try:
        return find_root() / "data" / "downloads" / name
    except InputError:  # used as a library, outside a project
        return Path("data", "downloads", name)
