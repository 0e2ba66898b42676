"""Runs `bench` in this process and lets it live no longer than the process that asked for it (on Linux).

`python -m benchmark.cli.guard PID run --method …`, PID being the caller's. A Ray worker that is killed cannot
end what it started; a cell that outlived it would hold its folder, and the next attempt would find it locked.
"""

import os
import runpy
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends; at once if it has ended already."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Becomes `bench`. Ray blocks SIGINT in what it starts; here it means again what it means to `bench`."""
    die_with(int(arguments[0]))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sys.argv = ["bench", *arguments[1:]]  # what the result's record will say
    runpy.run_module("benchmark.cli", run_name="__main__")  # as `python -m` would: nothing here imports the commands


if __name__ == "__main__":
    main(sys.argv[1:])
