"""Headless Chromium for tests of the pages that people see.

The module needs Debian's packages `chromium` and `chromium-driver`; without them tests skip and say so. Checks of
accessibility need axe-core too, which is not ours to commit:

    npm install --silent --no-save --no-package-lock --prefix .cache/axe axe-core@4.14.1
"""

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

AXE = Path(__file__).resolve().parents[1] / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1280, 900), (390, 844)  # CSS pixels
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # nothing leaves this machine
)


class Browser:
    """One headless window, which records every request and complaint of a page from `open` on."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._requests: dict[str, str] = {}  # id → URL
        self._complaints: list[str] = []

    def open(
        self,
        page: Path | str,
        *,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        scripts: bool = True,
    ) -> None:
        """Loads a file or an address in a fresh window of this size.

        Args:
            page: a file, which is opened from `file://`, or a URL.
            size: width and height in CSS pixels; a window narrower than 600 is a phone's (touch, viewport tag).
            dark: whether the page is told that the system prefers dark pages.
            scripts: whether the page's scripts run; ours always do.
        """
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.devtools("Emulation.setDeviceMetricsOverride", **screen)
        self.devtools("Emulation.setEmulatedMedia", features=[scheme, still])
        self.devtools("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.driver.get("about:blank")
        self._read_logs()
        self._requests, self._complaints = {}, []
        self.driver.get(page if isinstance(page, str) else page.resolve().as_uri())

    def devtools(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command of Chromium's DevTools protocol and returns the reply."""
        return self.driver.execute_cdp_cmd(method, parameters)

    def find(self, selector: str) -> WebElement:
        """Returns the first element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Returns every element of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def shown(self, selector: str) -> list[WebElement]:
        """Returns the elements of a CSS selector that are displayed."""
        return [element for element in self.all(selector) if element.is_displayed()]

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script and returns the value of its `return`."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Types keys into the element that has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def requests(self) -> list[str]:
        """Returns every address requested since `open`, the page's own included, without those its policy barred."""
        self._read_logs()
        return list(self._requests.values())

    def requests_to_others(self) -> list[str]:
        """Returns the requests that would leave this machine."""
        own = ("file:", "data:", "blob:", "about:", "http://127.0.0.1", "http://localhost")
        return [url for url in self.requests() if not url.startswith(own)]

    def complaints(self) -> list[str]:
        """Returns the console's warnings and errors since `open`, such as failed scripts and missing files."""
        self._read_logs()
        return self._complaints

    def picture(self, path: Path, *, whole: bool = False) -> Path:
        """Writes a PNG of the window, or of the whole page, and returns its path."""
        extent: dict[str, Any] = {}
        if whole:
            page = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
            extent = {"captureBeyondViewport": True, "clip": {**page, "scale": 1}}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.devtools("Page.captureScreenshot", format="png", **extent)["data"]))
        return path

    def overflow(self) -> int:
        """Returns by how many CSS pixels the page is wider than the window, so that a phone must scroll sideways."""
        return int(self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def faults(self, within: str = "html") -> list[str]:
        """Returns axe-core's serious and critical faults of accessibility: the rule, and the first element at fault.

        It skips the test if axe-core is not installed, and takes about a second per thousand elements.

        Args:
            within: a CSS selector of the part to check.
        """
        if not AXE.is_file():
            pytest.skip(f"axe-core is not in {AXE}; see tests/browser.py for the command")
        self.run(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run(arguments[0]).then(arguments[1])", within)
        return [
            f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html']}: {fault['nodes'][0]['failureSummary']}"
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
        ]

    def _read_logs(self) -> None:
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            about = message.get("params", {})
            if message["method"] == "Network.requestWillBeSent":
                self._requests[about["requestId"]] = about["request"]["url"]
            elif message["method"] == "Network.loadingFailed" and about.get("blockedReason"):
                self._requests.pop(about["requestId"], None)
        for entry in self.driver.get_log("browser"):
            if entry["level"] in ("WARNING", "SEVERE"):
                self._complaints.append(entry["message"])


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yields a browser with a profile of its own; skips the test if Chromium or its driver is not installed."""
    program, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver_program:
        pytest.skip("no Chromium here; install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(driver_program))
        try:
            driver.set_script_timeout(60)
            yield Browser(driver)
        finally:
            driver.quit()
