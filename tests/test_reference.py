"""Runs are compared with committed results, the references, and only `--record` writes what git tracks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fake_results import fake_result, write_method, write_skipped, write_suite
from PIL import Image

from benchmark.contracts.config import read_params
from benchmark.contracts.identity import Identity
from benchmark.contracts.result import Machine, read_per_image, read_result, write_result
from benchmark.contracts.workspace import Workspace
from benchmark.results.reference import INSIDE, OUTSIDE, SAME, likely_reason, verdict_on
from benchmark.results.tables import build
from benchmark.running.stages.training import _record_skip
from benchmark.running.sweep.over_ray import Resources, run_options
from benchmark.running.sweep.plan import Choice, Planner
from benchmark.scoring.metrics import METRICS
from benchmark.training.record import read_record, write_record
from projects import TINY, bench, commit_project, git, make_project

SKIPPED: dict[str, Any] = {
    "cgan-resnet18": {"adapter": "cgan", "encoder": "resnet18", "base_channels": 64}
}  # its weights are not here
L2 = ("--method", "l2", "--data", "sample")
REFERENCE = Path("results/sample/tiny/l2/seed0.json")


def edit(path: Path, change: Callable[[Any], object]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def shift(path: Path, gap: float) -> float:
    """Raises a result's PSNR in every image, as if it had been measured so, and returns the old value."""
    result = read_result(path)
    columns = read_per_image(path, result)
    before = result.metrics["psnr"]
    assert before is not None
    columns["psnr"] += np.float32(gap)
    metrics = {**result.metrics, "psnr": float(METRICS["psnr"].pooled(columns))}
    write_result(path.parents[3], result.model_copy(update={"metrics": metrics}), columns)
    return before


# one result against another -------------------------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Path, Path]:
    """Writes an own result with the bits of the reference; gives its file and the references' root."""
    root = tmp_path / "results"
    committed = write_method(root, "l2", 1.0)[0]
    result = read_result(committed)
    return write_result(tmp_path / "own", result, read_per_image(committed, result)), root


def test_the_same_values_are_the_same_bits(rows: tuple[Path, Path]) -> None:
    verdict = verdict_on(*rows)
    assert verdict is not None
    assert verdict.kind == SAME
    assert str(verdict) == "same bits as the committed row"


@pytest.mark.parametrize(("gap", "kind"), [(0.01, INSIDE), (-0.01, INSIDE), (3.0, OUTSIDE), (-3.0, OUTSIDE)])
def test_a_difference_is_held_against_the_interval_of_the_row(rows: tuple[Path, Path], gap: float, kind: str) -> None:
    own, root = rows
    before = shift(own, gap)
    verdict = verdict_on(own, root)
    assert verdict is not None
    assert verdict.kind == kind
    assert verdict.difference.startswith("psnr ")
    assert f" against {before:.3f} [" in verdict.difference
    assert verdict.reason == "nothing that is recorded differs"


def test_a_seed_that_lies_outside_of_its_rows_mean_still_repeats_itself(tmp_path: Path) -> None:
    """A mean over five seeds is known better than any seed, so a seed may lie outside of its interval."""
    for path in write_method(tmp_path / "results", "l2", 1.0, seeds=range(5), spread=1.0):
        result = read_result(path)
        own = write_result(tmp_path / "own", result, read_per_image(path, result))
        shift(own, 0.01)
        verdict = verdict_on(own, tmp_path / "results")
        assert verdict is not None
        assert verdict.kind == INSIDE


def test_one_missing_column_more_changes_no_verdict(rows: tuple[Path, Path]) -> None:
    own, root = rows
    result = read_result(own)
    columns = read_per_image(own, result)
    fid: dict[str, float | None] = {"fid": 12.0}  # this machine has the weights, the reference's had none
    write_result(own.parents[3], result.model_copy(update={"metrics": result.metrics | fid}), columns)
    verdict = verdict_on(own, root)
    assert verdict is not None
    assert verdict.kind == SAME


def test_other_test_images_are_not_compared(rows: tuple[Path, Path]) -> None:
    own, root = rows
    edit(own, lambda content: content["provenance"]["data_sha256"].update(test="b" * 64))
    verdict = verdict_on(own, root)
    assert verdict is not None
    assert (verdict.kind, verdict.difference) == (OUTSIDE, "not comparable")
    assert "other test images" in verdict.reason


def test_what_was_skipped_or_is_not_committed_has_no_verdict(tmp_path: Path) -> None:
    skipped = write_skipped(tmp_path / "own", "l2", "weights missing")
    write_method(tmp_path / "results", "l2")
    assert verdict_on(skipped, tmp_path / "results") is None
    assert verdict_on(write_method(tmp_path / "own", "cgan")[0], tmp_path / "results") is None


HERE = Machine(
    cpu="one",
    instruction_set="AVX512",
    threads=2,
    torch="2.15.0",
    kind="cpu",
    device="one, 2 threads",
    precision="fp32",
)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (
            {"cpu": "other", "instruction_set": "AVX2"},
            "another instruction set (AVX2 there, AVX512 here); another processor (other there, one here)",
        ),
        ({"torch": "2.14.0"}, "another version of torch (2.14.0 there, 2.15.0 here)"),
        ({"threads": 4}, "another number of threads (4 there, 2 here)"),
        ({"precision": "bf16"}, "another precision (bf16 there, fp32 here)"),
    ],
)
def test_the_likely_reason_is_what_is_recorded_differently(there: dict[str, Any], said: str) -> None:
    origin = fake_result("l2", 0, {"psnr": np.ones(3)}).provenance
    ours = origin.model_copy(update={"machine": HERE, "trained_on": HERE})
    theirs = origin.model_copy(update={"machine": HERE, "trained_on": HERE.model_copy(update=there)})
    assert likely_reason(ours, theirs) == said


def test_settings_code_and_older_records_are_named_too() -> None:
    origin = fake_result("l2", 0, {"psnr": np.ones(3)}).provenance
    made = {"protocol": 1, "adapter": "l2", "data_set": "cifar10", "seed": 0, "code": {}}
    few, more = (Identity(**made, settings={"training": {"steps": count}}, machine={"world": 1}) for count in (5, 6))
    other = origin.model_copy(update={"identity": more, "device": "Another CPU", "machine": HERE})
    assert likely_reason(other, origin.model_copy(update={"identity": few})) == (
        "it is of other settings: training.steps (commit c0ffeec there, c0ffeec here);"
        " another machine (Test CPU there, Another CPU here)"
    )


# tables and what is lost ----------------------------------------------------------------------------------------------


def test_own_results_stand_among_the_references_and_are_marked(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    write_suite(space.references)
    build(space.references)
    before = {path: path.read_bytes() for path in space.references.rglob("*.*")}
    write_method(space.own, "l2", 5.0, seeds=(0,))
    write_skipped(space.own, "cgan", "weights missing")  # the reference stays, because nothing was measured
    (table,) = build(space.own, references=space.references).tables
    assert table.own == {"l2": [0]}
    assert table.row("l2").seeds == (0, 1, 2)  # type: ignore[union-attr]
    assert table.row("cgan").seeds == (0, 1, 2)  # type: ignore[union-attr]
    assert not table.skipped
    page = (space.own / "cifar10/quick/leaderboard.md").read_text()
    assert "`l2` (seed 0); all else: committed references" in page
    assert {path: path.read_bytes() for path in space.references.rglob("*.*")} == before


def test_a_cell_that_cannot_run_now_keeps_the_model_it_was_trained_to(tmp_path: Path) -> None:
    write_record(tmp_path, {"key": "k", "model_sha256": "m"})
    _record_skip(tmp_path, "weights missing")
    assert read_record(tmp_path) == {"key": "k", "model_sha256": "m", "skipped": "weights missing"}
    _record_skip(tmp_path / "other", "weights missing")
    assert read_record(tmp_path / "other") == {"skipped": "weights missing"}


# commands in a project under git --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under git with references of `gray` and `l2` made here, and of a cell that cannot run here."""
    project = make_project(tmp_path_factory.mktemp("recorded"), {**TINY, "entries": {**TINY["entries"], **SKIPPED}})
    for method in ("gray", "l2"):
        done = bench("run", "--method", method, "--data", "sample", "--record", cwd=project)
        assert done.returncode == 0, done.stderr
        assert "recorded: " in done.stderr
    sha = read_result(project / REFERENCE).provenance.data_sha256["test"]
    row: dict[str, Any] = {"data": "sample", "preset": "tiny", "adapter": "cgan", "seeds": (0,), "sha": sha}
    write_method(project / "results", "cgan-resnet18", **row)
    assert bench("leaderboard", cwd=project).returncode == 0
    return commit_project(project)


@pytest.fixture
def clone(recorded: Path, tmp_path: Path) -> Path:
    """A newcomer's clone of the project, with prepared data."""
    git("clone", "--quiet", str(recorded), str(tmp_path / "clone"), cwd=tmp_path)
    shutil.copytree(recorded / "data", tmp_path / "clone" / "data")
    return tmp_path / "clone"


def status(project: Path) -> str:
    return git("status", "--porcelain", cwd=project)


@pytest.mark.pipeline
def test_a_newcomers_run_of_a_committed_cell_compares_and_leaves_git_clean(clone: Path) -> None:
    done = bench("run", *L2, cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "l2 on sample, preset tiny, seed 0: same bits as the committed row" in done.stderr
    assert "> l2" in done.stdout
    assert "gray" in done.stdout  # the reference stands beside the own row
    assert (clone / "runs" / REFERENCE).is_file()
    assert bench("report", cwd=clone).returncode == 0
    assert bench("leaderboard", cwd=clone).returncode == 0
    assert status(clone) == ""


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_cell_that_cannot_run_leaves_git_clean_and_what_was_measured(clone: Path) -> None:
    for more in ((), ("--record",)):
        done = bench("run", "--method", "cgan-resnet18", "--data", "sample", *more, cwd=clone)
        assert done.returncode == 0, done.stderr
        assert "skipped: " in done.stderr
        assert status(clone) == ""
    assert "not recorded: nothing was measured" in done.stderr
    assert read_result(clone / "results/sample/tiny/cgan-resnet18/seed0.json").status == "ok"


@pytest.mark.slow
@pytest.mark.pipeline
def test_private_photographs_leave_git_clean_and_are_never_recorded(clone: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "private"
    photographs.mkdir()
    for k in range(24):
        Image.effect_noise((40, 40), 50 + k).convert("RGB").save(photographs / f"{k}.png")
        Image.new("RGB", (32, 32), (200, 9 * k, 30)).save(photographs / f"c{k}.png")
    data = f"folder:{photographs}"
    done = bench("run", "--method", "gray", "--data", data, cwd=clone)
    assert done.returncode == 0, done.stderr
    assert (clone / "runs/results/folder-private/tiny/leaderboard.md").is_file()
    assert status(clone) == ""
    refused = bench("run", "--method", "gray", "--data", data, "--record", cwd=clone)
    assert refused.returncode == 2
    assert "a private folder stays out of the committed tables" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.pipeline
def test_a_run_with_other_settings_is_never_recorded(clone: Path) -> None:
    done = bench("run", *L2, "--set", "steps=3", "--record", cwd=clone)
    assert done.returncode == 2
    assert "--record with --set" in done.stderr
    assert not (clone / "models").exists()


@pytest.mark.slow
@pytest.mark.pipeline
def test_record_replaces_a_reference_and_its_tables(clone: Path) -> None:
    made = json.loads((clone / REFERENCE).read_text())
    edit(clone / REFERENCE, lambda content: content["metrics"].update(psnr=12.5))
    assert bench("run", *L2, cwd=clone).returncode == 0
    assert json.loads((clone / REFERENCE).read_text())["metrics"]["psnr"] == 12.5
    assert bench("evaluate", *L2, "--record", cwd=clone).returncode == 0
    assert json.loads((clone / REFERENCE).read_text())["metrics"] == made["metrics"]
    assert bench("leaderboard", "--check", cwd=clone).returncode == 0


@pytest.mark.pipeline
def test_reproduce_ends_with_a_verdict_for_each_cell(clone: Path) -> None:
    done = bench("reproduce", "--method", "l2,gray", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert [line.split()[3:5] for line in done.stdout.splitlines()[2:]] == [["same", "bits"]] * 2
    assert not (clone / "models").exists()  # it trains anew, in a folder of its own
    assert status(clone) == ""

    shift(clone / REFERENCE, 20)
    edit(clone / REFERENCE, lambda content: content["provenance"]["trained_on"].update(instruction_set="VSX"))
    done = bench("reproduce", "--method", "l2", cwd=clone)
    assert done.returncode == 1
    assert "trained already" in done.stderr  # nothing is done twice
    (line,) = done.stdout.splitlines()[2:]
    assert "outside" in line
    assert "another instruction set (VSX there, " in line


@pytest.mark.pipeline
def test_reproduce_measures_the_optional_metrics_of_a_row(clone: Path) -> None:
    place = "sample/tiny/gray/seed0.json"
    edit(clone / "results" / place, lambda content: content["run"].update(also=["lpips_vgg"]))
    done = bench("reproduce", "--method", "gray", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "--seed 0 --also lpips_vgg: same bits" in done.stderr
    [made] = clone.glob(f"runs/reproduce/**/{place}")
    assert "lpips_vgg" in read_result(made).metrics


@pytest.mark.slow
@pytest.mark.pipeline
def test_reproduce_goes_on_after_a_cell_that_fails(clone: Path) -> None:
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["presets"]["tiny"]["methods"]["l2"]["base_channels"] = -4
    (clone / "params.yaml").write_text(yaml.safe_dump(params))
    done = bench("reproduce", cwd=clone)
    assert done.returncode == 1
    kinds = {line.split()[0]: line for line in done.stdout.splitlines()[2:]}
    assert "same bits" in kinds["gray"]
    assert "not run" in kinds["cgan-resnet18"]
    assert "failed" in kinds["l2"]


@pytest.mark.pipeline
def test_reproduce_names_the_committed_rows(clone: Path) -> None:
    done = bench("reproduce", "--method", "l3", cwd=clone)
    assert done.returncode == 2
    assert "no committed row is of this choice; legal: " in done.stderr
    assert "l2 on sample/tiny" in done.stderr


@pytest.mark.pipeline
def test_a_damaged_reference_costs_no_run(clone: Path) -> None:
    (clone / REFERENCE).write_text("{")
    done = bench("run", *L2, cwd=clone)
    assert done.returncode == 0, done.stderr
    assert "cannot be compared with the committed row" in done.stderr


@pytest.mark.pipeline
def test_the_report_shows_own_rows_and_decides_claims_by_references(clone: Path) -> None:
    page = clone / "results/claims.md"
    assert bench("claims", cwd=clone).returncode == 0
    decided = page.read_bytes()
    done = bench("run", "--method", "cgan", "--data", "sample", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert bench("report", "-o", "out", cwd=clone).returncode == 0
    assert "cgan" in (clone / "out/index.html").read_text()
    assert bench("claims", cwd=clone).returncode == 0
    assert page.read_bytes() == decided
    listed = {record: Planner(read_params(clone), Workspace(clone), record) for record in (False, True)}
    cgan = Choice(methods=["cgan"])
    assert [planner.all(cgan)[0].why for planner in listed.values()] == [None, "no result"]  # there is no reference
    assert run_options(Resources(), record=True)[-1] == "--record"
    assert not (clone / "results/sample/tiny/cgan").exists()
