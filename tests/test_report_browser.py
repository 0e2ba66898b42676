"""The report opens from `file://` in a real browser, sorts, filters and compares, and can be read without scripts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, Browser, chromium
from report_picture import take_picture
from report_project import METHODS, PRESETS, make_report_project, report_on
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

VIEWS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}
# The script finds texts that overlap or stick out of their chart; texts of hidden charts have no size.
COLLISIONS = """
const found = [];
const shared = (a, b, low, high) => Math.min(a[high], b[high]) - Math.max(a[low], b[low]);
for (const chart of document.querySelectorAll("svg.chart")) {
  const frame = chart.getBoundingClientRect();
  if (!frame.width) continue;
  const title = chart.querySelector("title").textContent;
  const boxes = [...chart.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
  boxes.forEach(([name, a], k) => {
    if (a.left < frame.left - 2 || a.right > frame.right + 2 || a.bottom > frame.bottom + 2)
      found.push(`${title}: ${name} sticks out`);
    for (const mark of chart.querySelectorAll("circle, line.interval, line.floor:not([stroke-dasharray])")) {
      const b = mark.getBoundingClientRect();
      if (shared(a, b, "left", "right") > 1 && shared(a, b, "top", "bottom") > 3)
        found.push(`${title}: a mark over ${name}`);
    }
    for (const [other, b] of boxes.slice(k + 1))
      if (shared(a, b, "left", "right") > 1 && shared(a, b, "top", "bottom") > 3)
        found.push(`${title}: ${name} over ${other}`);
  });
}
return found;
"""
CUT = """
return [...document.querySelectorAll("th, td, figcaption, p, li, label, button, summary, h1, h2, h3")]
  .filter(element => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0
    && getComputedStyle(element).display !== "inline")
  .map(element => element.outerHTML.slice(0, 100));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of ten methods on three tables with pictures and curves, and of one table without."""
    folder = make_report_project(tmp_path_factory.mktemp("project"))
    return report_on(folder, folder / "report").page


@pytest.fixture(scope="module")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with less of everything."""
    folder = make_report_project(tmp_path_factory.mktemp("small"), METHODS[:2], PRESETS[:1])
    return report_on(folder, folder / "report").page


@pytest.fixture(scope="module")
def site(small_page: Path) -> Path:
    """The small report as a site."""
    folder = small_page.parents[1]
    return report_on(folder, folder / "site", site=True).page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def open_at(browser: Browser, page: Path, anchor: str, **view: Any) -> None:
    """Opens a report at one of its pages."""
    browser.open(f"{page.resolve().as_uri()}#{anchor}", **view)


def show_everything(browser: Browser) -> None:
    """Shows every page of a report below each other, and opens what can be opened."""
    browser.run("document.head.insertAdjacentHTML('beforeend', '<style>.page { display: block !important; }</style>')")
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")


def select(browser: Browser, name: str, value: str) -> None:
    Select(browser.find(f"select[name={name}]")).select_by_value(value)


def visible_column(browser: Browser, table: str, column: int) -> list[str]:
    rows = browser.all(f"{table} tbody tr:not(.part)")
    return [row.find_elements("css selector", "th, td")[column].text.split("\n")[0] for row in rows]


def test_opens_without_a_complaint_and_asks_nobody(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.complaints() == []
    assert browser.requests_to_others() == []
    pictures = [url for url in browser.requests() if url.endswith(".webp")]
    inside = page.parent.resolve().as_uri()
    assert all(url.startswith(inside) for url in pictures)
    assert len(pictures) < len(browser.all(".strip img")) / 2  # the rest loads when it is scrolled to
    assert len(browser.all("section.chapter")) == len(PRESETS) + 1
    assert len(browser.all("#sample-first table.scores tbody tr[data-method]")) == len(METHODS) + 1


def test_what_slips_into_the_page_cannot_call_home(browser: Browser, small_page: Path) -> None:
    browser.open(small_page)
    browser.run("document.body.append(Object.assign(new Image(), {src: 'http://198.51.100.1/pixel.png'}))")
    time.sleep(0.2)
    assert browser.requests_to_others() == []
    assert "Content Security Policy" in browser.complaints()[0]


def test_heads_sort_each_part_of_a_table(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "cifar10-quick")
    table = "#cifar10-quick table.scores"
    head = next(button for button in browser.all(f"{table} thead button") if button.text.startswith("PSNR"))
    head.click()
    methods = visible_column(browser, table, 0)
    assert methods == ["eccv16", "l2", "classification", "cgan", "mean-color", "gray", "oracle-bins"]
    assert [th.get_attribute("aria-sort") for th in browser.all(f"{table} thead th[aria-sort]")] == ["ascending"]
    head.send_keys(Keys.ENTER)
    assert visible_column(browser, table, 0) == [
        "cgan",
        "classification",
        "l2",
        "eccv16",
        "gray",
        "mean-color",
        "oracle-bins",
    ]
    values = [float(text.strip("†")) for text in visible_column(browser, table, 2)[:4]]
    assert values == sorted(values, reverse=True)
    browser.all(f"{table} thead button")[0].send_keys(Keys.SPACE)
    assert visible_column(browser, table, 0)[:4] == ["cgan", "classification", "eccv16", "l2"]
    assert len(browser.all(f"{table} thead th[aria-sort]")) == 1


def shown_pages(browser: Browser) -> list[str | None]:
    return [page.get_attribute("id") for page in browser.shown(".page")]


@pytest.mark.parametrize("scripts", [True, False])
def test_one_page_is_shown_at_a_time(browser: Browser, page: Path, scripts: bool) -> None:
    browser.open(page, scripts=scripts)
    assert shown_pages(browser) == ["home"]
    browser.find('#contents a[href="#cifar10-quick"]').click()
    assert shown_pages(browser) == ["cifar10-quick"]
    browser.find('#cifar10-quick a[href="#method-l2"]').click()
    assert shown_pages(browser) == ["method-l2"]
    browser.driver.back()
    assert shown_pages(browser) == ["cifar10-quick"]
    open_at(browser, page, "sample-first-psnr", scripts=scripts)  # a badge leads to the chart on its page
    assert shown_pages(browser) == ["sample-first"]
    if scripts:
        assert [link.text for link in browser.all("#contents [aria-current]")] == ["sample, first"]


def test_contents_on_a_phone_open_and_close(browser: Browser, page: Path) -> None:
    browser.open(page, size=PHONE)
    assert not browser.find("#contents").is_displayed()
    browser.find(".menu").click()
    browser.find('#contents a[href="#sample-first"]').click()
    assert not browser.find("#contents").is_displayed()
    assert shown_pages(browser) == ["sample-first"]


def test_the_metrics_that_are_shown_are_chosen(browser: Browser, page: Path) -> None:
    open_at(browser, page, "sample-second")
    table = "#sample-second table.scores"
    heads = [head.text for head in browser.shown(f"{table} thead th[data-metric]")]
    assert [head.split()[0] for head in heads] == ["PSNR", "SSIM", "AuC", "AuC", "ΔCF"]
    select(browser, "metric", "mae_r")
    assert [head.text.split()[:2] for head in browser.shown(f"{table} thead th[data-metric]")] == [["MAE", "R"]]
    charts = {figure.get_attribute("data-metric") for figure in browser.shown("figure[data-metric]")}
    assert charts == {"mae_r"}
    select(browser, "metric", "")
    assert len(browser.shown(f"{table} thead th[data-metric]")) == 14


def test_a_method_is_set_off_everywhere(browser: Browser, small_page: Path) -> None:
    browser.open(small_page)
    select(browser, "method", "cgan")
    assert {row.get_attribute("data-method") for row in browser.all("tr.on")} == {"cgan"}
    dimmed = browser.find("#sample-first .chart g[data-method=l2]")
    assert float(dimmed.value_of_css_property("opacity")) < 0.5
    assert float(browser.find("#sample-first .chart g[data-method=cgan]").value_of_css_property("opacity")) == 1


def test_a_cost_is_chosen(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first")
    browser.find("#sample-first-cost summary").click()
    shown = "#sample-first figure[data-cost]"
    assert {figure.get_attribute("data-cost") for figure in browser.shown(shown)} == {"macs"}
    Select(browser.find("#sample-first select.cost")).select_by_value("train_seconds")
    assert {figure.get_attribute("data-cost") for figure in browser.shown(shown)} == {"train_seconds"}


def test_groups_of_pictures_and_their_scores(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first")
    assert len(browser.shown("#sample-first .strip")) == 8
    groups = Select(browser.find("#sample-first select.groups"))
    groups.select_by_value("worst-ssim")
    strips = browser.shown("#sample-first .strip")
    orders = [dict(entry.split(":") for entry in (s.get_attribute("data-groups") or "").split()) for s in strips]
    assert [order["worst-ssim"] for order in orders] == ["0", "1", "2"]
    score = strips[0].find_element("css selector", "figure[data-method=l2] .score").text
    assert score.startswith("SSIM 0.")
    groups.select_by_value("failures-l2")
    assert browser.shown("#sample-first .strip figure[data-method=l2] .score")[0].text.startswith("PSNR")


def test_pointing_shows_the_truth_in_place(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first")
    link = browser.shown("#sample-first .strip a")[1]
    image = link.find_element("css selector", "img")
    before = image.get_attribute("src") or ""
    ActionChains(browser.driver).move_to_element(link).perform()
    assert (image.get_attribute("src") or "").endswith("_truth.webp")
    ActionChains(browser.driver).move_to_element(browser.find(".brand")).perform()
    assert image.get_attribute("src") == before


def test_comparison_by_keyboard_alone(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first")
    links = browser.shown("#sample-first .strip a")
    browser.run("arguments[0].focus()", links[0])
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    focused = browser.driver.switch_to.active_element
    assert focused == browser.shown("#sample-first .strip:nth-child(2) a")[1]
    browser.press(Keys.ENTER)
    stage = browser.find("#compare .stage")
    slider = browser.find("#compare input")
    assert browser.driver.switch_to.active_element == slider
    browser.press(*[Keys.ARROW_RIGHT] * 7)
    assert slider.get_attribute("value") == "57"
    assert browser.run("return getComputedStyle(arguments[0]).getPropertyValue('--cut')", stage) == "57%"
    title = browser.find("#compare-title").text
    browser.press("n")
    assert browser.find("#compare-title").text != title
    browser.press("p")
    assert browser.find("#compare-title").text == title
    left, right = (browser.find(f"#compare img.{side}").get_attribute("src") or "" for side in ("over", "under"))
    assert left == focused.get_attribute("href")
    assert right.endswith("_truth.webp")
    browser.press(Keys.ESCAPE)
    assert not browser.find("#compare").is_displayed()
    assert browser.driver.switch_to.active_element == focused


def test_comparison_by_pointer(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first")
    browser.shown("#sample-first .strip a")[2].click()
    stage, slider = browser.find("#compare .stage"), browser.find("#compare input")
    width = stage.size["width"]
    ActionChains(browser.driver).move_to_element_with_offset(stage, -width // 4, 0).perform()
    assert 23 <= int(slider.get_attribute("value") or "") <= 27
    Select(browser.find("#compare [data-side=under]")).select_by_visible_text("gray (input)")
    assert (browser.find("#compare img.under").get_attribute("src") or "").endswith("_gray.webp")
    browser.find("#compare [data-do=next]").click()
    assert (browser.find("#compare img.under").get_attribute("src") or "").endswith("_gray.webp")
    browser.find("#compare [data-do=close]").click()
    assert not browser.find("#compare").is_displayed()
    assert browser.complaints() == []


def test_the_comparison_is_large_and_has_every_score(browser: Browser, small_page: Path) -> None:
    open_at(browser, small_page, "sample-first", size=(1440, 900))
    browser.shown("#sample-first .strip a")[1].click()
    assert browser.find("#compare .stage").size["width"] > 500
    heads = [head.text for head in browser.all("#compare thead th")]
    assert heads[:3] == ["", "PSNR", "SSIM"]
    lines = [
        [cell.text for cell in line.find_elements("css selector", "td")] for line in browser.all("#compare tbody tr")
    ]
    assert {line[0] for line in lines} == {"l2", "cgan"}
    assert all(float(text) for line in lines for text in line[1:])


def test_dark_mode_follows_the_system_and_the_button(browser: Browser, small_page: Path) -> None:
    def brightness() -> int:
        color = browser.find("body").value_of_css_property("background-color")
        return int(color.split("(")[1].split(",")[0])

    browser.open(small_page, dark=True)
    assert brightness() < 60
    browser.find("#theme").click()
    assert brightness() > 200
    browser.open(small_page, dark=True)
    assert brightness() > 200  # the page remembers the choice
    browser.find("#theme").click()
    browser.run("localStorage.clear()")
    browser.open(small_page)
    assert brightness() > 200


def test_without_scripts_everything_is_there_to_read(browser: Browser, page: Path) -> None:
    open_at(browser, page, "sample-first", scripts=False)
    assert not browser.find("#toolbar").is_displayed()
    assert not browser.find("#theme").is_displayed()
    assert not browser.shown(".local")
    assert len(browser.shown("#sample-first table.scores thead th[data-metric]")) == 14
    assert len(browser.shown("#sample-first .strip")) > 8
    assert browser.find(".strip a").get_attribute("href") == browser.find(".strip img").get_attribute("src")
    assert browser.complaints() == []


def test_a_site_has_a_page_for_each_and_leads_from_one_to_the_next(browser: Browser, site: Path) -> None:
    browser.open(site)
    browser.find('#contents a[href="sample-first.html"]').click()
    assert shown_pages(browser) == ["sample-first"]
    browser.find('#sample-first a[href="method-l2.html"]').click()
    browser.find('#method-l2 a[href^="sample-first.html#"]').click()
    assert browser.driver.current_url.endswith("sample-first.html#sample-first-psnr")
    assert browser.find("#contents [aria-current]").text == "sample, first"
    browser.shown(".strip a")[1].click()
    assert browser.find("#compare").is_displayed()
    assert browser.complaints() == []
    assert browser.requests_to_others() == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_overlaps_or_is_cut_off(browser: Browser, page: Path, view: str) -> None:
    size, dark = VIEWS[view]
    browser.open(page, size=size, dark=dark)
    show_everything(browser)
    assert browser.overflow() == 0
    assert browser.run(COLLISIONS) == []
    assert browser.run(CUT) == []


@pytest.mark.parametrize("view", VIEWS)
def test_accessibility(browser: Browser, small_page: Path, view: str) -> None:
    size, dark = VIEWS[view]
    browser.open(small_page, size=size, dark=dark)
    show_everything(browser)
    assert browser.faults() == []
    browser.run("document.querySelector('.strip a').click()")
    assert browser.faults("#compare") == []


@pytest.mark.parametrize("view", VIEWS)
def test_pictures_of_the_report(browser: Browser, page: Path, tmp_path: Path, view: str) -> None:
    """Takes pictures for a person to look at, and keeps them only if REPORT_PICTURES names a folder."""
    folder = Path(os.environ.get("REPORT_PICTURES", tmp_path))
    size, dark = VIEWS[view]
    picture = take_picture(browser, page, folder / f"report-{view}.png", size=size, dark=dark)
    assert 20_000 < picture.stat().st_size < 400_000
