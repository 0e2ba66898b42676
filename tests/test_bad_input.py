"""Bad names and values are refused at once, in one line, before any path is made of them."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.contracts.config import Params, read_params, resolve
from benchmark.contracts.derived import external_cell
from benchmark.running.scaffold import new_method
from benchmark.support.errors import InputError
from projects import TINY, make_project

BAD_NAMES = ["my method", "é", "a/b", "<script>", "-x", "../../../x", "", "a\nb", "x" * 65]


def edited(*path: str, value: Any) -> dict[str, Any]:
    """Returns the tiny project's parameters with one place changed."""
    content = copy.deepcopy(TINY)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_where_it_is_read(tmp_path: Path, name: str) -> None:
    for section in ("entries", "presets"):
        content = copy.deepcopy(TINY)
        content[section][name] = {}
        make_project(tmp_path, content)
        assert "not a legal name; legal: 1 to 64" in refusal(lambda: read_params(tmp_path))
    make_project(tmp_path, edited("entries", "l2", value={"adapter": name}))
    assert "adapter: the name of an adapter is wanted" in refusal(lambda: read_params(tmp_path))
    params = Params.model_validate(TINY)
    assert "not a legal name" in refusal(lambda: external_cell(params, name=name, data="sample", preset="tiny"))
    assert "is not a method's name" in refusal(lambda: new_method(name, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_new_method_of_a_bad_name_is_told_a_good_one(tmp_path: Path) -> None:
    assert "try: bench new-method my-method" in refusal(lambda: new_method("My_Method", tmp_path))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("entries", "l2"), {"adapter": ["l2"]}, "entries.l2: adapter: the name of an adapter is wanted"),
        (("entries", "l2"), {"adapter": None}, "entries.l2: adapter: the name of an adapter is wanted"),
        (("entries", "l2"), {"training": 5}, "entries.l2: training: settings as key: value are wanted"),
        (("entries", "l2"), [1], "entries.l2: Input should be a valid dictionary, got [1]"),
        (("entries",), {}, "entries: Dictionary should have at least 1 item"),
        (("suite", "seeds"), [-1], "suite.seeds.0: Input should be greater than or equal to 0, got -1"),
        (("suite", "seeds"), [2**32], "suite.seeds.0: Input should be less than or equal to 4294967295"),
        (("presets", "tiny", "methods"), {"l2": 3}, "presets.tiny.methods.l2: Input should be a valid dictionary"),
    ],
)
def test_a_bad_value_in_params_names_its_place(tmp_path: Path, path: tuple[str, ...], value: Any, words: str) -> None:
    make_project(tmp_path, edited(*path, value=value))
    assert words in refusal(lambda: read_params(tmp_path))


def test_an_empty_section_changes_nothing(tmp_path: Path) -> None:
    make_project(tmp_path, edited("entries", "l2", value={"training": None}))
    cell = resolve(read_params(tmp_path), method="l2", data="sample", preset="tiny")
    assert cell.training.steps == 6
    make_project(tmp_path, edited("presets", "tiny", value={"training": {"default": None}, "data": None}))
    cell = resolve(read_params(tmp_path), method="l2", data="sample", preset="tiny")
    assert cell.training.steps == 1000


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n"])
def test_an_empty_params_file_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.yaml").write_text(content)
    assert "is empty; take it back from git (git checkout params.yaml)" in refusal(lambda: read_params(tmp_path))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("steps=2024-13-45", "steps: Input should be a valid integer"),
        ("steps=0b_", "'0b_' is not of type int"),
        ("steps=!!int a", "'a' is not of type int"),
        ("steps=!!timestamp x", "the tag !!timestamp is not read"),
        ("steps=" + "7" * 5000, "more than 30 digits"),
        (f"batch_size={10**23}", "batch_size: Input should be less than or equal to 65536"),
        (f"base_channels={10**8}", "base_channels: Input should be less than or equal to 1024"),
        ("learning_rate=.inf", "learning_rate: Input should be a finite number"),
        ("learning_rate=.nan", "learning_rate: Input should be a finite number"),
        (f"image_size={10**9}", "image_size: Input should be less than or equal to 256"),
        ("steps=\udcff", "not valid YAML"),
    ],
)
def test_a_bad_value_of_set_is_one_line_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: str
) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    done = CliRunner().invoke(main, ["run", "--method", "l2", "--data", "sample", "--set", setting])
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("seed", ["-1", "1e3", str(2**32), "9" * 5000, ""])
def test_a_bad_seed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: str) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    for command in (["run", "--method", "l2", "--data", "sample"], ["cells", "--missing"]):
        done = CliRunner().invoke(main, [*command, f"--seed={seed}"])
        if command[0] == "cells" and not seed:
            continue  # an empty list means the suite's own
        assert done.exit_code == 2
        assert isinstance(done.exception, SystemExit)


def test_imagenets_weights_are_refused_in_another_width_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    arguments = ["run", "--method", "cgan", "--data", "sample", "--set", "encoder=resnet18", "--set"]
    done = CliRunner().invoke(main, [*arguments, "base_channels=32"])
    assert done.exit_code == 2
    assert "legal: base_channels=64, or any other with pretrained=false" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_the_message_about_a_whole_file_is_short(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(["x" * 100] * 100))
    assert len(refusal(lambda: read_params(tmp_path))) < 500


@pytest.mark.parametrize("preset", ["10**23", "/tmp", "../tiny", "[", "*"])
def test_the_name_of_a_preset_is_no_pattern_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    monkeypatch.chdir(make_project(tmp_path))
    model = tmp_path / "models/sample/tiny/l2/seed0/model.safetensors"
    model.parent.mkdir(parents=True)
    model.touch()
    for command in (["leaderboard", "--own"], ["colorize", "a.png", "-o", "out", "--all"]):
        done = CliRunner().invoke(main, [*command, "--preset", preset])
        assert done.exit_code == 2
        assert isinstance(done.exception, SystemExit)
        assert len(done.stderr.splitlines()) == 1
