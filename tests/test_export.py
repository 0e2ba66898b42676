"""`bench export` gives any program the test split, and docs/score.md leads from it to a row."""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_results import write_method, write_params
from PIL import Image

from benchmark import PROTOCOL
from benchmark.contracts.result import read_result
from benchmark.data.color import rgb_to_lab
from benchmark.data.prepared import Prepared
from benchmark.results.columns import Measured
from benchmark.results.tables.verdicts import estimates_of
from projects import REPOSITORY, bench, make_project

PAGE = (REPOSITORY / "docs/score.md").read_text(encoding="utf-8")
MANIFEST = ("--manifest", "export/manifest.json")

pytestmark = pytest.mark.pipeline


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which every command of the page was run, and what each printed is kept."""
    folder = make_project(tmp_path_factory.mktemp("project"))
    assert bench("run", "--method", "gray", "--data", "sample", cwd=folder).returncode == 0
    [program] = blocks("python")
    (folder / "tint.py").write_text(program)
    for number, line in enumerate(line for block in blocks("bash") for line in block.splitlines()):
        command, *arguments = shlex.split(line)
        if command == "bench":
            done = bench(*arguments, cwd=folder)
            code, told = done.returncode, done.stdout
        else:
            ran = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
            code, told = ran.returncode, ran.stdout + ran.stderr
        assert code == 0, f"{line}: {told}"
        (folder / f"told{number}.txt").write_text(told)
    return folder


def told(project: Path, words: str) -> str:
    """What the first command of the page that has these words printed."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return (project / f"told{next(k for k, line in enumerate(lines) if words in line)}.txt").read_text()


def test_the_export_is_the_test_split(project: Path) -> None:
    prepared, out = Prepared.open(project / "data/sample-tiny"), project / "export"
    manifest = json.loads((out / "manifest.json").read_text())
    named = {key: manifest[key] for key in ("data", "preset", "split", "protocol", "ids", "split_sha256", "image_size")}
    assert named == {
        "data": "sample", "preset": "tiny", "split": "test", "protocol": PROTOCOL, "ids": prepared.ids("test"),
        "split_sha256": prepared.sha256["test"], "image_size": 16,
    }  # fmt: skip
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*.png")}
    assert manifest["files"] == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}
    gray, truth = (
        np.stack([np.asarray(Image.open(found[f"{kind}/{name}.png"])) for name in manifest["ids"]])
        for kind in ("gray", "truth")
    )
    assert np.array_equal(truth, prepared.images("test"))
    (L, ab), (true_L, _) = (rgb_to_lab(torch.from_numpy(images)) for images in (gray, truth))
    assert (L - true_L).abs().max() <= 0.26  # as the page says
    assert ab.abs().max() < 1


def test_one_folder_has_no_rank_and_several_are_seeds(project: Path) -> None:
    assert "without a rank" in told(project, "score colored0 --manifest")
    printed = json.loads(told(project, "--json"))
    assert [one["run"]["seed"] for one in printed] == [0, 1, 2]
    assert [Path(one["result"]).name for one in printed] == ["seed0.json", "seed1.json", "seed2.json"]
    assert len({one["metrics"]["psnr"] for one in printed}) == 3
    assert "without a rank" not in told(project, "score colored0 colored1")
    shown = bench("leaderboard", "--own", "--json", cwd=project)
    [table] = json.loads(shown.stdout)
    [row] = [row for row in table["rows"] if row["method"] == "tint"]
    assert (row["external"], row["seeds"]) == (True, [0, 1, 2])
    assert row["metrics"]["psnr"]["rank"] is None  # nothing stands beside it that is ranked
    again = ("score", "colored1", "colored0", *MANIFEST, "--name", "again")
    done = bench(*again, cwd=project)
    assert done.returncode == 0, done.stderr
    [table] = json.loads(bench("leaderboard", "--own", "--json", cwd=project).stdout)
    ranked = {row["method"]: row["metrics"]["psnr"]["rank"] for row in table["rows"] if row["external"]}
    assert ranked.keys() == {"tint", "again"}
    assert all(ranked.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["colored0", *MANIFEST, "--name", "tint"], "more seeds than the 1 given folders"),
        (["colored0", "colored0", *MANIFEST, "--name", "other"], "hold the same images"),
        (["colored0", *MANIFEST, "--name", "other", "--data", "cifar10"], "of data sample, not cifar10"),
        (["colored0", "--manifest", "nowhere.json", "--name", "other"], "No such file"),
        (["colored0", "--manifest", "params.yaml", "--name", "other"], "is no manifest of bench export"),
        (["colored0", "--name", "other"], "Give --data NAME"),
        (["colored0", "colored1", "--data", "sample", "--as", "ddcolor"], "--as takes one FOLDER"),
        (["colored0", "--data", "sample", "--as", "ddcolor", "--name", "other"], "--as takes one FOLDER"),
        (["colored0", "--data", "sample", "--as", "ddcolor", "--record"], "stand in no table"),
        (["colored0", "--manifest", "val", "--name", "other"], "of split val, not test"),
        (["colored0", "--manifest", "old", "--name", "other"], "of protocol 1, not"),
        (["colored0", "--manifest", "damaged", "--name", "other"], "other images than the 12 prepared"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(project: Path, arguments: list[str], words: str) -> None:
    manifest = json.loads((project / "export/manifest.json").read_text())
    changes = {"val": {"split": "val"}, "old": {"protocol": 1}, "damaged": {"ids": manifest["ids"][1:]}}
    for folder, change in changes.items():
        (project / folder).mkdir(exist_ok=True)
        (project / folder / "manifest.json").write_text(json.dumps(manifest | change))
    done = bench("score", *arguments, cwd=project)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project / "runs/results/sample/tiny/other").exists()


def test_nothing_gets_among_the_images_of_an_export(project: Path) -> None:
    done = bench("export", "--data", "sample", "--out", "export", cwd=project)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "is not an empty folder" in done.stderr


def test_without_truth_an_export_holds_no_color(project: Path) -> None:
    done = bench("export", "--data", "sample", "--split", "val", "--out", "gray-only", cwd=project)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((project / "gray-only/manifest.json").read_text())
    assert manifest["split"] == "val"
    assert set(manifest["files"]) == {f"gray/{name}.png" for name in manifest["ids"]}


def test_a_submission_holds_images_and_no_number_and_scores_the_same(project: Path) -> None:
    pack = project / "submission"
    assert {path.name for path in pack.iterdir()} == {
        "manifest.json", "submission.json", "seed0.zip", "seed1.zip", "seed2.zip",
    }  # fmt: skip
    told_of = json.loads((pack / "submission.json").read_text())
    assert set(told_of) == {"schema", "name", "paper", "settings", "address", "archives"}
    assert told_of["archives"] == [hashlib.sha256((pack / f"seed{k}.zip").read_bytes()).hexdigest() for k in range(3)]
    assert "outputs by their authors (https://example.org/tint), scores by this machine" in told(project, "verify")
    scored = json.loads(told(project, "--json"))
    for one in scored:  # the files are those that `verify` wrote last
        verified = read_result(project / one["result"])
        assert "verify" in verified.provenance.command
        assert verified.metrics == one["metrics"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("changed", "not "),
        ("missing", "fetch it from its authors"),
        ("number", "psnr"),
        ("nothing", "bench submit wrote"),
        ("damaged", "ask its authors for a whole archive"),
    ],
)
def test_a_submission_that_is_not_whole_is_refused_in_one_line(
    project: Path, tmp_path: Path, fault: str, words: str
) -> None:
    pack = tmp_path / "submission"
    shutil.copytree(project / "submission", pack)
    if fault == "changed":
        shutil.copy(pack / "seed1.zip", pack / "seed2.zip")
    elif fault == "damaged":  # by its authors: the archive is the one that they submitted
        with zipfile.ZipFile(pack / "seed1.zip") as archive:
            place = archive.infolist()[0].header_offset
        content = bytearray((pack / "seed1.zip").read_bytes())
        content[place + 200] ^= 1  # a byte of the first picture
        (pack / "seed1.zip").write_bytes(content)
        told_of = json.loads((pack / "submission.json").read_text())
        told_of["archives"][1] = hashlib.sha256(content).hexdigest()
        (pack / "submission.json").write_text(json.dumps(told_of))
    elif fault == "missing":
        (pack / "seed2.zip").unlink()
    elif fault == "number":
        told_of = json.loads((pack / "submission.json").read_text())
        (pack / "submission.json").write_text(json.dumps(told_of | {"psnr": 50}))
    else:
        (pack / "submission.json").unlink()
    done = bench("verify", str(pack), cwd=project)
    assert done.returncode != 0
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_is_packed_is_what_the_manifest_names(project: Path, tmp_path: Path) -> None:
    told_of = ("--manifest", "export", "--name", "tint", "--paper", "https://example.org", "--settings", "as here")
    whole = bench("submit", "colored0", *told_of, "--out", str(tmp_path / "again"), cwd=project)
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "again/seed0.zip").read_bytes() == (project / "submission/seed0.zip").read_bytes()
    shutil.copytree(project / "colored0", tmp_path / "partial")
    next((tmp_path / "partial").rglob("*.png")).unlink()
    done = bench("submit", str(tmp_path / "partial"), *told_of, "--out", str(tmp_path / "new"), cwd=project)
    assert done.returncode == 2
    assert "11 images for 12 ids: 1 missing" in done.stderr
    assert not (tmp_path / "new").exists()


def test_rows_of_two_programs_are_not_taken_for_one_model(tmp_path: Path) -> None:
    """Their identities are the same, data and scoring, and yet their seeds have nothing to do with each other."""
    results = write_params(tmp_path) / "results"
    for name in ("theirs", "others"):
        write_method(results, name, external=True)
    folder = results / "cifar10/quick"
    groups = [
        [Measured(path, read_result(path), {}, {"psnr": 20.0}) for path in sorted((folder / name).glob("*.json"))]
        for name in ("theirs", "others")
    ]
    assert groups[0][1].result.provenance.identity == groups[1][1].result.provenance.identity is not None
    assert [estimates_of(group)["psnr"].models for group in groups] == [frozenset(), frozenset()]
