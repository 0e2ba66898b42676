"""Models trained on one data set are tested on another: `--test-on`, in a table of its own, under both sets' hashes."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import encoded, picture, write_files

from benchmark.contracts.config import read_params, resolve
from benchmark.contracts.dataset import MissingDataError
from benchmark.contracts.derived import transfer
from benchmark.contracts.registry import load_dataset
from benchmark.contracts.workspace import Workspace
from benchmark.data.prepared import Prepared, open_data
from benchmark.results.currency import Currency
from benchmark.support.errors import BenchError, InputError
from projects import TINY, bench, make_project

PARAMS: dict[str, Any] = copy.deepcopy(TINY)
PARAMS["presets"]["tiny"]["data"] |= {"kodak": {"image_size": 24}, "cbsd68": {"image_size": 24}}
PARAMS["entries"]["mean-color"] = {}
TABLE = "transfer-sample-tiny"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which l2, gray and mean-color were trained on the sample and tested on six photographs."""
    root = make_project(tmp_path_factory.mktemp("transfer"), PARAMS)
    files = {f"{n:02d}.png": encoded(picture(n, 48, 32), "PNG") for n in range(1, 7)}
    write_files(root / "data" / "downloads" / "kodak", files)
    for method in ("l2", "gray", "mean-color"):
        done = bench("run", "--method", method, "--data", "sample", "--test-on", "kodak", cwd=root)
        assert done.returncode == 0, done.stderr
    return root


def result(project: Path, method: str) -> dict[str, Any]:
    path = project / "runs" / "results" / "kodak" / TABLE / method / "seed0.json"
    return dict(json.loads(path.read_text()))


def prepared(project: Path, folder: str) -> Prepared:
    return Prepared.open(project / "data" / folder)


@pytest.mark.parametrize(("name", "count"), [("kodak", 24), ("cbsd68", 68)])
def test_a_test_set_has_no_other_split(name: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_DATA", raising=False)
    adapter = load_dataset(name)
    with pytest.raises(MissingDataError, match="get them from http"):
        adapter(adapter.Config(), tmp_path).items("test")
    noisy = {f"noisy25/{n:04d}.png": encoded(picture(90 + n), "PNG") for n in range(2)} if name == "cbsd68" else {}
    files = {f"original_png/{n:04d}.png": encoded(picture(n), "PNG") for n in range(1, 4)}
    write_files(tmp_path / name, files | noisy)
    listing = adapter(adapter.Config(), tmp_path).listing
    assert list(listing.splits) == ["test"]
    assert [item.id for item in listing.splits["test"]] == [f"{'kodim' * (name == 'kodak')}{n:04d}" for n in (1, 2, 3)]
    assert listing.note == f"3 of {count} photographs: to be compared with the same part only."


def test_whole_photographs_of_scikit_image_are_a_test_set_that_may_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = load_dataset("scikit-image")
    items = adapter(adapter.Config(image_size=16)).items("test")
    assert [item.id for item in items] == ["astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket"]
    assert items[2].source.load(16).shape == (16, 16, 3)
    assert "public domain" in adapter.licence
    monkeypatch.setattr("benchmark.datasets.scikit_image.PHOTOGRAPHS", ("lena.png",))
    with pytest.raises(MissingDataError, match=r"lena\.png not in .*reinstall scikit-image"):
        adapter(adapter.Config()).items("test")


def test_what_a_test_set_lacks_is_told(project: Path) -> None:
    kodak = prepared(project, "kodak-tiny")
    assert kodak.images("test").shape == (6, 24, 24, 3)
    assert not (kodak.folder / "ab_prior.npy").exists()
    for missing in (lambda: kodak.ab_prior, lambda: kodak.mean_ab, lambda: kodak.images("train"), kodak.info):
        with pytest.raises(BenchError, match="kodak is a test set without train split"):
            missing()
    done = bench("run", "--method", "gray", "--data", "kodak", cwd=project)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "write --data X --test-on kodak" in done.stderr
    shown = bench("data", "show", "kodak", "--json", cwd=project)
    assert json.loads(shown.stdout)["prepared"]["splits"]["test"]["images"] == 6
    assert bench("data", "verify", "kodak", cwd=project).returncode == 0


def test_a_transfer_is_a_table_of_its_own(project: Path) -> None:
    own = project / "runs" / "results"
    assert sorted(path.name for path in (own / "kodak").iterdir()) == [TABLE]
    assert not (own / "sample").exists()
    text = (own / "kodak" / TABLE / "leaderboard.md").read_text()
    assert "`l2`" in text
    assert "`gray`" in text
    found = result(project, "l2")
    assert found["status"] == "ok"
    assert found["images"] == 6
    note = found["provenance"]["config"]["data_note"]
    assert note.startswith("Trained on sample: mean color and p of auc_rebal are of its training split.")
    assert "6 of 24 photographs" in note


def test_the_identity_holds_both_data_sets(project: Path) -> None:
    sample, kodak = prepared(project, "sample-tiny"), prepared(project, "kodak-tiny")
    found = result(project, "l2")["provenance"]
    assert found["data_sha256"] == {**sample.sha256, "test": kodak.sha256["test"]}
    identity = found["identity"]
    assert identity["data_set"] == "sample"
    assert {split: identity["data"][split] for split in ("train", "test")} == {
        "train": sample.sha256["train"],
        "test": kodak.sha256["test"],
    }
    assert identity["settings"]["test"]["data_set"] == "kodak"
    assert identity["settings"]["test"]["image_size"] == 24
    params, space = read_params(project), Workspace(project)
    trained = resolve(params, method="l2", data="sample", preset="tiny")
    cell, currency = transfer(params, trained, "kodak"), Currency(params, space)
    assert currency.why_stale(cell) is None
    assert currency.why_stale(trained) == "no result"
    assert currency.identity(cell).key == currency.identity(trained).key  # the same model
    assert space.model(cell) == space.model(trained)
    by_name = resolve(params, method="l2", data="kodak", preset=TABLE)
    assert by_name == cell
    assert Currency(params, space).why_stale(resolve(params, method="l2", data="cbsd68", preset=TABLE)) == "no result"


def test_statistics_of_colors_are_those_of_the_training_split(project: Path) -> None:
    params, space = read_params(project), Workspace(project)
    cell = resolve(params, method="mean-color", data="kodak", preset=TABLE)
    both, sample = open_data(space, cell), prepared(project, "sample-tiny")
    assert both.mean_ab == sample.mean_ab
    assert both.info().mean_ab == sample.mean_ab
    np.testing.assert_array_equal(both.ab_prior, sample.ab_prior)
    assert both.ids("test") == prepared(project, "kodak-tiny").ids("test")
    assert both.ids("train") == sample.ids("train")
    assert both.labels("test") is None
    assert result(project, "mean-color")["metrics"]["psnr"] != result(project, "gray")["metrics"]["psnr"]


def test_a_second_run_finds_all_done_and_an_evaluation_alone_suffices(project: Path) -> None:
    done = bench("run", "--method", "l2", "--data", "kodak", "--preset", TABLE, cwd=project)
    assert "trained already" in done.stderr
    assert "scored already" in done.stderr
    done = bench("evaluate", "--method", "l2", "--data", "sample", "--on", "kodak", cwd=project)
    assert "scored already" in done.stderr


@pytest.mark.parametrize(
    ("data", "preset", "message"),
    [
        ("sample", TABLE, "the model is trained on it"),
        ("kodak", "transfer-nothing-tiny", "unknown preset"),
        ("kodak", "transfer-sample-none", "unknown preset"),
    ],
)
def test_what_is_no_transfer_is_refused(data: str, preset: str, message: str, project: Path) -> None:
    with pytest.raises(InputError, match=message):
        resolve(read_params(project), method="l2", data=data, preset=preset)
