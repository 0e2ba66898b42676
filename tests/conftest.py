"""What holds for every test."""

import os
import sys
from collections.abc import Iterator

import pytest

# Torch uses one thread, here and in every process that a test starts: sums have the same bits only for the same number
# of threads, and with networks as small as the tests' a second thread does nothing but wait. It waits busily: where
# other programs used the second core, one test took 112 s of two threads and 2 s of one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.fsync = lambda fd: None  # what a test writes need not outlive a power failure, and waiting for the disk takes long


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """A command that runs in this process with `--threads` leaves torch its number, which later tests do not want."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else int(os.environ["OMP_NUM_THREADS"])
    yield
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever drives a browser is slow, and so are the fuzzers."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()) or item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.slow)
