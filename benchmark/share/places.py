"""Where models are sent to and come from: a folder, any file system of fsspec, a DVC remote, the Hugging Face hub."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import fsspec

from benchmark.support.errors import BenchError, InputError

FORMS = "FOLDER, remote:NAME of DVC, s3://… or another URL of fsspec, hf:OWNER/NAME"
SUMS_FILE = "SHA256SUMS"  # is sent last, so that a model whose sending was cut off is not found


class Place(Protocol):
    """A tree of files somewhere. Names are relative, with `/`; those that come from there are not to be trusted."""

    def names(self) -> list[str]:
        """Lists every file; a place that does not exist yet has none."""

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        """Copies files of legal names into a folder, below which they have the same names."""

    def send(self, folder: Path) -> None:
        """Copies every file of a folder there, and replaces those of the same name."""


@dataclass(frozen=True)
class Files:
    """A folder of a file system."""

    system: fsspec.AbstractFileSystem
    root: str

    def names(self) -> list[str]:
        """Lists every file."""
        self.system.invalidate_cache()
        prefix = f"{self.root.rstrip('/')}/"
        return sorted(path.removeprefix(prefix) for path in self.system.find(self.root) if path.startswith(prefix))

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        """Copies files into a folder."""
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self.system.get_file(f"{self.root}/{name}", str(folder / name))

    def send(self, folder: Path) -> None:
        """Copies every file of a folder there."""
        for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: (p.name == SUMS_FILE, p)):
            target = f"{self.root}/{path.relative_to(folder).as_posix()}"
            self.system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self.system.put_file(str(path), target)


@dataclass(frozen=True)
class Hub:
    """A repository of models on the Hugging Face hub, or wherever HF_ENDPOINT says; a new one is private."""

    repository: str

    @property
    def api(self) -> Any:
        """The hub's client. BenchError: it is not installed."""
        try:
            from huggingface_hub import HfApi
        except ImportError:
            raise BenchError("hf: needs the extra 'hub': pip install -e '.[hub]'") from None
        return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))

    def names(self) -> list[str]:
        """Lists every file."""
        api = self.api
        return sorted(api.list_repo_files(self.repository)) if api.repo_exists(self.repository) else []

    def fetch(self, names: Sequence[str], folder: Path) -> None:
        """Downloads files into a folder."""
        self.api.snapshot_download(self.repository, allow_patterns=list(names), local_dir=folder)

    def send(self, folder: Path) -> None:
        """Uploads every file of a folder as one commit."""
        api = self.api
        api.create_repo(self.repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=self.repository, folder_path=folder, commit_message="Models by bench push")


def place_of(text: str, root: Path) -> Place:
    """The place that a text means; `root` is the project's folder, whose DVC configuration names remotes.

    Raises:
        InputError: it is none of the legal forms.
        BenchError: the program that a form needs is missing, or DVC has no such remote.
    """
    form, colon, name = text.partition(":")
    if not text.strip() or (colon and not name):
        raise InputError(f"{text!r} is no place; legal: {FORMS}")
    if form == "hf" and not name.startswith("//"):
        if len([part for part in name.split("/") if part]) != 2:
            raise InputError(f"{text!r}: hf:OWNER/NAME is wanted")
        return Hub(name)
    with told(text):
        if form == "remote":
            return _of_dvc(name, root)
        if "://" in text:
            return Files(*fsspec.core.url_to_fs(text))
        return Files(fsspec.filesystem("file"), Path(text).expanduser().resolve().as_posix())


def _of_dvc(name: str, root: Path) -> Files:
    from dvc.fs import get_cloud_fs
    from dvc.repo import Repo

    with Repo(root) as repo:
        kind, settings, path = get_cloud_fs(repo.config, name=name)
    return Files(kind(**settings).fs, path)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turns whatever a storage raises, each kind its own classes, into one line that names the place.

    Raises:
        BenchError: anything went wrong.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BenchError(f"{place}: {reason.strip()}") from error
