"""Files, settings, data, parents and machine decide whether something is current, for everyone who asks."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fake_results import write_method
from rich.console import Console
from test_sweep import FAMILY

from benchmark.cli import main
from benchmark.contracts import registry
from benchmark.contracts.config import Cell, read_params, resolve
from benchmark.contracts.result import read_result
from benchmark.contracts.settings import OBSERVING, Training
from benchmark.contracts.workspace import Workspace
from benchmark.photographs.colorizer import load_chosen, load_colorizer
from benchmark.results import manifest
from benchmark.results.currency import Currency
from benchmark.results.fingerprint import write_fingerprints
from benchmark.results.manifest import ENGINE, canonical, data_code, scoring_code, training_code
from benchmark.results.tables import build
from benchmark.running.stages import Context, load_trained, prepare_data, run_cell, train_cell
from benchmark.support import weights
from benchmark.support.errors import BenchError, InputError
from benchmark.training.acceleration import deciding_machine
from benchmark.training.checkpoint import save_model
from projects import make_project

METHODS = ("gray", "l2", "cgan", "eccv16", "gan-perceptual")


# code -----------------------------------------------------------------------------------------------------------------


def meaning(text: str) -> str:
    return "\0".join(canonical(ast.parse(text)))


@pytest.mark.parametrize(
    "same",
    [
        "def f(x):\n    if x: raise E(f'no {x}')\n    return x + 1\n",
        "# why\ndef f( x ):\n\n    if x: raise E('no')\n    return (x +\n       1)  # so\n",
        'def f(x):\n    """What it does."""\n    if x: raise E("never")\n    return x + 1\n',
        '"""The module."""\ndef f(x):\n    if x: raise E("no", x)\n    return x + 1\n',
    ],
)
def test_comments_docstrings_layout_and_error_messages_mean_nothing(same: str) -> None:
    assert meaning(same) == meaning("def f(x):\n    if x: raise E()\n    return x + 1\n")


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x, y=1):\n    return x + 1\n",
        "def f(x):\n    return 1 + x\n",
        "def f(x):\n    'a'; return x + 1\n    'b'\n",
        "def f(x):\n    raise E()\n    return x + 1\n",
        "async def f(x):\n    return x + 1\n",
    ],
)
def test_everything_else_does(other: str) -> None:
    assert meaning(other) != meaning("def f(x):\n    return x + 1\n")


@pytest.mark.parametrize("text", ["Field(1, description={!r})", "x = AnyError({!r})", "assert x, {!r}", "warn({!r})"])
def test_what_is_said_to_people_means_nothing(text: str) -> None:
    assert meaning(text.format("one")) == meaning(text.format("other"))


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Path, str]]:
    """Returns a mapping of files to text; each file reads as if that text had been added to it."""
    edits: dict[Path, str] = {}
    text, content = Path.read_text, Path.read_bytes
    monkeypatch.setattr(Path, "read_text", lambda path, **kwargs: text(path, **kwargs) + edits.get(path, ""))
    monkeypatch.setattr(Path, "read_bytes", lambda path: content(path) + edits.get(path, "").encode())
    yield edits
    forget()


def forget() -> None:
    for known in (manifest._read, manifest.scoring_code, manifest.training_code):
        known.cache_clear()


def hashes() -> dict[str, str]:
    forget()
    found = {name: training_code(name) for name in METHODS}
    return found | {"scores": scoring_code(), "sample": data_code("sample"), "cifar10": data_code("cifar10")}


unedited = cache(hashes)  # the first call comes before any edit


def moved(edits: dict[Path, str], path: Path, text: str = "\nADDED = 1\n") -> set[str]:
    before = unedited()
    edits[path] = text
    after = hashes()
    edits.clear()
    return {name for name in before if before[name] != after[name]}


EVERY = set(METHODS)
DATA = {"sample", "cifar10"}


@pytest.mark.parametrize(
    ("file", "reaches"),
    [
        ("training/fit.py", EVERY),  # has build_method, seeding, the memory format and the order of loading
        ("contracts/schedules.py", EVERY),
        ("training/trainer.py", EVERY),
        ("training/checkpoint.py", EVERY),
        ("data/batches.py", EVERY | DATA),
        ("data/color.py", EVERY | DATA | {"scores"}),
        ("data/ab_bins.py", {"eccv16", "gan-perceptual", "scores"} | DATA),
        ("data/ab_centers.npy", {"eccv16", "gan-perceptual", "scores"} | DATA),
        ("data/preparation/prepare.py", DATA),
        ("scoring/metrics/pixels.py", {"scores"}),
        ("support/download.py", set()),
        ("support/errors.py", set()),
        ("support/weights.py", set()),  # holds URLs and messages; the files' hashes count by themselves
        ("contracts/settings.py", set()),  # the values of settings count, not this file
        ("running/stages/training.py", set()),
        ("results/tables/table.py", set()),
        ("cli/cells.py", set()),
        ("paper/claims.yaml", set()),
    ],
)
def test_a_file_reaches_those_that_it_decides(edited: dict[Path, str], file: str, reaches: set[str]) -> None:
    assert (ENGINE / file).is_file()
    assert moved(edited, ENGINE / file) == reaches


def test_an_adapter_and_its_parts_reach_those_that_use_them(edited: dict[Path, str]) -> None:
    methods = registry.room_folder("method")
    assert moved(edited, methods / "l2.py") == {"l2"}
    assert moved(edited, methods / "_unet.py") == {"l2", "cgan", "gan-perceptual"}
    assert moved(edited, methods / "_patchgan.py") == {"cgan", "gan-perceptual"}
    assert moved(edited, registry.room_folder("dataset") / "sample.py") == {"sample"}


def test_an_error_message_reaches_nothing(edited: dict[Path, str]) -> None:
    trainer = ENGINE / "training" / "trainer.py"
    edited[trainer] = "\ndef f(x):\n    raise ValueError(x)\n"
    before = hashes()
    edited[trainer] = "\ndef f(x):\n    raise ValueError(f'{x}: other words')\n"
    assert hashes() == before


def test_a_pretrained_file_reaches_those_that_load_one(
    edited: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes()
    name, one = next(iter(weights.WEIGHTS.items()))
    monkeypatch.setitem(weights.WEIGHTS, name, type(one)(**{**vars(one), "sha256": "0" * 64}))
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == {"cgan", "eccv16", "gan-perceptual"}


def test_the_manifest_names_every_file_that_training_and_scoring_import() -> None:
    pending = [ENGINE / name for name in ("training/fit.py", "scoring/evaluate.py", "scoring/metrics/scorer.py")]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        pending += [] if path in seen else manifest._read(path)[1]
        seen.add(path)
    listed = (*manifest.WEIGHTS, *manifest.SCORES, *manifest.NEITHER)
    assert not [path for path in seen if not manifest._matches(path, listed)]
    assert ENGINE / "data/color.py" in seen


def test_a_file_that_the_manifest_names_and_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "WEIGHTS", (*manifest.WEIGHTS, "training/gone.py"))
    forget()
    with pytest.raises(BenchError, match=r"names training/gone\.py, which is not there"):
        training_code("l2")


# settings, parents, machine -------------------------------------------------------------------------------------------


def changed_project(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    params = json.loads(json.dumps(FAMILY))
    change(params)
    return make_project(folder, params)


def cell_of(project: Path, method: str = "gan-l1", *assignments: str) -> Cell:
    return resolve(read_params(project), method=method, data="sample", preset="tiny", assignments=assignments)


def currency_of(project: Path) -> Currency:
    return Currency(read_params(project), Workspace(project))


def key_of(project: Path, method: str = "gan-l1", *assignments: str) -> str:
    return currency_of(project).identity(cell_of(project, method, *assignments)).key


def parent_settings(params: dict[str, Any]) -> None:
    params["presets"]["tiny"]["methods"]["eccv16"]["learning_rate"] = 0.123


def test_a_key_holds_what_decides_weights_and_the_parents_keys(tmp_path: Path) -> None:
    project = changed_project(tmp_path, lambda params: None)
    plain = key_of(project)
    values = {"log_every": 1, "validate_every": 1, "validation_images": 1, "checkpoint_seconds": 0}
    assert values.keys() == set(OBSERVING)
    for name, value in values.items():
        assert key_of(project, "gan-l1", f"{name}={value}") == plain
    keys = [key_of(project, "gan-l1", f"training.{name}") for name in ("steps=1", "flip=false", "ema_decay=0.5")]
    keys += [key_of(project, "gan-l1", "l1_weight=3")]
    keys += [key_of(changed_project(tmp_path, parent_settings))]
    assert len({plain, *keys}) == 6


def test_a_key_holds_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = changed_project(tmp_path, lambda params: None)
    machine = deciding_machine(Training(), torch.device("cpu"), 1)
    assert machine.keys() == {"device", "precision", "compile", "world", "threads", "torch"}

    def key(**changed: object) -> str:
        return currency_of(project).identity(cell_of(project), machine=lambda training: machine | changed).key

    others = [key(**{name: "other"}) for name in machine]
    assert len({key(), *others}) == len(machine) + 1
    explicit = deciding_machine(Training(precision="bf16", compile="always"), torch.device("cpu"), 1)
    assert (explicit["precision"], explicit["compile"], machine["precision"]) == ("bf16", True, "fp32")
    assert Training(precision="bf16", compile="always").asked_of_machine() == {"precision": "bf16", "compile": True}
    assert deciding_machine(Training(), torch.device("meta"), 1)["threads"] is None


def test_an_entry_that_starts_from_itself_is_refused(tmp_path: Path) -> None:
    project = changed_project(tmp_path, lambda params: params["entries"]["gan-l1"].update(parent="gan-l1"))
    with pytest.raises(InputError, match="'gan-l1' starts from itself"):
        key_of(project)


def test_a_setting_is_one_however_it_is_spelled(tmp_path: Path) -> None:
    project = changed_project(tmp_path, lambda params: None)
    workspace, currency = Workspace(project), currency_of(project)
    spelled = ["train_count=10", "data.train_count=10", "data.train_count=10.0"]
    cells = [cell_of(project, "gan-l1", text) for text in spelled]
    for cell in (*cells, *(parent for child in cells for parent in currency.parents(child))):
        assert cell.overrides == {"data.train_count": 10}
        assert workspace.data(cell) == workspace.data(cells[0])
        assert cell.data_config.train_count == 10
    assert len({workspace.model(cell) for cell in cells}) == 1
    assert len({currency.identity(cell).key for cell in cells}) == 1


def test_a_parent_shares_data_and_arithmetic_and_nothing_else(tmp_path: Path) -> None:
    project = changed_project(tmp_path, lambda params: None)
    shared = {"data.train_count": 10, "training.precision": "bf16", "training.deterministic": False}
    given = [f"{key}={json.dumps(value)}" for key, value in {**shared, "training.steps": 1, "l1_weight": 2}.items()]
    (parent,) = currency_of(project).parents(cell_of(project, "gan-l1", *given))
    assert parent.overrides == shared
    assert (parent.training.precision, parent.training.steps) == ("bf16", cell_of(project).training.steps)
    assert "--set data.train_count=10" in " ".join(parent.arguments)


# stages ---------------------------------------------------------------------------------------------------------------


def context_of(project: Path) -> Context:
    console = Console(stderr=True, quiet=True)
    return Context(read_params(project), Workspace(project), console, torch.device("cpu"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with results of `l2`, `eccv16` and `gan-l1`, which starts from `eccv16`."""
    project = make_project(tmp_path_factory.mktemp("trained"), FAMILY)
    for method in ("l2", "eccv16", "gan-l1"):
        run_cell(cell_of(project, method), context_of(project))
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained project that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "project"))


def why(project: Path, method: str = "l2") -> str | None:
    return currency_of(project).why_stale(cell_of(project, method))


def result_of(project: Path, method: str = "l2") -> Path:
    return project / "runs/results/sample/tiny" / method / "seed0.json"


def record(project: Path) -> Path:
    """Makes the results of runs the committed ones, and returns their root."""
    shutil.rmtree(project / "results", ignore_errors=True)
    return Path(shutil.move(project / "runs/results", project / "results"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def rerun(project: Path, method: str = "l2") -> None:
    run_cell(cell_of(project, method), context_of(project))


def test_what_was_made_with_these_settings_is_current(project: Path) -> None:
    assert [why(project, method) for method in ("l2", "eccv16", "gan-l1")] == [None] * 3
    assert why(project, "gray") == "no result"
    assert currency_of(project).why_untrained(cell_of(project)) is None


def test_a_change_of_the_parent_reaches_the_child_everywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = {"methods": ["l2", "eccv16", "gan-l1"]}
    before = {path: path.read_text() for path in fingerprints(project, suite)}
    changed_project(project, parent_settings)
    reason = "of other settings: method.learning_rate"
    assert why(project, "eccv16") == reason
    assert why(project, "gan-l1") == f"its parent eccv16: {reason}"
    assert why(project, "l2") is None
    changed = {path.stem for path in fingerprints(project, suite, parent_settings) if path.read_text() != before[path]}
    assert changed == {"eccv16", "gan-l1"}
    monkeypatch.chdir(project)
    said = CliRunner().invoke(main, ["cells", "--missing"]).output.splitlines()
    assert [line.split()[3] for line in said] == ["eccv16", "gan-l1"]
    left_out = build(record(project)).left_out
    assert [line.split("/tiny/")[1].split("/")[0] for line in left_out] == ["eccv16", "gan-l1"]


def fingerprints(
    project: Path, suite: dict[str, Any], change: Callable[[dict[str, Any]], object] = lambda params: None
) -> list[Path]:
    changed_project(project, lambda params: (change(params), params["suite"].update(suite)))
    return write_fingerprints(read_params(project), Workspace(project))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found["code"].update(evaluation="0"), "of other code"),
        (lambda found: found["code"].update(training="0"), "of other code"),
        (lambda found: found["data"].update(test="0" * 64), "of other data than is prepared here"),
        (lambda found: found["data"].update(statistics="0" * 64), "of other data than is prepared here"),
        (lambda found: found["settings"]["training"].update(steps=7), "of other settings: training.steps"),
        (lambda found: found["settings"]["data"].update(test_count=7), "of other settings: data.test_count"),
        (lambda found: found.update(protocol=0), "of protocol 0, not of"),
        (lambda found: found["parents"].update(l2=found["parents"]["eccv16"]), "of other parents: eccv16, l2"),
        (lambda found: found["parents"]["eccv16"]["code"].update(training="0"), "its parent eccv16: of other code"),
        (lambda found: found["parents"]["eccv16"]["code"].update(evaluation="0"), None),
        (lambda found: found["machine"].update(threads=99, device="cuda", torch="1.0"), None),
    ],
)
def test_a_reason_is_told_in_words(
    project: Path, change: Callable[[dict[str, Any]], object], words: str | None
) -> None:
    edit(result_of(project, "gan-l1"), lambda content: change(content["provenance"]["identity"]))
    assert (why(project, "gan-l1") or "").startswith(words or "")
    assert bool(why(project, "gan-l1")) == bool(words)


def test_a_result_that_does_not_say_how_it_was_made_is_not_current(project: Path) -> None:
    edit(result_of(project), lambda content: content["provenance"].pop("identity"))
    assert "does not say how it was made" in str(why(project))


def test_another_machine_trains_again_and_a_list_does_not_ask_for_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    context = context_of(project)
    machine = deciding_machine(Training(), context.device, 1)
    now = currency_of(project).identity(cell_of(project, "l2"), machine=lambda training: machine)
    assert "of another machine: threads" in str(currency_of(project).why_untrained(cell_of(project, "l2"), now))
    assert why(project) is None
    before = json.loads((project / "models/sample/tiny/l2/seed0/training.json").read_text())
    train_cell(cell_of(project, "l2"), context)
    after = json.loads((project / "models/sample/tiny/l2/seed0/training.json").read_text())
    assert (before["key"] == after["key"], after["identity"]["machine"]["threads"]) == (False, 77)


def test_a_trained_model_is_used_where_it_could_not_be_trained(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of(project, "l2")
    monkeypatch.setattr(cell.method_class, "skip", lambda config, data: "no weights")
    record = Workspace(project).model(cell) / "training.json"
    before = record.read_text()
    train_cell(cell, context_of(project))
    assert record.read_text() == before


def plus_one_dB(content: dict[str, Any]) -> None:
    content["metrics"]["psnr"] += 1


@pytest.mark.parametrize("damage", ["lost", "damaged", "edited", "cut"])
def test_a_run_repairs_what_the_list_calls_missing(project: Path, damage: str) -> None:
    path = result_of(project)
    arrays, before = path.with_suffix(".npz"), path.read_bytes()
    values = arrays.read_bytes()
    if damage == "lost":
        arrays.unlink()
    elif damage == "damaged":
        arrays.write_bytes(values[:-9] + b"x" * 9)
    elif damage == "edited":
        edit(path, plus_one_dB)
    else:
        path.write_bytes(before[:-20])
    assert why(project) is not None
    rerun(project)
    assert why(project) is None
    assert arrays.read_bytes() == values
    assert read_result(path).metrics == json.loads(before)["metrics"]


def test_a_model_that_is_not_what_was_trained_is_scored_by_nobody(project: Path) -> None:
    cell, context = cell_of(project, "l2"), context_of(project)
    model = Workspace(project).model(cell) / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-50:] = bytes(byte ^ 1 for byte in content[-50:])
    model.write_bytes(content)
    prepared = prepare_data(cell, context)
    for load in (lambda: load_trained(cell, prepared, context), lambda: load_colorizer(model, context.device)):
        with pytest.raises(BenchError, match="is damaged or of another training"):
            load()
    assert "is missing, or not the file" in str(currency_of(project).why_untrained(cell))
    alone = Path(shutil.copy(model, project / "alone.safetensors"))  # somebody might send such a file
    with pytest.raises(BenchError, match="is damaged: its content has not the SHA-256"):
        load_colorizer(alone, context.device)
    rerun(project)
    assert load_trained(cell, prepared, context)


@pytest.mark.parametrize("record", ['{"model_sha256": null}', "{}", "5", "null"])
def test_a_model_whose_record_names_no_hash_is_refused(
    project: Path, record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, context = cell_of(project, "l2"), context_of(project)
    (Workspace(project).model(cell) / "training.json").write_text(record)
    with pytest.raises(BenchError, match=r"names no SHA-256 of model\.safetensors"):
        load_trained(cell, prepare_data(cell, context), context)
    monkeypatch.chdir(project)
    with pytest.raises(BenchError, match=r"names no SHA-256 of model\.safetensors"):
        load_chosen(["l2"], False, None, "sample", "tiny", 0, "cpu")
    assert currency_of(project).why_untrained(cell)


def test_a_damaged_parent_is_trained_again_before_its_child(project: Path) -> None:
    model = project / "models/sample/tiny/eccv16/seed0/model.safetensors"
    good = model.read_bytes()
    model.write_bytes(good[:-8] + b"x" * 8)
    shutil.rmtree(project / "models/sample/tiny/gan-l1")
    train_cell(cell_of(project), context_of(project))
    assert model.read_bytes() == good


def test_a_model_file_has_the_same_bytes_whatever_was_logged(tmp_path: Path) -> None:
    state = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3), "half": torch.ones(2).bfloat16()}
    hashes = {save_model(tmp_path / f"{k}.safetensors", state, {"settings": {}}) for k in range(2)}
    assert len(hashes) == 1


def test_a_list_and_a_table_need_no_torch(project: Path) -> None:
    record(project)
    code = """
import sys
from benchmark.cli import main
main(["cells", "--missing", "--method", "l2,gan-l1"], standalone_mode=False)
main(["leaderboard"], standalone_mode=False)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Left out" not in (project / "results/sample/tiny/leaderboard.md").read_text()


# tables ---------------------------------------------------------------------------------------------------------------


def test_a_row_that_is_left_out_is_said_everywhere_and_fails_the_check(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    path = record(project) / "sample/tiny/l2/seed0.json"
    run = CliRunner().invoke
    assert run(main, ["leaderboard"]).exit_code == 0
    assert run(main, ["leaderboard", "--check"]).exit_code == 0
    edit(path, plus_one_dB)
    written = run(main, ["leaderboard"])
    page = (project / "results/sample/tiny/leaderboard.md").read_text()
    assert "l2/seed0.json: psnr is" in written.stderr
    assert "- Left out, psnr is" in page
    assert str(project) not in page
    assert "| l2" not in page
    checked = run(main, ["leaderboard", "--check"])
    assert checked.exit_code != 0
    assert "1 result files are in no table" in checked.stderr


def test_rows_of_another_machine_stand_in_a_table_but_not_of_other_settings(project: Path) -> None:
    edit(result_of(project), lambda content: content["provenance"]["identity"]["machine"].update(torch="1.0"))
    (built,) = build(project / "runs/results").tables
    assert {row.name for row in built.rows} == {"eccv16", "gan-l1", "l2"}
    changed_project(project, lambda params: params["presets"]["tiny"]["training"]["default"].update(steps=7))
    (built,) = build(project / "runs/results").tables
    assert built.rows == []
    assert {one.reason for one in built.left_out} == {"of other settings: training.steps"}


def test_a_row_of_an_entry_that_is_gone_is_foreign(project: Path) -> None:
    changed_project(project, lambda params: params["entries"].pop("gan-l1"))
    assert ["unknown method 'gan-l1'" in line for line in build(project / "runs/results").left_out] == [True]


def test_one_table_holds_one_precision_and_says_which(project: Path) -> None:
    build(project / "runs/results")
    assert "Trained in fp32;" in (project / "runs/results/sample/tiny/leaderboard.md").read_text()
    edit(result_of(project), lambda content: content["provenance"]["identity"]["machine"].update(precision="bf16"))
    (built,) = build(project / "runs/results").tables
    (one,) = built.left_out
    assert (one.name, one.reason) == ("l2/seed0.json", "of another precision than most rows of this table")


def test_results_without_a_project_are_compared_with_one_another(tmp_path: Path) -> None:
    write_method(tmp_path, "l2", seeds=(0, 1))
    write_method(tmp_path, "l2", seeds=(2,), sha="ab" * 32)
    (built,) = build(tmp_path).tables
    assert built.rows[0].seeds == (0, 1)
    assert built.left_out[0].reason == "of other test images than most rows of this table"
    assert np.isfinite(built.rows[0].cells["psnr"].estimate.mean)  # type: ignore[union-attr]
