"""Checks once, on a machine with a GPU, what the tests hold on a CPU. It prints one verdict per line.

    python tests/gpu_check.py                                   # everything
    python tests/gpu_check.py --only steps,resume --method cgan # some checks, some entries of params.yaml
    python tests/gpu_check.py --device cpu                      # the CPU against itself: the script's own logic

Checks, each on one entry of every adapter that can run here, with the preset's networks on made-up images of 32²:

- steps: some deterministic steps in float32 give the same bits twice, and the CPU's losses and first gradients.
- bf16: the same steps in half precision have nearly the losses of float32, and repeat.
- compile: compiled, they have the losses and first gradients of uncompiled ones.
- resume: half the steps, a checkpoint, and the rest give the bits of all steps in one go, in the device's defaults.
- ranks: two processes at half the batch have the losses and first gradients of one at the whole. On two GPUs BatchNorm
  is live and synchronized; torch has no such BatchNorm on CPUs, where it is frozen.
- quick: the committed rows of the preset (first seed each), trained anew on the device, lie inside the rows' intervals.

Every line begins with `ok`, `FAIL` or `skip`; a skip says why. The exit code is 1 if any check failed, else 0.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from rich.console import Console
from torch import Tensor, nn

from benchmark.contracts.config import Params, find_root, read_params, resolve
from benchmark.contracts.dataset import MissingDataError
from benchmark.contracts.method import Method
from benchmark.contracts.settings import Training
from benchmark.contracts.workspace import Workspace
from benchmark.data.batches import Batches
from benchmark.results.currency import Currency
from benchmark.results.reference import OUTSIDE
from benchmark.running.conformance import build, is_trained, tiny_images, tiny_info
from benchmark.running.reproduce import FAILED, committed, reproduce
from benchmark.running.stages import Context, choose_device, prepare_data
from benchmark.running.sweep.plan import Choice
from benchmark.scoring.evaluate import device_name
from benchmark.support.errors import BenchError, InputError
from benchmark.support.precision import resolved_precision
from benchmark.training.acceleration import compiles, make_deterministic
from benchmark.training.distributed import ALONE, Ranks, synchronize_batch_norm
from benchmark.training.progress import Monitor
from benchmark.training.trainer import Trainer

BATCH, IMAGES, STEPS = 8, 24, 20
PLAIN: dict[str, Any] = {"precision": "fp32", "compile": "never"}
# What another order of sums alone changes within 20 steps was measured on a CPU, in another memory format: losses by up
# to 0.004 (`gan-perceptual-own`), the cosine of the first gradients to 0.9998 (`eccv16`). Weights and colors tell
# nothing: by 20 steps of Adam the last bits of gradients near 0 have grown to whole Lab units.
LOSS_GAP = {"fp32": 0.03, "bf16": 0.10}  # mean over the steps, relative
# bf16 keeps no first gradient of an untrained `eccv16`: the cosine with float32's is 0.6. It need not, as that of two
# batches of photographs is 0.15. So of bf16 only losses are compared.
LEAST_COSINE = {"fp32": 0.99, "bf16": -1.0}  # of the first gradients of each network


@dataclass(frozen=True)
class Bench:
    """What every check works with."""

    params: Params
    root: Path  # the project's folder
    device: torch.device
    entries: list[str]
    preset: str
    data: str
    steps: int
    kept: Path | None = None  # where data sets are kept already


class Verdict(NamedTuple):
    """One line of the report."""

    kind: str  # "ok", "FAIL", "skip"
    what: str
    detail: str


@dataclass
class Trained:
    """What is left of a training."""

    method: Method
    losses: dict[str, list[float]] = field(default_factory=dict)  # by name, one per step
    first_gradients: dict[str, Tensor] = field(default_factory=dict)  # of each network, in one row, on the CPU

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights on the CPU."""
        return {name: value.detach().cpu() for name, value in self.method.state_dict().items()}


def make_method(bench: Bench, entry: str, device: torch.device, frozen: bool = False, seed: int = 0) -> Method:
    """Makes an entry's method, with BatchNorm frozen on request."""
    cell = resolve(bench.params, method=entry, data=bench.data, preset=bench.preset)
    method = build(cell.method_class, cell.method_config, seed)
    for module in method.modules() if frozen else ():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign, misc]
    return method.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def make_trainer(
    method: Method, bench: Bench, device: torch.device, folder: Path, ranks: Ranks = ALONE, **settings: Any
) -> Trainer:
    """Makes the trainer of a method on the made-up images; `settings` are precision and compile."""
    training = Training.model_validate(
        {"steps": bench.steps, "batch_size": BATCH, "log_every": 1, "validate_every": 10**6, "checkpoint_seconds": 1e9}
        | settings
    )
    batches = Batches(tiny_images(IMAGES), BATCH, 0, device, rank=ranks.rank, world=ranks.world)
    return Trainer(
        method, training, batches, seed=0, device=device, folder=folder, key="check", monitor=Monitor(), ranks=ranks
    )


def train(
    bench: Bench, entry: str, device: torch.device, ranks: Ranks = ALONE, frozen: bool = False, **settings: Any
) -> Trained:
    """Trains an entry's method for the steps of the check."""
    trained = Trained(synchronize_batch_norm(make_method(bench, entry, device, frozen), ranks, device))
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(trained.method, bench, device, Path(name), ranks, **settings)
        trainer.train_step()
        for child, network in trained.method.named_children():
            gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
            if gradients:
                trained.first_gradients[child] = torch.cat(gradients).double().cpu()
        trainer.run()
    for row in trainer.history:
        for loss, value in row.items():
            if loss.endswith("_loss"):
                trained.losses.setdefault(loss, []).append(float(value))
    return trained


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two trainings have left the same weights."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def compared(found: Trained, wanted: Trained, precision: str) -> tuple[bool, str]:
    """Whether two trainings agree in every loss and in the first gradients, and by how much."""
    gap = max(_gap(found.losses[name], losses) for name, losses in wanted.losses.items())
    pairs = [(found.first_gradients[name], there) for name, there in wanted.first_gradients.items()]
    cosine = min(float(nn.functional.cosine_similarity(*pair, dim=0)) for pair in pairs)
    told = f"losses differ by {gap:.1e} at most, the cosine of the first gradients is {cosine:.6f} at least"
    return gap <= LOSS_GAP[precision] and cosine >= LEAST_COSINE[precision], told


def _gap(found: Sequence[float], wanted: Sequence[float]) -> float:
    """The mean difference of a loss over the steps, relative to its mean."""
    return sum(abs(a - b) for a, b in zip(found, wanted, strict=True)) / sum(map(abs, wanted))


def of_entries(check: Callable[[Bench, str], tuple[bool, str]], name: str, bench: Bench) -> Iterator[Verdict]:
    """A verdict of one check for each entry."""
    for entry in bench.entries:
        try:
            agree, told = check(bench, entry)
        except (BenchError, RuntimeError) as error:
            agree, told = False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
        yield Verdict("ok" if agree else "FAIL", f"{name} {entry}", told)


def check_steps(bench: Bench, entry: str) -> tuple[bool, str]:
    """Float32 on the device repeats, and has the CPU's losses and gradients."""
    there, again = (train(bench, entry, bench.device, **PLAIN) for _ in range(2))
    agree, told = compared(there, train(bench, entry, torch.device("cpu"), **PLAIN), "fp32")
    repeats = same_bits(there.weights, again.weights)
    return agree and repeats, f"{'the same bits twice' if repeats else 'OTHER BITS THE SECOND TIME'}; CPU: {told}"


def check_bf16(bench: Bench, entry: str) -> tuple[bool, str]:
    """Half precision repeats, and has nearly the losses of float32."""
    half, again = (train(bench, entry, bench.device, precision="bf16", compile="never") for _ in range(2))
    agree, told = compared(half, train(bench, entry, bench.device, **PLAIN), "bf16")
    repeats = same_bits(half.weights, again.weights)
    return agree and repeats, f"{'the same bits twice' if repeats else 'OTHER BITS THE SECOND TIME'}; fp32: {told}"


def check_compile(bench: Bench, entry: str) -> tuple[bool, str]:
    """Compiled networks have the losses and gradients of the others."""
    plain, compiled = (
        train(bench, entry, bench.device, precision="fp32", compile=choice) for choice in ("never", "always")
    )
    return compared(compiled, plain, "fp32")


def check_resume(bench: Bench, entry: str) -> tuple[bool, str]:
    """Two halves give the bits of a whole, in the precision and with the compilation that the device gets."""
    with tempfile.TemporaryDirectory() as name:
        whole = make_method(bench, entry, bench.device)
        make_trainer(whole, bench, bench.device, Path(name) / "whole").run()
        first = make_trainer(make_method(bench, entry, bench.device), bench, bench.device, Path(name) / "halves")
        for _ in range(bench.steps // 2):
            first.train_step()
        first.save()
        first.writer.close()
        second = make_method(bench, entry, bench.device, seed=1)  # other weights: all come from the checkpoint
        make_trainer(second, bench, bench.device, Path(name) / "halves").run()
    training = Training()
    how = f"{resolved_precision(training.precision, bench.device)}{', compiled' * compiles(training, bench.device)}"
    same = same_bits(Trained(whole).weights, Trained(second).weights)
    return same, f"{bench.steps} steps {'=' if same else '≠'} half of them + the rest, bit for bit ({how})"


def check_ranks(bench: Bench) -> Iterator[Verdict]:
    """Two processes at half the batch train as one at the whole."""
    if bench.device.type == "cuda" and (count := torch.cuda.device_count()) < 2:
        yield Verdict("skip", "ranks", f"two GPUs are needed, and here is {count}")
        return
    yield from of_entries(_two_against_one, "ranks", bench)


def _two_against_one(bench: Bench, entry: str) -> tuple[bool, str]:
    """Each rank logs the loss of its own half, so their mean is that of the batch; gradients are averaged already."""
    with tempfile.TemporaryDirectory() as name:
        torch.multiprocessing.spawn(_rank, (bench, entry, Path(name)), nprocs=2)
        first, second = (torch.load(Path(name) / f"{rank}.pt", weights_only=True) for rank in range(2))
    halves = {loss: zip(values, second["losses"][loss], strict=True) for loss, values in first["losses"].items()}
    losses = {loss: [(a + b) / 2 for a, b in values] for loss, values in halves.items()}
    alone = train(bench, entry, bench.device, frozen=bench.device.type != "cuda", **PLAIN)
    agree, told = compared(Trained(alone.method, losses, first["gradients"]), alone, "fp32")
    return agree, f"{told}; BatchNorm {'synchronized' if bench.device.type == 'cuda' else 'frozen'}"


def _rank(rank: int, bench: Bench, entry: str, folder: Path) -> None:
    """One of the two processes; it leaves its losses and gradients."""
    cuda = bench.device.type == "cuda"
    device = torch.device("cuda", rank) if cuda else bench.device
    make_deterministic(device)
    if cuda:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    dist.init_process_group("nccl" if cuda else "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    trained = train(bench, entry, device, Ranks(rank, 2), frozen=not cuda, **PLAIN)
    torch.save({"losses": trained.losses, "gradients": trained.first_gradients}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def check_quick(bench: Bench) -> Iterator[Verdict]:
    """The committed rows, trained anew on the device, lie inside their intervals."""
    space = Workspace(bench.root)
    context = Context(bench.params, space, Console(stderr=True), bench.device, bench.kept)
    currency = Currency(bench.params, space)
    choice = Choice(data=[bench.data], presets=[bench.preset])
    try:
        rows = [row for row in committed(space.references, choice) if row.run.role == "method"]
        if rows:
            cell = resolve(bench.params, method=rows[0].run.method, data=bench.data, preset=bench.preset)
            prepare_data(cell, context)
    except (InputError, MissingDataError) as error:
        yield Verdict("skip", "quick", str(error))
        return
    if not rows:
        yield Verdict(
            "skip", "quick", f"no committed row of {bench.data}, preset {bench.preset}, is of a trained method"
        )
    for _, seeds in groupby(rows, key=lambda row: row.run.method):
        row = next(seeds)
        name = f"quick {row.run.method} on {row.run.data}"
        if why := currency.why_left_out(row):
            yield Verdict("skip", name, f"the committed row is not of the present code and settings: {why}")
            continue
        for repeated in reproduce([row], context):
            kind, gap, reason = repeated.verdict
            failed = kind in (OUTSIDE, FAILED)
            yield Verdict("FAIL" if failed else "ok", name, "; ".join(filter(None, (kind, gap, failed * reason))))


def check_each_compiled(bench: Bench) -> Iterator[Verdict]:
    """`check_compile`, where there is a compiler."""
    if bench.device.type == "cpu" and shutil.which("g++") is None:
        yield Verdict("skip", "compile", "torch.compile on a CPU needs a C++ compiler (g++)")
        return
    yield from of_entries(check_compile, "compile", bench)


CHECKS: dict[str, Callable[[Bench], Iterator[Verdict]]] = {
    "steps": partial(of_entries, check_steps, "steps"),
    "bf16": partial(of_entries, check_bf16, "bf16"),
    "compile": check_each_compiled,
    "resume": partial(of_entries, check_resume, "resume"),
    "ranks": check_ranks,
    "quick": check_quick,
}


def entries_to_check(params: Params, preset: str, data: str) -> tuple[list[str], list[Verdict]]:
    """The first entry of each adapter that learns and can run here, and a verdict for each adapter that has none."""
    chosen: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for entry in params.entries:
        cell = resolve(params, method=entry, data=data, preset=preset)
        if cell.adapter in chosen:
            continue
        if reason := cell.method_class.skip(cell.method_config, tiny_info()):
            reasons.setdefault(cell.adapter, reason)
        elif is_trained(build(cell.method_class, cell.method_config)):
            chosen[cell.adapter] = entry
        else:
            reasons.setdefault(cell.adapter, "it learns nothing")
    return list(chosen.values()), [
        Verdict("skip", adapter, reason) for adapter, reason in reasons.items() if adapter not in chosen
    ]


def main(arguments: list[str] | None = None) -> int:
    """Runs the checks that were asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu; default: cuda")
    parser.add_argument("--only", default=",".join(CHECKS), help="checks, by commas; default: all")
    parser.add_argument("--method", default="", help="entries, by commas; default: one of each adapter")
    parser.add_argument("--preset", default="quick", help="its networks and its committed rows; default: quick")
    parser.add_argument("--data", default="cifar10", help="data set of the committed rows; default: cifar10")
    parser.add_argument(
        "--root",
        type=Path,
        default=os.environ.get("BENCH_DATA"),
        help="where data sets are kept already (or BENCH_DATA)",
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each short training; default: {STEPS}")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.only.split(",")) - CHECKS.keys():
        parser.error(f"--only: no check {', '.join(sorted(unknown))}; legal: {', '.join(CHECKS)}")
    try:
        device, root = choose_device(asked.device), find_root()
        params = read_params(root)
        found, skipped = entries_to_check(params, asked.preset, asked.data)
    except BenchError as error:
        parser.error(str(error))
    make_deterministic(device)
    entries = asked.method.split(",") if asked.method else found
    bench = Bench(params, root, device, entries, asked.preset, asked.data, asked.steps, asked.root)
    print(f"{device_name(device)}, torch {torch.__version__}, preset {asked.preset}, entries {', '.join(entries)}")
    failed = False
    for verdict in _all([] if asked.method else skipped, asked.only.split(","), bench):
        print(f"{verdict.kind:4} {verdict.what}: {verdict.detail}", flush=True)
        failed |= verdict.kind == "FAIL"
    return int(failed)


def _all(skipped: list[Verdict], names: list[str], bench: Bench) -> Iterator[Verdict]:
    yield from skipped
    for name in names:
        yield from CHECKS[name](bench)


if __name__ == "__main__":
    sys.exit(main())
