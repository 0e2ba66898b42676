"""The script that checks a GPU compares, skips with a reason and fails; here the CPU stands for both sides."""

from collections.abc import Iterator
from pathlib import Path

import gpu_check
import pytest
import torch
from fake_results import write_method

from benchmark.contracts.config import read_params
from projects import bench, make_project

TINY_L2 = ("--device", "cpu", "--preset", "tiny", "--data", "sample", "--method", "l2", "--steps", "4")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tiny project in which the script runs; afterwards torch may choose its algorithms again."""
    monkeypatch.chdir(make_project(tmp_path))
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def test_one_line_for_each_verdict(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main([*TINY_L2, "--only", "steps,bf16,resume,quick"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "preset tiny, entries l2" in head
    assert [line.split(":")[0] for line in lines] == ["ok   steps l2", "ok   bf16 l2", "ok   resume l2", "skip quick"]
    assert "the same bits twice; CPU: losses differ by 0.0e+00 at most" in lines[0]
    assert "4 steps = half of them + the rest, bit for bit (fp32)" in lines[2]
    assert "no committed row is of this choice" in lines[3]


def test_what_differs_fails(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "LOSS_GAP", {"bf16": 0.0})  # half precision always differs
    monkeypatch.setattr(gpu_check, "same_bits", lambda a, b: False)
    assert gpu_check.main([*TINY_L2, "--only", "bf16,resume"]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == ["FAIL bf16 l2", "FAIL resume l2"]
    assert "OTHER BITS THE SECOND TIME" in lines[0]


def test_an_error_is_a_failure_and_ends_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise RuntimeError("no kernel for this\nand more")

    monkeypatch.setattr(gpu_check, "train", fail)
    assert gpu_check.main([*TINY_L2, "--only", "steps,bf16"]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines == [f"FAIL {name} l2: RuntimeError: no kernel for this" for name in ("steps", "bf16")]


def test_ranks_need_two_gpus(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    one = gpu_check.Bench(read_params(project), project, torch.device("cuda"), ["l2"], "tiny", "sample", 4)
    assert list(gpu_check.check_ranks(one)) == [("skip", "ranks", "two GPUs are needed, and here is 1")]


def test_one_entry_of_each_adapter_is_checked(project: Path) -> None:
    entries, skipped = gpu_check.entries_to_check(read_params(project), "tiny", "sample")
    assert sorted(entries) == ["cgan", "l2"]
    assert skipped == [("skip", "gray", "it learns nothing")]


def test_an_unknown_check_or_device_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in ((["--only", "speed"], "no check speed; legal: steps"), (["--device", "x"], "--device x")):
        with pytest.raises(SystemExit):
            gpu_check.main(arguments)
        assert told in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.pipeline
def test_rows_of_baselines_alone_are_a_skip_with_the_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("run", "--method", "gray", "--data", "sample", "--record", cwd=project).returncode == 0
    assert gpu_check.main([*TINY_L2, "--only", "quick"]) == 0
    [line] = capsys.readouterr().out.splitlines()[1:]
    assert line == "skip quick: no committed row of sample, preset tiny, is of a trained method"


def test_rows_whose_data_set_is_not_here_are_a_skip(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_method(project / "results", "l2", data="cifar10", preset="tiny", seeds=(0,))
    assert gpu_check.main([*TINY_L2, "--data", "cifar10", "--only", "quick"]) == 0
    assert "skip quick: cifar10: found neither cifar-10-python.tar.gz" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.pipeline
def test_two_processes_and_committed_rows_are_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("run", "--method", "l2", "--data", "sample", "--record", cwd=project).returncode == 0
    assert gpu_check.main([*TINY_L2, "--only", "ranks,quick"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert "BatchNorm frozen" in lines[0]
    assert lines[1] == "ok   quick l2 on sample: same bits"
