"""`bench tune` tries as many values for every method, decides on validation by its rule, and params.yaml takes them."""

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import Field
from rich.console import Console

from benchmark.cli import main
from benchmark.contracts.config import Params, read_params, resolve, validate
from benchmark.contracts.method import MethodConfig
from benchmark.contracts.registry import load_method
from benchmark.contracts.result import ResultError, provenance
from benchmark.contracts.search import RATE, WEIGHT, Search, searched
from benchmark.contracts.tuning import (
    FIDELITY,
    REALISM,
    Range,
    Trial,
    Tuning,
    choose,
    read_tuning,
    score,
    tuning_path,
    write_tuning,
)
from benchmark.contracts.workspace import Workspace
from benchmark.running.stages import Context, training
from benchmark.running.tuning import Tuner, trial_cells, trial_jobs, trials, tunings_text
from benchmark.running.tuning.plan import settings_of
from benchmark.support.errors import BenchError, Diverged, InputError
from benchmark.support.interruption import Interrupted
from projects import REPOSITORY, TINY, make_project

SHA = "a" * 64
OF_ABLATIONS = (
    ("cgan", "encoder_rate"),
)  # acts in ablations alone, which have the settings of the family that they vary
GRAY = {"psnr": 24.0, "fd_judge": 12.0}

CHILD: dict[str, Any] = copy.deepcopy(TINY)
CHILD["entries"] |= {"eccv16": {}, "child": {"adapter": "gan-perceptual", "perceptual_weight": 0.0}}
CHILD["presets"]["tiny"]["methods"] |= {
    "eccv16": {"width": 0.05},
    "gan-perceptual": {"width": 0.05, "discriminator_channels": 4},
}


def context_of(project: Path) -> Context:
    console = Console(quiet=True)
    return Context(read_params(project), Workspace(project), console, torch.device("cpu"), workers=1)


def tiny_tuner(project: Path, method: str = "l2", count: int = 2) -> Tuner:
    context = context_of(project)
    names = {"method": method, "data": "sample", "preset": "tiny"}
    return Tuner(trial_cells(context.params, **names, seed=1000, trials=count), context)


# what is searched -----------------------------------------------------------------------------------------------------


class Tunable(MethodConfig):
    rate: Annotated[float, RATE] = Field(2e-4, gt=0)
    dropout: Annotated[float, Search(0.0, 0.5)] = 0.1
    fixed: float = 1.0


def test_a_kind_of_setting_is_searched_a_decade_to_either_side_of_its_default() -> None:
    found = searched(Tunable)
    assert list(found) == ["rate", "dropout"]
    assert found["rate"].low == pytest.approx(2e-5)
    assert found["rate"].high == pytest.approx(2e-3)
    assert found["rate"].log
    assert found["dropout"] == Search(0.0, 0.5)


@pytest.mark.parametrize(("low", "high", "log"), [(1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True)])
def test_an_empty_range_is_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(ValueError, match="not a range"):
        Search(low, high, log)


@pytest.mark.parametrize("adapter", ["l2", "classification", "eccv16", "cgan", "gan-perceptual", "house"])
def test_every_family_has_its_rates_searched_in_the_same_way(adapter: str) -> None:
    config = load_method(adapter).Config
    rates = [name for name in config.model_fields if name.endswith("_rate") and (adapter, name) not in OF_ABLATIONS]
    assert rates
    for name in rates:
        assert RATE in config.model_fields[name].metadata, f"{adapter}: {name} is not searched"
    if "l1_weight" in config.model_fields:
        assert WEIGHT in config.model_fields["l1_weight"].metadata


# which trials ---------------------------------------------------------------------------------------------------------


def planned(project: Path, count: int, seed: int = 1000) -> list[dict[str, float]]:
    params = read_params(project)
    names = {"method": "cgan", "data": "sample", "preset": "tiny"}
    return [settings_of(cell) for cell in trial_cells(params, **names, seed=seed, trials=count)]


def test_the_first_trial_has_the_papers_values_and_more_trials_begin_as_fewer_do(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    eight = planned(project, 8)
    paper = load_method("cgan").Config()
    assert eight[0] == {name: getattr(paper, name) for name in searched(type(paper))}
    assert len({json.dumps(one) for one in eight}) == 8
    assert planned(project, 4) == eight[:4] == planned(project, 4)
    assert planned(project, 4, seed=1)[1:] != eight[1:4]
    for name, space in searched(type(paper)).items():
        drawn = np.array([one[name] for one in eight])
        assert space.low <= drawn.min() < drawn.max() <= space.high
        halves = np.log(drawn[1:]) < np.log(space.low * space.high) / 2
        assert 2 <= halves.sum() <= 5, "the seven drawn points are spread evenly over the logarithm"


def test_a_method_that_declares_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    params = read_params(make_project(tmp_path))
    with pytest.raises(InputError, match="declares nothing to tune"):
        trial_cells(params, method="gray", data="sample", preset="tiny", seed=0, trials=8)


def test_jobs_of_other_trials_wait_for_the_first_which_trains_the_parents(tmp_path: Path) -> None:
    params = read_params(make_project(tmp_path))
    cells = trial_cells(params, method="cgan", data="sample", preset="tiny", seed=0, trials=4)
    first, *others = trial_jobs(cells, [1, 2, 3], ["--threads", "1"])
    assert first.after == ()
    assert all(job.after == (first.name,) for job in others)
    assert first.arguments[-4:] == ("--trial", "2", "--threads", "1")
    assert first.is_cell


# the rule -------------------------------------------------------------------------------------------------------------


def trial(psnr: float | None, fd: float = 0.0, rate: float = 1e-3) -> Trial:
    if psnr is None:
        return Trial(settings={"rate": rate}, reason="the loss is not finite")
    return Trial(settings={"rate": rate}, metrics={"psnr": psnr, "fd_judge": fd}, key=SHA, train_seconds=1.0)


def record_of(*made: Trial, chosen: float, method: str = "l2", seed: int = 1000) -> Tuning:
    return Tuning(
        protocol=1,
        method=method,
        adapter="l2",
        data="sample",
        preset="tiny",
        seed=seed,
        space={"learning_rate": Range(low=1e-4, high=1e-2, log=True)},
        images=12,
        realism="fd_judge",
        gray=GRAY,
        trials=[one.model_copy(update={"settings": {"learning_rate": one.settings["rate"]}}) for one in made],
        chosen={"learning_rate": chosen},
        provenance=provenance(["bench", "tune"], {}, config_hash=SHA, data_sha256={"val": SHA}),
    )


def test_the_score_is_0_for_gray_and_approaches_1_for_the_truth() -> None:
    assert score(GRAY, GRAY, "fd_judge") == 0
    assert score({"psnr": 100.0, "fd_judge": 0.0}, GRAY, "fd_judge") == pytest.approx(1)
    half = score({"psnr": 24.0 + 10 * np.log10(2), "fd_judge": 6.0}, GRAY, "fd_judge")
    assert half == pytest.approx(0.5), "half of the squared error and half of the distance are gone"


def test_neither_psnr_nor_realism_decides_alone() -> None:
    faithful, real, both = trial(25.0, 11.5, 1.0), trial(22.0, 3.0, 2.0), trial(24.8, 5.0, 3.0)
    assert choose([faithful, real, both], GRAY, "fd_judge") == both


def test_of_equal_trials_the_earlier_one_is_chosen_and_a_diverged_one_never() -> None:
    assert choose([trial(None, rate=1.0), trial(24.0, 5.0, 2.0), trial(24.0, 5.0, 3.0)], GRAY, "fd_judge") == trial(
        24.0, 5.0, 2.0
    )
    assert choose([trial(None)], GRAY, "fd_judge") is None


# the record -----------------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = record_of(trial(24.0, 9.0, 1e-3), trial(24.5, 8.0, 5e-3), chosen=5e-3)
    assert read_tuning(write_tuning(tmp_path, made)) == made


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("chosen", "learning_rate"), 1e-3, "but the rule chooses"),
        (("trials", 0, "metrics", "psnr"), 30.0, "but the rule chooses"),
        (("schema",), 2, "layout 2"),
        (("method",), "cgan", "not this place's"),
        (("gray", "psnr"), "24", "valid number"),
    ],
)
def test_an_edited_record_is_refused(tmp_path: Path, place: Sequence[Any], value: object, said: str) -> None:
    path = write_tuning(tmp_path, record_of(trial(24.0, 9.0, 1e-3), trial(24.5, 8.0, 5e-3), chosen=5e-3))
    content = json.loads(path.read_text())
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=said):
        read_tuning(path)


# params.yaml ----------------------------------------------------------------------------------------------------------


def settings(project: Path, *assignments: str, method: str = "l2", **methods: Any) -> dict[str, Any]:
    """Returns the resolved settings of a method with some `methods` sections in the preset."""
    params = copy.deepcopy(TINY)
    params["entries"] |= {
        "own-rate": {"adapter": "l2", "learning_rate": 7e-5},
        "own": {"adapter": "l2", "tuned": False},
    }
    params["presets"]["tiny"]["methods"] = methods
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    cell = resolve(read_params(project), method=method, data="sample", preset="tiny", assignments=assignments)
    return dict(cell.method_config)


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """Makes a project in which l2 was tuned on sample, and returns its folder."""
    made = record_of(trial(24.0, 9.0, 1e-3), trial(24.5, 8.0, 5e-3), chosen=5e-3)
    write_tuning(tmp_path / "results", made)
    return make_project(tmp_path)


def test_a_preset_takes_what_was_chosen_on_the_data_set(tuned: Path) -> None:
    assert settings(tuned, l2={"tuned": "l2"})["learning_rate"] == 5e-3
    here: dict[str, Any] = {"l2@sample": {"tuned": "l2"}}
    elsewhere: dict[str, Any] = {"l2@cifar10": {"tuned": "l2"}}
    assert settings(tuned, **here)["learning_rate"] == 5e-3
    assert settings(tuned, **elsewhere)["learning_rate"] == 2e-4
    assert settings(tuned, l2={"base_channels": 8})["learning_rate"] == 2e-4


def test_a_preset_takes_what_was_chosen_elsewhere(tuned: Path) -> None:
    (tuned / "results/sample").rename(tuned / "results/elsewhere")
    record = tuned / "results/elsewhere/tiny/tuning/l2.json"
    record.write_text(record.read_text().replace('"sample"', '"elsewhere"'))
    assert settings(tuned, l2={"tuned": "elsewhere/tiny/l2"})["learning_rate"] == 5e-3
    with pytest.raises(InputError, match="bench tune --method l2 --data elsewhere --preset small --record"):
        settings(tuned, l2={"tuned": "elsewhere/small/l2"})


def test_what_stands_beside_or_after_it_goes_first(tuned: Path) -> None:
    take: dict[str, Any] = {"l2": {"tuned": "l2", "base_channels": 8}}
    assert settings(tuned, method="own-rate", **take)["learning_rate"] == 7e-5
    assert settings(tuned, method="own", **take) == settings(tuned, l2={"base_channels": 8}), "tuned: false"
    assert settings(tuned, "learning_rate=0.5", **take)["learning_rate"] == 0.5
    assert settings(tuned, l2={"tuned": "l2", "learning_rate": 1e-6})["learning_rate"] == 1e-6


def test_the_chosen_values_are_part_of_the_identity(tuned: Path) -> None:
    from benchmark.results.currency import Currency

    keys = []
    for methods in ({}, {"l2": {"tuned": "l2"}}, {"l2": {"learning_rate": 5e-3}}):
        settings(tuned, **methods)
        params = read_params(tuned)
        cell = resolve(params, method="l2", data="sample", preset="tiny")
        keys.append(Currency(params, Workspace(tuned)).identity(cell).key)
    assert keys[0] != keys[1] == keys[2], "the values count, wherever they come from"


def test_a_tuning_that_is_missing_or_no_name_is_said_in_one_line(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with pytest.raises(InputError, match=r"bench tune --method l2 --data sample --preset tiny --record"):
        settings(project, l2={"tuned": "l2"})
    for wrong in ("../x", "a/b", "a/b/../x", "", 1):
        with pytest.raises(InputError, match="tuned: the name of a tuned entry"):
            validate(Params, {**TINY, "entries": {"l2": {"tuned": wrong}}}, "params.yaml")


# trials ---------------------------------------------------------------------------------------------------------------


def test_trials_train_once_and_what_was_finished_before_a_kill_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path)
    trained: list[str] = []
    real = trials.train_cell

    def counted(cell: Any, context: Context) -> Path:
        if len(trained) == 1:
            trained.append("killed")
            raise Interrupted("stopped", 15)
        trained.append(cell.name)
        return real(cell, context)

    monkeypatch.setattr(trials, "train_cell", counted)
    tuner = tiny_tuner(project)
    first = tuner.trial(0)
    with pytest.raises(Interrupted):
        tuner.trial(1)
    again = tiny_tuner(project)
    assert again.pending == [1]
    made = again.record([again.trial(number) for number in range(2)])
    assert len(trained) == 3
    assert made.trials[0] == first
    assert made.chosen in [one.settings for one in made.trials]
    assert read_tuning(write_tuning(project / "results", made)) == made
    assert tiny_tuner(project, count=3).pending == [2], "more trials keep those that are done"
    shutil.rmtree(project / "runs/results")
    assert tiny_tuner(project, count=3).pending == [2], "and so they do where only the committed record is"


def test_gray_is_scored_once_for_all_columns_and_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[None] = []
    real = trials._score_gray
    monkeypatch.setattr(trials, "_score_gray", lambda *given: scored.append(real(*given)))
    project = make_project(tmp_path)
    first = tiny_tuner(project)
    second = Tuner(first.cells, first.context, beside=first)
    assert len(scored) == 1
    assert first.realism != REALISM[0], "no judge of these images: an earlier column was not to be had"
    assert (second.realism, second.gray) == (first.realism, first.gray)
    assert first.gray.keys() == {FIDELITY, first.realism, "colorfulness"}


def test_the_validation_split_decides_and_nothing_looks_at_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = trials.evaluate

    def watched(method: Any, images: np.ndarray, **options: Any) -> Any:
        seen.append(images)
        return real(method, images, **options)

    monkeypatch.setattr(trials, "evaluate", watched)
    tuner = tiny_tuner(make_project(tmp_path), count=1)
    made = tuner.record([tuner.trial(0)])
    assert len(seen) == 1
    assert np.array_equal(seen[0], tuner.prepared.images("val"))
    assert made.images == len(seen[0])
    assert made.gray["psnr"] != made.trials[0].metrics["psnr"]


@pytest.mark.slow
def test_a_parent_is_trained_once_for_all_trials_which_go_on_behind_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    real = training.fit

    def noted(*given: Any, start: int, **more: Any) -> Any:
        starts.append(start)
        return real(*given, start=start, **more)

    monkeypatch.setattr(training, "fit", noted)
    project = make_project(tmp_path, CHILD)
    tuner = tiny_tuner(project, "child", 2)
    tuner.trial(0)
    parents = sorted((project / "models").rglob("eccv16/*/training.json"))
    before = [path.stat().st_mtime_ns for path in parents]
    tuner.trial(1)
    assert len(parents) == 1
    assert [path.stat().st_mtime_ns for path in sorted((project / "models").rglob("eccv16/*/training.json"))] == before
    first = tuner.cells[0].training
    assert starts == [0, first.steps * first.batch_size, first.steps * first.batch_size]


def test_a_diverged_trial_is_an_outcome_and_any_other_failure_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with(error: BenchError) -> None:
        def fail(cell: Any, context: Context) -> Path:
            raise error

        monkeypatch.setattr(trials, "train_cell", fail)

    tuner = tiny_tuner(make_project(tmp_path))
    fail_with(BenchError("the disk is full"))
    with pytest.raises(BenchError, match="disk is full"):
        tuner.trial(0)
    fail_with(Diverged("the loss is not finite"))
    outcome = tuner.trial(0)
    assert outcome.reason == "the loss is not finite"
    assert not outcome.metrics
    assert tuner.pending == [1]
    with pytest.raises(BenchError, match="every trial diverged"):
        tuner.record([outcome, outcome])


# what is said ---------------------------------------------------------------------------------------------------------


def test_the_table_shows_papers_and_chosen_values_and_says_what_is_not_equal(tmp_path: Path) -> None:
    assert tunings_text(tmp_path) == "nothing is tuned yet"
    write_tuning(tmp_path, record_of(trial(24.0, 9.0, 1e-3), trial(24.5, 8.0, 5e-3), chosen=5e-3))
    write_tuning(tmp_path, record_of(trial(24.0, 9.0, 1e-3), chosen=1e-3, method="other"))
    text = tunings_text(tmp_path)
    line = next(line for line in text.splitlines() if line.startswith("l2"))
    shown = score({"psnr": 24.5, "fd_judge": 8.0}, GRAY, "fd_judge")
    assert line.split()[:6] == ["l2", "2", "learning_rate", "0.001", "0.005", f"{shown:.3f}"]
    assert "NOT EQUAL: numbers of trials: l2 2, other 1" in text
    assert tunings_text(tmp_path, ["cifar10"]) == "nothing is tuned yet"


def test_the_page_shows_the_committed_tunings() -> None:
    shown = tunings_text(REPOSITORY / "results", ["cifar10"], "quick")
    assert "\n".join(map(str.rstrip, shown.splitlines())) in (REPOSITORY / "docs/tuning.md").read_text()


def test_the_command_says_what_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(make_project(tmp_path))
    run = CliRunner().invoke
    assert "nothing is tuned yet" in run(main, ["tune", "--show"]).output
    assert "needs --method and --data" in run(main, ["tune"]).output
    legal = run(main, ["tune", "--method", "l2", "--data", "sample", "--trial", "9"]).output
    assert "there are 8 trials; legal: 1 to 8" in legal
    several = run(main, ["tune", "--method", "l2", "--data", "sample", "--devices", "2"]).output
    assert "--over-ray runs several at once" in several
    gpus = run(main, ["tune", "--method", "l2", "--data", "sample", "--gpus-per-cell", "2"]).output
    assert "--gpus-per-cell: a trial is trained by one process; legal: 0 to 1" in gpus


def test_where_a_tuning_lies_is_no_place_of_result_rows() -> None:
    from benchmark.contracts.result import Run, result_path

    run = Run(method="l2", adapter="l2", data="sample", preset="tiny", seed=0)
    assert tuning_path(Path("results"), "sample", "tiny", "l2").name != result_path(Path("results"), run).name
    assert not tuning_path(Path("results"), "sample", "tiny", "l2").match("seed*.json")
