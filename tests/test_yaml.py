"""The one reader of YAML gives plain values within bounds, and one line of error for everything else."""

from pathlib import Path

import pytest

from benchmark.support import yaml
from benchmark.support.errors import InputError

ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_plain_values_are_read_and_dates_stay_text() -> None:
    text = "{a: 1, b: 2.5, c: [true, null, x], d: 2024-12-24, e: =}"
    assert yaml.load(text, "it") == {"a": 1, "b": 2.5, "c": [True, None, "x"], "d": "2024-12-24", "e": "="}
    assert yaml.load("a: &base {x: 1}\nb: {<<: *base, y: 2}", "it")["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0b_", "line 1: '0b_' is not of type int"),
        ("!!int a", "line 1: 'a' is not of type int"),
        ("!!float ''", "line 1: '' is not of type float"),
        ("!!bool x", "line 1: 'x' is not of type bool"),
        ("!!timestamp x", "the tag !!timestamp is not read; legal: null, bool, int"),
        ("!!python/object:os.system x", "the tag !!python/object:os.system is not read"),
        ("9" * 5000, "a whole number of more than 30 digits"),
        ("[" * 3000, "more than 32 levels of nesting"),
        ("? " * 3000, "more than 32 levels of nesting"),
        (ALIAS_BOMB, "line 5: more than 20,000 values"),
        ("&a [*a]", "an alias inside the value that it stands for"),
        ("a: 1\nb: {c: 1}\na: 2", "line 3: the key 'a' stands here a second time, after line 1"),
        ("{a: {b: 1, b: 2}}", "the key 'b' stands here a second time"),
        ("? [1]\n: 2", "a key that is a list or a mapping"),
        ("a\n---\nb", "line 2: but found another document"),
        ("a: \x00", "unacceptable character"),
        ("suite: [", "is not valid YAML"),
    ],
)
def test_everything_else_is_one_line_that_names_the_place(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        yaml.load(text, "params.yaml")
    assert str(caught.value).startswith("params.yaml is not valid YAML: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_must_be_utf_8_and_not_too_large(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for content, words in [
        (b"a: 1\nb: \xff", "not UTF-8 text (line 2)"),
        ("a: 1".encode("utf-16"), "not UTF-8 text (line 1)"),
        (b"#" * (yaml.MAX_BYTES + 1), "at most 524,288 are read"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r".*") as caught:
            yaml.read(path)
        assert words in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        yaml.read(path)
