"""A method can be added by `bench new-method` and one file, or from another package without a change here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark.running.scaffold import add_entry, rename
from benchmark.support.errors import BenchError
from projects import REPOSITORY, TINY, bench, copy_code, make_project

OUTSIDE = Path(__file__).parent / "outside_package"


@pytest.mark.slow
def test_three_commands_and_one_file(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    copy_code(project)
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    made = bench("new-method", "my-l1", cwd=project, path=project)
    assert made.returncode == 0, made.stderr
    path = project / "methods" / "my_l1.py"
    path.write_text(path.read_text().replace("F.mse_loss", "F.l1_loss"))
    checked = bench("check", "my-l1", cwd=project, path=project)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "my-l1 holds the contract" in checked.stdout
    small = ("--set", "base_channels=4")
    done = bench("run", "--method", "my-l1", "--data", "sample", *small, cwd=project, path=project)
    assert done.returncode == 0, done.stderr
    assert all(path.read_bytes() == content for path, content in before.items())
    assert yaml.safe_load((project / "params.yaml").read_text())["entries"]["my-l1"] is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("My_Method", "is not a method's name"), ("l2", "there is a method 'l2' already"), ("../x", "is not a method's")],
)
def test_illegal_and_taken_names_are_refused_and_nothing_is_written(name: str, words: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    copy_code(project)
    before = sorted(project.rglob("*.py"))
    done = bench("new-method", name, cwd=project, path=project)
    assert done.returncode == 2
    assert words in done.stderr
    assert sorted(project.rglob("*.py")) == before


def test_the_entry_goes_to_the_end_of_its_section_and_comments_stay() -> None:
    text = "suite: {}\nentries: # rows\n  gray:\n  l2: {a: 1} # plain\n\n# sizes\npresets:\n  quick: {}\n"
    assert add_entry(text, "mine") == text.replace("# plain\n", "# plain\n  mine:\n")
    committed = (REPOSITORY / "params.yaml").read_text()
    grown = add_entry(committed, "mine")
    assert "mine" in yaml.safe_load(grown)["entries"]
    assert grown.replace("  mine:\n", "", 1) == committed
    with pytest.raises(BenchError, match="has no section 'entries:'"):
        add_entry("suite: {}\n", "mine")


def test_the_template_keeps_no_trace_of_its_old_name() -> None:
    text = rename((REPOSITORY / "methods" / "l2.py").read_text(), "deep-prior")
    assert "class DeepPrior(Method)" in text
    assert "class DeepPriorConfig(MethodConfig)" in text
    assert 'name = "deep-prior"' in text
    assert "L2" not in text


@pytest.mark.slow
def test_a_method_of_another_package_needs_no_edit_here(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    options = ["--no-build-isolation", "--python", sys.executable, "--target", str(site)]
    source = shutil.copytree(OUTSIDE, tmp_path / "source")  # building leaves files beside the source
    subprocess.run([*install, *options, str(source)], check=True)
    project = make_project(tmp_path / "project", {**TINY, "entries": {"gray": {}, "sepia-slow": {"adapter": "sepia"}}})
    for name in ("sepia", "sepia-slow", "sepia_colorizer:Sepia"):
        checked = bench("check", name, cwd=project, path=site)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    done = bench("run", "--method", "sepia", "--data", "sample", cwd=project, path=site)
    assert done.returncode == 0, done.stderr
    assert "> sepia" in done.stdout
    result = json.loads((project / "runs/results/sample/tiny/sepia/seed0.json").read_text())
    assert result["cost"]["parameters"] == 2
    listed = bench("list", cwd=project, path=site).stdout
    assert "Sepia learns one color for every pixel; no method with training can be smaller. (sepia" in listed
    gone = bench("check", "sepia_colorizer:Cepia", cwd=project, path=site)
    assert gone.returncode == 2
    assert "cannot import 'sepia_colorizer:Cepia'" in gone.stderr
