"""`bench cells` lists what is missing, and `bench sweep` runs it in the right order and reports the outcome."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from benchmark.contracts.config import read_params
from benchmark.contracts.result import read_result
from benchmark.contracts.workspace import Workspace
from benchmark.running.sweep import over_ray, worker
from benchmark.running.sweep.over_ray import Resources, run_jobs
from benchmark.running.sweep.plan import Choice, Job, Planner
from benchmark.running.sweep.worker import STOP, JobFailed, JobStopped, error_line, run_job
from benchmark.support import weights
from benchmark.support.interruption import REQUEUE, Interrupted
from projects import FAMILY, TINY, bench, make_project, one_thread

LONG: dict[str, Any] = copy.deepcopy(TINY)
LONG["presets"]["tiny"]["training"]["default"] |= {"steps": 200, "validate_every": 200, "checkpoint_seconds": 0}


def commands(project: Path, *options: str) -> list[str]:
    done = bench("cells", *options, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def why(project: Path, method: str = "l2") -> str | None:
    """Returns why a cell is missing, or None if it is not."""
    planner = Planner(read_params(project), Workspace(project))
    return planner.all(Choice(methods=[method]))[0].why


# cells ----------------------------------------------------------------------------------------------------------------


def test_cells_are_the_commands_of_the_suite(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert commands(project) == [
        f"bench run --method {name} --data sample --preset tiny --seed 0  # {images} images"
        for name, images in (("gray", 0), ("l2", 24), ("cgan", 24))
    ]
    chosen = commands(project, "--method", "l2,gray", "--seed", "0,1")
    assert [line.split()[3] + line.split()[9] for line in chosen] == ["l20", "l21", "gray0", "gray1"]
    assert "not a whole number" in bench("cells", "--seed", "x", cwd=project).stderr
    assert "unknown method 'l3'" in bench("cells", "--method", "l3", cwd=project).stderr


def test_a_dry_run_says_what_a_sweep_would_run_and_why(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    done = bench("sweep", "--dry-run", "--method", "l2", "--cpus-per-cell", "2", "--record", cwd=project)
    assert done.stdout.splitlines() == [
        "bench data prepare sample --preset tiny  # unless it is done",
        "bench run --method l2 --data sample --preset tiny --seed 0 --threads 2 --record  # no result",
    ]
    assert not (project / "runs").exists()


def test_a_cell_comes_after_the_one_whose_model_it_starts_from(tmp_path: Path) -> None:
    project = make_project(tmp_path, FAMILY)
    choice = ("--method", "gan-l1,eccv16", "--json")
    found = json.loads(bench("cells", *choice, cwd=project).stdout)
    assert [one["method"] for one in found] == ["eccv16", "gan-l1"]
    assert found[1]["after"] == [found[0]["command"]]
    assert [(one["budget_images"], one["budget_steps"]) for one in found] == [(24, 6), (48, 12)]  # the parent counts
    ready = json.loads(bench("cells", "--ready", *choice, cwd=project).stdout)
    assert [one["method"] for one in ready] == ["eccv16"]
    brought = commands(project, "--missing", "--method", "gan-l1")  # its parent has no model here
    assert [line.split()[3] for line in brought] == ["eccv16", "gan-l1"]


@pytest.mark.slow
def test_a_skipped_cell_is_missing_when_the_weights_it_lacked_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = copy.deepcopy(TINY)
    params["entries"]["eccv16-pretrained"] = {"adapter": "eccv16", "pretrained": True}
    project, choice = make_project(tmp_path, params), ("--method", "eccv16-pretrained", "--data", "sample")
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "none"))
    assert bench("run", *choice, cwd=project).returncode == 0
    assert why(project, "eccv16-pretrained") is None
    monkeypatch.setattr(weights, "path", lambda name: tmp_path if name == "colorization-v2" else None)
    assert why(project, "eccv16-pretrained") == "skipped for want of colorization-v2, which is here now"


def test_error_lines_read_well() -> None:
    assert error_line("bench: error: bad value\nmore\n", 1) == "bad value"
    assert error_line("first\n last \n\n", 1) == "last"
    assert error_line("", -9) == "killed by SIGKILL"
    assert "not a word" in error_line("", 1)


def exits(code: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"], start_new_session=True)


def test_what_was_asked_to_end_goes_on_and_is_no_failed_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, job = [REQUEUE, REQUEUE, 0], Job("a", ("run",), "a.log")

    def start(job: Job, folder: Path, variables: dict[str, str], output: Any) -> subprocess.Popen[bytes]:
        return exits(codes.pop(0))

    monkeypatch.setattr(worker, "_start", start)
    run_job(job, tmp_path, tmp_path, {})
    assert not codes
    assert (tmp_path / "a.log").read_text().count("$ bench run") == 3
    codes += [REQUEUE, 1]
    with pytest.raises(JobFailed, match="exit code 1, and not a word"):
        run_job(job, tmp_path, tmp_path, {})


def test_what_was_asked_to_end_with_the_sweep_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(job: Job, folder: Path, variables: dict[str, str], output: Any) -> subprocess.Popen[bytes]:
        started.append(job)
        (tmp_path / STOP).touch()
        return exits(REQUEUE)

    monkeypatch.setattr(worker, "_start", start)
    with pytest.raises(JobStopped):
        run_job(Job("a", ("run",), "a.log"), tmp_path, tmp_path, {})
    assert len(started) == 1


class Threads:
    """What a sweep uses of Ray, with a thread for each task."""

    exceptions = SimpleNamespace(RayError=OSError)

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor()

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def remote(self, function: Callable[..., Any]) -> Any:
        task = SimpleNamespace(remote=lambda *arguments: self.pool.submit(function, *arguments))
        return SimpleNamespace(options=lambda **settings: task)

    def wait(self, tasks: list[Future[Any]], timeout: float) -> tuple[list[Future[Any]], list[Future[Any]]]:
        done = futures.wait(tasks, timeout, futures.FIRST_COMPLETED).done
        return list(done), [task for task in tasks if task not in done]

    def get(self, task: Future[Any]) -> Any:
        return task.result()


def test_a_signal_has_what_runs_save_and_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_ray, "connected", lambda resources: nullcontext(Threads()))

    def run(job: Job, folder: Path, logs: Path, variables: dict[str, str], *after: object) -> float:
        signal.raise_signal(signal.SIGTERM)
        while not (logs / STOP).exists():
            time.sleep(0.01)
        return run_job(job, folder, logs, variables)  # which does not begin then

    monkeypatch.setattr(over_ray, "run_job", run)
    said, jobs = list[str](), [Job(name, ("run",), f"{name}.log") for name in "ab"]
    with pytest.raises(Interrupted) as stopped:
        run_jobs(jobs, Workspace(tmp_path), Resources(), retries=1, root=None, say=said.append)
    assert stopped.value.exit_code == REQUEUE
    assert {line for line in said if "stopped: " in line} == {"[0/2] stopped: a", "[0/2] stopped: b"}
    assert [path.name for path in tmp_path.glob("runs/sweep/*/*")] == [STOP]


# Ray ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ray_is_here() -> None:
    if find_spec("ray") is None:  # it is not imported here: a sweep does that, with its own token in the environment
        pytest.skip("needs Ray: pip install -e '.[sweep]'")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_is_here")
def test_a_failure_is_tried_once_more_and_then_reported_while_others_go_on(tmp_path: Path) -> None:
    """Also, what needs a failed job is not begun, in Ray itself."""
    project = make_project(tmp_path)
    words = {"bad": ("check", "nobody"), "good": ("cells",)}
    jobs = [
        Job("a", words["bad"], "a.log"),
        Job("b", words["good"], "b.log", ("a",)),
        Job("c", words["good"], "c.log", ("b",)),
        Job("d", words["good"], "d.log"),
        Job("e", words["good"], "e.log", ("d",)),
    ]
    said = list[str]()
    report = run_jobs(jobs, Workspace(project), Resources(cpus=2), retries=1, root=None, say=said.append)
    assert [(job.name, why) for job, why in report.blocked.items()] == [("b", "a"), ("c", "b")]
    assert [job.name for job in report.failed] == ["a"]
    assert {job.name for job in report.done} == {"d", "e"}
    assert "unknown method 'nobody'" in next(line for line in said if "FAILED: a: " in line)
    logs = {path.name: path.read_text() for path in project.glob("runs/sweep/*/*")}
    assert logs["a.log"].count("$ bench check") == 2
    assert sorted(logs) == ["a.log", "d.log", "e.log"]


def start_sweep(project: Path, *options: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "benchmark.cli", "sweep", "--cpus", "2", *options]
    return subprocess.Popen(arguments, cwd=project, env=one_thread(), stdout=subprocess.PIPE, text=True)


def cell_processes(project: Path) -> Iterator[tuple[int, int]]:
    """Yields the processes that run cells of a project, and their Ray workers."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"benchmark.cli.guard" in words and b"run" in words and (folder / "cwd").resolve() == project:
                yield int(folder.name), int(words[words.index(b"benchmark.cli.guard") + 1])
        except OSError:  # the process has ended meanwhile
            continue


def wait_for(what: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise TimeoutError


def trains(project: Path) -> bool:
    return any(project.glob("runs/sample-*/checkpoint*.pt"))


def listening(pid: int) -> set[IPv4Address | IPv6Address]:
    """Returns the addresses on which a process and its descendants wait for connections."""
    found = set()
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with suppress(psutil.Error):
            sockets = process.net_connections("inet")
            found |= {ip_address(one.laddr.ip.removeprefix("::ffff:")) for one in sockets if one.status == "LISTEN"}
    return found


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.usefixtures("ray_is_here")
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_three_cells_on_two_slots_with_a_worker_killed_in_the_middle_give_three_results(tmp_path: Path) -> None:
    project = make_project(tmp_path, LONG)
    sweep = start_sweep(project, "--method", "l2", "--seed", "0,1,2")
    wait_for(lambda: trains(project))
    child, parent = next(cell_processes(project))
    assert os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, sweep.pid)
    assert listening(sweep.pid), "Ray listens nowhere?"
    assert all(address.is_loopback for address in listening(sweep.pid))
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), 10)  # no cell outlives its worker
    said, _ = sweep.communicate(timeout=200)
    assert sweep.returncode == 0, said
    logs = [path.read_text().count("$ bench run") for path in project.glob("runs/sweep/*/sample-*.log")]
    assert sorted(logs) == [1, 1, 2]  # one was tried again
    assert "3 cells done, 0 failed" in said
    results = sorted(project.glob("runs/results/sample/tiny/*/seed?.json"))
    assert len(results) == 3
    assert {read_result(path).status for path in results} == {"ok"}
    assert all("--threads 1" in read_result(path).provenance.command for path in results)
    assert commands(project, "--missing", "--method", "l2", "--seed", "0,1,2") == []
    assert "nothing is missing" in bench("sweep", "--method", "l2", cwd=project).stdout


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.usefixtures("ray_is_here")
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_sweep_asked_to_stop_has_its_cells_save_and_goes_on_later(tmp_path: Path) -> None:
    endless = copy.deepcopy(LONG)
    endless["presets"]["tiny"]["training"]["default"] |= {"steps": 100_000, "checkpoint_seconds": 1e9}
    project = make_project(tmp_path, endless)
    sweep = start_sweep(project, "--method", "l2,cgan")
    wait_for(lambda: len(list(project.glob("runs/sample-*/tensorboard/*"))) == 2)
    sweep.terminate()
    said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == REQUEUE, said
    assert not list(cell_processes(project))
    assert len(list(project.glob("runs/sample-*/checkpoint.pt"))) == 2, said
    assert said.count("] stopped: ") == 2
