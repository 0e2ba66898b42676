"""The metric that CONTRIBUTING.md adds appears wherever metrics do, and leaves nothing behind."""

import re
from collections.abc import Iterator
from pathlib import Path

import fake_results
import numpy as np
import pytest
import torch
from report_project import make_report_project, report_on

from benchmark.data.color import rgb_to_lab
from benchmark.results.statistics import resample
from benchmark.results.tables import build_table
from benchmark.results.tables.markdown import markdown
from benchmark.running.conformance import tiny_images
from benchmark.running.inventory import inventory
from benchmark.scoring.metrics import METRICS, Metric, register
from benchmark.scoring.metrics.scorer import Scorer
from projects import REPOSITORY

NAME = "chroma_error"


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metric]:
    """Registers the metric by the lines of CONTRIBUTING.md, and adds its column to made-up results."""
    section = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("## A metric")[2]
    example = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert example is not None
    made_up = fake_results.fake_columns

    def with_column(quality: float, images: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        columns = made_up(quality, images, rng)
        return columns | {NAME: 0.5 * columns["delta_e00"]}

    monkeypatch.setattr(fake_results, "fake_columns", with_column)
    monkeypatch.setattr("report_project.fake_columns", with_column)
    exec(example[1], {})
    yield METRICS[NAME]
    del METRICS[NAME]


def test_it_is_scored(metric: Metric) -> None:
    images = [torch.from_numpy(tiny_images(5, seed=seed)) for seed in (0, 1)]
    scorer = Scorer(device=torch.device("cpu"))
    scorer.update(images[0], images[1])
    found = scorer.compute()
    (_, first), (_, second) = (rgb_to_lab(one) for one in images)
    expected = (first - second).norm(dim=1).mean(dim=(1, 2))
    np.testing.assert_allclose(found.per_image[NAME], expected, rtol=1e-5)
    assert found.values[NAME] == pytest.approx(expected.mean().item(), rel=1e-5)
    assert NAME in [row["name"] for row in inventory()["metrics"]]


def test_it_is_resampled(metric: Metric) -> None:
    values = np.random.default_rng(0).normal(9, 2, (2, 50))
    drawn = resample({NAME: values})[NAME]
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.1)
    assert drawn.mean(axis=1).std() == pytest.approx(values.mean(axis=0).std() / np.sqrt(50), rel=0.1)


def test_it_is_in_tables_and_report(metric: Metric, tmp_path: Path) -> None:
    project = make_report_project(tmp_path / "project", methods=("l2",), presets=("first",))
    table = build_table(project / "results/cifar10/quick")
    row = table.row("cgan")
    assert row is not None
    cell = row.cells[NAME]
    assert cell.mean is not None
    assert cell.interval is not None
    assert cell.interval[0] < cell.mean < cell.interval[1]
    assert str(cell.rank) == "1–2"  # lower is better, and cgan's colors are near
    assert f"{NAME} ↓" in markdown(table)
    report_on(project, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert re.search(rf'data-metric="{NAME}" data-value="{cell.mean!r}"', page)


def test_a_name_and_a_column_belong_to_one_metric(metric: Metric) -> None:
    with pytest.raises(ValueError, match="there is a metric 'psnr' already"):
        register(METRICS["psnr"])
    with pytest.raises(ValueError, match="other: the column 'mse' is that of psnr_pooled"):
        register(Metric("other", "Other", "", None, 2, "another", per_image=len, columns=("mse",)))


def test_a_function_must_give_one_value_per_image() -> None:
    register(Metric("broken", "Broken", "", None, 2, "one value for all", per_image=lambda p, t: (p - t).mean()))
    try:
        images = torch.from_numpy(tiny_images(3))
        with pytest.raises(ValueError, match=r"metric broken: broken has shape \(\), not 3 values"):
            Scorer(device=torch.device("cpu"), metrics=["broken"]).update(images, images)
    finally:
        del METRICS["broken"]
