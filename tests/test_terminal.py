"""Commands print bars at a terminal, plain lines into pipes and files, and no color where it is not wanted."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from data_files import encoded, picture

from benchmark.cli import options
from forked import Done
from projects import bench, make_project, one_thread

pytestmark = pytest.mark.pipeline

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # every control character but tab and new line
COLOR = re.compile(r"\x1b\[[0-9;]*m")
TOLD = "the machine is loaded: 3.0 of 4 cores busy; --threads 1 would be quicker, but another model (docs/terminal.md)"
RUN = ("run", "--method", "l2", "--data", "sample", "--record")


def at_a_terminal(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Runs a command at a terminal, and returns what it writes to standard output and error."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.cli", *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=dict(env),
        )
        os.close(theirs)
        parts = []
        while part := _read(ours):
            parts.append(part)
        assert process.wait() == 0, b"".join(parts).decode()
    finally:
        os.close(ours)
    return b"".join(parts).decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the last writer has closed it
        return b""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with photographs to color and nothing trained."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    (folder / "photographs").mkdir()
    for k in range(2):
        (folder / f"photographs/{k}.png").write_bytes(encoded(picture(k, 40, 30), "PNG"))
    return folder


@pytest.fixture(scope="module")
def run_in_a_pipe(project: Path) -> Done:
    return bench(*RUN, cwd=project)


@pytest.mark.parametrize(
    "arguments",
    [
        RUN,
        ("list",),
        ("data", "list"),
        ("weights", "list"),
        ("leaderboard",),
        ("claims",),
        ("colorize", "photographs", "--all", "-o", "colored"),
        ("study", "build", "--data", "sample", "-o", "study", "--pair", "2", "--pick", "0", "--rate", "0"),
        ("report",),
    ],
    ids=" ".join,
)
def test_pipes_get_plain_lines(project: Path, run_in_a_pipe: Done, arguments: tuple[str, ...]) -> None:
    done = run_in_a_pipe if arguments is RUN else bench(*arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) < 20
    assert done.stdout


@pytest.mark.parametrize("arguments", [("list",), ("leaderboard",), ("claims",), ("data", "list")], ids=" ".join)
def test_json_is_all_that_stands_on_standard_output(
    project: Path, run_in_a_pipe: Done, arguments: tuple[str, ...]
) -> None:
    done = bench(*arguments, "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.slow
def test_a_terminal_gets_a_bar_with_the_time_left(project: Path, run_in_a_pipe: object, tmp_path: Path) -> None:
    env = one_thread() | {"TERM": "xterm-256color", "COLUMNS": "160"}
    env.pop("NO_COLOR", None)
    shown = at_a_terminal("colorize", "photographs", "--all", "-o", str(tmp_path / "out"), cwd=project, env=env)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"coloring .* 2/2 .* left 0:00:00", plain)
    assert COLOR.search(shown)


@pytest.mark.slow
def test_no_color_where_nobody_wants_any(project: Path, run_in_a_pipe: object, tmp_path: Path) -> None:
    env = one_thread() | {"TERM": "xterm-256color", "COLUMNS": "160", "NO_COLOR": "1"}
    for arguments in (("colorize", "photographs", "--all", "-o", str(tmp_path / "out")), ("leaderboard",), ("list",)):
        shown = at_a_terminal(*arguments, cwd=project, env=env)
        codes = {code for sequence in COLOR.findall(shown) for code in sequence[2:-1].split(";")}
        assert codes <= {"", "0", "1", "2", "3", "4"}, arguments  # bold, dim and the like, which are no colors


def test_an_error_is_one_line_without_color(project: Path, run_in_a_pipe: object) -> None:
    done = bench("colorize", "photographs", "--method", "nothing", "-o", "out", cwd=project)
    assert done.returncode == 2
    assert not CONTROL.search(done.stderr)
    assert done.stderr.startswith("bench: error: 'nothing' is not trained on sample")
    assert done.stderr.count("\n") == 1


def test_help_says_whole_sentences(project: Path) -> None:
    for group in ((), ("data",), ("weights",), ("study",)):
        done = bench(*group, "--help", cwd=project)
        assert "..." not in done.stdout.partition("Commands:")[2]
    assert "for any scheduler." in " ".join(bench("--help", cwd=project).stdout.split())


def test_a_picture_is_announced_only_where_it_is(project: Path, run_in_a_pipe: Done) -> None:
    [line] = [line for line in run_in_a_pipe.stdout.splitlines() if line.startswith("picture")]
    picture = Path(line.rpartition(": ")[2])
    content = picture.read_bytes()
    picture.unlink()
    try:
        assert "picture (" not in bench(*RUN, cwd=project).stdout
    finally:
        picture.write_bytes(content)


@pytest.mark.parametrize(
    ("load", "told"),
    [
        ("3.00 2.00 1.00 5/99 42", True),
        ("3.00 2.00 1.00 1/99 42", False),  # it was ours, and is over
        ("0.10 2.00 1.00 5/99 42", False),  # a moment's
    ],
)
def test_other_work_on_the_machine_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: str, told: bool
) -> None:
    (tmp_path / "loadavg").write_text(load)
    monkeypatch.setattr(options, "LOAD", tmp_path / "loadavg")
    monkeypatch.setattr(options.os, "cpu_count", lambda: 4)
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    said = list[str]()
    options.tell_of_load(said.append)
    assert said == ([TOLD] if told else [])
