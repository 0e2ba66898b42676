"""Shells complete the right names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from benchmark.cli import main
from projects import make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def offered(*words: str) -> list[str]:
    """Returns the completions of the last word."""
    completer = ShellComplete(main, {}, "bench", "_BENCH_COMPLETE")
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("colo",), ["colorize"]),
        (("run", "--method", "cg"), ["cgan"]),
        (("run", "--data", "s"), ["sample", "scikit-image"]),
        (("run", "--data", "fold"), ["folder:"]),
        (("run", "--preset", ""), ["tiny"]),
        (("check", "mean"), ["mean-color"]),  # an adapter without an entry
        (("leaderboard", "--data", "cel"), ["celeba"]),
        (("data", "prepare", "cif"), ["cifar10"]),
        (("weights", "path", "inc"), ["inception"]),
        (("weights", "fetch", "inception", "ale"), ["alexnet"]),
        (("study", "build", "--method", "l"), ["l2"]),
        (("colorize", "--method", "l"), ["l2"]),
        (("compare", "--methods", "gray,l"), ["gray,l2"]),
        (("run", "--method", "gray,l"), []),  # a shell completes one name, not a list
        (("judge", "train", "cif"), ["cifar10"]),
    ],
)
def test_names_are_offered(project: Path, words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_outside_a_project_or_with_damaged_parameters_nothing_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("run", "--method", "") == []
    assert offered("run", "--data", "cif") == ["cifar10"]
    (tmp_path / "params.yaml").write_text("suite: [")
    assert offered("run", "--preset", "") == []


def test_a_shell_gets_its_answer_without_torch(project: Path) -> None:
    code = "import sys; from benchmark.cli import main\ntry: main(prog_name='bench')\n"
    code += "finally: sys.exit('torch' in sys.modules)"
    asked = {"_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": "bench run --method cg", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "plain,cgan\n"
