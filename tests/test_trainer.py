"""The loop resumes exactly, and handles phases, interruption, damage, non-finite losses and folders in use."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.contracts.method import Batch, DataInfo, Method, MethodConfig, Phase, Update
from benchmark.contracts.registry import load_method
from benchmark.contracts.schedules import linear_decay, steps, warm_up
from benchmark.running.conformance import build, make_trainer, tiny_info
from benchmark.support.errors import BenchError, Diverged
from benchmark.support.interruption import REQUEUE, Interrupted, exclusive
from benchmark.training import checkpoint
from benchmark.training.checkpoint import (
    GENERATIONS,
    load_checkpoint,
    load_model,
    save_checkpoint,
    save_model,
    stale_checkpoints,
)
from benchmark.training.distributed import Ranks
from benchmark.training.progress import Monitor, Row, write_history
from benchmark.training.trainer import phase_bounds, step_seed

CGAN = {"base_channels": 4, "discriminator_channels": 4, "pretrain_share": 0.5, "dropout": 0.5}


def make_cgan(seed: int = 0) -> Method:
    adapter = load_method("cgan")
    return build(adapter, adapter.Config(**CGAN), seed)


def weights(method: Method) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The weights of a conditional GAN trained in one go, with dropout, two phases and averaged weights."""
    method = make_cgan()
    make_trainer(method, 12, tmp_path_factory.mktemp("whole"), ema_decay=0.9).run()
    return weights(method)


@pytest.mark.parametrize("stops", [(1,), (5,), (6,), (7,), (11,), (2, 3, 6, 9)])
def test_resumed_anywhere_equals_uninterrupted(
    stops: tuple[int, ...], tmp_path: Path, whole: dict[str, Tensor]
) -> None:
    for stop in stops:
        trainer = make_trainer(make_cgan(seed=stop), 12, tmp_path, ema_decay=0.9)
        if stop == stops[0]:
            trainer = make_trainer(make_cgan(), 12, tmp_path, ema_decay=0.9)
        trainer.resume()
        while trainer.step < stop:
            trainer.train_step()
        trainer.save()
        trainer.writer.close()
    last = make_cgan(seed=99)
    outcome = make_trainer(last, 12, tmp_path, ema_decay=0.9).run()
    assert same(weights(last), whole)
    assert [row["step"] for row in outcome.history] == sorted(int(row["step"]) for row in outcome.history)


def test_averaged_weights_are_what_is_left(whole: dict[str, Tensor], tmp_path: Path) -> None:
    method = make_cgan()
    make_trainer(method, 12, tmp_path).run()
    assert not same(weights(method), whole)


def test_no_weight_depends_on_what_memory_held_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(filled: bool) -> dict[str, Tensor]:
        monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", filled)
        make_trainer(method := make_cgan(), 8, tmp_path / str(filled)).run()
        return weights(method)

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # which fills memory with NaN, unless told not to
    try:
        assert same(train(filled=True), train(filled=False))
    finally:
        torch.use_deterministic_algorithms(before)


class Looking(Monitor):
    """A monitor that keeps the colorizer's weights at each validation."""

    def __init__(self, method: Method) -> None:
        self.colorizer = method.colorizer
        self.seen: list[dict[str, Tensor]] = []

    def validate(self, step: int) -> Row:
        self.seen.append({name: value.clone() for name, value in self.colorizer.state_dict().items()})
        return {}


def test_what_is_validated_is_what_is_saved(whole: dict[str, Tensor], tmp_path: Path) -> None:
    method = make_cgan()
    trainer = make_trainer(method, 12, tmp_path, ema_decay=0.9, validate_every=3)
    looking = trainer.monitor = Looking(method)
    trainer.run()
    assert len(looking.seen) == 4
    assert any("running_mean" in name for name in looking.seen[-1])
    assert same(looking.seen[-1], dict(method.colorizer.state_dict()))
    assert same(weights(method), whole)  # the validations changed nothing


class Agreeing(Ranks):
    """A stand-in for several ranks, whose mean of any running statistic is 7."""

    def average_buffers(self, buffers: Sequence[Tensor]) -> None:
        for buffer in buffers:
            if buffer.is_floating_point():
                buffer.fill_(7.0)


def test_averaged_weights_have_the_running_statistics_of_all_ranks(tmp_path: Path) -> None:
    method = make_cgan()
    trainer = make_trainer(method, 2, tmp_path, ema_decay=0.9)
    trainer.ranks = Agreeing()
    trainer.run()
    means = [value for name, value in method.colorizer.state_dict().items() if "running_mean" in name]
    assert means
    assert all((mean == 7).all() for mean in means)


class Scheduled(Method):
    """A method with one optimizer of two groups, whose rate rises and then falls in two steps."""

    name = "scheduled"
    Config = MethodConfig

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1))

    def optimizers(self, phase: str) -> dict[str, torch.optim.Optimizer]:
        first, second = (list(module.parameters()) for module in self.colorizer.children())
        return {"all": torch.optim.Adam([{"params": first, "lr": 1e-3}, {"params": second, "lr": 1e-4}])}

    def learning_rate(self, optimizer: str, progress: float) -> float:
        return warm_up(progress, 0.25) * steps(progress, (0.5, 0.75))

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        yield Update("all", (self.colorizer(batch.L / 100) - batch.ab / 100).square().mean())

    def predict_ab(self, L: Tensor) -> Tensor:
        return 100 * self.colorizer(L / 100)


def test_rates_follow_the_schedule_group_by_group_and_are_logged(tmp_path: Path) -> None:
    method = build(Scheduled, MethodConfig())
    before = weights(method)
    trainer = make_trainer(method, 8, tmp_path, log_every=1)
    trainer.train_step()
    assert same(weights(method), before)  # a warm-up's first step has a rate of 0
    rates = []
    for _ in range(7):
        trainer.train_step()
        rates.append([group["lr"] for group in trainer.optimizers["all"].param_groups])
    factors = [0.5, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert rates == [[pytest.approx(1e-3 * factor), pytest.approx(1e-4 * factor)] for factor in factors]
    logged = [row["all_learning_rate"] for row in trainer.history if "all_learning_rate" in row]
    assert logged == [0.0, *(first for first, _ in rates)]


def test_a_schedule_resumes_exactly(tmp_path: Path) -> None:
    whole = build(Scheduled, MethodConfig())
    make_trainer(whole, 8, tmp_path / "whole").run()
    first = make_trainer(build(Scheduled, MethodConfig()), 8, tmp_path / "halves")
    for _ in range(5):  # the saved rates are a tenth of the base rates
        first.train_step()
    first.save()
    first.writer.close()
    second = build(Scheduled, MethodConfig(), seed=1)
    make_trainer(second, 8, tmp_path / "halves").run()
    assert same(weights(second), weights(whole))


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        *(
            (wrong, r"scheduled: learning_rate\('all', …\) gives .* in step 1; it must be")
            for wrong in (nan, inf, -0.1)
        ),
        (None, " returned NoneType, not Real"),
    ],
)
def test_a_factor_that_is_none_stops_the_run(
    factor: float | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scheduled, "learning_rate", lambda self, optimizer, progress: factor)
    with pytest.raises(BenchError, match=told):
        make_trainer(build(Scheduled, MethodConfig()), 8, tmp_path).run()


def test_schedules_are_closed_forms() -> None:
    assert [warm_up(progress, 0.5) for progress in (0, 0.25, 0.5, 0.9)] == [0, 0.5, 1, 1]
    assert [linear_decay(progress, start=0.5) for progress in (0, 0.5, 0.75)] == [1, 1, 0.5]
    assert linear_decay(0.5, end=0.2) == pytest.approx(0.6)
    assert [steps(progress, (0.5, 0.75), 0.5) for progress in (0, 0.49, 0.5, 0.75)] == [1, 1, 0.5, 0.25]


def test_phase_bounds() -> None:
    assert phase_bounds((Phase("a", 0.3), Phase("b", 0.7)), 10) == [("a", 3), ("b", 10)]
    assert phase_bounds((Phase("a", 1 / 3), Phase("b", 1 / 3), Phase("c", 1 / 3)), 100)[-1] == ("c", 100)
    assert phase_bounds((Phase("a", 0.0), Phase("b", 1.0)), 5) == [("a", 0), ("b", 5)]
    with pytest.raises(BenchError, match="add up to 0\\.9"):
        phase_bounds((Phase("a", 0.9),), 10)


def test_steps_have_unrelated_seeds() -> None:
    assert len({step_seed(seed, step) for seed in range(10) for step in range(1000)}) == 10_000


def test_a_checkpoint_cut_off_anywhere_is_named_and_the_one_before_is_used(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"step": 1, "weights": torch.arange(100)})
    save_checkpoint(tmp_path, {"step": 2, "weights": torch.arange(100)})
    newest = tmp_path / GENERATIONS[1]
    content = newest.read_bytes()
    for length in [0, 1, 64, 65, 66, 200, len(content) // 2, len(content) - 1]:
        newest.write_bytes(content[:length])
        said: list[str] = []
        state = load_checkpoint(tmp_path, said.append)
        assert state is not None
        assert state["step"] == 1, f"cut at {length}"
        assert GENERATIONS[1] in said[0]
    newest.write_bytes(content)
    state = load_checkpoint(tmp_path, pytest.fail)
    assert state is not None
    assert state["step"] == 2


def test_a_run_killed_between_two_renames_is_found_under_its_old_key(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "cgan-old", {"step": 1})
    newest = tmp_path / "cgan-old" / GENERATIONS[1]
    newest.rename(newest.with_name(GENERATIONS[0]))
    assert stale_checkpoints(tmp_path / "cgan-new") == [tmp_path / "cgan-old" / GENERATIONS[0]]
    assert stale_checkpoints(tmp_path / "cgan-old") == []


def test_a_closed_writer_leaves_no_thread_and_can_write_again(tmp_path: Path) -> None:
    writer = checkpoint.CheckpointWriter(tmp_path)
    for step in (1, 2):
        writer.write({"step": step})
        writer.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")]
    assert load_checkpoint(tmp_path, pytest.fail) == {"step": 2}


def test_a_checkpoint_of_other_settings_is_not_continued_and_said_so(tmp_path: Path) -> None:
    first = make_trainer(make_cgan(), 12, tmp_path)
    first.train_step()
    first.save()
    first.writer.close()
    other = make_trainer(make_cgan(), 12, tmp_path)
    other.key = "other"
    said: list[str] = []
    other.monitor = type("Ears", (Monitor,), {"message": lambda self, text: said.append(text)})()
    other.resume()
    assert other.step == 0
    assert "other settings, code or data" in said[0]


class Diverging(Method):
    """A method whose loss becomes NaN at the third step."""

    name = "diverging"
    Config = MethodConfig

    def __init__(self, config: MethodConfig, data: DataInfo) -> None:
        super().__init__(config, data)
        self.colorizer = nn.Conv2d(1, 2, 1)
        self.register_buffer("calls", torch.zeros(()))

    def optimizers(self, phase: str) -> dict[str, torch.optim.Optimizer]:
        return {"colorizer": torch.optim.SGD(self.colorizer.parameters(), lr=1e-9)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        calls = self.get_buffer("calls").add_(1)
        yield Update("colorizer", self.colorizer(batch.L).square().mean() / (calls < 3))

    def predict_ab(self, L: Tensor) -> Tensor:
        return self.colorizer(L)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    method = build(Diverging, MethodConfig())
    trainer = make_trainer(method, 10, tmp_path)
    trainer.train_step()
    trainer.save()
    trainer.writer.close()
    with pytest.raises(BenchError, match=r"the loss of 'colorizer', inf, is not finite after step 2 \(phase 'train'\)"):
        trainer.run()
    state = load_checkpoint(tmp_path, pytest.fail)
    assert state is not None
    assert state["step"] == 1
    assert all(torch.isfinite(p).all() for p in method.parameters())


def test_weights_that_are_not_finite_are_found_before_they_are_validated(tmp_path: Path) -> None:
    class Rooted(Diverging):
        """A method whose loss is finite, and its gradient is not."""

        def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
            yield Update("colorizer", (0 * self.colorizer(batch.L)).sum().sqrt())

    class Unasked(Monitor):
        def validate(self, step: int) -> Row:
            pytest.fail("weights that are not finite are validated")

    trainer = make_trainer(build(Rooted, MethodConfig()), 10, tmp_path, validate_every=1)
    trainer.monitor = Unasked()
    with pytest.raises(Diverged, match="a weight is not finite after step 1"):
        trainer.run()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, REQUEUE)])
def test_a_signal_saves_and_the_next_run_goes_on(
    number: int, code: int, tmp_path: Path, whole: dict[str, Tensor]
) -> None:
    class Interrupting(Monitor):
        def advance(self, step: int) -> None:
            if step == 4:
                os.kill(os.getpid(), number)

    trainer = make_trainer(make_cgan(), 12, tmp_path, ema_decay=0.9)
    trainer.monitor = Interrupting()
    with pytest.raises(Interrupted, match="stopped after step 4 of 12") as caught:
        trainer.run()
    assert caught.value.exit_code == code
    last = make_cgan(seed=5)
    make_trainer(last, 12, tmp_path, ema_decay=0.9).run()
    assert same(weights(last), whole)


def hold(folder: Path, ready: Any) -> None:
    with exclusive(folder, "trained"):
        ready.set()
        signal.pause()


@pytest.mark.slow
def test_a_folder_is_held_by_one_process_which_is_named(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    try:
        assert ready.wait(60)
        with (
            pytest.raises(BenchError, match=f"is being trained by process {holder.pid} on "),
            exclusive(tmp_path, "trained"),
        ):
            pass
    finally:
        holder.kill()
        holder.join()
    with exclusive(tmp_path, "trained"):  # a killed process holds no lock
        pass


def test_model_file_is_the_same_bytes_twice_and_refused_when_cut(tmp_path: Path) -> None:
    method = make_cgan()
    about = {"key": "k", "settings": {"b": 1, "a": 2}}
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    hashes = {save_model(path, method.colorizer.state_dict(), about) for path in paths}
    assert len(hashes) == 1
    assert paths[0].read_bytes() == paths[1].read_bytes()
    state, described = load_model(paths[0])
    assert described == about
    assert same(state, dict(method.colorizer.state_dict()))
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    with pytest.raises(BenchError, match=r"a.safetensors is not a whole model file"):
        load_model(paths[0])


def test_history_has_a_column_for_everything_ever_logged(tmp_path: Path) -> None:
    rows: list[Row] = [{"step": 1, "phase": "a", "x_loss": 0.5}, {"step": 2, "phase": "a", "val_psnr": 20.0}]
    write_history(tmp_path / "history.csv", rows)
    assert (tmp_path / "history.csv").read_text() == "step,phase,x_loss,val_psnr\n1,a,0.5,\n2,a,,20.0\n"


def test_both_gan_losses_gradients_and_accuracy_are_logged(tmp_path: Path) -> None:
    method = make_cgan()
    outcome = make_trainer(method, 4, tmp_path, log_every=1).run()
    assert {"generator_loss", "generator_gradient_norm", "generator_l1", "discriminator_loss"} <= outcome.history[
        -2
    ].keys()
    assert 0 <= float(outcome.history[-2]["discriminator_accuracy"]) <= 1
    assert tiny_info().image_size == 32
