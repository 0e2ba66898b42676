"""Two processes at half the batch train as one at the whole; started by torchrun, they land in the same table."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmark.batches import Batches
from benchmark.distributed import ALONE, Ranks
from benchmark.method import Batch, Method, Update
from benchmark.registry import load_method
from benchmark.settings import Training
from benchmark.testing import build, tiny_images
from benchmark.trainer import SilentMonitor, Trainer
from projects import bench, make_project

STEPS, BATCH = 20, 8


def make_gan() -> Method:
    """A conditional GAN whose BatchNorm layers are frozen: on a CPU each rank would normalize its own share."""
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
        method, settings, batches, seed=0, device=cpu, folder=folder, key="k", monitor=SilentMonitor(), ranks=ranks
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
    context = multiprocessing.get_context("spawn")
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


def test_two_at_half_the_batch_equal_one_at_the_whole(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    assert largest_difference(in_two_processes(tmp_path, STEPS, STEPS), alone) < 1e-5


def test_a_run_resumes_in_another_number_of_processes(tmp_path: Path, alone: dict[str, Tensor]) -> None:
    in_two_processes(tmp_path, STEPS // 2, STEPS)
    assert largest_difference(train(tmp_path, ALONE, STEPS, STEPS), alone) < 1e-5


def test_a_run_on_two_devices_stands_in_the_same_table(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    gray = bench("run", "--method", "gray", "--data", "sample", cwd=project)
    assert gray.returncode == 0, gray.stderr
    done = bench("run", "--method", "cgan", "--data", "sample", "--devices", "2", "--device", "cpu", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("> cgan") == 1
    record = json.loads((project / "models/sample/tiny/cgan/seed0/training.json").read_text())
    assert record["devices"] == 2
    assert "cgan" in (project / "results/sample/tiny/leaderboard.csv").read_text()


def test_a_rank_that_fails_ends_all_with_its_own_error(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    options = ("--devices", "2", "--device", "cpu", "--set", "batch_size=3")
    done = bench("run", "--method", "l2", "--data", "sample", *options, cwd=project, timeout=120)
    assert done.returncode != 0
    assert "batch_size 3 cannot be shared equally by 2 processes" in done.stderr


class Unused(Method):
    """One of its parameters has no part in the loss."""

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
    ALONE.average_buffers(method)
    ALONE.wait()
    assert ALONE.largest(3) == 3
    assert ALONE.from_first(lambda: "made") == "made"
    assert all(p.grad is None for p in method.parameters())
    assert not dist.is_initialized()
    assert os.environ.get("TORCHELASTIC_RUN_ID") is None
