"""An adapter that fails in any way ends the command with exit code 1 and one line that names its file and line."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import main
from benchmark.contracts import registry
from projects import make_project

WHOLE = """
    import sys, threading, time
    import torch
    from benchmark.contracts.method import Method, MethodConfig, Update

    class Config(MethodConfig):
        size: int = 1

    class Faulty(Method):
        name = "faulty"
        Config = Config

        def __init__(self, config, data):
            super().__init__(config, data)
            self.colorizer = torch.nn.Conv2d(1, 2, config.size)

        def optimizers(self, phase):
            return {"colorizer": torch.optim.SGD(self.colorizer.parameters(), 1e-3)}

        def training_step(self, batch, phase):
            yield Update("colorizer", self.colorizer(batch.L).square().mean())

        def predict_ab(self, L):
            return self.colorizer(L)
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `bench run` with an adapter from another package, which is a valid one with some text replaced."""
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    monkeypatch.chdir(make_project(tmp_path / "project"))
    point = EntryPoint("faulty", "faulty_plugin:Faulty", "benchmark.methods")
    monkeypatch.setattr(registry, "_plugins", lambda kind: {"faulty": point} if kind == "method" else {})

    def act(old: str = "", new: str = "", *options: str) -> Result:
        text = textwrap.dedent(WHOLE)
        assert old in text
        (tmp_path / "plugin").mkdir()
        (tmp_path / "plugin/faulty_plugin.py").write_text(text.replace(old, new, 1))
        arguments = ["run", "--method", "faulty", "--data", "sample", "--set", "steps=1", *options]
        return CliRunner().invoke(main, arguments)

    yield act
    sys.modules.pop("faulty_plugin", None)


def test_the_whole_adapter_runs(run: Run) -> None:
    done = run()
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("class Config(", "class Config((", "faulty_plugin.py:6: SyntaxError: invalid syntax"),
        ("import torch\n", "import torsch\n", "faulty_plugin.py:3: ModuleNotFoundError: No module named 'torsch'"),
        ("import torch\n", "import torch; sys.exit(0)\n", "faulty_plugin.py:3: asks to exit (0)"),
        ("    super().__init__(config, data)", "    raise KeyError('x')", "faulty_plugin.py:14: KeyError: 'x'"),
        ("self.colorizer = ", "self.other = ", "faulty_plugin.py:13: Faulty.__init__ returned NoneType, not Module"),
        ("return {", "return None and {", "faulty_plugin.py:17: Faulty.optimizers returned NoneType, not dict"),
        ("    yield Update", "    return None and ", "training_step returned NoneType, not Iterator"),
        ("    yield Update", "    yield 1 / 0, ", "faulty_plugin.py:21: ZeroDivisionError: division by zero"),
        ("    yield Update", "    yield sys.exit(0), ", "faulty_plugin.py:21: asks to exit (0)"),
        ("    super().__init__(config, data)", "    open('nowhere')", "faulty_plugin.py:14: FileNotFoundError"),
        ("    return self.colorizer(L)", "    pass", "Faulty.predict_ab returned NoneType, not Tensor"),
        (
            "    return self.colorizer(L)",
            "    L.nothing",
            "faulty_plugin.py:24: AttributeError: 'Tensor' object has no",
        ),
        ("self.colorizer(L)", "self.colorizer(L) / 0", "faulty gives colors that are not finite for image"),
        ("self.colorizer(L)", "self.colorizer(L).long()", "faulty gives colors of type torch.int64, not floating"),
        ("self.colorizer(L)", "self.colorizer(L)[:, :1]", "faulty gives colors of shape (45, 1, 16, 16), not (45, 2"),
        (
            "self.colorizer(L)",
            "self.colorizer(L) + torch.rand(1)",
            "faulty on sample, preset tiny, seed 0 is not scored: faulty gives image ",
        ),
        ("self.colorizer(L)", "self.colorizer(L) + L.mean()", "other colors in another batch, by up to"),
    ],
)
def test_a_fault_is_one_line_with_file_and_line(run: Run, old: str, new: str, words: str) -> None:
    done = run(old, new)
    assert done.exit_code == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("bench: error: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in done.output
    assert not list(Path.cwd().rglob("seed0.json"))


def test_settings_of_which_nothing_can_be_built_are_named_with_their_entry(run: Run) -> None:
    done = run("", "", "--set", "size=-3")
    assert done.exit_code == 1
    assert "faulty on sample, preset tiny, seed 0, with" in done.stderr
    assert "size=-3" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("bench: error: ")]) == 1


def test_networks_larger_than_the_memory_are_refused(run: Run) -> None:
    done = run("", "", "--set", "size=1000000")
    assert done.exit_code == 2
    assert "need 29802 GiB of memory to be trained" in done.stderr


def test_debug_shows_the_traceback_of_an_exit_too(tmp_path: Path, run: Run) -> None:
    run("import torch\n", "import torch; sys.exit(0)\n")
    arguments = ["--debug", "run", "--method", "faulty", "--data", "sample"]
    error = CliRunner().invoke(main, arguments).exception
    assert isinstance(error, Exception)
    assert isinstance(error.__cause__, SystemExit)


@pytest.mark.parametrize("place", ["adapter", "nowhere"])
def test_threads_left_behind_do_not_keep_the_command_from_ending(tmp_path: Path, place: str) -> None:
    (tmp_path / "left.py").write_text("import threading, time\ndef wait():\n    time.sleep(1000)\n")
    code = f"""
        import threading, sys
        import left
        from benchmark.contracts import registry
        from benchmark import cli
        registry.is_adapters = lambda file: {place == "adapter"} and file.endswith("left.py")
        threading.Thread(target=left.wait, name="forgotten").start()
        sys.argv = ["bench", "weights", "list"]
        cli.main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    told = {"adapter": "left.py:3: leaves the thread 'forgotten'", "nowhere": "the thread 'forgotten' is left"}
    assert told[place] in done.stderr
    assert "inception" in done.stdout  # the command itself has done its work


@pytest.mark.parametrize("content", ["5", "null", "[1]", '"x"', "[" * 100_000])
def test_a_training_record_that_is_none_counts_as_not_there(tmp_path: Path, content: str) -> None:
    from benchmark.training.record import read_record

    (tmp_path / "training.json").write_text(content)
    assert read_record(tmp_path) == {}
