"""Runs `bench` in processes forked from one that has imported everything, in tenths of a second each."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

# Modules that the commands import before they do anything.
PRELOAD = [
    "benchmark.cli",
    "benchmark.photographs.colorize",
    "benchmark.report",
    "benchmark.running.stages",
    "benchmark.running.reference",
    "benchmark.methods.cgan",
    "benchmark.datasets.sample",
    "torch._dynamo",
    "torch.utils.tensorboard",
]


@dataclass(frozen=True)
class Done:
    """The end of a command; a negative return code is the signal that killed it, as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Returns our lines that say what went wrong; a traceback counts as one."""
        return [line for line in self.stderr.splitlines() if line.startswith(("bench: ", "Traceback"))]


class Forked:
    """A running `bench` command."""

    def __init__(self, process: ForkServerProcess, steps: Connection, out: Path) -> None:
        self.process = process
        self.steps = steps
        self.out = out

    @property
    def pid(self) -> int:
        """The id of the command's process."""
        assert self.process.pid is not None
        return self.process.pid

    def wait_for(self, step: int, timeout: float = 60) -> bool:
        """Waits until training has done `step` steps; returns False if the process ended before."""
        with suppress(EOFError):
            while self.steps.poll(timeout):
                if self.steps.recv() >= step:
                    return True
        return False

    def end(self, timeout: float = 60) -> Done:
        """Waits until the command ends; kills it and fails after `timeout` seconds."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"still running after {timeout:.0f} s: {self._text('stderr')}")
        return Done(self.process.exitcode, self._text("stdout"), self._text("stderr"))

    def _text(self, name: str) -> str:
        return (self.out / name).read_text() if (self.out / name).exists() else ""


def forkserver() -> ForkServerContext:
    """Returns the context whose server has imported everything and computed nothing, so that forking it is safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def start(
    *arguments: str,
    cwd: Path,
    out: Path,
    before: Callable[[], object] | None = None,
    env: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Forked:
    """Starts `bench` in a process of its own.

    Args:
        arguments: arguments of the command.
        cwd: the project's folder.
        out: the folder for the command's output.
        before: a module's function that the process calls first, to inject a fault.
        env: the process's environment, or None for the test's. Variables that Python or torch read at start or import
            (PYTHONPATH, OMP_NUM_THREADS) have no effect here; tests of them need a new process.
        path: a folder whose modules take precedence, as with PYTHONPATH; it may hold a copy of our own.
    """
    context = forkserver()
    out.mkdir(parents=True, exist_ok=True)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_bench, args=(arguments, cwd, out, sender, before, dict(env or os.environ), path))
    process.start()
    sender.close()
    return Forked(process, receiver, out)


def bench(*arguments: str, cwd: Path, out: Path, before: Callable[[], object] | None = None) -> Done:
    """Runs `bench` to its end; `start` explains the arguments."""
    return start(*arguments, cwd=cwd, out=out, before=before).end()


def _bench(
    arguments: Sequence[str],
    cwd: Path,
    out: Path,
    steps: Connection,
    before: Callable[[], object] | None,
    env: Mapping[str, str],
    path: Path | None,
) -> None:
    import torch

    if path:
        sys.path.insert(0, str(path))
        for name in [name for name in sys.modules if name.partition(".")[0] == "benchmark"]:
            del sys.modules[name]  # the next import finds it in `path`, if it is there
    from benchmark.cli import main
    from benchmark.running.monitor import TrainingMonitor

    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(env)  # the server has the environment of the first test that used it
    os.chdir(cwd)
    torch.set_num_threads(1)  # sums have the same bits only for the same number of threads
    advance = TrainingMonitor.advance

    def report(monitor: TrainingMonitor, step: int) -> None:
        advance(monitor, step)
        with suppress(OSError):  # the test has stopped listening
            steps.send(step)

    TrainingMonitor.advance = report  # type: ignore[assignment, method-assign]
    if before:
        before()
    sys.argv = ["bench", *arguments]
    main(list(arguments), prog_name="bench")
