"""Any params.yaml is read, or refused in one line that names the file."""

import copy
import random
from pathlib import Path
from typing import Any

import yaml
from fuzzing import NUMBERS, TEXTS, cases, fuzzer, mutated, refused, watched

from benchmark.contracts.config import read_params, resolve
from benchmark.support.errors import BenchError
from projects import TINY

VALUES: tuple[Any, ...] = (
    *TEXTS,
    *NUMBERS,
    None,
    True,
    0.5,
    float("nan"),
    float("inf"),
    [],
    {},
    [1],
    {"a": 1},
    ["cgan"],
    {"adapter": "l2"},
)


def replaced(node: Any, rng: random.Random) -> Any:
    """Returns a copy in which one key or value is another."""
    if not isinstance(node, dict | list) or not node or rng.random() < 0.25:
        return rng.choice(VALUES)
    node = copy.copy(node)
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if isinstance(node, dict) and rng.random() < 0.2:
        node[rng.choice(TEXTS)] = node.pop(key)
    else:
        node[key] = replaced(node[key], rng)
    return node


def content(rng: random.Random) -> bytes:
    """Returns a file's bytes with a changed structure, or damaged."""
    if rng.random() < 0.5:
        return yaml.safe_dump(replaced(TINY, rng), allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    text = yaml.safe_dump(TINY).encode()
    return rng.choice((text, text.decode().encode("utf-16"))) if rng.random() < 0.05 else mutated(text, rng)


@fuzzer
def test_params_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    path, read = tmp_path / "params.yaml", 0
    for case, rng in cases("params"):
        path.write_bytes(content(rng))
        with watched("params", case, path.read_bytes()):
            try:
                params = read_params(tmp_path)
                for method in params.entries:
                    for preset in params.presets:
                        resolve(params, method=method, data="sample", preset=preset).settings()
                read += 1
            except BenchError as error:
                refused(error)
    assert read or case == 0
