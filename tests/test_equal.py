"""Rows of a table are comparable: the same images in the same number of steps, about the same arithmetic, no tuning."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from benchmark.contracts.config import Params, read_params, resolve
from benchmark.contracts.registry import load_method, names
from benchmark.contracts.search import searched
from benchmark.contracts.workspace import Workspace
from benchmark.results.currency import Currency
from benchmark.results.tables import build_table
from benchmark.speed.sizes import Size, as_text, sizes_of, spread
from projects import bench, make_project

ROOT = Path(__file__).resolve().parents[1]
COMPARED = ("smoke", "quick", "standard")
SIZES = {"base_channels", "discriminator_channels", "width", "labels", "tuned"}  # `labels` follow the size of pictures


@pytest.fixture(scope="module")
def params() -> Params:
    return read_params(ROOT)


def sizes(params: Params, data: str, preset: str) -> list[Size]:
    return sizes_of(params, Workspace(ROOT), data, preset)


@pytest.mark.parametrize("preset", COMPARED)
@pytest.mark.parametrize("data", [name for name in names("dataset") if name != "folder"])
def test_families_see_the_same_images_in_the_same_steps_and_no_row_sees_more(
    params: Params, data: str, preset: str
) -> None:
    currency = Currency(params, Workspace(ROOT))
    cells = {name: resolve(params, method=name, data=data, preset=preset) for name in params.entries}
    parents = {parent.method for cell in cells.values() for parent in currency.parents(cell)}
    budgets = {name: currency.budget(cell) for name, cell in cells.items() if name not in parents}
    trained = {name: budget for name, budget in budgets.items() if budget.images}
    families = {budget for name, budget in trained.items() if name not in params.varied}
    assert len(families) == 1
    controls = {trained[name] for name in ("gan-perceptual-own-mse", "gan-l1", "cgan-l1")}
    assert controls == families
    assert max(budget.images for budget in trained.values()) == families.pop().images


@pytest.mark.parametrize(("preset", "data"), [("quick", "cifar10"), ("quick", "sample"), ("standard", "imagenette")])
def test_families_make_about_as_many_multiply_adds(params: Params, preset: str, data: str) -> None:
    assert spread(sizes(params, data, preset), "multiply_adds") <= 1.5


def test_equal_seconds_are_those_of_the_committed_rows(params: Params) -> None:
    """The arm of C1-seconds gets the share of images that takes as long as the other method's whole budget."""
    rows = build_table(ROOT / "results/cifar10/quick").rows
    seconds = {row.name: row.cost.train_seconds for row in rows if row.cost.train_seconds}
    if missing := {"cgan", "classification"} - seconds.keys():
        pytest.skip(f"needs committed rows of cifar10/quick: {', '.join(sorted(missing))}")
    assert params.entries["cgan-seconds"]["budget"] == pytest.approx(
        seconds["classification"] / seconds["cgan"], abs=0.1
    )


def test_standard_sees_five_times_the_images_of_quick(params: Params) -> None:
    for data in names("dataset"):
        quick, standard = (
            resolve(params, method="l2", data=f"{data}:." if data == "folder" else data, preset=preset).training
            for preset in ("quick", "standard")
        )
        assert (standard.images, standard.batch_size) == (5 * quick.images, quick.batch_size)


def test_standard_has_the_settings_of_quick(params: Params) -> None:
    quick, standard = (params.presets[preset].methods for preset in ("quick", "standard"))
    assert quick == standard, "docs/findings.md says so beside the two"


def test_no_preset_that_is_compared_holds_more_than_sizes(params: Params) -> None:
    for preset in COMPARED:
        for name, section in params.presets[preset].methods.items():
            assert section.keys() <= SIZES, f"{preset}: {name} is tuned by hand"


def test_families_of_a_table_take_tuned_settings_from_one_place(params: Params) -> None:
    """Some with settings of their own beside others with their papers' would be no equal chance."""
    families = set(params.entries) - set(params.varied)
    families -= {name for name in families if "steps" in params.entry(name).get("training", {})}
    searching = [name for name in sorted(families) if searched(load_method(adapter_of(params, name)).Config)]
    assert len(searching) > 5
    for preset in COMPARED:
        for data in names("dataset"):
            places = {name: tuned_at(params, name, data, preset) for name in searching}
            assert len(set(places.values())) == 1, f"{data}, {preset}: {places}"


def adapter_of(params: Params, name: str) -> str:
    return str(params.entry(name).get("adapter", name))


def tuned_at(params: Params, name: str, data: str, preset: str) -> str | None:
    """Returns data set and preset of the tuning whose values an entry takes: its last section that says so counts."""
    methods = params.presets[preset].methods
    keys = dict.fromkeys(key for base in (adapter_of(params, name), name) for key in (base, f"{base}@{data}"))
    said = [methods[key]["tuned"] for key in keys if "tuned" in methods.get(key, {})]
    if not said or not said[-1]:
        return None
    return str(said[-1]).rpartition("/")[0] or f"{data}/{preset}"


def test_the_page_of_the_protocol_has_the_sizes_of_quick(params: Params) -> None:
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    now = {line for data in ("cifar10", "sample") for line in as_text(sizes(params, data, "quick")).splitlines()}
    told = [line for line in page.splitlines() if re.match(r"\| `[\w-]+` \| [\d,]+ \| [\d,]+ \|", line)]
    assert told
    assert not [line for line in told if line not in now], (
        "bench sizes --data cifar10 --preset quick, and --data sample"
    )


def test_a_budget_is_a_share_of_the_images_whatever_the_batch(params: Params) -> None:
    whole, half, small = (
        resolve(params, method=name, data="cifar10", preset="quick").training
        for name in ("eccv16", "eccv16-half", "gan-perceptual-own-batch-4")
    )
    assert half.batch_size == whole.batch_size
    assert half.images == small.images == whole.images / 2
    assert small.batch_size == 4
    given = resolve(params, method="eccv16-half", data="cifar10", preset="quick", assignments=["steps=7"])
    assert given.training.steps == 7


@pytest.mark.parametrize("name", ["cgan-cifar", "gan-perceptual-released", "gan-perceptual-own-report"])
def test_what_stands_for_a_report_has_its_own_rates_whatever_is_tuned(params: Params, name: str) -> None:
    entry = params.entry(name)
    assert searched(load_method(entry["adapter"]).Config).keys() <= entry.keys()


@pytest.mark.parametrize("budget", [0, 1.5, "half", None])
def test_a_budget_that_is_no_share_is_refused(params: Params, budget: Any) -> None:
    content = params.model_dump(mode="json")
    content["entries"]["eccv16-half"]["budget"] = budget
    with pytest.raises(ValidationError, match="budget: a share of the preset's training images is wanted"):
        Params.model_validate(content)


@pytest.mark.slow
def test_a_cell_whose_parent_cannot_run_here_is_skipped_with_the_reason(tmp_path: Path) -> None:
    params = {
        "suite": {"preset": "tiny", "data": ["sample"], "methods": ["child"], "seeds": [0]},
        "entries": {
            "released": {"adapter": "eccv16", "pretrained": True},
            "child": {"adapter": "gan-perceptual", "parent": "released", "perceptual_weight": 0.0},
        },
        "presets": {"tiny": {"training": {"default": {"steps": 1}}, "data": {"sample": {"image_size": 16}}}},
    }
    project = make_project(tmp_path, params)
    done = bench("run", "--method", "child", "--data", "sample", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "starts from 'released', which cannot run here" in done.stdout + done.stderr
    assert "bench weights fetch colorization-v2" in done.stdout + done.stderr
