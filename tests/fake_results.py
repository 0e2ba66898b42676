"""Makes result trees as a real suite would leave them: every method scored on the same images, under several seeds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts.config import find_root, read_params
from benchmark.contracts.result import Cost, Provenance, Result, Run, write_result
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.scoring.metrics import METRICS, usual
from benchmark.support.errors import InputError

SHA = "0123456789abcdef" * 4
IMAGES = 300


def fake_columns(quality: float, images: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Makes per-image columns with a PSNR of about 24 + `quality` dB; image k is equally hard for every method."""
    hardness = np.random.default_rng(7).normal(0, 4, images)
    psnr = 24 + quality + hardness + rng.normal(0, 0.5, images)
    mae = 10 ** (-(psnr - 24) / 20)
    return {
        "psnr": psnr,
        "mse": 255**2 / 10 ** (psnr / 10),
        "ssim": 1 - 0.07 * mae,
        "auc": 100 - 10 * mae,
        "auc_rebal": 100 - 40 * mae,
        "auc_rebal_weight": np.random.default_rng(8).gamma(2, 0.5, images),
        "acc_2": 100 / (1 + 4 * mae),
        "acc_5": 100 / (1 + mae),
        "mae_r": 12 * mae,
        "mae_g": 8 * mae,
        "mae_b": 11 * mae,
        "delta_e00": 9 * mae,
        "colorfulness": 20 + 4 * quality + rng.normal(0, 1, images),
        "colorfulness_target": 30 + np.random.default_rng(9).normal(0, 8, images),
        "clipped": rng.uniform(0, 1, images),
    }


def fake_result(method: str, seed: int, columns: Mapping[str, np.ndarray], **changes: Any) -> Result:
    """Makes the result of these columns.

    The keywords are fields of `Run` and of `Result`, `config`, `sha`, `metrics`, `options` (of the recorded command),
    `machine` and `dirty`.
    """
    run_fields = {name: changes.pop(name) for name in list(changes) if name in Run.model_fields}
    run = Run(
        **({"method": method, "adapter": method, "data": "cifar10", "preset": "quick", "seed": seed} | run_fields)
    )
    values: dict[str, float | None] = {
        metric.name: float(metric.pooled(columns)) if metric.columns and columns.keys() >= set(metric.columns) else None
        for metric in [METRICS[name] for name in usual()]
    }
    values |= changes.pop("metrics", {})
    notes = {name: f"{name} weights missing" for name, value in values.items() if value is None}
    machine = changes.pop("machine", "Test CPU")
    provenance = Provenance(
        commit="c0ffee" * 6 + "c0ff",
        dirty=changes.pop("dirty", False),
        command=run.command + changes.pop("options", ""),
        config={"seed": seed, "steps": 100, "data_config": {"image_size": 32}} | changes.pop("config", {}),
        config_hash="f" * 64,
        packages={"torch": "2.15.0"},
        device=machine,
        data_sha256={"test": changes.pop("sha", SHA)},
        date=changes.pop("date", "2026-01-01T00:00:00+00:00"),
    )
    cost = Cost(
        parameters=1_234_567,
        macs=98_000_000,
        train_seconds=75.0 + seed if run.role == "method" and not run.external else None,
        inference_images_per_second=100.0,
        device=machine,
    )
    fields: dict[str, Any] = {
        "run": run,
        "metrics": values,
        "notes": notes,
        "images": len(columns["psnr"]),
        "cost": cost,
    }
    return Result(**(fields | {"provenance": provenance} | changes))


def write_method(
    root: Path,
    method: str,
    quality: float = 0.0,
    seeds: Sequence[int] = (0, 1, 2),
    spread: float = 0.05,
    images: int = IMAGES,
    **changes: Any,
) -> list[Path]:
    """Writes one method's results; `spread` is the standard deviation of its quality between seeds."""
    paths = []
    for seed in seeds:
        rng = np.random.default_rng([seed, *method.encode()])
        columns = fake_columns(quality + rng.normal(0, spread), images, rng)
        paths.append(write_result(root, made_now(root, fake_result(method, seed, columns, **changes)), columns))
    return paths


def made_now(root: Path, result: Result) -> Result:
    """Returns the result as if the settings and the code of the project around it, if any, had made it."""
    try:
        project = find_root(root)
    except InputError:
        return result
    identity = Currency(read_params(project), Workspace(project)).identity_of(result.run)
    return result.model_copy(update={"provenance": result.provenance.model_copy(update={"identity": identity})})


def write_params(folder: Path) -> Path:
    """Makes a folder a project in which fake results are current."""
    folder.mkdir(parents=True, exist_ok=True)
    suite = {"preset": "quick", "data": ["cifar10"], "methods": ["l2"], "seeds": [0]}
    params = {"suite": suite, "entries": {"l2": {}}, "presets": {"quick": {}}}
    (folder / "params.yaml").write_text(json.dumps(params))
    return folder


def write_skipped(root: Path, method: str, reason: str) -> Path:
    """Writes the result of a method that cannot run here."""
    result = fake_result(method, 0, fake_columns(0, 3, np.random.default_rng(0)))
    nothing: dict[str, Any] = {"metrics": {}, "notes": {}, "images": 0}
    skipped = result.model_copy(update={"status": "skipped", "reason": reason} | nothing)
    return write_result(root, made_now(root, skipped))


def write_suite(root: Path, **changes: Any) -> None:
    """Writes two methods clearly apart, a tie with the better one, one below gray, two baselines and a ceiling."""
    write_method(root, "cgan", 2.0, **changes)
    write_method(root, "classification", 2.0, **changes)
    write_method(root, "l2", 1.0, **changes)
    write_method(root, "eccv16", -1.0, **changes)
    write_method(root, "gray", 0.0, seeds=(0,), role="floor", **changes)
    write_method(root, "mean-color", -0.3, seeds=(0,), role="baseline", **changes)
    write_method(root, "oracle-bins", 12.0, seeds=(0,), role="ceiling", **changes)
