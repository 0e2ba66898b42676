"""Code is hashed by meaning, over what it imports; a change reaches those that depend on it and no others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.contracts import registry
from benchmark.results import fingerprint
from benchmark.results.fingerprint import _canonical, code_hash, data_code, evaluation_code, method_code


def meaning(text: str) -> str:
    return "\0".join(_canonical(ast.parse(text)))


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):\n    return x + 1\n",
        "# why\ndef f( x ):\n\n    return (x +\n       1)  # so\n",
        'def f(x):\n    """What it does."""\n    return x + 1\n',
        '"""The module."""\ndef f(x):\n    return x + 1\n',
    ],
)
def test_comments_docstrings_and_layout_mean_nothing(same: str) -> None:
    assert meaning(same) == meaning("def f(x):\n    return x + 1\n")


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x, y=1):\n    return x + 1\n",
        "def f(x):\n    return 1 + x\n",
        "def f(x):\n    'a'; return x + 1\n    'b'\n",
        "async def f(x):\n    return x + 1\n",
    ],
)
def test_everything_else_does(other: str) -> None:
    assert meaning(other) != meaning("def f(x):\n    return x + 1\n")


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Path, str]]:
    """Files that read as if they had been edited."""
    edits: dict[Path, str] = {}
    real = Path.read_text

    def read_text(path: Path, *args: object, **kwargs: object) -> str:
        return real(path, encoding="utf-8") + edits.get(path, "")

    monkeypatch.setattr(Path, "read_text", read_text)
    fingerprint._read.cache_clear()
    yield edits
    fingerprint._read.cache_clear()


def hashes() -> dict[str, str]:
    fingerprint._read.cache_clear()
    return {name: method_code(name) for name in ("gray", "l2", "cgan")}


def changed(edits: dict[Path, str], path: Path) -> set[str]:
    before = hashes()
    edits[path] = "\nADDED = 1\n"
    after = hashes()
    edits.clear()
    return {name for name in before if before[name] != after[name]}


def test_a_change_reaches_those_that_import_it(edited: dict[Path, str]) -> None:
    methods, engine = registry.room_folder("method"), fingerprint.ENGINE
    assert changed(edited, methods / "l2.py") == {"l2"}
    assert changed(edited, methods / "_patchgan.py") == {"cgan"}
    assert changed(edited, methods / "_unet.py") == {"l2", "cgan"}
    assert changed(edited, engine / "color.py") == {"gray", "l2", "cgan"}  # through dataset's batches
    assert changed(edited, engine / "checkpoint.py") == {"gray", "l2", "cgan"}
    assert changed(edited, engine / "cli.py") == set()
    assert changed(edited, engine / "leaderboard" / "__init__.py") == set()
    assert changed(edited, engine / "metrics" / "pixels.py") == set()  # scores again, trains nothing again


def test_metrics_concern_the_evaluation_alone(edited: dict[Path, str]) -> None:
    before = evaluation_code("l2"), data_code("sample")
    edited[fingerprint.ENGINE / "metrics" / "pixels.py"] = "\nADDED = 1\n"
    fingerprint._read.cache_clear()
    assert evaluation_code("l2") != before[0]
    assert data_code("sample") == before[1]


def test_the_hash_does_not_depend_on_the_order_of_files() -> None:
    files = [fingerprint.ENGINE / "color.py", fingerprint.ENGINE / "errors.py"]
    assert code_hash(files) == code_hash(files[::-1])
