"""params.yaml and --set have a fixed precedence, and everything wrong in them gives one clear line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.contracts.config import Cell, Params, find_root, read_params, resolve
from benchmark.support.errors import InputError

CONTENT: dict[str, Any] = {
    "suite": {"preset": "quick", "data": ["sample"], "methods": ["gray", "cgan"], "seeds": [0]},
    "entries": {"gray": None, "cgan": None, "cgan-wide": {"adapter": "cgan", "base_channels": 96, "l1_weight": 10}},
    "presets": {
        "quick": {
            "training": {"default": {"steps": 10, "batch_size": 4}, "sample": {"steps": 20}},
            "data": {"sample": {"image_size": 48}},
            "methods": {
                "cgan": {"base_channels": 8, "dropout": 0.1, "training": {"ema_decay": 0.5}},
                "cgan@sample": {"dropout": 0.2},
                "cgan-wide": {"base_channels": 12},
            },
        }
    },
}


@pytest.fixture
def params() -> Params:
    return Params.model_validate({**CONTENT, "entries": {k: v or {} for k, v in CONTENT["entries"].items()}})


def cell(params: Params, **names: Any) -> Cell:
    return resolve(params, **{"method": "cgan", "data": "sample", "preset": "quick", **names})


def test_the_later_section_wins(params: Params) -> None:
    plain, wide = cell(params), cell(params, method="cgan-wide")
    assert plain.method_config.l1_weight == 100  # the adapter's default, which is the paper's value
    assert plain.method_config.base_channels == 8  # the preset
    assert plain.method_config.dropout == 0.2  # the preset for this data set
    assert wide.method_config.l1_weight == 10  # the entry
    assert wide.method_config.base_channels == 12  # the preset for the entry
    assert (plain.training.steps, plain.training.batch_size, plain.training.ema_decay) == (20, 4, 0.5)
    assert wide.adapter == "cgan"
    assert wide.data_config.image_size == 48


def test_set_wins_over_all_and_marks_the_run(params: Params) -> None:
    changed = cell(params, assignments=["l1_weight=1", "training.steps=5", "image_size=32"])
    assert changed.method_config.l1_weight == 1
    assert changed.training.steps == 5
    assert changed.data_config.image_size == 32
    assert changed.overrides == {"method.l1_weight": 1, "training.steps": 5, "data.image_size": 32}
    assert not cell(params).overrides


def test_work_on_data_alone_needs_no_method(params: Params) -> None:
    alone = cell(params, method=None, assignments=["image_size=32"])
    assert (alone.data_config.image_size, alone.method, alone.adapter) == (32, "", "")
    with pytest.raises(InputError, match="unknown key of --set 'steps'"):
        cell(params, method=None, assignments=["steps=5"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"method": "cgna"}, "unknown method 'cgna' (did you mean 'cgan'?); legal:"),
        ({"data": "sampel"}, "unknown data set 'sampel' (did you mean 'sample'?); legal:"),
        ({"preset": "quik"}, "unknown preset 'quik' (did you mean 'quick'?); legal: quick"),
        ({"assignments": ["l1_wait=1"]}, "unknown key of --set 'l1_wait' (did you mean 'l1_weight'?); legal:"),
        ({"assignments": ["steps"]}, "--set 'steps': not of the form key=value"),
        ({"assignments": ["steps=-3"]}, "steps: Input should be greater than or equal to 0, got -3"),
    ],
)
def test_bad_names_and_values_are_one_line(params: Params, names: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        cell(params, **names)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_of_params_names_the_legal_ones(tmp_path: Path) -> None:
    presets: dict[str, Any] = {"quick": {"trainings": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**CONTENT, "presets": presets}))
    with pytest.raises(
        InputError, match=r"unknown key of .*params.yaml 'presets.quick.trainings'.*legal: data, methods"
    ):
        read_params(tmp_path)


@pytest.mark.parametrize(
    ("varies", "message"),
    [
        ("l3", "unknown entry that 'wide' varies (key varies) 'l3'; legal: l2, wide, wider"),
        (["l2"], "unknown entry that 'wide' varies (key varies) \"['l2']\""),
        ("wide", "params.yaml: the entry 'wide' varies itself; name another one (key varies)"),
        ("wider", "params.yaml: the entry 'wide' varies 'wider', which varies it in turn; name another one"),
    ],
)
def test_an_ablation_names_another_entry(tmp_path: Path, varies: object, message: str) -> None:
    entries = {"l2": {}, "wide": {"adapter": "l2", "varies": varies}, "wider": {"adapter": "l2", "varies": "wide"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**CONTENT, "entries": entries}))
    with pytest.raises(InputError) as caught:
        read_params(tmp_path)
    assert message in str(caught.value)


def test_what_an_entry_varies_is_no_setting(tmp_path: Path) -> None:
    entries = {"l2": {}, "wide": {"adapter": "l2", "varies": "l2"}}
    presets: dict[str, Any] = {"quick": {}, "odd": {"methods": {"l2": {"varies": "l2"}}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**CONTENT, "entries": entries, "presets": presets}))
    params = read_params(tmp_path)
    assert params.varied == {"wide": "l2"}
    assert "varies" not in cell(params, method="wide").settings()["method_config"]
    with pytest.raises(InputError, match="unknown key of method 'l2' 'varies'"):
        _ = cell(params, method="l2", preset="odd").method_config


def test_a_bad_method_key_in_params_names_the_legal_ones(params: Params) -> None:
    params.entries["cgan-wide"]["lamda"] = 3
    with pytest.raises(InputError, match=r"unknown key of method 'cgan-wide' 'lamda'.*legal: .*l1_weight"):
        _ = cell(params, method="cgan-wide").method_config


def test_broken_yaml_and_no_project(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("suite: [")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_params(tmp_path)
    (tmp_path / "params.yaml").unlink()
    with pytest.raises(InputError, match=r"no params.yaml in .* run bench inside a clone"):
        find_root(tmp_path)


def test_the_committed_params_are_valid_for_every_entry() -> None:
    params = read_params(find_root(Path(__file__).parent))
    for preset in params.presets:
        for method in params.entries:
            assert resolve(params, method=method, data="sample", preset=preset).method_config
