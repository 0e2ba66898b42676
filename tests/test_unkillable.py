"""Whatever ends a training (kill -9, a full disk, lost rights, NaN, …), one line says so, the same command goes on,
and the final model is the uninterrupted run's, bit for bit."""

import copy
import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from benchmark.contracts.method import Batch, Update
from benchmark.support.interruption import REQUEUE
from benchmark.training.checkpoint import GENERATIONS, load_checkpoint, load_model, save_checkpoint
from forked import Done, Forked, bench, start
from projects import TINY, make_project

STEPS, KILLS = 40, 25
CELL = ("train", "--method", "cgan", "--data", "sample")
MODEL = Path("models/sample/tiny/cgan/seed0/model.safetensors")


def params(**training: Any) -> dict[str, Any]:
    """Returns parameters of a conditional GAN with two phases and averaged weights, saved after every step."""
    wanted = copy.deepcopy(TINY)
    wanted["presets"]["tiny"]["training"]["default"] |= {
        "steps": STEPS,
        "ema_decay": 0.9,
        "log_every": 5,
        "validate_every": 10,
        "checkpoint_seconds": 0,
        **training,
    }
    return wanted


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose cell was trained in one go."""
    project = make_project(tmp_path_factory.mktemp("uninterrupted"), params())
    for command in (("data", "prepare", "sample"), CELL):
        done = bench(*command, cwd=project, out=project / "out")
        assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(uninterrupted: Path, tmp_path: Path) -> Path:
    """The same project with its data and without a training."""
    shutil.copytree(uninterrupted / "data", tmp_path / "data")
    return make_project(tmp_path, params())


def begin(project: Path, before: Callable[[], object] | None = None) -> Forked:
    return start(*CELL, cwd=project, out=project / "out", before=before)


def train(project: Path, before: Callable[[], object] | None = None) -> Done:
    return begin(project, before).end()


def failed_with_one_line(done: Done, *texts: str) -> None:
    """Checks for exit code 1 and one line that says why."""
    assert done.returncode == 1, done.stderr
    assert len(done.errors) == 1, done.stderr
    for text in ("bench: error: ", *texts):
        assert text in done.errors[0]


def run_folder(project: Path) -> Path:
    return next(path.parent for path in (project / "runs").glob("*/lock"))


def saved_step(project: Path) -> int:
    state = load_checkpoint(run_folder(project), pytest.fail)
    assert state is not None
    return int(state["step"])


def goes_on_to_the_same_model(project: Path, uninterrupted: Path) -> Done:
    """Runs the same command without the obstacle, and checks that the model is the uninterrupted run's."""
    done = train(project)
    assert done.returncode == 0, done.stderr
    assert (project / MODEL).read_bytes() == (uninterrupted / MODEL).read_bytes()
    assert not list((project / "runs").glob("*/checkpoint*"))
    return done


# kill -9 --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_25_times_ends_with_the_same_model(project: Path, uninterrupted: Path) -> None:
    chance = random.Random(0)
    targets = sorted(chance.choices(range(STEPS + 1), k=KILLS))
    for target in targets:  # a step takes some 20 ms, and a third of it writes a checkpoint
        command = begin(project)
        command.wait_for(target)
        command.process.join(chance.uniform(0.0, 0.03 if target else 0.3))
        command.process.kill()
        command.process.join()
    goes_on_to_the_same_model(project, uninterrupted)


class KillBeforeRenaming:
    """Kills the process in which it is called before a file of this name is in its place for the `times`th time."""

    def __init__(self, name: str, times: int) -> None:
        self.name, self.left = name, times

    def __call__(self) -> None:
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Gets each audit event before Python carries it out."""
        if event == "os.rename" and Path(os.fsdecode(arguments[1])).name == self.name:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_killed_between_any_two_files_ends_with_the_same_model(project: Path, uninterrupted: Path) -> None:
    for name in (*GENERATIONS, "model.safetensors", "history.csv", "training.json"):
        done = train(project, KillBeforeRenaming(name, 3 if name in GENERATIONS else 1))
        assert done.returncode == -signal.SIGKILL, name
    assert goes_on_to_the_same_model(project, uninterrupted).stderr.count("going on after step")


class Killed(BaseException):
    """Stands in for SIGKILL where a separate process would cost too much."""


@pytest.fixture
def kill_at() -> Iterator[Callable[[int], None]]:
    """Gives a function that sets the file operation before which `Killed` is raised: 1 is the next, 0 is none."""
    left = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if left and event in ("open", "os.rename", "os.remove", "os.mkdir"):
            left -= 1
            if not left:
                raise Killed

    def set_(number: int) -> None:
        nonlocal left
        left = number

    sys.addaudithook(hook)  # it cannot be removed, but does nothing after the test
    yield set_
    set_(0)


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "newest-damaged"])
def test_a_whole_checkpoint_is_there_at_every_moment_of_saving(
    damaged: bool, tmp_path: Path, kill_at: Callable[[int], None]
) -> None:
    for moment in range(1, 20):
        folder = tmp_path / str(moment)
        folder.mkdir()
        for step in (1, 2):
            save_checkpoint(folder, {"step": step})
        if damaged:
            (folder / GENERATIONS[1]).write_bytes(b"")
            load_checkpoint(folder, lambda text: None)
        kill_at(moment)
        try:
            save_checkpoint(folder, {"step": 3})
        except Killed:
            state = load_checkpoint(folder, pytest.fail)
            assert state is not None, f"killed before file operation {moment}"
            assert state["step"] in ((1, 3) if damaged else (2, 3))
        else:
            break
        finally:
            kill_at(0)
    assert 3 <= moment < 19  # several moments were tried, and the last save was completed


# Damaged and stale checkpoints ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_generations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generations")
    for step in (1, 2):
        save_checkpoint(folder, {"step": step, "weights": torch.arange(100)})
    return folder


def damaged_copy(two_generations: Path, folder: Path, damage: Callable[[bytearray], object]) -> str:
    """Copies both generations, damages the newest, and loads; returns the message if step 1 is loaded."""
    shutil.copytree(two_generations, folder, dirs_exist_ok=True)
    newest = folder / GENERATIONS[1]
    content = bytearray(newest.read_bytes())
    damage(content)
    newest.write_bytes(content)
    said: list[str] = []
    state = load_checkpoint(folder, said.append)
    assert state is not None
    assert state["step"] == 1
    assert len(said) == 1
    return said[0]


def test_a_checkpoint_cut_off_at_any_byte_is_named_and_the_one_before_is_used(
    two_generations: Path, tmp_path: Path
) -> None:
    size = (two_generations / GENERATIONS[1]).stat().st_size
    chance = random.Random(0)
    for length in [0, 1, 63, 64, 65, 66, size // 2, size - 1, *(chance.randrange(size) for _ in range(40))]:

        def cut(content: bytearray, length: int = length) -> None:
            del content[length:]

        said = damaged_copy(two_generations, tmp_path, cut)
        assert f"{GENERATIONS[1]} is cut off or damaged; using the checkpoint before it" in said


def test_a_flipped_bit_is_named_and_the_checkpoint_before_is_used(two_generations: Path, tmp_path: Path) -> None:
    size = (two_generations / GENERATIONS[1]).stat().st_size
    chance = random.Random(1)
    for place in [0, 63, 64, 65, size - 1, *(chance.randrange(size) for _ in range(40))]:

        def flip(content: bytearray, place: int = place) -> None:
            content[place] ^= 1 << (place % 8)

        assert "is cut off or damaged" in damaged_copy(two_generations, tmp_path, flip)


def test_a_damaged_checkpoint_never_takes_the_place_of_a_good_one(two_generations: Path, tmp_path: Path) -> None:
    damaged_copy(two_generations, tmp_path, bytearray.clear)
    (tmp_path / f"{GENERATIONS[0]}.1234.part").write_bytes(b"of a process that was killed")
    save_checkpoint(tmp_path, {"step": 3})
    for name in GENERATIONS[:2]:
        (tmp_path / name).unlink(missing_ok=True)
    state = load_checkpoint(tmp_path, pytest.fail)
    assert state is not None
    assert state["step"] == 1
    assert not list(tmp_path.glob("*.part"))


def test_without_a_whole_checkpoint_training_begins_again_and_says_so(tmp_path: Path) -> None:
    (tmp_path / GENERATIONS[1]).write_bytes(b"\n")
    said: list[str] = []
    assert load_checkpoint(tmp_path, said.append) is None
    assert "there is no whole one before it" in said[0]


def stop_after(project: Path, step: int) -> None:
    """Kills a training at some step beyond `step`, but never between two renames, so that file names are known."""
    command = begin(project)
    assert command.wait_for(step)
    command.process.kill()
    command.process.join()
    coming, newest, _ = (run_folder(project) / name for name in GENERATIONS)
    if coming.is_file():
        coming.replace(newest)


@pytest.mark.slow
def test_what_a_kill_after_the_last_act_left_is_removed(project: Path, uninterrupted: Path) -> None:
    assert train(project).returncode == 0
    (run_folder(project) / GENERATIONS[2]).write_bytes(b"left over")
    assert "trained already" in goes_on_to_the_same_model(project, uninterrupted).stderr


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(project: Path, uninterrupted: Path) -> None:
    stop_after(project, 8)
    before = saved_step(project)
    newest = run_folder(project) / GENERATIONS[1]
    newest.write_bytes(newest.read_bytes()[:-1])
    said = goes_on_to_the_same_model(project, uninterrupted).stderr
    assert f"{newest} is cut off or damaged; using the checkpoint before it" in said
    assert f"going on after step {before - 1} of {STEPS}" in said


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_is_named_and_not_continued(project: Path, uninterrupted: Path) -> None:
    make_project(project, params(ema_decay=0.8))
    stop_after(project, 5)
    stale = run_folder(project) / GENERATIONS[1]
    make_project(project, params())
    command = begin(project)
    assert command.wait_for(1)
    done = command.end()
    assert f"{stale} is of other settings, code or data, and not used" in done.stderr
    assert "going on" not in done.stderr
    assert (project / MODEL).read_bytes() == (uninterrupted / MODEL).read_bytes()
    assert stale.is_file()


@pytest.mark.slow
def test_a_checkpoint_of_other_data_is_named_and_not_continued(project: Path) -> None:
    stop_after(project, 5)
    changed = yaml.safe_load((project / "params.yaml").read_text())
    changed["presets"]["tiny"]["data"]["sample"]["train_count"] = 20
    (project / "params.yaml").write_text(yaml.safe_dump(changed))
    assert bench("data", "prepare", "sample", cwd=project, out=project / "out").returncode == 0
    done = train(project)
    assert done.returncode == 0
    assert "is of other settings, code or data, and not used" in done.stderr
    assert "going on" not in done.stderr


# Disk and rights ------------------------------------------------------------------------------------------------------


def no_large_files() -> None:
    """Lets no file grow over 64 KiB from now on; a checkpoint is larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_ends_the_run(project: Path, uninterrupted: Path) -> None:
    stop_after(project, 5)
    before = saved_step(project)
    failed_with_one_line(train(project, no_large_files), f"cannot write {run_folder(project)}", "File too large")
    assert saved_step(project) == before
    assert f"going on after step {before} " in goes_on_to_the_same_model(project, uninterrupted).stderr


class SmallDisk:
    """Puts a small file system under `runs/` for this process alone, or ends it with `UNABLE` if that is forbidden."""

    UNABLE = 77

    def __init__(self, size: str) -> None:
        self.size = size

    def __call__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        uid, gid = os.getuid(), os.getgid()
        if libc.unshare(0x10000000 | 0x00020000):  # CLONE_NEWUSER, CLONE_NEWNS
            sys.exit(self.UNABLE)
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{name}").write_text(content)
        if libc.mount(b"tmpfs", b"runs", b"tmpfs", 0, f"size={self.size}".encode()):
            sys.exit(self.UNABLE)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["12k", "600k"], ids=["no-room-for-curves", "no-room-for-checkpoints"])
def test_a_full_disk_ends_the_run(size: str, project: Path, uninterrupted: Path) -> None:
    (project / "runs").mkdir()
    if size == "12k":
        make_project(project, params(checkpoint_seconds=3600))
    done = train(project, SmallDisk(size))
    if done.returncode == SmallDisk.UNABLE:
        pytest.skip("this user may not mount a file system of its own")
    failed_with_one_line(done, "No space left on device")
    make_project(project, params())
    goes_on_to_the_same_model(project, uninterrupted)


def no_room_for_pictures() -> None:
    """Fills the disk for pictures alone, because git, which is asked for the commit, needs room too."""
    from PIL import Image

    def save(image: Image.Image, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    Image.Image.save = save  # type: ignore[assignment, method-assign]


@pytest.mark.slow
def test_an_evaluation_without_room_ends_with_one_line(uninterrupted: Path, tmp_path: Path) -> None:
    project = shutil.copytree(uninterrupted, tmp_path / "project")
    done = bench("evaluate", *CELL[1:], cwd=project, out=tmp_path / "out", before=no_room_for_pictures)
    failed_with_one_line(done, "examples.png: No space left on device")
    assert bench("evaluate", *CELL[1:], cwd=project, out=tmp_path / "out").returncode == 0


def obey_rights() -> None:
    """Makes root obey file rights like any other owner, by dropping Linux's capabilities 1 and 2."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 capabilities
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["runs", "models"])
def test_a_folder_that_cannot_be_written_ends_the_run(name: str, project: Path, uninterrupted: Path) -> None:
    folder = project / name
    folder.mkdir()
    folder.chmod(0o555)
    failed_with_one_line(train(project, obey_rights), f"cannot write in {folder}")
    assert not list(project.glob("runs/*/tensorboard"))  # the fault is found before the first step
    folder.chmod(0o755)
    goes_on_to_the_same_model(project, uninterrupted)


# Faults of training ---------------------------------------------------------------------------------------------------


def change_step(number: int, change: Callable[[Update], Update]) -> None:
    """Changes what the method yields in its `number`th step of this process."""
    from benchmark.methods.cgan import CGAN

    step, done = CGAN.training_step, 0

    def training_step(self: CGAN, batch: Batch, phase: str) -> Iterator[Update]:
        nonlocal done
        done += 1
        yield from (change(update) if done == number else update for update in step(self, batch, phase))

    CGAN.training_step = training_step


def run_out_of_memory(update: Update) -> Update:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def out_of_memory() -> None:
    change_step(7, run_out_of_memory)


def loss_not_finite() -> None:
    change_step(7, lambda update: update._replace(loss=update.loss * float("nan")))


class _Explode(torch.autograd.Function):
    """The identity, with gradients that are not finite."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * float("inf")


def gradients_not_finite() -> None:
    change_step(7, lambda update: update._replace(loss=_Explode.apply(update.loss)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        (out_of_memory, ("out of GPU memory in step 7", "a smaller batch_size than 4 may help")),
        (loss_not_finite, ("the loss of 'generator', nan, is not finite after step 6",)),
        (gradients_not_finite, ("a weight is not finite after step 7",)),
    ],
    ids=["memory", "loss", "gradients"],
)
def test_a_fault_of_training_keeps_the_last_good_state(
    fault: Callable[[], None], texts: tuple[str, ...], project: Path, uninterrupted: Path
) -> None:
    failed_with_one_line(train(project, fault), *texts, f"checkpoint is kept in {run_folder(project)}")
    assert saved_step(project) == 6
    goes_on_to_the_same_model(project, uninterrupted)


def no_memory_at_all() -> None:
    from benchmark.training import fit

    def build_method(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    fit.build_method = build_method  # type: ignore[assignment]


@pytest.mark.slow
def test_full_memory_outside_of_the_loop_is_one_line_too(project: Path) -> None:
    failed_with_one_line(train(project, no_memory_at_all), "CUDA out of memory. Tried to allocate 20.00 MiB. What was")


def wait_after_each_step() -> None:
    """Makes training slow, so that something else can happen meanwhile."""
    from benchmark.methods.cgan import CGAN

    step = CGAN.training_step

    def training_step(self: CGAN, batch: Batch, phase: str) -> Iterator[Update]:
        time.sleep(0.1)
        yield from step(self, batch, phase)

    CGAN.training_step = training_step


@pytest.mark.slow
def test_data_that_change_under_the_run_end_it(project: Path, uninterrupted: Path) -> None:
    array = project / "data/sample-tiny/train.npy"
    content = array.read_bytes()
    command = begin(project, wait_after_each_step)
    assert command.wait_for(5)
    other = array.with_name("other.npy")
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    other.replace(array)
    failed_with_one_line(command.end(), f"{array} changed under the training")
    assert not (project / MODEL).exists()
    assert saved_step(project) >= 4
    array.write_bytes(content)
    goes_on_to_the_same_model(project, uninterrupted)


@pytest.mark.slow
def test_of_two_processes_on_a_cell_the_second_says_who_holds_it(project: Path, uninterrupted: Path) -> None:
    first = begin(project, wait_after_each_step)
    assert first.wait_for(1)
    second = start(*CELL, cwd=project, out=project / "second").end()
    failed_with_one_line(second, f"is being trained by process {first.pid} on {os.uname().nodename}")
    done = first.end()
    assert done.returncode == 0, done.stderr
    assert (project / MODEL).read_bytes() == (uninterrupted / MODEL).read_bytes()


# Signals --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, REQUEUE), (signal.SIGINT, 130)])
@pytest.mark.parametrize("times", [1, 3], ids=["once", "repeated-at-once"])
def test_a_signal_saves_and_ends(number: int, code: int, times: int, project: Path, uninterrupted: Path) -> None:
    make_project(project, params(checkpoint_seconds=3600))
    command = begin(project, wait_after_each_step)
    assert command.wait_for(7)
    for _ in range(times):
        os.kill(command.pid, number)
    done = command.end()
    assert done.returncode == code
    assert len(done.errors) == 1, done.stderr
    step = saved_step(project)
    assert f"stopped after step {step} of {STEPS}, saved in {run_folder(project)}" in done.errors[0]
    done = train(project)
    assert f"going on after step {step} of {STEPS}" in done.stderr
    (ours, _), (theirs, _) = (load_model(path / MODEL) for path in (project, uninterrupted))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def sleep_before_data_are_opened() -> None:
    """Sleeps, like anything long outside of the training loop."""
    from benchmark.data.prepared import Prepared

    def open_(folder: Path) -> Prepared:
        (folder.parent.parent / "reached").touch()
        time.sleep(60)
        raise AssertionError("nobody came")

    Prepared.open = open_  # type: ignore[method-assign]


@pytest.mark.slow
def test_sigterm_outside_of_training_means_requeue_too(project: Path, uninterrupted: Path) -> None:
    command = begin(project, sleep_before_data_are_opened)
    while not (project / "reached").exists():
        assert command.process.is_alive()
    os.kill(command.pid, signal.SIGTERM)
    done = command.end()
    assert done.returncode == REQUEUE
    assert done.errors == ["bench: stopped by SIGTERM; what was finished is kept, and the same command goes on"]
    goes_on_to_the_same_model(project, uninterrupted)
