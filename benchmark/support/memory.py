"""The memory that a process may still take, by its machine and its control groups, and the most that it has held."""

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def peak_memory(device: "torch.device") -> int:
    """The most bytes held so far: by the GPU's allocator, or on a CPU by the whole process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS and KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def leave_memory_unfilled() -> None:
    """Lets torch hand out memory as it is, where it would write to all of it first for the sake of determinism.

    That writing makes a program repeatable which reads what it never wrote. It costs time in every training step
    (docs/speed.md), and no bit of a result depends on it (tests/test_trainer.py trains with and without): so this is no
    part of `make_deterministic`, whose code counts in the identity of every row.
    """
    import torch.utils.deterministic

    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory that this process may still take without pushing others out.

    What the machine has available, or less where a control group allows less; None where the system does not say
    (anything but Linux). `root` is the folder that holds `proc` and `sys`.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        machine = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return max(0, min([machine, *_free_in_groups(root)]))


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yields the free bytes of each limited control group that this process belongs to."""
    for base, group, (limit, usage, cache) in _groups(root):
        for name in (group, *group.parents):
            folder = base / name
            with suppress(OSError, ValueError, StopIteration):  # A missing file or "max" means no limit.
                left = int((folder / limit).read_text()) - int((folder / usage).read_text())
                statistics = (folder / "memory.stat").read_text().splitlines()
                yield left + next(int(line.split()[1]) for line in statistics if line.startswith(f"{cache} "))


def _groups(root: Path) -> Iterator[tuple[Path, Path, tuple[str, str, str]]]:
    """The memory groups of this process: (mount, path in it, names of limit, usage and reclaimable cache)."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            group = Path(path.lstrip("/"))
            if number == "0":  # version 2
                yield root / "sys/fs/cgroup", group, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield root / "sys/fs/cgroup/memory", group, names
