"""Two processes at half the batch train as one at the whole, land in the same table, and end together."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from benchmark.contracts.method import Batch, Method, Update
from benchmark.contracts.registry import load_method
from benchmark.contracts.settings import Training
from benchmark.data.batches import Batches
from benchmark.running.conformance import build, tiny_images
from benchmark.support.errors import BenchError, InputError
from benchmark.support.interruption import REQUEUE
from benchmark.training import distributed
from benchmark.training.checkpoint import load_checkpoint
from benchmark.training.distributed import ALONE, Ranks
from benchmark.training.heartbeat import BEATS, SILENCE_VARIABLE, Heartbeat, watch_each_other
from benchmark.training.progress import Monitor
from benchmark.training.trainer import Trainer
from forked import Done, bench, forkserver, start
from projects import TINY, make_project, one_thread

STEPS, BATCH = 20, 8


def make_gan() -> Method:
    """Makes a conditional GAN with frozen BatchNorm, because on a CPU each rank would normalize its own share."""
    adapter = load_method("cgan")
    method = build(adapter, adapter.Config.model_validate({"base_channels": 4, "discriminator_channels": 4}))
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train = lambda mode=True: module  # type: ignore[method-assign]  # noqa: B023
            module.eval()
            module.training = False
    return method


def train(folder: Path, ranks: Ranks, steps: int, of: int) -> dict[str, Tensor]:
    """Trains up to `steps` of `of` steps, saves, and returns the weights."""
    method = make_gan()
    cpu = torch.device("cpu")
    batches = Batches(tiny_images(24), BATCH, seed=0, device=cpu, rank=ranks.rank, world=ranks.world)
    settings = Training(steps=of, batch_size=BATCH, checkpoint_seconds=1e9)
    trainer = Trainer(
        method, settings, batches, seed=0, device=cpu, folder=folder, key="k", monitor=Monitor(), ranks=ranks
    )
    trainer.resume()
    while trainer.step < steps:
        trainer.train_step()
    trainer.save()
    trainer.writer.close()
    return {name: value.clone() for name, value in method.state_dict().items()}


def one_rank(rank: int, folder: Path, steps: int, of: int, out: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store-{steps}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    weights = train(folder, Ranks(rank, 2), steps, of)
    if rank == 0:
        torch.save(weights, out)
    dist.destroy_process_group()


def in_two_processes(folder: Path, steps: int, of: int) -> dict[str, Tensor]:
    out = folder / f"weights-{steps}.pt"
    context = forkserver()
    processes = [context.Process(target=one_rank, args=(rank, folder, steps, of, out)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    return torch.load(out, weights_only=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return train(tmp_path_factory.mktemp("alone"), ALONE, STEPS, STEPS)


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.slow
def test_two_at_half_the_batch_equal_one_at_the_whole(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    assert largest_difference(in_two_processes(tmp_path, STEPS, STEPS), alone) < 1e-5


@pytest.mark.slow
def test_a_run_resumes_in_another_number_of_processes(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    in_two_processes(tmp_path, STEPS // 2, STEPS)
    assert largest_difference(train(tmp_path, ALONE, STEPS, STEPS), alone) < 1e-5


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_run_under_torchrun_stands_in_the_same_table(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    gray = bench("run", "--method", "gray", "--data", "sample", cwd=project, out=tmp_path / "gray")
    assert gray.returncode == 0, gray.stderr
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "benchmark.cli"]
    done = subprocess.run(
        [sys.executable, *torchrun, "run", "--method", "cgan", "--data", "sample", "--device", "cpu"],
        cwd=project,
        env=one_thread(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("> cgan") == 1
    record = json.loads((project / "models/sample/tiny/cgan/seed0/training.json").read_text())
    assert record["devices"] == 2
    assert "cgan" in (project / "runs/results/sample/tiny/leaderboard.csv").read_text()


# How several processes end --------------------------------------------------------------------------------------------

IN_EVERY_PROCESS = """
import os
from pathlib import Path

if rank := os.environ.get("RANK"):
    Path(os.environ["PIDS"], rank).write_text(str(os.getpid()))
    if rank == os.environ.get("FAILING"):
        from benchmark.support.errors import BenchError, InputError
        from benchmark.training.trainer import Trainer

        step = Trainer.train_step

        def train_step(self):
            if self.step == 25:
                raise BenchError("this rank has had enough")
            step(self)

        Trainer.train_step = train_step
"""


class Ranked:
    """A training of two processes that goes on for ever.

    Args:
        folder: the folder of the project.
        failing: the rank that fails in its 26th step.
    """

    def __init__(self, folder: Path, failing: str = "") -> None:
        (folder / "pids").mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(IN_EVERY_PROCESS)
        params = copy.deepcopy(TINY)
        params["presets"]["tiny"]["training"]["default"] |= {"steps": 10**6, "checkpoint_seconds": 0}
        self.folder, self.project = folder, make_project(folder / "project", params)
        options = ("--method", "cgan", "--data", "sample", "--devices", "2", "--device", "cpu")
        environment = Environment(PIDS=str(folder / "pids"), PYTHONPATH=str(folder), FAILING=failing)
        self.launcher = start("run", *options, cwd=self.project, out=folder / "out", before=environment)

    def wait_for_a_checkpoint(self) -> None:
        """Returns when something is saved."""
        while not list(self.project.glob("runs/*/checkpoint.pt")):
            assert self.launcher.process.is_alive()
            time.sleep(0.05)

    def pid(self, rank: int) -> int:
        """Returns the id of a rank's process."""
        return int((self.folder / "pids" / str(rank)).read_text())

    def end(self) -> Done:
        """Waits at most a minute until the launcher has ended and with it every rank."""
        began = time.monotonic()
        done = self.launcher.end(timeout=60)
        while any(lives(self.pid(rank)) for rank in (0, 1)):
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        return done


class Environment:
    """Sets environment variables in the process in which it is called."""

    def __init__(self, **variables: str) -> None:
        self.variables = variables

    def __call__(self) -> None:
        os.environ.update(self.variables)


def lives(pid: int) -> bool:
    """Returns whether a process exists and is not just waiting for its parent to notice that it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_rank_that_fails_ends_all_and_its_own_error_is_the_only_one(tmp_path: Path) -> None:
    ranked = Ranked(tmp_path, failing="1")
    ranked.wait_for_a_checkpoint()
    done = ranked.end()
    assert done.returncode == 1
    assert done.errors == ["bench: error: this rank has had enough"], done.stderr


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_killed_rank_ends_all_and_is_named(tmp_path: Path) -> None:
    ranked = Ranked(tmp_path)
    ranked.wait_for_a_checkpoint()
    os.kill(ranked.pid(1), signal.SIGKILL)
    done = ranked.end()
    assert done.returncode == 1
    assert len(done.errors) == 1, done.stderr
    assert done.errors[0].startswith("bench: error: rank 1 of 2 was killed by SIGKILL")


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_stopped_rank_ends_all_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SILENCE_VARIABLE, "3")
    ranked = Ranked(tmp_path)
    ranked.wait_for_a_checkpoint()
    os.kill(ranked.pid(1), signal.SIGSTOP)
    while lives(ranked.pid(0)):
        time.sleep(0.05)
    os.kill(ranked.pid(1), signal.SIGCONT)  # saves the launcher's 30 seconds of waiting
    done = ranked.end()
    assert done.returncode == 1
    assert len(done.errors) == 1, done.stderr
    assert done.errors[0].startswith("bench: error: rank 1 of 2 has not answered for 3 s; all end")


@pytest.mark.slow
@pytest.mark.pipeline
def test_sigterm_to_the_launcher_saves_and_means_requeue(tmp_path: Path) -> None:
    ranked = Ranked(tmp_path)
    ranked.wait_for_a_checkpoint()
    os.kill(ranked.launcher.pid, signal.SIGTERM)
    done = ranked.end()
    assert done.returncode == REQUEUE
    assert len(done.errors) == 1, done.stderr
    state = load_checkpoint(next(ranked.project.glob("runs/*/lock")).parent, pytest.fail)
    assert state is not None
    assert f"stopped after step {state['step']} of" in done.errors[0]


@pytest.mark.slow
@pytest.mark.pipeline
def test_no_rank_outlives_a_killed_launcher(tmp_path: Path) -> None:
    ranked = Ranked(tmp_path)
    ranked.wait_for_a_checkpoint()
    ranked.launcher.process.kill()
    assert ranked.end().returncode == -signal.SIGKILL


def test_of_several_ends_the_cause_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "attempt_0" / "2" / "stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("Traceback: of rank 2\n")
    lost, told = distributed.LOST, -signal.SIGTERM
    assert distributed._explain({1: lost, 2: 3, 0: told}, 3, tmp_path) == 3
    assert capsys.readouterr().err == "Traceback: of rank 2\n"
    assert distributed._explain({2: 3, 1: lost, 0: 2}, 3, tmp_path) == 2  # rank 0 has printed its line already
    assert capsys.readouterr().err == ""
    with pytest.raises(BenchError, match="rank 0 of 2 was killed by SIGSEGV"):
        distributed._explain({1: lost, 0: -signal.SIGSEGV}, 2, tmp_path)
    with pytest.raises(BenchError, match="ended from outside"):
        distributed._explain({1: told, 0: lost}, 2, tmp_path, ["Connection closed by peer"])


def test_ranks_that_end_in_order_do_not_hide_the_one_that_failed(tmp_path: Path) -> None:
    assert distributed._explain({0: REQUEUE, 1: 3}, 2, tmp_path) == 3  # a requeued job would fail for ever
    assert distributed._explain({0: REQUEUE, 1: REQUEUE}, 2, tmp_path) == REQUEUE
    assert distributed._explain({0: -signal.SIGKILL, 1: 1}, 2, tmp_path) == 1  # rank 0 was frozen, and rank 1 says so
    with pytest.raises(BenchError, match="rank 1 of 2 was killed by SIGKILL"):
        distributed._explain({0: REQUEUE, 1: -signal.SIGKILL}, 2, tmp_path)


def test_a_failed_exchange_shows_its_message_once_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed, "FIRST_SEEN", 0.0)
    failures = {}
    for rank in range(2):
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / f"{rank}.json"))
        with pytest.raises(SystemExit) as ended, distributed._collective():
            raise RuntimeError("op.preamble.length <= op.nbytes. 8 vs 4\nException raised from …\nframe #0")
        assert ended.value.code == distributed.LOST
        failures[rank] = ProcessFailure(rank, 1, distributed.LOST, str(tmp_path / f"{rank}.json"))
    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda config, entry: failing(failures))
    with pytest.raises(BenchError) as shown:
        distributed.launch(["run"], 2)
    assert str(shown.value) == "the 2 processes could not exchange their data: op.preamble.length <= op.nbytes. 8 vs 4"
    assert capsys.readouterr() == ("", "")


def failing(failures: dict[int, ProcessFailure]) -> Callable[..., None]:
    def launch(*command: str) -> None:
        raise ChildFailedError("bench", failures)

    return launch


def test_a_silence_that_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("soon", "0", "-3", "nan"):
        monkeypatch.setenv(SILENCE_VARIABLE, wrong)
        with pytest.raises(InputError, match=f"{SILENCE_VARIABLE}='{wrong}': a number of seconds above 0"):
            watch_each_other(dist.HashStore(), 0, 2)


def test_a_rank_that_stops_beating_is_named_and_one_that_left_is_not_missed() -> None:
    store = dist.HashStore()
    first, second, third = (Heartbeat(store, rank, 3) for rank in range(3))
    for _ in range(3 * BEATS):
        assert [heart.beat() for heart in (first, second, third)] == [None] * 3
    second.leave()
    for _ in range(3 * BEATS):
        assert [heart.beat() for heart in (first, third)] == [None] * 2
    silent = [first.beat() for _ in range(BEATS + 1)]  # the third one is frozen, and the first looks after it now
    assert silent == [None] * BEATS + [2]
    third.leave()
    assert [first.beat() for _ in range(3 * BEATS)] == [None] * 3 * BEATS  # a rank alone watches nobody


class Unused(Method):
    """A method with a parameter that has no part in the loss."""

    name = "unused"

    def __init__(self, config: object, data: object) -> None:
        super().__init__(config, data)  # type: ignore[arg-type]
        self.first = nn.Conv2d(1, 2, 1)
        self.colorizer = nn.ModuleList([self.first, nn.Conv2d(1, 2, 1)])

    def optimizers(self, phase: str) -> dict[str, torch.optim.Optimizer]:
        return {"all": torch.optim.SGD(self.colorizer.parameters(), lr=0.1)}

    def training_step(self, batch: Batch, phase: str) -> Iterator[Update]:
        yield Update("all", self.first(batch.L).square().mean())

    def predict_ab(self, L: Tensor) -> Tensor:
        return self.first(L)


def test_alone_nothing_is_exchanged() -> None:
    method = build(Unused, Unused.Config())
    ALONE.average_gradients(list(method.parameters()))
    ALONE.average_buffers(list(method.buffers()))
    ALONE.wait()
    assert ALONE.largest(3) == 3
    assert ALONE.from_first(lambda: "made") == "made"
    assert all(p.grad is None for p in method.parameters())
    assert not dist.is_initialized()
    assert os.environ.get("TORCHELASTIC_RUN_ID") is None
