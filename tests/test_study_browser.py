"""The study's page works in a real browser, from a file and served, by mouse and keys, light, dark and on a phone."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import DESKTOP, PHONE, Browser, chromium
from click.testing import CliRunner
from study_data import make_key, make_pictures, take_part

from benchmark.cli import main
from benchmark.study.build import render
from benchmark.study.schema import KEY_FILE, PAGE_FILE, Answer, Key, StudyResult, read, write
from benchmark.study.score import read_answers, score
from benchmark.study.serve import ANSWERS_FILE, StudyServer, open_server
from projects import make_project

VIEWS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}
READY = "return [...document.querySelectorAll('#trial button:enabled')].some(button => button.checkVisibility())"
CUT = """
return [...document.querySelectorAll("h1, p, li, button, label, span, legend, figcaption")]
  .filter(element => element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1
    && getComputedStyle(element).display !== "inline")
  .map(element => element.outerHTML.slice(0, 100));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def key() -> Key:
    return make_key()


def make_folder(folder: Path, key: Key) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_FILE).write_bytes(render(key, make_pictures(key, 64)))
    write(key, folder / KEY_FILE)
    return folder


@pytest.fixture
def page(tmp_path: Path, key: Key) -> Path:
    return make_folder(tmp_path, key) / PAGE_FILE


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def begin(browser: Browser, number: int | None = None) -> None:
    if number is not None:
        browser.find("#number").send_keys(str(number))
    browser.find("#begin .main").click()
    wait_for(lambda: browser.shown("#block") or browser.shown("#end"))


def step(browser: Browser) -> int:
    """Returns the number of the step that is shown, or was shown last."""
    return int(browser.run("return document.querySelector('#step').textContent.split(' ')[1]"))


def answer(browser: Browser, by_keys: bool = False, given: Answer | None = None) -> None:
    """Answers the shown trial, with the first choice unless told otherwise, and waits for the next one."""
    given = given or Answer(trial=0, choice=0, realism=2, quality=4, milliseconds=0)
    if browser.shown("#block"):
        browser.find("#continue").click()
        wait_for(lambda: browser.shown("#trial"))
    wait_for(lambda: browser.run(READY))
    before = step(browser)
    if browser.shown("#ratings"):
        for name, value in (("realism", given.realism), ("quality", given.quality)):
            browser.find(f"input[name={name}][value='{value}']").click()
        browser.find("#ratings .main").click()
    elif by_keys:
        browser.press(str(1 + (given.choice or 0)))
    else:
        browser.all("#choices button")[given.choice or 0].click()
    wait_for(lambda: not browser.shown("#trial") or step(browser) > before)


def finish(browser: Browser, by_keys: bool = False) -> None:
    while not browser.shown("#end"):
        answer(browser, by_keys)


def downloaded(browser: Browser, folder: Path) -> Path:
    """Presses the button of the last page, and returns the downloaded file."""
    browser.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.find("#download").click()
    wait_for(lambda: list(folder.glob("answers-*.json")))
    return next(folder.glob("answers-*.json"))


@pytest.mark.parametrize("by_keys", [False, True], ids=["mouse", "keys"])
def test_a_participant_goes_through_it_and_is_scored(
    browser: Browser, page: Path, key: Key, tmp_path: Path, by_keys: bool
) -> None:
    browser.open(page)
    begin(browser, number=13)
    finish(browser, by_keys)
    path = downloaded(browser, tmp_path / "downloads")
    (person,) = read_answers([path], key)
    assert person.form == 13 % len(key.forms)
    form = key.forms[person.form]
    assert [given.trial for given in person.answers] == list(range(len(form)))
    assert all(given.milliseconds < 60_000 for given in person.answers)
    for given, trial in zip(person.answers, form, strict=True):
        expected = (None, 2, 4) if trial.task == "rate" else (0, None, None)
        assert (given.choice, given.realism, given.quality) == expected
    assert browser.complaints() == []
    assert browser.requests_to_others() == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in browser.requests())


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_readable_by_everyone(browser: Browser, page: Path, view: str, tmp_path: Path) -> None:
    size, dark = VIEWS[view]
    browser.open(page, size=size, dark=dark)
    seen: set[str] = set()

    def look(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        browser.picture(tmp_path / f"{view}-{name}.png")
        assert browser.overflow() == 0, name
        assert browser.run(CUT) == [], name
        assert browser.faults() == [], name

    look("intro")
    begin(browser)
    while not browser.shown("#end"):
        if browser.shown("#block"):
            look("block")
            browser.find("#continue").click()
        wait_for(lambda: browser.run(READY))
        look(f"{browser.find('#question').text} {len(browser.shown('#trial figure img'))}")
        answer(browser)
    look("end")
    assert len(seen) == 7  # pages: intro, block, a pair, one alone, several, a rating, end


@pytest.mark.parametrize("size", [DESKTOP, PHONE, PHONE[::-1]], ids=["desk", "phone", "phone on its side"])
def test_pictures_fill_the_screen_and_one_can_answer_without_scrolling(
    browser: Browser, page: Path, size: tuple[int, int], tmp_path: Path
) -> None:
    browser.open(page, size=size)
    begin(browser)
    browser.find("#continue").click()
    wait_for(lambda: browser.run(READY))
    browser.picture(tmp_path / "pair.png")
    first, second = (image.rect for image in browser.all("#stage img"))
    assert [second["width"], first["height"]] == pytest.approx([first["width"]] * 2, abs=1)  # the driver rounds
    upright = size[0] < size[1]
    assert (first["x"] == second["x"]) == upright  # one above the other where that shows them larger
    assert first["width"] > (240 if upright else min(size) / 4)
    button = browser.find("#choices button").rect
    assert size[1] - 60 < button["y"] + button["height"] < size[1]  # at the lower edge: nothing below is empty
    assert button["height"] >= 44  # a thumb's width


def test_after_the_exposure_pictures_are_gone_and_the_answer_is_still_taken(browser: Browser, tmp_path: Path) -> None:
    browser.open(make_folder(tmp_path, make_key(study="timed", exposure=0.3)) / PAGE_FILE)
    begin(browser)
    browser.find("#continue").click()
    visible = "return getComputedStyle(document.querySelector('#stage img')).visibility"
    wait_for(lambda: browser.run(READY))
    began = time.monotonic()
    assert browser.run(visible) == "visible"
    wait_for(lambda: browser.run(visible) == "hidden")
    assert 0.1 < time.monotonic() - began < 3
    assert browser.find("#status").text == "Now answer from memory."
    answer(browser)
    assert step(browser) == 2


def test_a_closed_window_loses_nothing(browser: Browser, page: Path, key: Key, tmp_path: Path) -> None:
    browser.open(page)
    begin(browser, number=2)
    for _ in range(5):
        answer(browser)
    browser.open(page)
    assert browser.find("#resume").text == f"Go on: {len(key.forms[0]) - 5} steps are left"
    browser.find("#resume").click()
    finish(browser)
    (person,) = read_answers([downloaded(browser, tmp_path / "downloads")], key)
    assert (person.form, len(person.answers)) == (2, len(key.forms[0]))


def test_without_scripts_it_says_so(browser: Browser, page: Path) -> None:
    browser.open(page, scripts=False)
    assert "needs JavaScript" in browser.find("body").text


class Running:
    """A server that can be stopped and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.server: StudyServer
        self.start()

    def start(self) -> None:
        self.server = open_server(self.folder, None, "127.0.0.1", self.port)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.server.store.close()


@pytest.fixture
def running(tmp_path: Path, key: Key) -> Iterator[Running]:
    running = Running(make_folder(tmp_path, key))
    yield running
    running.stop()


def test_served_every_answer_is_stored_as_it_comes(browser: Browser, running: Running, key: Key) -> None:
    browser.open(running.server.url)
    begin(browser)
    for count in range(1, 5):
        answer(browser)
        assert running.server.store.count() == (1, count)
    browser.open(running.server.url)  # someone closes the window and comes back
    browser.find("#resume").click()
    finish(browser)
    assert running.server.store.count() == (1, len(key.forms[0]))
    assert "All your answers are saved" in browser.find("#end-text").text
    assert browser.complaints() == []
    assert browser.requests_to_others() == []


def test_a_random_session_goes_from_start_to_study_score(
    browser: Browser, running: Running, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng()
    number = int(rng.integers(10_000))
    form = number % len(key.forms)
    person = take_part(key, "random", dict.fromkeys(key.models, 0.5), rng, form=form)
    browser.open(running.server.url)
    begin(browser, number)
    for given in person.answers:
        answer(browser, by_keys=bool(rng.integers(2)), given=given)
    assert browser.shown("#end")
    monkeypatch.chdir(make_project(tmp_path / "project"))
    files = (running.folder / name for name in (ANSWERS_FILE, KEY_FILE))
    scored = CliRunner().invoke(main, ["study", "score", str(next(files)), "--key", str(next(files))])
    assert scored.exit_code == 0, (scored.stderr, number)
    assert "1 participants" in scored.stdout
    result = read(StudyResult, Path("runs/results/sample/quick/study.json"))
    assert result.judgments == score([person], key).judgments, number


def test_served_a_server_that_stops_loses_no_answer(browser: Browser, running: Running, key: Key) -> None:
    browser.open(running.server.url)
    begin(browser)
    answer(browser)
    running.stop()
    wait_for(lambda: browser.run(READY))
    browser.find("#choices button").click()
    wait_for(lambda: "Not saved yet" in browser.find("#status").text)
    assert step(browser) == 2  # the page does not go on as if the answer were stored
    running.start()
    wait_for(lambda: step(browser) == 3)
    assert running.server.store.count() == (1, 2)
    finish(browser)
    assert running.server.store.count() == (1, len(key.forms[0]))


def test_numbers_decide_the_form(browser: Browser, page: Path, key: Key) -> None:
    forms = []
    for number in (3, 3, 4):
        browser.open(page)
        begin(browser, number)
        answer(browser)
        stored = browser.run(
            "return localStorage.getItem(Object.keys(localStorage).find(k => k.startsWith('colorbench')))"
        )
        forms.append(json.loads(stored)["form"])
    assert forms == [3, 3, 4]
