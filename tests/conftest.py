"""What holds for every test."""

import os

import pytest

# Torch uses one thread, here and in every process that a test starts: sums have the same bits only for the same number
# of threads, and with networks as small as the tests' a second thread does nothing but wait. It waits busily: where
# other programs used the second core, one test took 112 s of two threads and 2 s of one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.fsync = lambda fd: None  # what a test writes need not outlive a power failure, and waiting for the disk takes long


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever drives a browser is slow."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
