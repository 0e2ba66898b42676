"""Makes tiny projects, whose cells take seconds, for tests that run the command line."""

import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from forked import Done, start

REPOSITORY = Path(__file__).resolve().parents[1]

TINY: dict[str, Any] = {
    "suite": {"preset": "tiny", "data": ["sample"], "methods": ["gray", "l2", "cgan"], "seeds": [0]},
    "entries": {"gray": {}, "l2": {}, "cgan": {}},
    "presets": {
        "tiny": {
            "training": {"default": {"steps": 6, "batch_size": 4, "log_every": 2, "validate_every": 3}},
            "data": {"sample": {"image_size": 16, "train_count": 24, "test_count": 12}},
            "methods": {
                "l2": {"base_channels": 4},
                "cgan": {"base_channels": 4, "discriminator_channels": 4, "pretrain_share": 0.5},
            },
        }
    },
}

FAMILY: dict[str, Any] = copy.deepcopy(TINY)
FAMILY["entries"] |= {"gan-l1": {"adapter": "gan-perceptual", "perceptual_weight": 0.0}, "eccv16": {}}
FAMILY["presets"]["tiny"]["methods"] |= {
    "eccv16": {"width": 0.125},
    "gan-perceptual": {"width": 0.125, "discriminator_channels": 4},
}
"""The same with a method that starts from another's model."""


def make_project(folder: Path, params: Mapping[str, Any] = TINY) -> Path:
    """Makes a project folder that holds only its parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(params)))
    return folder


def make_run_project(folder: Path, *methods: str) -> Path:
    """Makes a project, and prepares, trains and scores these methods in it."""
    make_project(folder)
    for method in methods:
        done = bench("run", "--method", method, "--data", "sample", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def commit_project(folder: Path) -> Path:
    """Puts a project and its files under git, with this repository's ignored files, and returns the folder."""
    shutil.copy(REPOSITORY / ".gitignore", folder)
    git("init", "--quiet", cwd=folder)
    git("add", ".", cwd=folder)
    git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "all", cwd=folder)
    return folder


def git(*arguments: str, cwd: Path) -> str:
    """Runs git and returns its output."""
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


def copy_code(folder: Path) -> dict[str, str]:
    """Copies the code and the pipeline into a project; returns the environment in which that copy runs.

    The copy finds its own plug-in rooms through links, because nothing is installed for it.
    """
    ignore = shutil.ignore_patterns("__pycache__")
    for room in ("benchmark", "methods", "datasets"):
        shutil.copytree(REPOSITORY / room, folder / room, ignore=ignore)
    for room in ("methods", "datasets"):
        (folder / "benchmark" / room).symlink_to(f"../{room}")
    shutil.copy(REPOSITORY / "dvc.yaml", folder)
    tuned = "results/cifar10/quick/tuning"  # which the pipeline depends on
    shutil.copytree(REPOSITORY / tuned, folder / tuned)
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(REPOSITORY / ".dvc" / name, folder / ".dvc")
    shutil.copytree(REPOSITORY / ".dvc/plots", folder / ".dvc/plots")
    ignored = (REPOSITORY / ".dvcignore").read_text() + "/benchmark/methods\n/benchmark/datasets\n"
    (folder / ".dvcignore").write_text(ignored)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path}


def one_thread(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns an environment in which torch uses one thread, as sums' bits depend on the number of threads."""
    return {**env, "OMP_NUM_THREADS": "1"}


def bench(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    path: Path | None = None,
    timeout: float = 300,
) -> Done:
    """Runs `bench` to its end in a forked process; `forked.start` explains the arguments."""
    with tempfile.TemporaryDirectory() as out:
        return start(*arguments, cwd=cwd, out=Path(out), env=env, path=path).end(timeout)
