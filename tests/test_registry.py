"""Adapters are found by name, names follow one rule, and listing them imports nothing."""

import subprocess
import sys

import pytest

from benchmark.contracts import registry
from benchmark.support.errors import BenchError, InputError


def test_every_file_is_a_name_and_every_name_loads_its_class() -> None:
    for kind in ("method", "dataset"):
        for name in registry.names(kind):
            loaded = registry.load_method(name) if kind == "method" else registry.load_dataset(name)
            assert loaded.name == name
            path = registry.source_file(kind, name)
            assert path is not None
            assert path.stem == registry.file_name(name)


def test_unknown_name_is_one_line_with_the_nearest_and_the_legal_ones() -> None:
    with pytest.raises(InputError) as caught:
        registry.load_method("cgn")
    assert str(caught.value).startswith("unknown method 'cgn' (did you mean 'cgan'?); legal: ")
    assert "gray" in str(caught.value)
    assert "\n" not in str(caught.value)


LISTING = """
import sys
from benchmark.contracts import registry
from benchmark.cli import main

registry.names("method"), registry.names("dataset")
for arguments in (["--help"], ["run", "--help"], ["list"]):
    main(arguments, standalone_mode=False)
assert "torch" not in sys.modules
"""


def test_listing_and_help_import_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_two_adapters_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    registry._plugins.cache_clear()
    twin = EntryPoint("gray", "outside.gray:Gray", "benchmark.methods")
    monkeypatch.setattr(registry, "entry_points", lambda group: [twin] if group == "benchmark.methods" else [])
    try:
        with pytest.raises(BenchError, match="two methods are named 'gray'"):
            registry.names("method")
    finally:
        registry._plugins.cache_clear()
