"""Settings and fixtures of every test."""

import os
import sys
from collections.abc import Iterator

import pytest

# Torch uses one thread, here and in every process that a test starts, because sums have the same bits only for the same
# number of threads. A second thread would only wait with networks this small, and it waits busily: where other programs
# used the second core, one test took 112 s with two threads and 2 s with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.fsync = lambda fd: None  # tests' files need not outlive a power failure, and the disk is slow


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Restores torch's number of threads, which a command with `--threads` in this process changes."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else int(os.environ["OMP_NUM_THREADS"])
    yield
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that drive a browser, and the fuzzers, as slow."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()) or item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.slow)
