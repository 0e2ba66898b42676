"""DVC runs the suite in a project of its own, does nothing twice, and reruns only what a change affects."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from projects import TINY, commit_project, copy_code, git, make_project

pytestmark = pytest.mark.pipeline


def dvc(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=cwd,
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def told(output: str) -> Any:
    """Returns the JSON value in an output, which is one line; around it DVC says what has not been run yet."""
    return json.loads(next(line for line in output.splitlines() if line[:1] in ("[", "{")))


def stages_run(output: str) -> set[str]:
    """Returns the stages that DVC ran, without those that it found unchanged."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.mark.slow
def test_repro_runs_all_then_nothing_then_what_changed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {**TINY, "suite": {**TINY["suite"], "methods": ["l2"]}})
    env = copy_code(project)
    commit_project(project)
    assert stages_run(dvc("repro", cwd=project, env=env)) == {
        "fingerprint",
        "prepare@sample",
        "train@l2-sample-0",
        "evaluate@l2-sample-0",
        "leaderboard@sample",
    }
    assert git("status", "--porcelain", cwd=project) == "?? dvc.lock\n"  # which DVC lets nobody ignore
    table = (project / "runs/results/sample/tiny/leaderboard.md").read_text()
    assert "`l2`" in table
    assert stages_run(dvc("repro", cwd=project, env=env)) == set()

    # A comment in one adapter reruns nothing; a new adapter, copied from it with another loss, trains alone.
    adapter = project / "methods" / "l2.py"
    adapter.write_text("# a comment\n" + adapter.read_text())
    text = adapter.read_text().replace('"l2"', '"l1"').replace("L2", "L1").replace("F.mse_loss", "F.l1_loss")
    (project / "methods" / "l1.py").write_text(text)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["entries"]["l1"] = {"base_channels": 4}
    params["suite"]["methods"].append("l1")
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    assert stages_run(dvc("repro", cwd=project, env=env)) == {
        "fingerprint",
        "train@l1-sample-0",
        "evaluate@l1-sample-0",
        "leaderboard@sample",
    }

    # Editing that adapter reruns its cells, and the checkpoint key changes with it.
    key = json.loads((project / "models/sample/tiny/l1/seed0/training.json").read_text())["key"]
    (project / "methods" / "l1.py").write_text(text.replace("F.l1_loss", "F.smooth_l1_loss"))
    assert stages_run(dvc("repro", "leaderboard@sample", cwd=project, env=env)) == {
        "fingerprint",
        "train@l1-sample-0",
        "evaluate@l1-sample-0",
        "leaderboard@sample",
    }
    assert json.loads((project / "models/sample/tiny/l1/seed0/training.json").read_text())["key"] != key


@pytest.mark.slow
def test_an_experiment_stands_in_the_tables_of_dvc(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {**TINY, "suite": {**TINY["suite"], "methods": ["gray", "l2"]}})
    env = copy_code(project)
    commit_project(project)
    dvc("repro", "leaderboard@sample", cwd=project, env=env)
    changes = ("-S", "suite.methods=[l2]", "-S", "presets.tiny.methods.l2.base_channels=8")
    dvc("exp", "run", "--name", "wide", *changes, "leaderboard@sample", cwd=project, env=env)

    # What the extension of VS Code calls.
    commits = told(dvc("exp", "show", "--json", cwd=project, env=env))
    [experiment] = [one["revs"][0] for one in commits[1]["experiments"]]
    flat = "runs/metrics/sample-tiny/l2.json"
    measured = experiment["data"]["metrics"][flat]["data"]
    assert experiment["name"] == "wide"
    assert measured == json.loads((project / flat).read_text())
    assert experiment["data"]["params"]["params.yaml"]["data"]["presets"]["tiny"]["methods"]["l2"]["base_channels"] == 8
    plots = told(dvc("plots", "diff", "HEAD", "wide", "--json", cwd=project, env=env))["data"]
    [curves] = plots["runs/plots/sample-tiny/curves.csv"]
    assert [point["images"] for point in curves["content"]["data"]["values"] if point["rev"] == "wide"] == ["12", "24"]
    assert flat in dvc("metrics", "diff", "HEAD", "wide", cwd=project, env=env)


def test_the_committed_pipeline_is_valid() -> None:
    repository = Path(__file__).resolve().parents[1]
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    suite = yaml.safe_load((repository / "params.yaml").read_text())["suite"]
    for data in suite["data"]:
        assert f"leaderboard@{data}" in listed
        for method in suite["methods"]:
            assert f"train@{method}-{data}-{suite['seeds'][0]}" in listed
