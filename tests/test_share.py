"""Trained models go to a folder, a remote and a hub and come back whole; what comes back changed is refused."""

import hashlib
import json
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from benchmark.cli import main
from benchmark.share.packing import write_sums
from benchmark.training.checkpoint import load_model, save_model
from projects import TINY, bench, make_project, make_run_project

MODEL = "sample/tiny/l2/seed0"
FILES = ["README.md", "SHA256SUMS", "history.csv", "model.safetensors", "training.json"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one trained and scored model, and a baseline."""
    return make_run_project(tmp_path_factory.mktemp("trained"), "l2", "gray")


@pytest.fixture
def box(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to which the model was sent; the working directory becomes a project without models."""
    monkeypatch.chdir(trained)
    assert run("push", "--to", f"{tmp_path}/box").exit_code == 0
    monkeypatch.chdir(make_project(tmp_path / "other"))
    return tmp_path / "box"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def weights(project: Path) -> bytes:
    return (project / "models" / MODEL / "model.safetensors").read_bytes()


# there and back -------------------------------------------------------------------------------------------------------


def test_a_folder_has_weights_card_record_and_hashes(box: Path, trained: Path) -> None:
    assert sorted(path.name for path in (box / MODEL).iterdir()) == FILES
    checked = subprocess.run(["sha256sum", "--check"], stdin=(box / MODEL / "SHA256SUMS").open(), cwd=box / MODEL)
    assert checked.returncode == 0
    assert not (box / "sample/tiny/gray").exists()  # nothing of it was trained
    _, front, text = (box / MODEL / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert (about["license"], about["pipeline_tag"]) == ("other", "image-to-image")
    result = json.loads((trained / "runs/results/sample/tiny/l2/seed0.json").read_text())
    (scored,) = about["model-index"][0]["results"]
    told = {metric["type"]: metric["value"] for metric in scored["metrics"]}
    assert told == {name: value for name, value in result["metrics"].items() if value is not None}
    assert "bench train --method l2 --data sample --preset tiny --seed 0" in text
    assert "public domain or CC0" in text
    assert f"| PSNR ↑ | {told['psnr']:.2f} | dB |" in text
    assert f"[card]({MODEL}/README.md)" in (box / "README.md").read_text()


def test_the_hub_reads_the_cards_front_matter(box: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed: pip install -e '.[hub]'")
    data = hub.ModelCard.load(box / MODEL / "README.md").data
    assert {result.metric_type for result in data.eval_results} > {"psnr", "ssim", "auc"}
    assert data.tags[-2:] == ["sample", "l2"]


def test_a_pulled_model_is_current_and_needs_no_training(box: Path, trained: Path) -> None:
    pulled = run("pull", "--from", str(box))
    assert (pulled.exit_code, pulled.stdout) == (0, f"{MODEL}: pulled, current\n")
    assert weights(Path.cwd()) == weights(trained)
    shutil.copytree(trained / "data", "data")
    cell = ("--method", "l2", "--data", "sample")
    assert run("compare", "--data", "sample", "--methods", "l2", "-o", "picture.png").exit_code == 0
    scored = run("evaluate", *cell)
    assert scored.exit_code == 0, scored.stderr
    of = "runs/results/sample/tiny/l2/seed0.json"
    assert json.loads(Path(of).read_text())["metrics"] == json.loads((trained / of).read_text())["metrics"]
    assert run("pull", "--from", str(box)).exit_code == 0  # again: it is here


def test_the_best_models_are_those_of_the_committed_hash_list(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(project)
    none = run("push", "--to", f"{tmp_path}/box", "--best")
    assert none.exit_code == 2
    assert f"no model in the models.sha256 below {project}/results; there: none; leave --best out" in none.stderr
    shutil.copytree("runs/results/sample", "results/sample")
    assert run("leaderboard", "--data", "sample", "--preset", "tiny").exit_code == 0
    listed = project / "results/sample/tiny/models.sha256"
    assert re.fullmatch(rf"[0-9a-f]{{64}}  {MODEL}/model\.safetensors\n", listed.read_text()), "and no baseline"
    assert run("push", "--to", f"{tmp_path}/box", "--best").exit_code == 0
    checked = subprocess.run(["sha256sum", "--check"], stdin=listed.open(), cwd=tmp_path / "box")
    assert checked.returncode == 0
    shutil.rmtree(project / "models")
    pulled = run("pull", "--from", f"{tmp_path}/box", "--best")
    assert pulled.stdout == f"{MODEL}: pulled, current, the very model of the committed row\n"
    listed.write_text(listed.read_text().replace(listed.read_text()[:64], "0" * 64))
    for refused in (run("pull", "--from", f"{tmp_path}/box", "--best"), run("push", "--to", "there", "--best")):
        assert refused.exit_code == 1
        assert "model.safetensors is not the one that sample/tiny/models.sha256 lists" in refused.stderr
    assert "no model of --seed 1 in the models.sha256" in run("push", "--to", "there", "--best", "--seed", "1").stderr
    listed.write_text(listed.read_text().replace("seed0", "seed7"))
    other = run("push", "--to", "there", "--best")
    assert (other.exit_code, "sample/tiny/l2/seed7: left out: " in other.stderr) == (1, True)
    assert not Path("there").exists()
    other = run("pull", "--from", f"{tmp_path}/box", "--best")
    assert (other.exit_code, other.stdout, other.stderr) == (1, "", "bench: sample/tiny/l2/seed7: not there\n")
    listed.write_text(listed.read_text() + "<<<<<<< HEAD\n")
    damaged = run("push", "--to", "there", "--best")
    assert (damaged.exit_code, f"{listed}: '<<<<<<< HEAD' is no line of this list" in damaged.stderr) == (1, True)


@pytest.mark.slow
def test_a_remote_of_dvc_and_a_file_system_of_fsspec(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        folder = shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("models", "data", "runs"))
        (folder / ".dvc").mkdir()
        settings = f"[core]\n    no_scm = true\n['remote \"store\"']\n    url = {tmp_path}/store\n"
        (folder / ".dvc/config").write_text(settings)
    shutil.copytree(trained / "models", tmp_path / "here/models")
    for place in ("remote:store", f"memory://{tmp_path.name}/models"):
        monkeypatch.chdir(tmp_path / "here")
        sent = run("push", "--to", place, "--method", "l2")
        assert (sent.exit_code, sent.stdout) == (0, f"{MODEL}: sent\n"), sent.stderr
        monkeypatch.chdir(tmp_path / "there")
        pulled = run("pull", "--from", place, "--data", "sample")
        assert (pulled.exit_code, pulled.stdout) == (0, f"{MODEL}: pulled, current\n"), pulled.stderr
        assert weights(tmp_path / "there") == weights(trained)
        shutil.rmtree(tmp_path / "there/models")
    assert sorted(path.name for path in (tmp_path / "store" / MODEL).iterdir()) == FILES


@pytest.mark.slow
def test_a_hub(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed: pip install -e '.[hub]'")
    from hub import hub

    other = make_project(tmp_path / "other")
    with hub() as server:
        # what `huggingface_hub` reads when it is imported, in the process of the command
        place = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": "hf_of_tests"}
        env = {**place, "HF_HUB_DISABLE_XET": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        sent = bench("push", "--to", "hf:someone/models", "--method", "l2", cwd=trained, env=env)
        assert sent.returncode == 0, sent.stderr
        assert server.private == {"someone/models": True}
        assert sorted(server.repositories["someone/models"]) == ["README.md", *(f"{MODEL}/{name}" for name in FILES)]
        pulled = bench("pull", "--from", "hf:someone/models", cwd=other, env=env)
        assert (pulled.returncode, pulled.stdout) == (0, f"{MODEL}: pulled, current\n"), pulled.stderr
        nothing = bench("pull", "--from", "hf:someone/else", cwd=other, env=env)
        assert nothing.errors == ["bench: error: no model in hf:someone/else; there: none; send one: bench push"]
    assert weights(other) == weights(trained)


# what is refused ------------------------------------------------------------------------------------------------------


def flip(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def vouch(folder: Path, **changes: Any) -> None:
    """Makes record and hash list those of the files that lie there now, as a forger would."""
    record = json.loads((folder / "training.json").read_text())
    record["model_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "training.json").write_text(json.dumps(record | changes))
    write_sums(folder)


def add_line(line: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        with (folder / "SHA256SUMS").open("a") as file:
            file.write(f"{'0' * 64}  {line}\n")

    return add


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"weights": print}))
    vouch(folder)


def renamed(folder: Path) -> None:
    state, about = load_model(folder / "model.safetensors")
    state["another.weight"] = state.pop(next(iter(state)))
    save_model(folder / "model.safetensors", state, about)
    vouch(folder)


def of_another_cell(folder: Path) -> None:
    state, about = load_model(folder / "model.safetensors")
    about["settings"]["seed"] = 7
    save_model(folder / "model.safetensors", state, about)
    vouch(folder)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (flip, "model.safetensors has SHA-256 .*, not .* as SHA256SUMS says; push it again"),
        (lambda folder: (folder / "training.json").unlink(), "training.json"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "SHA256SUMS names no model.safetensors"),
        (
            add_line("../../../../escaped"),
            "SHA256SUMS names '../../../../escaped' in a line; legal, once each: model.safetensors,",
        ),
        (add_line("/etc/passwd"), "SHA256SUMS names '/etc/passwd' in a line"),
        (add_line("README.md"), "SHA256SUMS names 'README.md' in a line; legal, once each"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\0"), "SHA256SUMS names no file, or no hash of it"),
        (pickled, "is not a whole model file"),
        (renamed, "does not fit the method 'l2' of this version"),
        (of_another_cell, "model.safetensors is of sample/tiny/l2/seed7"),
        (lambda folder: vouch(folder, key="../../escaped"), "training.json is no record of a training: key: String"),
        (lambda folder: vouch(folder, key="0" * 64), "training.json: key is not that of its identity"),
        (lambda folder: vouch(folder, other=1), "training.json is no record of a training: other: Extra inputs"),
    ],
)
def test_what_was_changed_is_refused(box: Path, harm: Callable[[Path], Any], words: str) -> None:
    harm(box / MODEL)
    pulled = run("pull", "--from", str(box))
    assert pulled.exit_code == 1
    assert pulled.stdout == ""
    (line,) = pulled.stderr.splitlines()
    assert line.startswith(f"bench: {MODEL}: ")
    assert re.search(words, line), line
    assert not Path("models").exists()
    assert not list(box.parent.rglob("*escaped*"))


@pytest.mark.parametrize(
    "folder", ["../tiny/l2/seed0", "sample/tiny/l2", "sample/tiny/l2/seed01", "sample/tiny/.l2/seed0"]
)
def test_a_hash_list_in_no_models_place_is_refused(box: Path, folder: str) -> None:
    from benchmark.share.packing import addresses
    from benchmark.support.errors import BenchError

    with pytest.raises(BenchError, match="is no place of a model; legal: <data>/<preset>/<method>/seed<k>/SHA256SUMS"):
        addresses([f"{folder}/SHA256SUMS"])


def test_a_model_of_other_settings_is_placed_and_said_to_be_stale(box: Path) -> None:
    params = json.loads(json.dumps(TINY))
    params["presets"]["tiny"]["training"]["default"]["steps"] = 7
    make_project(Path.cwd(), params)
    pulled = run("pull", "--from", str(box))
    assert (pulled.exit_code, pulled.stdout) == (0, f"{MODEL}: pulled, but stale: of other settings: training.steps\n")


def test_another_model_is_not_replaced_unasked(box: Path, trained: Path) -> None:
    own = Path("models") / MODEL
    shutil.copytree(trained / "models" / MODEL, own)
    state, about = load_model(own / "model.safetensors")
    save_model(own / "model.safetensors", {name: value * 0 for name, value in state.items()}, about)
    vouch(own)
    mine = weights(Path.cwd())
    refused = run("pull", "--from", str(box))
    assert refused.exit_code == 1
    assert "another model lies in " in refused.stderr
    assert weights(Path.cwd()) == mine
    assert run("pull", "--from", str(box), "--overwrite").exit_code == 0
    assert weights(Path.cwd()) == weights(trained)


def test_what_may_not_or_cannot_be_sent_stays_and_says_why(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shutil.copytree(trained, tmp_path / "project")
    shutil.copytree(project / "models/sample", project / "models/folder-holidays")
    (project / "models/sample/tiny/l2/seed0").rename(project / "models/sample/tiny/l2/seed1")
    monkeypatch.chdir(project)
    sent = run("push", "--to", f"{tmp_path}/box")
    assert sent.exit_code == 1
    left_out = "left out: of other settings: method, data set or seed; train it again"
    assert sent.stderr == f"bench: sample/tiny/l2/seed1: {left_out}\n"
    assert not (tmp_path / "box").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("push", "--to", "hf:models"), "hf:OWNER/NAME is wanted"),
        (("push", "--to", ""), "'' is no place; legal: FOLDER, remote:NAME of DVC"),
        (("push", "--to", "nowhere://x"), "nowhere://x: Protocol not known: nowhere"),
        (("push", "--to", "remote:store"), "remote:store: "),
        (
            ("push", "--to", "box", "--method", "cgan"),
            "no model of --method cgan in .*models; there: .*train one: bench run",
        ),
        (("push", "--to", "params.yaml"), "params.yaml: "),
        (("pull", "--from", "box"), "no model in box; there: none; send one: bench push"),
    ],
)
def test_places_that_are_none_are_named(
    trained: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(trained)
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("bench: error: ")
    assert re.search(words, line), line
