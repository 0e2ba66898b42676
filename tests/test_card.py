"""The metric card tells which metric sees what of known changes, on images whose answer is known."""

import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fake_results import SHA, write_params, write_suite
from rich.console import Console
from skimage import data

from benchmark import PROTOCOL
from benchmark.cli import main
from benchmark.data.color import rgb_to_lab
from benchmark.paper.card.changes import CHANGES, Changed, Truth, change
from benchmark.paper.card.figure import draw
from benchmark.paper.card.make import make_card
from benchmark.paper.card.measure import count_of_sets, measure_card, spearman
from benchmark.paper.card.notes import CARD, remarks
from benchmark.paper.card.rows import FILE, Card, CardRow, csv_text, read_card
from benchmark.paper.card.show import agreement, build_page, summary
from benchmark.paper.card.surprises import headlines, surprises
from benchmark.results.columns import announce
from benchmark.results.tables import build_table, footnotes
from benchmark.scoring.metrics import METRICS, Metric, register
from benchmark.support.errors import BenchError, InputError

CPU = torch.device("cpu")
SIDE, COUNT = 32, 24


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Makes tiles of a photograph in full color, (24, 32, 32, 3) uint8."""
    tiles = data.coffee()[40:168, 60:252].reshape(4, 32, 6, 32, 3).swapaxes(1, 2)
    return np.ascontiguousarray(tiles.reshape(COUNT, SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def prepared(images: np.ndarray) -> Any:
    """Makes what a card uses of a prepared data set."""
    return SimpleNamespace(
        ab_prior=np.full(313, 1 / 313),
        mean_ab=(3.0, 12.0),
        meta=SimpleNamespace(name="tiles"),
        folder=Path("nowhere"),
        sha256={"test": SHA},
        ids=lambda split: [str(k) for k in range(COUNT)],
        images=lambda split: images,
        labels=lambda split: None,
    )


@pytest.fixture
def truth(images: np.ndarray) -> Truth:
    rgb = torch.from_numpy(images)
    L, ab = rgb_to_lab(rgb)
    return Truth(rgb, L, ab, ab.roll(1, dims=0), (3.0, 12.0), seed=0)


@pytest.fixture(scope="module")
def card(prepared: Any) -> Card:
    rows = measure_card(prepared, CPU, ["psnr", "auc", "delta_colorfulness", "clipped"])
    return Card("tiles", "quick", rows)


# Changes --------------------------------------------------------------------------------------------------------------


def ab_of(changed: Changed) -> torch.Tensor:
    return rgb_to_lab(changed.rgb)[1]


def test_every_change_keeps_the_lightness_but_jpeg(truth: Truth) -> None:
    for name, one in CHANGES.items():
        for strength in one.strengths:
            rgb, clipped = one.apply(truth, strength)
            assert rgb.shape == truth.rgb.shape
            assert rgb.dtype == torch.uint8
            assert (clipped is None) == (name == "jpeg")
            if clipped is not None:
                moved = (rgb_to_lab(rgb)[0] - truth.L)[:, 0].abs()
                assert float(moved[~clipped].max()) < 1


def test_changes_do_what_they_say(truth: Truth) -> None:
    chroma = truth.ab.norm(dim=1)
    gray = ab_of(CHANGES["saturation"].apply(truth, 0.0))
    assert float(gray.abs().max()) < 1
    half = ab_of(CHANGES["saturation"].apply(truth, 0.5)).norm(dim=1)
    torch.testing.assert_close(half, 0.5 * chroma, atol=1.5, rtol=0)
    turned, clipped = CHANGES["hue"].apply(truth, 90)
    inside = ~clipped  # type: ignore[operator]
    quarter = rgb_to_lab(turned)[1].movedim(1, -1)[inside]
    expected = torch.stack([-truth.ab[:, 1], truth.ab[:, 0]], dim=-1)[inside]
    torch.testing.assert_close(quarter, expected, atol=2.0, rtol=0)
    mean = CHANGES["mean_color"].apply(truth, 1)
    found = rgb_to_lab(mean.rgb)[1].movedim(1, -1)[~mean.clipped]  # type: ignore[operator]
    assert float((found - torch.tensor([3.0, 12.0])).abs().max()) < 2
    board = ab_of(CHANGES["checkerboard"].apply(truth, 1)).norm(dim=1)
    assert float(board[:, 0, 0].max()) < 1
    torch.testing.assert_close(board[:, 0, 1], chroma[:, 0, 1], atol=1.5, rtol=0)
    moved = ab_of(CHANGES["shift"].apply(truth, 2))
    torch.testing.assert_close(moved[..., 2:].mean(), truth.ab[..., :-2].mean(), atol=0.5, rtol=0)


def test_bleeding_is_in_pixels_of_32(truth: Truth) -> None:
    large = torch.from_numpy(np.repeat(np.repeat(truth.rgb.numpy(), 2, axis=1), 2, axis=2))
    L, ab = rgb_to_lab(large)
    twice = ab_of(CHANGES["bleeding"].apply(Truth(large, L, ab, ab, (0, 0), 0), 2))
    once = ab_of(CHANGES["bleeding"].apply(truth, 2))
    assert float((twice[..., ::2, ::2] - once).abs().mean()) < 1


def test_another_photograph_is_never_the_own_one(prepared: Any, images: np.ndarray, monkeypatch: Any) -> None:
    seen: list[torch.Tensor] = []

    def looked(truth: Truth, _: float) -> Changed:
        seen.append((truth.other_ab - truth.ab).abs().amax(dim=(1, 2, 3)))
        return truth.recolored(truth.ab)

    monkeypatch.setitem(CHANGES, "another", CHANGES["another"].__class__("another", "", (1,), "other", True, looked))
    measure_card(prepared, CPU, ["psnr"], ["another"])
    assert float(torch.cat(seen).min()) > 1


def test_a_name_belongs_to_one_change() -> None:
    def hue(truth: Truth, _: float) -> Changed:
        return Changed(truth.rgb)

    with pytest.raises(ValueError, match="there is a change 'hue' already"):
        change("again", (1,))(hue)


# Measuring ------------------------------------------------------------------------------------------------------------


def test_a_card_says_what_is_known(card: Card) -> None:
    assert card.metrics == ["psnr", "auc", "delta_colorfulness", "clipped"]
    assert card.changes == list(CHANGES)
    gray = card.strongest("auc", "saturation")
    assert gray is not None
    assert (gray.strength, gray.damage, gray.rho) == (0, 1, 1)
    assert (gray.images, gray.protocol, gray.test_sha256) == (COUNT, PROTOCOL, SHA[:12])
    assert card.sees("auc", "saturation")
    assert card.sees("auc", "hue")
    assert card.sees("auc", "place")
    opposite = card.strongest("auc", "hue")
    assert opposite is not None
    assert opposite.damage is not None
    assert opposite.damage > 1.5
    assert "hue" not in card.prefers_wrong("auc")
    assert "hue" in card.prefers_wrong("delta_colorfulness")
    assert [row.damage for row in card.cell("clipped", "hue")] == [None] * 4  # gray clips nothing: no unit
    assert card.cell("clipped", "jpeg") == []


def test_damage_and_intervals_equal_their_definition(prepared: Any, images: np.ndarray) -> None:
    rows = measure_card(prepared, CPU, ["auc"], ["hue"])
    rgb = torch.from_numpy(images)
    L, ab = rgb_to_lab(rgb)
    truth = Truth(rgb, L, ab, ab, (0, 0), 0)

    def area(changed: Changed) -> np.ndarray:
        errors = (ab_of(changed) - ab).norm(dim=1)
        curve = np.array([(errors <= t).double().mean(dim=(1, 2)).numpy() for t in range(151)])
        return 100 * np.trapezoid(curve, axis=0) / 150

    turned, gray = area(CHANGES["hue"].apply(truth, 180)), area(CHANGES["saturation"].apply(truth, 0))
    row = rows[-1]
    assert row.value == pytest.approx(turned.mean(), abs=0.05)
    assert row.damage == pytest.approx((100 - turned.mean()) / (100 - gray.mean()), rel=1e-2)
    assert row.damage is not None
    assert row.damage_low is not None
    assert row.damage_high is not None
    assert row.damage_low < row.damage < row.damage_high


def test_a_new_metric_and_a_new_change_are_in_the_card(prepared: Any) -> None:
    register(
        Metric("blue", "Blue", "", "lower", 2, "error of blue", per_image=lambda p, t: (p - t)[:, 2].abs().mean((1, 2)))
    )

    @change("blue lost (levels)", (10, 20), "hue")
    def less_blue(truth: Truth, levels: float) -> Changed:
        rgb = truth.rgb.int()
        rgb[..., 2] -= int(levels)
        return Changed(rgb.clamp(min=0).byte())

    try:
        rows = measure_card(prepared, CPU, ["blue", "mae_r"], ["less_blue"])
        assert [row.metric for row in rows] == ["blue", "blue", "mae_r", "mae_r"]
        assert rows[2].value == 0
        assert 15 < rows[1].value <= 20
        assert rows[1].rho == 1
    finally:
        del METRICS["blue"], CHANGES["less_blue"]
    with pytest.raises(InputError, match="unknown change 'less_blue'; legal: saturation"):
        measure_card(prepared, CPU, ["psnr"], ["less_blue"])


def test_a_log_shows_how_far_a_card_is(prepared: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("benchmark.paper.card.make.prepare_data", lambda cell, context: prepared)
    said: list[str] = []
    context: Any = SimpleNamespace(console=Console(file=io.StringIO()), device=CPU, say=said.append)
    cell: Any = SimpleNamespace(data="tiles", preset="quick")
    assert "`psnr`" in make_card(cell, context, ["psnr"])
    sets = count_of_sets()
    assert [line.split(",")[0] for line in said] == [f"metric card: {done}/{sets}" for done in range(1, sets + 1)]


def test_spearman_ranks() -> None:
    first = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(first, np.array([1, 10, 100, 1000.0])) == 1
    assert spearman(first, -first) == -1
    assert spearman(first, np.zeros(4)) == 0
    assert spearman(first[:, None], np.stack([first, -first], axis=1)).tolist() == [1, -1]
    assert count_of_sets() == 1 + sum(len(one.strengths) for one in CHANGES.values())


# Showing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, card: Card) -> Path:
    root = write_params(tmp_path)
    write_suite(root / "results")
    rows = [row.model_copy(update={"protocol": PROTOCOL, "test_sha256": SHA[:12]}) for row in card.rows]
    (root / "results/cifar10/quick" / FILE).write_text(csv_text(rows))
    (root / "docs").mkdir()
    return root


def test_a_card_survives_its_file(project: Path, card: Card) -> None:
    found = read_card(project / "results/cifar10/quick" / FILE)
    assert (found.data, found.preset) == ("cifar10", "quick")
    assert len(found.rows) == len(card.rows)
    for ours, theirs in zip(found.rows, card.rows, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-5)
        assert (ours.damage is None) == (theirs.damage is None)
    assert remarks(found) == remarks(card)


def test_a_damaged_card_is_named(project: Path) -> None:
    path = project / "results/cifar10/quick" / FILE
    path.write_text(path.read_text().replace(",hue,hue,", ",hue,taste,", 1))
    with pytest.raises(BenchError, match=r"card.csv: aspect: .*bench card --data NAME"):
        read_card(path)


def test_page_and_figure(project: Path) -> None:
    written = build_page(project)
    assert {path.name for path in written} == {"metric-card.md", "metric-card-cifar10-quick.svg"}
    assert build_page(project, check=True) == []
    page = (project / "docs/metric-card.md").read_text()
    assert "cifar10, preset quick: 24 images" in page
    assert "Hue is seen by" in page or "hue is seen by" in page
    assert "One seed's deviation" in page
    figure = (project / "docs/metric-card-cifar10-quick.svg").read_text()
    assert figure.count('class="metric"') == 4
    assert len(figure) < 300_000


def test_a_card_of_another_protocol_is_named_and_not_shown(project: Path, card: Card) -> None:
    old = project / "results/celeba/quick" / FILE
    old.parent.mkdir(parents=True)
    old.write_text(csv_text(row.model_copy(update={"protocol": PROTOCOL - 1}) for row in card.rows))
    build_page(project)
    page = (project / "docs/metric-card.md").read_text()
    assert "Left out, as cards of another protocol: celeba (preset quick)." in page
    assert page.count("## ") == 1
    assert not any("celeba" in line for line in headlines(project / "results", most=1000))


def test_the_line_under_a_leaderboard(project: Path, providers: None) -> None:
    folder = project / "results/cifar10/quick"
    table = build_table(folder)
    (line,) = [note for note in footnotes(table) if "Metric card" in note]
    assert "hue is seen by `psnr`, `auc`" in line
    assert re.search("another photograph's colors, are shown to score above no color in .*`delta_colorfulness`", line)
    path = folder / FILE
    path.write_text(path.read_text().replace(SHA[:12], "f" * 12))
    table = build_table(folder)
    assert not [note for note in footnotes(table) if "hue is seen" in note]
    assert [str(one) for one in table.left_out] == [f"{path}: a metric card of another protocol or of other images"]


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.results.columns._ANNOUNCED", {})
    announce("benchmark.paper.card.notes:CARD")
    assert CARD.columns == {}


def test_what_is_said_of_a_card(card: Card) -> None:
    assert agreement(card, "auc", "auc") == pytest.approx(1)
    assert agreement(card, "auc", "clipped") is None
    text = summary(card)
    assert "hue ÷ none" in text
    assert "| `psnr`" in text
    told = " ".join(surprises(card))
    assert "Opposite hues score better than no color at all in `delta_colorfulness`" in told
    assert draw(card).startswith("<svg")


def test_headlines_are_of_the_largest_card_first(tmp_path: Path, card: Card) -> None:
    for name, images in (("large", 500), ("small", 24)):
        folder = tmp_path / name / "quick"
        folder.mkdir(parents=True)
        rows = [row.model_copy(update={"images": images}) for row in card.rows]
        (folder / FILE).write_text(csv_text(rows))
    lines = headlines(tmp_path)
    assert len(lines) == 3
    assert "500 true test images of large" in lines[0]
    assert headlines(tmp_path / "large" / "quick") == []


def test_the_provider_needs_no_torch() -> None:
    program = "import sys, benchmark.paper.card.notes, benchmark.paper.card.surprises; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_rows_refuse_what_they_are_not() -> None:
    with pytest.raises(ValueError, match="aspect"):
        CardRow.model_validate({"metric": "psnr", "aspect": "taste"})


def test_the_command_refuses_options_that_do_nothing_together() -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(main, ["card", "--data", "sample", "--check"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "leave out --data" in done.stderr
