"""Measures how fast a large report opens, for docs/report.md: `python tests/speed/bench_report.py`.

A fresh Chromium opens ten methods on three tables with pictures and curves, and a fourth table without, from `file://`
several times, until everything in its window is painted. Each picture is replaced by noise of the largest size in a
report, so that none can be heavier. The benchmark exits with 1 if the median is above 2 s. It needs Debian's packages
`chromium` and `chromium-driver`, and says so where they are not, having measured nothing.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.report.gallery import SIDE

TESTS = Path(__file__).resolve().parents[1]
TARGET = 2.0  # seconds
TIMES, IMAGE_SIZE = 5, 32
PAINTED = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"


def replace_pictures(folder: Path) -> tuple[int, int]:
    """Replaces every picture below a folder by noise, which nothing compresses; returns their number and size."""
    heaviest = folder / "noise.webp"
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(heaviest, lossless=True)
    pictures = [path for path in folder.rglob("*.webp") if path != heaviest]
    for path in pictures:
        path.unlink()
        os.link(heaviest, path)
    return len(pictures), heaviest.stat().st_size


def opening_seconds(page: Path) -> float:
    """Returns the seconds from asking a fresh browser for the page until all that its window shows is painted."""
    from browser import chromium
    from report_picture import SEEN

    with chromium() as browser:
        browser.open("about:blank")
        began = time.perf_counter()
        browser.driver.get(page.resolve().as_uri())
        while not browser.run(SEEN):
            time.sleep(0.01)
        browser.driver.execute_async_script(PAINTED)
        return time.perf_counter() - began


def main() -> int:
    """Prints size and times, and returns the exit code."""
    if missing := [program for program in ("chromium", "chromedriver") if not shutil.which(program)]:
        print(
            f"not measured: no {' and no '.join(missing)} here; install Debian's packages chromium and chromium-driver"
        )
        return 0
    sys.path.insert(0, str(TESTS))  # the report's own tests make the project there
    from report_project import METHODS, PRESETS, make_report_project, report_on

    with tempfile.TemporaryDirectory() as temporary:
        project = make_report_project(Path(temporary), METHODS, PRESETS, IMAGE_SIZE)
        began = time.perf_counter()
        page = report_on(project, project / "report").page
        print(f"{len(METHODS)} methods on {len(PRESETS)} tables: written in {time.perf_counter() - began:.1f} s")
        count, size = replace_pictures(page.parent)
        print(f"page {page.stat().st_size / 1e6:.2f} MB, {count:,} pictures, made {size / 1e3:.0f} kB each")
        seconds = [opening_seconds(page) for _ in range(TIMES)]
    median = statistics.median(seconds)
    print(
        f"opens in {median:.2f} s (median of {TIMES}; {min(seconds):.2f} to {max(seconds):.2f}), target {TARGET:.0f} s"
    )
    return int(median > TARGET)


if __name__ == "__main__":
    sys.exit(main())
