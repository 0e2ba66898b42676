"""Draws docs/report.webp, the picture of the report in README: `python tests/report_picture.py [REPORT] [PICTURE]`.

It needs Chromium (see tests/browser.py) and a report of `bench report`.
"""

import sys
from pathlib import Path

from browser import Browser, chromium
from PIL import Image
from selenium.webdriver.support.wait import WebDriverWait

REPOSITORY = Path(__file__).resolve().parents[1]
SIZE = (1280, 960)
SEEN = """
return [...document.images].every(image => {
  const box = image.getBoundingClientRect();
  return !image.checkVisibility() || box.top > innerHeight || image.naturalWidth;
});
"""


def take_picture(browser: Browser, page: Path, path: Path, *, size: tuple[int, int] = SIZE, dark: bool = False) -> Path:
    """Takes a picture of the top of a report."""
    browser.open(page, size=size, dark=dark)
    WebDriverWait(browser.driver, 10).until(lambda _: browser.run(SEEN))
    browser.picture(path)
    Image.open(path).convert("RGB").save(path, quality=85, optimize=True)  # no palette: it shows colors
    return path


if __name__ == "__main__":
    page = (Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "report") / "index.html"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else REPOSITORY / "docs" / "report.webp"
    if not page.is_file():  # the browser would show its own page about that, and the picture would be of it
        sys.exit(f"{page} is not there; run: bench report")
    with chromium() as running:
        print(take_picture(running, page, target))
