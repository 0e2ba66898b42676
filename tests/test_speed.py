"""`bench speed` counts, compares and prints what it should."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from data_files import photographs, picture, write_files
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from benchmark.cli import main
from benchmark.contracts.config import Cell, read_params, resolve
from benchmark.contracts.method import Batch, Method, Update
from benchmark.contracts.registry import load_method
from benchmark.data.batches import Batches
from benchmark.data.color import rgb_to_lab
from benchmark.running.conformance import build, make_trainer, tiny_batch, tiny_info
from benchmark.running.stages import Context, prepare_data
from benchmark.speed.flops import peak_flops, peak_of, training_flops
from benchmark.speed.loops import Clock, OurLoop, PlainLoop
from benchmark.speed.measure import PhaseSpeed, Plan, Report, Speed, measure_loops, over_phases
from benchmark.speed.originals import image_files, write_jpegs
from benchmark.speed.plain import ImageFiles, PlainTraining
from benchmark.speed.show import as_json, as_text
from projects import TINY, make_project

CPU = torch.device("cpu")
SIZE, IMAGES, BATCH = 16, 24, 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project beside a folder `photographs` with JPEG files of 40×32."""
    folder = tmp_path_factory.mktemp("speed")
    write_files(folder / "photographs", photographs(IMAGES))
    preset = TINY["presets"]["tiny"]
    params = {**TINY, "presets": {"tiny": {**preset, "data": {"folder": {"image_size": SIZE}}}}}
    return make_project(folder / "project", params)


def cell_of(project: Path, method: str) -> tuple[Cell, Context]:
    from rich.console import Console

    from benchmark.contracts.workspace import Workspace

    params = read_params(project)
    cell = resolve(params, method=method, data=f"folder:{project.parent / 'photographs'}", preset="tiny")
    return cell, Context(params, Workspace(project), Console(quiet=True), CPU)


# Counting. ------------------------------------------------------------------------------------------------------------


class OneLayer(Method):
    """Two 3×3 convolutions, from 1 to 2 channels and from 2 to 2, whose operations can be counted by hand."""

    name = "one-layer"

    def __init__(self) -> None:
        super().__init__(None, tiny_info())
        self.first = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.second = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.colorizer = nn.Sequential(self.first, self.second)

    def optimizers(self, phase: str) -> dict[str, Optimizer]:
        return {"first": SGD(self.first.parameters(), 0.1), "second": SGD(self.second.parameters(), 0.1)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        for optimizer in self.optimizers(phase):
            yield Update(optimizer, self.colorizer(batch.L).square().mean())

    def predict_ab(self, L: Tensor) -> Tensor:
        return self.colorizer(L)


def test_flops_of_a_known_network() -> None:
    batch = tiny_batch(3)
    pixels = batch.L[0].numel()
    first, second = (2 * 9 * channels * 2 * pixels for channels in (1, 2))  # operations of one pass through each layer
    # Update "first" runs both layers forward, then back through the second to its input and to the first's weights.
    # Update "second" runs both layers forward, then back to the second one's weights.
    method = OneLayer()
    assert training_flops(method, batch, "train") == (first + second + second + first) + (first + second + second)
    assert all(p.grad is None for p in method.parameters())


def test_peak_is_known_of_some_gpus_and_of_none_else() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3", "bf16") == 989e12
    assert peak_of("NVIDIA H100 PCIe", "bf16") == 756e12
    assert peak_of("NVIDIA A100-SXM4-40GB", "fp32") == 19.5e12
    for name in ("NVIDIA A10G", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GeForce RTX 4090"):
        assert peak_of(name, "bf16") == f"peak of {name} not known"
    assert peak_flops(CPU, "fp32") == "peak known of GPUs only"


class FakeTime:
    """A stand-in for `time.perf_counter` that moves only when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class Sleeper:
    """A loop whose batches and steps take a known time."""

    def __init__(self, fake: FakeTime, data: float, step: float) -> None:
        self.clock = Clock(CPU)
        self.make_batch = lambda: fake.pass_by(data)
        self.step = lambda: fake.pass_by(step)

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def train(self) -> None:
        self.clock.measure(self.make_batch)
        self.step()


def nearly(data: float, step: float, training: float, waiting: float) -> Any:
    return pytest.approx((data, step, training, waiting))


def test_rates_and_waiting_of_a_slow_source(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(monkeypatch)
    loops = [Sleeper(fake, 0.03, 0.01), Sleeper(fake, 0.01, 0.03)]
    slow, quick = measure_loops(loops, 8, CPU, Plan(rounds=2, steps=6))
    assert astuple(slow) == nearly(8 / 0.03, 8 / 0.01, 8 / 0.04, 0.75)
    assert astuple(quick) == nearly(8 / 0.01, 8 / 0.03, 8 / 0.04, 0.25)


def test_our_loop_waits_for_a_slow_source(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, context = cell_of(project, "l2")
    prepared = prepare_data(cell, context)
    batches = Batches(prepared.images("train"), BATCH, 0, CPU)
    loop = OurLoop(cell, prepared, context, batches, "train")
    fake, train_step = FakeTime(monkeypatch), loop.trainer.train_step

    def late_batches(step: int) -> Batch:
        fake.pass_by(0.03)
        return batches(step)

    def timed_step() -> None:
        train_step()
        fake.pass_by(0.01)

    monkeypatch.setattr(loop, "batches", late_batches)
    monkeypatch.setattr(loop.trainer, "train_step", timed_step)
    [speed] = measure_loops([loop], BATCH, CPU, Plan(rounds=1, seconds=0.3, steps=10))
    assert astuple(speed) == nearly(BATCH / 0.03, BATCH / 0.01, BATCH / 0.04, 0.75)
    assert loop.trainer.history  # losses are read as in a real training


def test_phases_follow_one_another() -> None:
    quick, slow = Speed(400.0, 300.0, 200.0, 0.5), Speed(400.0, 150.0, 100.0, 0.1)
    both = over_phases([(0.5, quick), (0.5, slow)])
    assert both.data == pytest.approx(400)
    assert both.step == pytest.approx(200)
    assert both.training == pytest.approx(2 / (1 / 200 + 1 / 100))
    assert both.waiting == pytest.approx((0.5 / 200 + 0.1 / 100) / (1 / 200 + 1 / 100))
    assert over_phases([(0.7, slow)]).waiting == pytest.approx(0.1)


# The plain loop. ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "phase"), [("l2", "train"), ("cgan", "adversarial"), ("classification", "train")])
def test_plain_loop_has_the_same_first_losses_and_gradients(name: str, phase: str, tmp_path: Path) -> None:
    adapter = load_method(name)
    narrow: dict[str, Any] = {"base_channels": 4} | ({"discriminator_channels": 4} if name == "cgan" else {})
    ours, plain = (build(adapter, adapter.Config(**narrow)) for _ in range(2))
    trainer = make_trainer(ours.to(memory_format=torch.channels_last), 4, tmp_path, log_every=1)
    batch = trainer.batches(0)
    trainer.train_step()
    losses = PlainTraining(plain, phase).step(batch)
    assert losses == pytest.approx({key: trainer.history[0][f"{key}_loss"] for key in losses}, rel=1e-4)
    moved = dict(ours.named_parameters())
    for key, weight in plain.named_parameters():
        torch.testing.assert_close(moved[key], weight, rtol=0, atol=1e-4)


def test_plain_loop_reads_losses_every_twentieth_step() -> None:
    adapter = load_method("l2")
    training = PlainTraining(build(adapter, adapter.Config.model_validate({"base_channels": 2})), "train")
    read = [bool(training.step(tiny_batch(2))) for _ in range(22)]
    assert [step for step, some in enumerate(read) if some] == [0, 20]


def test_plain_files_are_the_images_of_the_protocol(tmp_path: Path) -> None:
    image = picture(0, SIZE, SIZE)
    Image.fromarray(image).save(tmp_path / "same.png")
    L, ab = ImageFiles([tmp_path / "same.png"], SIZE, flip=False)[0]
    wanted_L, wanted_ab = rgb_to_lab(torch.from_numpy(image)[None])
    torch.testing.assert_close(L, wanted_L[0], rtol=0, atol=1e-3)
    torch.testing.assert_close(ab, wanted_ab[0], rtol=0, atol=1e-3)


def test_plain_files_are_resized_cropped_and_mirrored(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 40, 32)).save(tmp_path / "larger.png")
    plain = ImageFiles([tmp_path / "larger.png"], SIZE, flip=False)[0][0]
    assert plain.shape == (1, SIZE, SIZE)
    torch.manual_seed(0)
    seen = [ImageFiles([tmp_path / "larger.png"], SIZE, flip=True)[0][0] for _ in range(8)]
    assert {torch.equal(L, plain) for L in seen} == {True, False}
    assert all(torch.equal(L, plain) or torch.equal(L, plain.flip(-1)) for L in seen)


def test_files_are_the_originals_or_written(project: Path, tmp_path: Path) -> None:
    cell, context = cell_of(project, "l2")
    prepared = prepare_data(cell, context)
    dataset = cell.dataset_class(cell.data_config, cell.data_path)
    paths, about = image_files(dataset, prepared, tmp_path)
    assert len(paths) == len(prepared.ids("train"))
    assert {path.parent for path in paths} == {cell.data_path}
    assert about == f"the data set's own {len(paths)} files"
    images = prepared.images("train")[:3]
    written = write_jpegs(images, tmp_path / "written")
    assert [np.asarray(Image.open(path)).shape for path in written] == [(SIZE, SIZE, 3)] * 3


def test_settings_of_our_loop_do_not_outlast_it(project: Path) -> None:
    cell, context = cell_of(project, "l2")
    prepared = prepare_data(cell, context)
    ours = OurLoop(cell, prepared, context, Batches(prepared.images("train"), BATCH, 0, CPU), "train")
    plain = PlainLoop(cell, prepared, context, sorted((project.parent / "photographs").iterdir()), "train")
    before = torch.are_deterministic_algorithms_enabled()
    with ours.running():
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before
    with plain.running():
        assert plain.make_batch().L.shape == (BATCH, 1, SIZE, SIZE)
    assert not hasattr(plain, "iterator")  # its workers end with it


def test_plain_batches_are_whole_where_files_are_few(project: Path) -> None:
    cell, context = cell_of(project, "l2")
    paths = sorted((project.parent / "photographs").iterdir())[:3]
    plain = PlainLoop(cell, prepare_data(cell, context), context, paths, "train")
    assert len(plain.fixed.L) == BATCH


# What is printed. -----------------------------------------------------------------------------------------------------


def report_of(**changes: Any) -> Report:
    """Returns a report with round figures."""
    ours, plain = Speed(9000.0, 500.0, 480.0, 0.01), Speed(300.0, 250.0, 160.0, 0.2)
    whole = Report(
        cell="cgan on sample",
        image_size=256,
        batch_size=16,
        precision="bf16",
        compiled=True,
        deterministic=False,
        device="a GPU",
        files="40 files",
        phases=(PhaseSpeed("train", 1.0, ours, plain, 1e12),),
        ours=ours,
        plain=plain,
        evaluation=75.25,
        flops=1e12,
        peak_flops=960e12,
        peak_note=None,
        memory=12_345_678_901,
        plain_memory=20_000_000_000,
    )
    return replace(whole, **changes)


def test_text_of_a_report() -> None:
    lines = as_text(report_of()).splitlines()
    assert lines[1] == "256×256, batch 16, bf16, compiled; a GPU"
    assert [line.split() for line in lines if line.startswith("training")] == [
        ["training", "(images/s)", "480", "160", "3.00×"]
    ]
    assert [line.split()[-4:] for line in lines if line.startswith("waiting")] == [["1.0", "%", "20.0", "%"]]
    assert [line.split()[-4:] for line in lines if line.startswith("peak memory")] == [["12.35", "GB", "20.00", "GB"]]
    assert lines[-1] == "model FLOP utilization of the training: 50.0 % of 960 TFLOP/s"
    unknown = as_text(report_of(peak_flops=None, peak_note="peak of a GPU not known"))
    assert unknown.splitlines()[-1] == "model FLOP utilization: n/a, peak of a GPU not known"


def test_json_of_a_report() -> None:
    content = json.loads(json.dumps(as_json(report_of())))
    assert content["ratios"] == {"data": 30.0, "step": 2.0, "training": 3.0}
    assert (content["utilization"], content["flops_per_second"]) == (0.5, 5e14)
    assert as_json(report_of(plain=None, files=None))["ratios"] is None


def run(project: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.chdir(project)
    data = f"folder:{project.parent / 'photographs'}"
    return CliRunner().invoke(main, ["speed", "--data", data, "--threads", str(torch.get_num_threads()), *arguments])


@pytest.mark.slow
def test_command_prints_a_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(project, monkeypatch, "--method", "cgan", "--rounds", "1", "--steps", "1", "--seconds", "0.1")
    assert done.exit_code == 0, done.output
    for label in ("data alone (images/s)", "step alone (images/s)", "training (images/s)", "evaluation (images/s)"):
        assert label in done.output
    for label in ("waiting for data", "GFLOP/s", "peak memory", "pretrain (50 % of the steps)", "the data set's own"):
        assert label in done.output


@pytest.mark.slow
def test_command_gives_json(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ("--batch-size", "3", "--image-size", "20", "--precision", "bf16")
    done = run(
        project, monkeypatch, "--method", "l2", "--json", "--rounds", "1", "--steps", "1", "--seconds", "0.1", *sizes
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["batch_size"], report["image_size"], report["precision"]) == (3, 20, "bf16")
    assert report["ratios"]["training"] == pytest.approx(report["ours"]["training"] / report["plain"]["training"])
    assert set(report["ratios"]) == {"data", "step", "training"}
    assert report["flops_per_second"] == pytest.approx(report["flops"] * report["ours"]["step"])
    assert report["utilization"] is None
    assert report["peak_note"] == "peak known of GPUs only"
    assert report["memory"] > 1 << 20
    assert [phase["name"] for phase in report["phases"]] == ["train"]


def test_command_without_the_plain_loop(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(
        project, monkeypatch, "--method", "l2", "--no-plain", "--rounds", "1", "--steps", "1", "--seconds", "0.1"
    )
    assert done.exit_code == 0, done.output
    assert "×\n" not in done.output
    assert "Pillow" not in done.output


def test_a_baseline_has_nothing_to_measure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(project, monkeypatch, "--method", "gray")
    assert done.exit_code == 2
    assert "gray is not trained" in done.output


def test_several_devices_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(project, monkeypatch, "--devices", "2")
    assert done.exit_code == 2
    assert "bench speed measures one process" in done.output
