"""Any words after `bench` work, or one line says what is wrong; there is no traceback and no hang.

Stand-ins replace what takes long or leaves the machine: training loops, servers, other processes, the network. All else
is the program itself, in this process.
"""

import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from click.testing import CliRunner
from data_files import photographs, write_files
from fuzzing import CASE, NUMBERS, TEXTS, cases, fuzzer, watched

from benchmark.cli import main
from benchmark.support.errors import BenchError
from benchmark.training.progress import Outcome
from projects import make_project

SAFE_TEXTS = tuple(text for text in TEXTS if not text.startswith(("/", "~", "../")))
PATHS = ("out", "out/a.png", "photos", "photos/0.png", "photos.zip", "nowhere", "é/写真", "", "-", "x" * 300, "models")
KEYS = (
    *("steps", "batch_size", "precision", "compile", "deterministic", "ema_decay", "log_every", "validation_images"),
    *("image_size", "train_count", "test_count", "data.image_size", "training.steps", "method.base_channels", "flip"),
    *("base_channels", "learning_rate", "l1_weight", "encoder", "pretrained", "dropout", "output", "nothing", ""),
)
VALID = {
    "--method": ("gray", "l2", "cgan", "l2,cgan"),
    "--methods": ("gray,l2", "cgan"),
    "--data": ("sample", "folder:photos", "cifar10"),
    "--preset": ("tiny",),
    "--device": ("cpu", "auto"),
    "method": ("gray", "l2"),
    "name": ("sample", "folder:photos", "cifar10", "my-method"),
    "data_set": ("sample",),
}

STOOD_IN_FOR = (
    *("benchmark.speed.measure.measure", "benchmark.study.serve.serve", "benchmark.photographs.app.serve"),
    *("benchmark.running.judge.make_judge", "benchmark.running.sweep.over_ray.sweep"),
    "benchmark.training.distributed.launch",
)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yields every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def setting(rng: random.Random) -> str:
    small = rng.choice((0, 1, 2, 4, 8, 16, 17, 0.5, -1))
    value = small if rng.random() < 0.6 else rng.choice((*SAFE_TEXTS, *NUMBERS))
    return f"{rng.choice(KEYS)}={value}"


def value(param: click.Parameter, rng: random.Random) -> str:
    """Returns a value for an option or argument, which makes sense half of the time."""
    name = param.opts[0]
    if name == "--set":
        return setting(rng)
    if isinstance(param.type, click.Path):
        return rng.choice(PATHS)
    if rng.random() < 0.3:
        return str(rng.choice((*SAFE_TEXTS, *NUMBERS)))
    if isinstance(param.type, click.Choice):
        return str(rng.choice(list(param.type.choices)))
    if isinstance(param.type, click.IntRange | click.FloatRange):
        return str(rng.choice((0, 1, 2, 3, 16)))
    return rng.choice(VALID.get(name, SAFE_TEXTS))


def arguments(path: tuple[str, ...], command: click.Command, rng: random.Random) -> list[str]:
    """Returns a command line in any order, mostly with what is required and sometimes with the rest."""
    words: list[list[str]] = []
    for param in command.params:
        if rng.random() > (0.9 if param.required else 0.25):
            continue
        for _ in range(rng.choice((1, 1, 2)) if param.multiple or param.nargs == -1 else 1):
            given = [] if isinstance(param, click.Option) and param.is_flag else [value(param, rng)]
            option = [rng.choice((*param.opts, *param.secondary_opts))] if isinstance(param, click.Option) else []
            words.append(option + given)
    if rng.random() < 0.05:
        words.append([rng.choice(SAFE_TEXTS)])
    rng.shuffle(words)
    return [*path, *(word for given in words for word in given)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a small project with photographs, in which nothing takes long and nothing leaves the machine."""

    def not_here(*_: Any, **__: Any) -> NoReturn:
        raise BenchError("stood in for")

    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    def unknown(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", local)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for place in STOOD_IN_FOR:
        monkeypatch.setattr(place, not_here)
    monkeypatch.setattr("benchmark.training.trainer.Trainer.run", lambda _: Outcome(0, 0.0, None, []))
    monkeypatch.setattr("benchmark.support.download._PAUSE", 0.0)
    monkeypatch.setattr("benchmark.running.conformance.check_method", lambda *_: iter(()))
    monkeypatch.setattr(
        "benchmark.running.scaffold.write_atomically", lambda *_: None
    )  # adapters lie in the repository
    project = make_project(tmp_path / "project")
    write_files(project / "photos", photographs(6))
    monkeypatch.chdir(project)
    monkeypatch.setenv("BENCH_DATA", str(project / "nothing"))
    return project


@fuzzer
def test_any_command_line_works_or_says_why_not(project: Path) -> None:
    known = list(commands(main))
    params = (project / "params.yaml").read_bytes()
    codes: dict[int, int] = {}
    for case, rng in cases("cli"):
        path, command = rng.choice(known)
        words = arguments(path, command, rng)
        (project / "params.yaml").write_bytes(params)
        with watched("cli", case, words):
            done = CliRunner().invoke(main, words)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            assert "Traceback" not in done.output
            assert done.exit_code in (0, 1, 2)
            assert done.exit_code == 0 or done.stderr.strip() or done.stdout.strip()
            codes[done.exit_code] = codes.get(done.exit_code, 0) + 1
        assert not [place for place in project.parent.iterdir() if place.name != "project"]
    print(f"exit codes: {codes}")
    assert CASE or {0, 2} <= codes.keys()
