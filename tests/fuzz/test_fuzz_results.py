"""Any result file, per-image values or files of a study are believed whole, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from fake_results import write_suite
from fuzzing import cases, fuzzer, mutated, refused, watched
from study_data import METHODS, make_key, take_part

from benchmark.contracts.result import read_per_image, read_result
from benchmark.results.tables import build
from benchmark.study.schema import Key, Participant, read, write
from benchmark.support.errors import BenchError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Writes a suite of results and a study beside it."""
    write_suite(tmp_path / "results")
    key = make_key()
    write(key, tmp_path / "key.json")
    write(take_part(key, "p1", dict.fromkeys(METHODS, 0.4), np.random.default_rng(0)), tmp_path / "answers.json")
    results = sorted((tmp_path / "results").rglob("cgan/seed0.*"))
    assert [path.suffix for path in results] == [".json", ".npz"]
    return [*results, tmp_path / "key.json", tmp_path / "answers.json"]


@fuzzer
def test_results_are_believed_whole_or_refused(tmp_path: Path, files: list[Path]) -> None:
    result, _, key, answers = files
    for case, rng in cases("results"):
        path = rng.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, rng))
        with watched("results", case, path.read_bytes()):
            try:
                read(Key, key)
                read(Participant, answers)
                read_per_image(result, read_result(result))
                if case % 10 == 0:
                    build(tmp_path / "results", None, None, check=True)
            except BenchError as error:
                refused(error)
        path.write_bytes(whole)
