"""The real fetch code works with a server on this machine that plays the official hosts and their failures."""

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest
from data_files import data_set, encoded, photographs, picture, write_tar, write_zip
from test_data_imagenet import nette, tiny
from test_data_sets import batch_files, cifar  # noqa: F401 - a fixture

from benchmark.contracts import registry
from benchmark.contracts.dataset import SPLITS
from benchmark.data.preparation.prepare import prepare
from benchmark.support.download import Remote, choose, download
from benchmark.support.errors import BenchError, InputError

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Host:
    """The server's files, its faults, and the requests that it got."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_at: float | None = None  # share of a reply after which the server closes the connection
    cuts: int = 0  # number of connections that it closes so
    ranges: bool = True  # whether it can send a part
    failures: int = 0  # number of requests that it answers with 503
    surplus: bytes = b""  # bytes sent behind the file, whose length is then not announced
    content_type: str = "application/octet-stream"
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range of each request


class Handler(http.server.BaseHTTPRequestHandler):
    """A file server with ranges, and faults on demand."""

    host: ClassVar[Host]

    def do_GET(self) -> None:
        host = self.host
        host.asked.append((self.path, self.headers.get("Range")))
        if host.failures:
            host.failures -= 1
            self.send_error(503)
            return
        content = host.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = self._start()
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", host.content_type)
        if not host.surplus:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:] + host.surplus
        if host.cuts and host.cut_at is not None:
            host.cuts -= 1
            body = body[: int(len(content) * host.cut_at) - start]
        with suppress(ConnectionError):  # the client may have closed the connection
            self.wfile.write(body)

    def _start(self) -> int:
        wanted = self.headers.get("Range") if self.host.ranges else None
        return int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr("benchmark.support.download._PAUSE", 0.001)
    monkeypatch.setattr("benchmark.support.download.TIMEOUT", 5.0)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    played = Host(files={"/x/file.bin": CONTENT})

    class Playing(Handler):
        host = played

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Playing)
    played.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield played
    server.shutdown()
    server.server_close()
    thread.join()


def get(host: Host, folder: Path, *, size: int = len(CONTENT), sha256: str = SHA256, mirror: str | None = None) -> Path:
    return download(f"{host.url}/x/file.bin", folder / "file.bin", size, sha256, mirror)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(host: Host, tmp_path: Path) -> None:
    assert get(host, tmp_path / "new").read_bytes() == CONTENT
    get(host, tmp_path / "new")
    assert len(host.asked) == 1
    assert left_in(tmp_path / "new") == ["file.bin"]


def test_a_connection_cut_at_60_percent_is_taken_up_there(host: Host, tmp_path: Path) -> None:
    host.cut_at, host.cuts = 0.6, 1
    assert get(host, tmp_path).read_bytes() == CONTENT
    assert host.asked == [("/x/file.bin", None), ("/x/file.bin", f"bytes={int(len(CONTENT) * 0.6)}-")]
    assert left_in(tmp_path) == ["file.bin"]


def test_a_later_command_goes_on(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.support.download.ATTEMPTS", 0)
    host.cut_at, host.cuts = 0.6, 1
    with pytest.raises(BenchError, match="614,400 bytes are kept, the same command goes on from there"):
        get(host, tmp_path)
    assert left_in(tmp_path) == ["file.bin.part"]
    assert get(host, tmp_path).read_bytes() == CONTENT
    assert host.asked[-1][1] == "bytes=614400-"


def test_a_server_that_cannot_send_a_part_sends_all_again(host: Host, tmp_path: Path) -> None:
    host.cut_at, host.cuts, host.ranges = 0.6, 1, False
    assert get(host, tmp_path).read_bytes() == CONTENT
    assert host.asked[1][1] == "bytes=614400-"


def test_halves_of_two_versions_are_removed(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.support.download.ATTEMPTS", 0)
    host.cut_at, host.cuts = 0.6, 1
    host.files["/x/file.bin"] = CONTENT[::-1]
    with pytest.raises(BenchError, match="cut"):
        get(host, tmp_path)
    host.files["/x/file.bin"] = CONTENT
    with pytest.raises(BenchError, match="wrong checksum, removed"):
        get(host, tmp_path)
    assert get(host, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(host: Host, tmp_path: Path) -> None:
    host.failures = 3
    assert get(host, tmp_path).read_bytes() == CONTENT
    host.failures = 1000
    (tmp_path / "file.bin").unlink()
    with pytest.raises(BenchError, match="the server answers 503"):
        get(host, tmp_path)


def test_a_wrong_checksum_removes_what_came(host: Host, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=f"wrong checksum, removed: expected .*{'0' * 32}; got .*{SHA256}") as caught:
        get(host, tmp_path, sha256="0" * 64)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_wrong_size_is_known_before_the_first_byte(host: Host, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="offers 1,024,000 bytes, expected 5,000"):
        get(host, tmp_path, size=5000)
    host.content_type = "text/html"
    with pytest.raises(BenchError, match="a web page"):
        get(host, tmp_path, size=5000)
    assert left_in(tmp_path) == []


def test_a_server_that_sends_more_is_cut_off(host: Host, tmp_path: Path) -> None:
    host.surplus = bytes(8 << 20)
    with pytest.raises(BenchError, match=r"file\.bin: the server sends more than the 1,024,000 bytes expected"):
        get(host, tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_every_official_file_has_a_size_and_a_sha256(name: str) -> None:
    for remote in registry.load_dataset(name).remotes:
        assert remote.size
        assert re.fullmatch("[0-9a-f]{64}", remote.sha256 or ""), remote.file


def test_errors_of_one_line(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="404"):
        download(f"{host.url}/nothing", tmp_path / "x", 9, SHA256)
    with pytest.raises(BenchError, match=r"cannot download http://127\.0\.0\.1:9/file"):
        download("http://127.0.0.1:9/file", tmp_path / "x", 9, SHA256)
    with pytest.raises(InputError, match="--mirror 'nonsense' is no URL"):
        get(host, tmp_path, mirror="nonsense")
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(BenchError, match="cannot write"):
        get(host, tmp_path / "blocked" / "folder")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(BenchError, match=r"no room .*: 1,024,000 bytes to come, 1,000 free"):
        get(host, tmp_path)


def test_a_half_of_another_program_is_completed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:300_000])
    assert get(host, tmp_path).read_bytes() == CONTENT
    assert host.asked == [("/x/file.bin", "bytes=300000-")]


def test_another_file_of_the_same_name_is_left_alone(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(BenchError, match="is not the published file"):
        get(host, tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT[::-1]
    assert host.asked == []


def test_a_mirror_takes_the_place_of_the_host(host: Host, tmp_path: Path) -> None:
    host.files = {"/pub/zips/a.zip": b"by path", "/pub/b.zip": b"by name"}
    by_path, by_name = (
        Remote(f"http://official.invalid/zips/{n}.zip", f"{n}.zip", 7, hashlib.sha256(f"by {way}".encode()).hexdigest())
        for n, way in (("a", "path"), ("b", "name"))
    )
    assert by_path.fetch(tmp_path, f"{host.url}/pub/").read_bytes() == b"by path"
    assert by_name.fetch(tmp_path, f"{host.url}/pub").read_bytes() == b"by name"
    assert choose([by_path, by_name], ["b.zip"]) == [by_name]
    with pytest.raises(InputError, match="unknown file 'c'"):
        choose([by_path, by_name], ["c"])


def test_a_host_that_refuses_programs_is_named_with_the_page_for_people(host: Host, tmp_path: Path) -> None:
    host.content_type, host.files = "text/html", {"/download?id=1": b"<html>quota exceeded</html>"}
    remote = Remote(f"{host.url}/download?id=1", "faces.zip", 10**9, SHA256, by_hand="https://people.example/faces")
    with pytest.raises(
        BenchError, match=r"web page.*by hand from https://people\.example/faces and put it at .*faces\.zip"
    ):
        remote.fetch(tmp_path)


# whole data sets, from the official layouts to prepared arrays --------------------------------------------------------


def serve(host: Host, monkeypatch: pytest.MonkeyPatch, name: str, archives: dict[str, Path]) -> None:
    """Plays a data set's official hosts, with small archives in the place of the real ones."""
    dataset = registry.load_dataset(name)
    remotes = []
    host.cut_at, host.cuts = 0.6, 1
    for remote in dataset.remotes:
        content = archives[remote.file].read_bytes()
        host.files["/" + remote.url.split("/", 3)[3]] = content
        remotes.append(replace(remote, size=len(content), sha256=hashlib.sha256(content).hexdigest()))
    monkeypatch.setattr(dataset, "remotes", tuple(remotes))


def fetch_and_prepare(host: Host, name: str, folder: Path, **settings: int) -> dict[str, int]:
    from benchmark.data.preparation.show import fetch_data_set
    from benchmark.data.preparation.verify import verify_data_set

    paths = fetch_data_set(registry.load_dataset(name), folder / name, host.url, ())
    assert all(path.is_file() for path in paths)
    assert any(wanted for _, wanted in host.asked), "the cut connection was not taken up"
    dataset = data_set(name, folder / name, **settings)
    prepared = prepare(dataset, folder / "out", quiet=True)
    assert verify_data_set(dataset, folder / "out").right
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"x")
    assert [path for path, right in verify_data_set(dataset, folder / "out").files.items() if not right] == [
        str(paths[0])
    ]
    return {split: prepared.meta.splits[split].images for split in SPLITS}


def test_cifar10_from_its_host(host: Host, cifar: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    files = {f"cifar-10-batches-py/{name}": data for name, data in batch_files(cifar, binary=False).items()}
    path = write_tar(tmp_path / "cifar-10-python.tar.gz", files, "w:gz")
    serve(host, monkeypatch, "cifar10", {path.name: path})
    assert fetch_and_prepare(host, "cifar10", tmp_path) == {"train": 45, "val": 5, "test": 10}
    assert host.asked[0][0] == "/~kriz/cifar-10-python.tar.gz"


def test_celeba_from_its_host(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_zip(tmp_path / "images.zip", {f"img_align_celeba/{n}": d for n, d in photographs(12).items()})
    partition = tmp_path / "partition.txt"
    partition.write_text("".join(f"{n:06d}.jpg {0 if n < 8 else 1 if n < 10 else 2}\r\n" for n in range(1, 13)))
    serve(host, monkeypatch, "celeba", {"img_align_celeba.zip": images, "list_eval_partition.txt": partition})
    assert fetch_and_prepare(host, "celeba", tmp_path, image_size=32) == {"train": 7, "val": 2, "test": 3}


def test_coco_from_its_host(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = write_zip(tmp_path / "t.zip", {f"train2017/{n}": d for n, d in photographs(12).items()})
    test = write_zip(tmp_path / "v.zip", {f"val2017/9{n}.jpg": encoded(picture(90 + n)) for n in range(4)})
    serve(host, monkeypatch, "coco", {"train2017.zip": train, "val2017.zip": test})
    assert fetch_and_prepare(host, "coco", tmp_path, image_size=32, val_count=2) == {"train": 10, "val": 2, "test": 4}
    assert host.asked[0][0] == "/zips/val2017.zip"


def test_tiny_imagenet_from_its_host(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "tiny.zip", tiny())
    serve(host, monkeypatch, "tiny-imagenet", {"tiny-imagenet-200.zip": path})
    assert fetch_and_prepare(host, "tiny-imagenet", tmp_path) == {"train": 38, "val": 2, "test": 4}
    assert host.asked[0][0] == "/tiny-imagenet-200.zip"


def test_imagenette_from_its_host(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its editions are alternatives: the one of 320 pixels is fetched unless another is named."""
    archives = {
        f"{edition}.tgz": write_tar(tmp_path / f"{edition}.tgz", nette(f"{edition}/"), "w:gz")
        for edition in ("imagenette2-320", "imagenette2", "imagenette2-160")
    }
    serve(host, monkeypatch, "imagenette", archives)
    assert fetch_and_prepare(host, "imagenette", tmp_path, image_size=32) == {"train": 38, "val": 2, "test": 2}
    assert {path for path, _ in host.asked} == {"/fast-ai-imageclas/imagenette2-320.tgz"}
    chosen = choose(registry.load_dataset("imagenette").remotes, ["imagenette2-160.tgz"])
    assert [remote.file for remote in chosen] == ["imagenette2-160.tgz"]


def test_a_data_set_without_downloads_says_so(tmp_path: Path) -> None:
    from benchmark.data.preparation.show import fetch_data_set

    with pytest.raises(BenchError, match="sample has nothing to download"):
        fetch_data_set(registry.load_dataset("sample"), tmp_path, None, ())
