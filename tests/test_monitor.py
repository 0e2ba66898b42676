"""A training shows curves in TensorBoard, validation rows in its history, the same pictures again, and plain lines."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData  # type: ignore[import-untyped]

from benchmark.cli import main
from benchmark.contracts.method import Method
from benchmark.contracts.registry import load_method
from benchmark.running import loggers, monitor
from benchmark.running.conformance import build, make_trainer, tiny_images
from benchmark.running.loggers import LOGGERS
from benchmark.running.monitor import TrainingMonitor
from benchmark.scoring.metrics.pixels import colorfulness
from benchmark.training.progress import Outcome, curves_of
from projects import make_project

CPU = torch.device("cpu")
STEPS, VALIDATE_EVERY = 12, 4


def make_method(name: str = "cgan") -> Method:
    adapter = load_method(name)
    small = {"cgan": {"base_channels": 4, "discriminator_channels": 4, "pretrain_share": 0.5}}
    return build(adapter, adapter.Config(**small.get(name, {})))


def prepared_in(folder: Path, name: str = "sample") -> Any:
    """Returns as much of a prepared data set as a monitor needs: 8 validation images with labels."""
    return SimpleNamespace(
        images=lambda split: tiny_images()[:8],
        folder=folder,
        ids=lambda split: list(range(8)),
        labels=lambda split: np.zeros(8, np.int64),
        meta=SimpleNamespace(name=name),
        sha256={"val": "0" * 64},
        ab_prior=np.full(313, 1 / 313),
    )


def train(
    folder: Path,
    console: Console,
    steps: int = STEPS,
    method: Method | None = None,
    data: str = "sample",
    described: dict[str, Any] | None = None,
    logger: str | None = None,
    **settings: Any,
) -> Outcome:
    """Trains a method, by default a tiny conditional GAN, under a monitor."""
    method = method or make_method()
    trainer = make_trainer(
        method,
        steps,
        folder / "run",
        log_every=1,
        **{"validate_every": VALIDATE_EVERY, "validation_images": 6} | settings,
    )
    with TrainingMonitor(
        method,
        prepared_in(folder / "data" / f"{data}-tiny", data),
        folder / "run",
        title="cgan on sample",
        batch_size=4,
        validation_images=6,
        device=CPU,
        console=console,
        settings=described or {},
        logger=logger,
    ) as watching:
        trainer.monitor = watching
        return trainer.run()


def quiet() -> Console:
    return Console(file=io.StringIO())


def validations(outcome: Outcome) -> list[dict[str, Any]]:
    return [dict(row) for row in outcome.history if "val_psnr" in row]


def test_history_and_tensorboard_have_everything_that_the_protocol_follows(tmp_path: Path) -> None:
    outcome = train(tmp_path, quiet())
    logged = {name for row in outcome.history for name in row}
    assert {
        "generator_loss",
        "generator_gradient_norm",
        "generator_learning_rate",
        "discriminator_loss",
        "discriminator_accuracy",
        "val_psnr",
        "val_ssim",
        "val_auc",
    } <= logged
    assert [row["step"] for row in validations(outcome)] == [4, 8, 12]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    wanted = {"accuracy/discriminator", "learning rate/generator", "loss/generator", "validation/PSNR"}
    assert wanted <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("validation/PSNR")] == [4, 8, 12]
    assert [event.step for event in events.Images(tags["images"][0])] == [4, 8, 12]


def test_settings_are_hparams_beside_the_validations_scores(tmp_path: Path) -> None:
    train(tmp_path, quiet(), described={"method": "cgan", "training": {"steps": 12, "flip": True, "crop": None}})
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    kept = events.SummaryMetadata
    told = {
        tag: HParamsPluginData.FromString(kept(tag).plugin_data.content) for tag in events.PluginTagToContent("hparams")
    }
    started = told["_hparams_/session_start_info"].session_start_info.hparams
    assert {name: value.WhichOneof("kind") for name, value in started.items()} == {
        "method": "string_value",
        "training.steps": "number_value",
        "training.flip": "number_value",  # torch counts truth values among the numbers
    }
    compared = {info.name.tag for info in told["_hparams_/experiment"].experiment.metric_infos}
    assert compared <= set(events.Tags()["scalars"])
    assert "validation/PSNR" in compared


class Recorder:
    """A stand-in for the packages `wandb` and `mlflow`, which are no part of ours: it keeps every call."""

    def __init__(self, kept: list[tuple[str, tuple[Any, ...], dict[str, Any]]], name: str = "") -> None:
        self._kept, self._name = kept, name

    def __getattr__(self, name: str) -> "Recorder":
        return Recorder(self._kept, f"{self._name}.{name}".lstrip("."))

    def __call__(self, *arguments: Any, **named: Any) -> "Recorder":
        self._kept.append((self._name, arguments, named))
        return self


@pytest.mark.parametrize("logger", LOGGERS)
def test_one_more_program_gets_the_same_curves_settings_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: str
) -> None:
    kept: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setitem(sys.modules, logger, Recorder(kept))
    train(tmp_path, quiet(), described={"method": "cgan"}, logger=logger)
    told = repr(kept)
    for name in (
        "loss/generator",
        "accuracy/discriminator",
        "validation/PSNR",
        "gray, output, truth",
        "cgan on sample",
    ):
        assert name in told
    assert "'method': 'cgan'" in told or "'method', 'cgan'" in told
    assert kept[-1][0].endswith(("finish", "set_terminated"))


def test_a_program_that_is_not_installed_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    monkeypatch.chdir(make_project(tmp_path))
    done = CliRunner().invoke(main, ["train", "--method", "l2", "--data", "sample", "--wandb"])
    assert done.exit_code == 1
    assert done.stderr == (
        "bench: error: --wandb needs the package wandb, which is no part of ours: pip install wandb\n"
    )


def test_the_judges_distance_and_colorfulness_are_followed_where_there_is_a_judge(tmp_path: Path) -> None:
    curves = curves_of(train(tmp_path, quiet(), data="cifar10").history, 4, 6)
    assert curves is not None
    assert curves.images == (16, 32, 48)
    assert curves.distance_metric == "kid_judge"  # Fréchet's has no value of few images
    assert curves.distance is not None
    assert all(value > 0 for value in curves.distance)
    truth = colorfulness(torch.from_numpy(tiny_images()[[0, 1, 3, 4, 6, 7]]).permute(0, 3, 1, 2).float())
    assert curves.colorfulness_truth == pytest.approx(float(truth.mean()), rel=1e-4)
    kept = {path.name.split("-")[-2] for path in (tmp_path / "data" / ".features").iterdir()}
    assert kept == {"truth", "grays"}  # computed once for all trainings on this data
    again = curves_of(train(tmp_path, quiet(), data="cifar10").history, 4, 6)
    assert again == curves
    unjudged = curves_of(train(tmp_path / "unjudged", quiet()).history, 4, 6)
    assert unjudged == curves.model_copy(update={"distance": None, "distance_metric": None})


def test_validation_changes_no_bit_of_a_training(tmp_path: Path) -> None:
    often, never = make_method(), make_method()
    train(tmp_path / "often", quiet(), method=often, data="cifar10", validate_every=1)
    make_trainer(never, STEPS, tmp_path / "never", validate_every=1000).run()
    assert all(torch.equal(value, never.state_dict()[name]) for name, value in often.state_dict().items())


def test_the_same_images_are_shown_at_every_validation(tmp_path: Path) -> None:
    train(tmp_path, quiet())
    pictures = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "run" / "pictures").iterdir())]
    assert len(pictures) == STEPS / VALIDATE_EVERY
    size = tiny_images().shape[1]
    gray, truth = slice(0, size), slice(-size, None)
    for picture in pictures[1:]:
        assert np.array_equal(picture[gray], pictures[0][gray])
        assert np.array_equal(picture[truth], pictures[0][truth])
    assert np.ptp(pictures[0][gray], axis=2).max() == 0


def test_a_file_gets_plain_lines_and_a_terminal_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "PLAIN_SECONDS", 0.0)
    plain, terminal = Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True, width=200)
    train(tmp_path / "plain", plain)
    train(tmp_path / "terminal", terminal)
    lines = plain.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in lines
    assert "\r" not in lines
    assert "step 12/12" in lines
    drawn = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" in drawn
    assert "left" in drawn
