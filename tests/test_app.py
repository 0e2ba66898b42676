"""The app shows versions and scores of a photograph, refuses what it must, and works in a real browser."""

import io
import re
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import DESKTOP, PHONE, Browser, chromium
from data_files import encoded, gray_picture, picture
from PIL import Image

from benchmark.contracts.method import DataInfo, Method, MethodConfig
from benchmark.contracts.registry import load_method
from benchmark.photographs import app
from benchmark.photographs.colorizer import Colorizer, ModelCard
from benchmark.photographs.scores import score_rows
from benchmark.study.hosts import refusal
from benchmark.support.errors import BenchError, InputError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")
VIEWS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}


class Sepia(Method):
    """Gives every pixel one color."""

    name = "sepia"

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = torch.nn.Identity()

    def predict_ab(self, L: torch.Tensor) -> torch.Tensor:
        return torch.tensor([8.0, 20.0]).view(1, 2, 1, 1).expand(len(L), 2, *L.shape[-2:])


@pytest.fixture(scope="module")
def colorizers() -> dict[str, Colorizer]:
    settings = {
        "method": "sepia",
        "adapter": "sepia",
        "data": "tiny",
        "preset": "quick",
        "seed": 0,
        "method_config": {},
    }
    data = {"name": "tiny", "image_size": 32, "train_images": 1, "mean_ab": (0, 0), "ab_prior": [1 / 313] * 313}
    card = ModelCard.model_validate({"settings": settings, "data": data})
    methods: dict[str, type[Method]] = {"sepia": Sepia, "<b>l2</b>": load_method("gray")}
    made = {name: method(MethodConfig(), card.data.info()).eval() for name, method in methods.items()}
    return {name: Colorizer(method, card, torch.device("cpu")) for name, method in made.items()}


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# what it shows --------------------------------------------------------------------------------------------------------


def test_a_color_photograph_is_scored(tmp_path: Path, colorizers: dict[str, Colorizer]) -> None:
    versions, rows = app.color_upload(save(tmp_path / "a.jpg", encoded(picture(1, 80, 60), "JPEG")), colorizers)
    assert list(versions) == ["gray", "sepia", "<b>l2</b>", "the photograph"]
    assert all(image.shape == (60, 80, 3) for image in versions.values())
    assert [row[0] for row in rows] == list(versions)
    assert all(re.fullmatch(r"\d+\.\d+", text) for row in rows[:-1] for text in row[1:])
    assert rows[-1][1:-1] == ["–"] * 4  # the photograph has its colorfulness alone


def test_a_gray_photograph_is_not(tmp_path: Path, colorizers: dict[str, Colorizer]) -> None:
    upload = save(tmp_path / "a.png", encoded(gray_picture(1, 80, 60), "PNG"))
    versions, rows = app.color_upload(upload, colorizers)
    assert (list(versions), rows) == (["gray", "sepia", "<b>l2</b>"], [])


def test_scores_are_the_metrics_of_the_tables() -> None:
    original = picture(2, 40, 40)[None]
    same, truth = score_rows({"same": original.copy()}, original, "truth")
    assert same[:5] == ["same", "100.00", "1.0000", "100.00", "0.00"]
    assert truth == ["truth", *["–"] * 4, same[5]]
    tiny, _ = score_rows({"same": original[:, :5, :5].copy()}, original[:, :5, :5].copy(), "truth")
    assert tiny[2] == "–"  # SSIM's window does not fit


@pytest.mark.slow
def test_large_photographs_are_shown_reduced(tmp_path: Path, colorizers: dict[str, Colorizer]) -> None:
    large = Image.fromarray(picture(3, 300, 200)).resize((3000, 2000))
    upload = save(tmp_path / "a.jpg", encoded(large, "JPEG"))
    versions, _ = app.color_upload(upload, {"sepia": colorizers["sepia"]})
    assert {image.shape for image in versions.values()} == {(683, 1024, 3)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"<script>alert(1)</script>", "not an image file of a known format"),
        (encoded(Image.new("1", (9000, 9000)), "PNG"), "9000×9000 pixels: refused"),
        (encoded(Image.new("1", (30000, 30000)), "PNG"), "refused as a possible decompression bomb"),
        (encoded(picture(4, 90, 90), "PNG")[:900], ""),
    ],
)
def test_what_cannot_be_colored_is_refused(
    tmp_path: Path, colorizers: dict[str, Colorizer], data: bytes, words: str
) -> None:
    with pytest.raises(InputError, match=f"This file cannot be colored: .*{words}"):
        app.color_upload(save(tmp_path / "a.png", data), colorizers)


# in the browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(colorizers: dict[str, Colorizer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The app, served to this machine."""
    pytest.importorskip("gradio", reason="the extra 'app' is not installed: pip install -e '.[app]'")
    started = app.start(colorizers, "127.0.0.1", 0, tmp_path_factory.mktemp("uploads"))
    yield started
    started.close(verbose=False)


@pytest.mark.slow
def test_requests_of_other_sites_are_refused(running: Any) -> None:
    port = running.server_port
    for headers, status in [
        ({}, 200),
        ({"Origin": f"http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "["}, 403),
    ]:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/config", headers=headers)
        assert connection.getresponse().status == status, headers
        connection.close()
    for host, reason in [("localhost:1", None), ("[::1]:1", None), ("evil", "localhost only"), ("", "localhost only")]:
        assert (reason or "") in (refusal("127.0.0.1", host, None) or "")
    assert refusal("0.0.0.0", "my.example:80", "http://my.example:80") is None
    assert refusal("0.0.0.0", "my.example:80", "http://evil.example") == "requests from other pages are refused"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def wait_for(browser: Browser, selector: str) -> None:
    deadline = time.monotonic() + 60
    while not browser.all(selector):
        assert time.monotonic() < deadline, f"{selector} never came"
        time.sleep(0.05)


def drop(browser: Browser, running: Any, path: Path, view: str = "light") -> None:
    size, dark = VIEWS[view]
    browser.open(running.local_url, size=size, dark=dark)
    wait_for(browser, "input[type=file]")
    browser.find("input[type=file]").send_keys(str(path))


def captions(browser: Browser) -> list[str]:
    return [caption.text for caption in browser.shown(".versions .caption-label")]


@pytest.mark.parametrize("view", VIEWS)
def test_a_photograph_is_dropped_and_colored(browser: Browser, running: Any, tmp_path: Path, view: str) -> None:
    photograph = Image.fromarray(picture(5, 120, 90)).resize((960, 720))
    drop(browser, running, save(tmp_path / "holiday.jpg", encoded(photograph, "JPEG")), view)
    wait_for(browser, ".scores td")
    wait_for(browser, ".versions .caption-label")
    picture_file = browser.picture(tmp_path / f"{view}.png", whole=True)
    assert np.asarray(Image.open(picture_file)).std() > 20
    assert captions(browser) == ["gray", "sepia", "<b>l2</b>", "the photograph"]
    shown = browser.all(".versions .thumbnail-item img")
    assert all(browser.run("return arguments[0].naturalWidth", image) == 960 for image in shown)
    assert all(image.rect["width"] > 120 for image in shown)
    assert "gray | sepia" in browser.find("body").text
    assert browser.overflow() == 0
    assert browser.requests_to_others() == []
    # Gradio's own: a thumbnail is called "Thumbnail 1 of 4", whatever its caption says
    assert [fault for fault in browser.faults() if not fault.startswith("label-content-name-mismatch")] == []


def test_an_example_is_compared_under_another_method_and_downloaded(browser: Browser, running: Any) -> None:
    import httpx

    browser.open(running.local_url)
    wait_for(browser, ".gallery-item")
    browser.find(".gallery-item").click()  # coffee
    wait_for(browser, ".versions .caption-label")
    assert "gray | sepia" in browser.find("body").text
    browser.all("input[type=radio]")[1].click()
    deadline = time.monotonic() + 60
    while "gray | <b>l2</b>" not in browser.find("body").text:
        assert time.monotonic() < deadline, "the other method's version never came"
        time.sleep(0.05)
    wait_for(browser, "a[download]")
    address = browser.find("a[download]").get_attribute("href")
    assert address
    colored = Image.open(io.BytesIO(httpx.get(address).content))
    assert (colored.format, colored.size) == ("PNG", (600, 400))


def test_a_bomb_is_refused_on_the_page(browser: Browser, running: Any, tmp_path: Path) -> None:
    drop(browser, running, save(tmp_path / "bomb.png", encoded(Image.new("1", (30000, 30000)), "PNG")))
    wait_for(browser, ".toast-body")
    assert "decompression bomb" in str(browser.find(".toast-body").get_attribute("textContent"))
    assert captions(browser) == []


@pytest.mark.slow
def test_uploads_are_limited_and_other_files_stay_closed(running: Any) -> None:
    import httpx

    with httpx.Client(base_url=running.local_url, timeout=30) as client:
        upload = {"files": ("a.png", bytes(app.MAX_UPLOAD_BYTES + 1), "image/png")}
        assert client.post("gradio_api/upload", files=upload).status_code == 413
        assert client.get(f"gradio_api/file={Path(__file__).resolve()}").status_code == 403
        assert running.config["analytics_enabled"] is False


@pytest.mark.slow
def test_an_address_that_is_taken_is_named(running: Any, colorizers: dict[str, Colorizer], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cannot serve on 127.0.0.1:{running.server_port}"):
        app.start(colorizers, "127.0.0.1", running.server_port, tmp_path)


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(BenchError, match=re.escape("pip install -e '.[app]'")):
        app.make_app({})
