"""docs/findings.md agrees with the results, however few there are, and its figures stand alone."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from fake_results import (
    IMAGES,
    fake_columns,
    fake_result,
    write_method,
    write_params,
    write_result,
    write_skipped,
    write_suite,
)
from markupsafe import Markup

from benchmark.cli import main
from benchmark.contracts.curves import Curves
from benchmark.contracts.result import Cost
from benchmark.paper.claims import decide_all
from benchmark.paper.findings import build_findings, colorless, facts, figures, longer, verdicts, within
from benchmark.paper.findings.facts import Facts
from benchmark.paper.published import load_published
from benchmark.results.tables import build_table

FIGURES = ["findings-color.svg", "findings-cost.svg", "findings-data.svg", "findings-gray.svg"]
PART = "500 of 202,599 faces."


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that no test may change, with results on CIFAR-10 and a part of CelebA, and its page."""
    root = tmp_path_factory.mktemp("project")
    write_suite(root / "results", config={"training": {"steps": 2000, "batch_size": 64}})
    write_suite(root / "results", data="celeba", images=120, config={"data_note": PART})
    write_method(root / "results", "l2", data="sample", images=40)
    write_skipped(root / "results", "gan-perceptual", "VGG-19 weights missing")
    build_findings(root)
    return root


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return (project / "docs/findings.md").read_text()


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}")[2].partition("\n## ")[0]


def cells_of(text: str) -> list[list[str]]:
    """Returns the lines of the first pipe table without its head and rule."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return lines[2:]


def test_gray_stands_beside_what_reports_print(project: Path, page: str) -> None:
    trap = section(page, "The trap")
    lines = cells_of(trap)
    assert ["seed 004, ECCV16, released weights", "ImageNet-50", "22.27", "0.91", "89"] in lines
    grays = {line[1]: line[2] for line in lines if "`gray`" in line[0]}
    assert list(grays) == ["cifar10/quick", "celeba/quick"]  # a demonstration is no evidence
    table = build_table(project / "results/cifar10/quick")
    gray = table.row("gray")
    assert gray is not None
    assert grays["cifar10/quick"].startswith(f"{gray.cells['psnr'].mean:.2f} [")
    assert "none\nof these figures is held against `gray` here" in trap, (
        "thumbnails of 32² are no match for photographs"
    )


def test_reported_figures_are_held_against_gray_on_images_like_theirs(tmp_path: Path) -> None:
    results, config = tmp_path / "results", {"data_config": {"image_size": 256}}
    write_method(results, "gray", 3.0, seeds=(0,), role="floor")
    write_method(
        results, "gray", seeds=(0,), role="floor", quality=-1.3, data="imagenette", preset="paper", config=config
    )
    tables = [build_table(results / name) for name in ("cifar10/quick", "imagenette/paper")]
    found = Facts(tables, [], load_published())
    gray = tables[1].floor
    assert gray is not None
    assert 22.0 < (gray.cells["psnr"].mean or 0) < 22.26, "as on photographs"
    assert colorless.alike(found) == ["imagenette/paper"]
    assert colorless.not_above_gray(found).startswith("1 of 3 for `psnr`, "), "seeds 000 and 004, and not COCO's five"
    assert colorless.not_above_gray(Facts(tables[:1], [], load_published())) == ""
    assert "U-Net + PatchGAN (seed 000)" in colorless.below_gray(found)


def test_a_table_of_single_trainings_tells_means_and_no_tests(tmp_path: Path) -> None:
    write_method(tmp_path, "gray", -2.0, seeds=(0,), role="floor", data="celeba")
    for method, quality in (("l2", 1.0), ("cgan", -1.0), ("eccv16", -3.0)):
        write_method(tmp_path, method, quality, seeds=(0,), data="celeba")
    alone = [build_table(tmp_path / "celeba/quick")]
    told = "On celeba/quick each of 3 families was trained once, and so is not tested; in the means of all three, "
    [sentence] = colorless.elsewhere(Facts(alone, [], []))
    assert sorted(re.findall(r"`\w+`", sentence)) == ["`cgan`", "`l2`"]
    assert sentence.startswith(f"{told}2 of them are above that picture (")
    write_method(tmp_path, "mean-color", 0.0, seeds=(0,), role="baseline", data="celeba")
    [sentence] = colorless.elsewhere(Facts([build_table(tmp_path / "celeba/quick")], [], []))
    assert sentence.endswith(", 1 also above the mean color of the training split (`l2`).")


@pytest.mark.parametrize(("number", "lines"), [(1, [1]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (7, [3, 3, 1])])
def test_many_panels_stand_in_lines_that_do_not_overlap(number: int, lines: list[int]) -> None:
    chart = Markup('<svg viewBox="0 0 340 200"></svg>')
    text = figures.standalone({f"data {k}": chart for k in range(number)}, "many")
    whole, *panels = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}svg")
    tops = [float(panel.attrib["y"]) for panel in panels]
    assert [*Counter(tops).values()] == lines
    assert all(later - earlier in (0, 200 + 26 + 18) for earlier, later in pairwise(tops)), "heading and margin fit"
    assert max(tops) + 200 < float(whole.attrib["height"])
    assert max(float(panel.attrib["x"]) for panel in panels) + 340 < float(whole.attrib["width"])


def test_how_far_below_its_highest_point_a_training_ends(tmp_path: Path) -> None:
    for preset, method, psnr in (
        ("quick", "l2", (22.0, 24.0, 23.5, 23.0)),
        ("quick", "cgan", (22.0, 23.0, 24.0, 25.0)),
        ("standard", "l2", (24.0, 23.75, 23.0, 22.5)),
        ("standard", "cgan", (22.0, 23.0, 24.0, 25.0)),
    ):
        for seed, shift in enumerate((-0.5, 0.5, 0.0)):
            seen, colors = tuple(range(1000, 5000, 1000)), {"colorfulness": psnr, "colorfulness_truth": 9.0}
            curves = Curves(images=seen, psnr=tuple(one + shift for one in psnr), validation_images=1024, **colors)
            write_method(tmp_path, method, seeds=(seed,), preset=preset, curves=curves, cost=Cost(budget_images=4000))
    write_method(tmp_path, "eccv16")  # without a curve
    tables = [build_table(tmp_path / "cifar10" / preset) for preset in ("quick", "standard")]
    lines = {line[0]: line[1:] for line in cells_of(within.ends(Facts(tables, [], [])))}
    assert lines["`l2`"] == ["-1.00 (after 50 %)", "-1.50 (after 25 %)"]
    assert lines["`cgan`"] == ["0.00", "0.00"]
    assert lines["`eccv16`"] == ["–", "–"]
    told = "1,024 on cifar10/quick, 1,024 on cifar10/standard"
    assert within.validation_images(Facts(tables, [], [])) == told
    assert within.ends(Facts([], [], [])) == ""


def test_what_a_single_color_scores_beyond_gray_stands_beside_it(tmp_path: Path) -> None:
    for data, mean_color in (("cifar10", -2.0), ("celeba", 0.0)):
        write_method(tmp_path, "gray", -2.0, seeds=(0,), role="floor", data=data)
        write_method(tmp_path, "mean-color", mean_color, seeds=(0,), role="baseline", data=data)
    write_method(tmp_path, "gray", -2.0, seeds=(0,), role="floor", data="coco")  # without the other nothing is said
    tables = [build_table(tmp_path / name / "quick") for name in ("cifar10", "celeba", "coco")]
    told = colorless.mean_color_less_gray(Facts(tables, [], []))
    assert re.fullmatch(r"[+-]0\.\d\d on cifar10/quick, \+[12]\.\d\d on celeba/quick", told)
    assert colorless.mean_color_less_gray(Facts(tables[2:], [], [])) == ""


def test_each_family_is_held_against_gray_in_a_row_of_its_own(page: str) -> None:
    part = section(page, "Against no color at all")
    lines = {line[0]: line for line in cells_of(part)}
    assert set(lines) == {"`cgan`", "`classification`", "`eccv16`", "`l2`"}
    assert re.fullmatch(r"-[01]\.\d\d \[-\d\.\d\d,\s-\d\.\d\d\] below", lines["`eccv16`"][1])
    assert lines["`l2`"][1].endswith(" above")
    assert re.search(r"`gray` scores psnr 23\.\d\d, ssim 0\.\d{4}, auc 8\d\.\d\d on cifar10/quick", part)
    assert "Of the 4 families measured there, 3 are shown to beat a picture" in page
    assert re.search(
        r"that of `c\w+`, differs from that picture's by \+[12]\.\d\d dB\s\(\[[12]\.\d\d, [12]\.\d\d\]:", page
    )
    assert "orrelation" not in page


def test_ranks_stand_in_one_row_per_family(page: str) -> None:
    ranks = section(page, "One protocol").partition("column by column")[2]
    assert [line[0] for line in cells_of(ranks)] != []
    assert all(line[0].count("`") == 2 for line in cells_of(ranks))


def test_the_other_tables_say_who_beats_gray_there(tmp_path: Path) -> None:
    for data in ("cifar10", "imagenette"):
        write_method(tmp_path, "gray", seeds=(0,), role="floor", data=data)
        write_method(tmp_path, "l2", 2.0, data=data)
    write_method(tmp_path, "eccv16", -2.0, data="imagenette")
    write_method(tmp_path, "cgan", 2.0, seeds=(0,), data="imagenette")
    write_method(tmp_path, "l2", 2.0, data="coco")  # without gray nothing can be said
    tables = [build_table(tmp_path / name / "quick") for name in ("cifar10", "imagenette", "coco")]
    once = "(not tested, as of one training: `cgan`)"
    assert colorless.elsewhere(Facts(tables, [], [])) == [
        f"On imagenette/quick 1 of 3 families {once} is shown to beat that picture in all three (`l2`)."
    ]


@pytest.mark.parametrize(
    ("mean_color", "both"),
    [
        (0.0, ", and each of these {}"),
        (1.0, "; of these, 1 is shown to beat {} (`l2`)"),
        (2.5, "; of these, 0 are shown to beat {}"),
    ],
)
def test_who_beats_gray_is_tested_against_the_mean_color_too(tmp_path: Path, mean_color: float, both: str) -> None:
    write_method(tmp_path, "gray", seeds=(0,), role="floor", data="celeba")
    write_method(tmp_path, "mean-color", mean_color, seeds=(0,), role="baseline", data="celeba")
    for method, quality in (("l2", 2.0), ("eccv16", 0.5), ("cgan", -2.0)):
        write_method(tmp_path, method, quality, data="celeba")
    [told] = colorless.elsewhere(Facts([build_table(tmp_path / "celeba/quick")], [], []))
    assert told.startswith("On celeba/quick 2 of 3 families are shown to beat that picture in all three (`")
    assert told.endswith(f"{both.format('the mean color of the training split, too')}.")


@pytest.mark.parametrize(
    ("seeds", "said", "interval"),
    [
        ((0,), " (not tested, as of one training: `house`)", "Trained once, untested, and ahead of it: `house` ("),
        ((0, 1, 2), "", ": a 95 % interval for a comparison fixed in advance"),
    ],
)
def test_a_family_in_front_that_was_trained_once_has_no_interval(
    tmp_path: Path, seeds: tuple[int, ...], said: str, interval: str
) -> None:
    results = tmp_path / "results"
    write_method(results, "gray", seeds=(0,), role="floor")
    write_method(results, "l2", 1.0)
    write_method(results, "house", 3.0, seeds=seeds)
    build_findings(tmp_path)
    short = (tmp_path / "docs/findings.md").read_text().partition("**In short.**")[2].partition("\n## ")[0]
    assert f"Of the 2 families measured there{said}, " in short
    assert f"that of `{'l2' if said else 'house'}`, differs" in short
    assert interval in short


def test_it_says_who_beats_gray_on_images_of_no_training_split(tmp_path: Path) -> None:
    for data, preset in (("cifar10", "quick"), ("kodak", "transfer-cifar10-quick")):
        write_method(tmp_path / "results", "gray", seeds=(0,), role="floor", data=data, preset=preset)
        write_method(tmp_path / "results", "l2", 2.0, data=data, preset=preset)
        write_method(tmp_path / "results", "cgan", -2.0, data=data, preset=preset)
    write_method(tmp_path / "results", "l2", data="imagenette")
    build_findings(tmp_path)
    told = (
        f"On kodak/transfer-cifar10-quick 1 of 2 families is shown to beat `gray` in all three (`l2`) on {IMAGES} photo"
    )
    assert told in (tmp_path / "docs/findings.md").read_text()


def test_a_claim_refuted_in_one_column_that_holds_in_another_is_said(tmp_path: Path) -> None:
    def decision(*outcomes: tuple[str, str]) -> Any:
        found = [SimpleNamespace(metric=metric, outcome=outcome, decides=True) for metric, outcome in outcomes]
        return SimpleNamespace(data="cifar10", preset="quick", verdict="refuted", findings=found)

    def told(*outcomes: tuple[str, str]) -> list[str]:
        claim: Any = SimpleNamespace(claim=SimpleNamespace(id="C5"), decisions=[decision(*outcomes)])
        table: Any = SimpleNamespace(data="cifar10", preset="quick")
        return verdicts.in_part([claim], table)

    assert told(("top1", "is false"), ("fd_judge", "holds")) == ["C5 is refuted in `top1`, and holds in `fd_judge`"]
    assert told(("mae_r", "is false"), ("mae_r", "holds")) == []
    assert told(("psnr", "is false"), ("ssim", "open")) == []


def test_what_is_said_of_the_simulation_is_what_statistics_md_shows(page: str) -> None:
    low, high = map(float, re.search(r"held the truth in ([\d.]+) to ([\d.]+) %", page).groups())  # type: ignore[union-attr]
    text = (Path(__file__).parents[1] / "docs/statistics.md").read_text()
    coverage, errors = text.partition("How often a 95 % interval")[2], text.partition("Family-wise error")[2]
    held = [float(figure) for figure in re.findall(r"([\d.]+)%", coverage.partition("A figure has")[0])]
    assert (low, high) == (min(held), max(held))
    said = re.findall(r"in ([\d.]+) % at most", page)
    for greatest, part in zip(said, errors.split("The share of two thirds"), strict=True):  # protocol 1, this edition
        wrong = re.findall(r"^\| \S+ \| `\w+` \| ([\d.]+)% \| ([\d.]+)% ", part, flags=re.MULTILINE)
        assert max(float(figure) for pair in wrong for figure in pair) == float(greatest)


def test_families_trained_once_or_with_imagenet_are_named(tmp_path: Path) -> None:
    for data in ("cifar10", "imagenette"):
        write_method(tmp_path, "l2", data=data)
        write_method(tmp_path, "cgan", seeds=(0,), data=data)
    write_method(tmp_path, "house", seeds=(0,), data="imagenette", pretrained_on="ImageNet")
    write_method(tmp_path, "eccv16", seeds=(0,), data="imagenette", pretrained_on="COCO")
    tables = [build_table(tmp_path / name / "quick") for name in ("cifar10", "imagenette")]
    found = Facts(tables, [], [])
    assert facts.trained_once(found) == "`cgan` on cifar10/quick; `cgan` on imagenette/quick", (
        "who is drawn in the figure"
    )
    assert facts.with_imagenet(found) == "`house`"
    assert facts.with_imagenet(Facts(tables[:1], [], [])) == facts.trained_once(Facts([], [], [])) == ""
    assert (facts.most_seeds(tables[0]), facts.most_seeds(tables[1])) == (3, 3)


def test_a_supported_claim_names_a_control_that_disagrees(tmp_path: Path) -> None:
    for method, quality in (("eccv16", 0.0), ("gan-perceptual-own", 1.0), ("gan-perceptual-own-mse", 1.5)):
        write_method(tmp_path, method, quality)
    write_method(tmp_path, "l2", -2.0)
    write_method(tmp_path, "cgan", 0.0)
    write_method(tmp_path, "cgan-l1", -1.0)
    write_method(tmp_path, "classification", 1.0)
    write_method(tmp_path, "cgan-resnet18-scratch", 1.0)
    tables = [build_table(tmp_path / "cifar10/quick")]
    lines = verdicts.attributions(Facts(tables, decide_all(tables), []))
    unclear = "it is not shown to which of its arms' differences that is due."
    assert f"`C6-own` is supported on cifar10/quick, but `C6-own-mse` is refuted: {unclear}" in lines
    assert "`C4` is supported on cifar10/quick, and so is `C4-l1`." in lines
    assert any(line.startswith("`C1` is refuted on cifar10/quick; its control (`C1-seconds`) is not") for line in lines)
    two = "`C11-scratch` is supported on cifar10/quick; its controls (`C11-encoder`, `C11-phase`) are not measured"
    assert any(line.startswith(two) for line in lines)


@pytest.mark.parametrize(
    ("direct", "told"),
    [
        (0.5, "and so are `C11-encoder`, `C11-phase`."),
        (
            0.0,
            "and so is `C11-phase`; but `C11-encoder` is undecided: 2 of its 4 comparisons hold, so that what "
            "`C11-encoder` names has a part in it is shown in part at most.",
        ),
    ],
)
def test_two_controls_are_told_together_or_with_what_holds_of_them(tmp_path: Path, direct: float, told: str) -> None:
    for method, quality in (("cgan", 0.0), ("cgan-l1-phase", 0.5), ("cgan-resnet18-scratch-direct", direct)):
        write_method(tmp_path, method, quality)
    write_method(tmp_path, "cgan-resnet18-scratch", 1.0)
    tables = [build_table(tmp_path / "cifar10/quick")]
    assert f"`C11-scratch` is supported on cifar10/quick, {told}" in verdicts.attributions(
        Facts(tables, decide_all(tables), [])
    )


def test_a_column_beside_a_claim_that_needs_no_control_says_nothing_of_its_cause(tmp_path: Path) -> None:
    for method, quality in (("classification", 1.0), ("classification-rebalance", 0.0)):
        for seed in range(3):
            columns = fake_columns(quality, IMAGES, np.random.default_rng(seed))
            columns["auc_rebal"] = 160 - columns["auc_rebal"]  # better where the others are worse
            write_result(tmp_path, fake_result(method, seed, columns), columns)
    tables = [build_table(tmp_path / "cifar10/quick")]
    false = "beside it “classification better than classification-rebalance in auc_rebal” is false (auc_rebal -"
    [line] = verdicts.attributions(Facts(tables, decide_all(tables), []))
    assert line.startswith(f"`C7` is supported on cifar10/quick, but {false}")
    assert "not shown to be due" not in line
    assert verdicts.doubtful(decide_all(tables), tables[0]) == ["C7"]


def test_of_two_controls_one_that_agrees_is_told_apart_from_one_that_does_not(tmp_path: Path) -> None:
    for method, quality in (("gray", 2.0), ("cgan", 0.0), ("cgan-l1-phase", 1.0), ("cgan-resnet18-scratch", 1.0)):
        write_method(tmp_path, method, quality, role="floor" if method == "gray" else "method")
    write_method(tmp_path, "cgan-resnet18-scratch-direct", 0.0)
    tables = [build_table(tmp_path / "cifar10/quick")]
    lines = verdicts.attributions(Facts(tables, decide_all(tables), []))
    [line] = [line for line in lines if line.startswith("`C11-scratch`")]
    assert line.startswith(
        "`C11-scratch` is supported on cifar10/quick, and so is `C11-phase`; but `C11-encoder` is undecided: "
        "that what `C11-encoder` names has a part in it is not shown. "
        "Beside it, “cgan-resnet18-scratch better than gray in psnr” is false (psnr -"
    )


def test_every_claim_has_a_line_with_what_decides_it(page: str) -> None:
    lines = {line[0]: line for line in cells_of(section(page, "The claims"))}
    assert list(lines)[:3] == ["C1", "C1-seconds", "C1-cifar"]
    assert lines["C2"][3] == "**supported** on cifar10/quick"
    assert re.fullmatch(r"cgan within ±0\.01 of classification: ssim [+-]0\.\d{5} \[.*\]", lines["C2"][4])
    assert "`C2` is supported on cifar10/quick; its control (`C2-seconds`) is not measured there, so what the" in page
    assert "; beside: cgan better than gray: ssim " in lines["C2"][4], "what a comparable SSIM is worth"
    assert lines["C3"][4].startswith("cgan: mae_r higher than mae_g: mae_r − mae_g +"), "not one channel's own error"
    assert [lines[name][1] for name in ("C2", "C2-seconds", "C12")] == ["seed 002", "ours, after seed 002", "ours"]
    assert lines["C12"][3] == "**refuted** on cifar10/quick", "of CelebA only a part is here"
    assert lines["C4"][3] == "**supported** on cifar10/quick; **supported** on celeba/quick"
    assert re.search(r"eccv16 better than gray: psnr -0\.9\d{2} \[.*?\], ssim -0\.", lines["C12"][4])
    assert "<br>celeba/quick: " in lines["C4"][4]
    assert lines["C6"][4] == "missing: gan-perceptual (VGG-19 weights missing)"
    assert lines["C10"][4] == (
        "to run: `bench run --method gan-perceptual-own-report --data cifar10 --preset quick --seed 0` and 8 more"
    )
    assert "Of the 11 claims that reports state" in page
    assert re.search(
        r"seeds of cifar10/quick,\s3 are supported, 1 is undecided, 7 are not measured; a claim is refuted if", page
    )
    assert re.search(r"Of 18 variants .*\s.*, 5 are about other data\.", page), "claims of photographs, not of CIFAR-10"


def test_published_figures_stand_beside_ours_with_what_differs(page: str) -> None:
    lines = cells_of(section(page, "Reported there"))
    seed_000 = next(line for line in lines if line[0].startswith("seed 000") and "cifar10" in line[2])
    assert seed_000[1] == "psnr 19.48, ssim 0.67, fid 72.47"
    assert re.fullmatch(r"`cgan` on cifar10/quick \(3 trainings\): psnr 2\d\.\d\d, ssim 0\.\d{4}, fid n/a", seed_000[2])
    assert seed_000[3].startswith("psnr 2")
    assert seed_000[4] == "unnamed data there; 300 images of 32² here; 2,000 steps of 64 here"
    assert ["seed 004, enhanced GAN", "`gan-perceptual`: skipped (VGG-19 weights missing)"] in [
        [line[0], line[2]] for line in lines
    ]


def test_parts_of_data_sets_and_missing_columns_are_said(page: str) -> None:
    assert f"- celeba/quick: {PART}" in page
    assert (
        "Not measured on cifar10/quick: `lpips_alex` (lpips_alex weights missing); `fid` (fid weights missing); "
        in page
    )
    assert "Not trained on cifar10/quick: `gan-perceptual` (VGG-19 weights missing)." in page
    assert "Budgets on cifar10/quick: 2,000 steps of 64 (`cgan`, `classification`, `eccv16`, `l2`)." in page


def test_figures_are_svg_files_that_need_nothing(project: Path, page: str) -> None:
    assert sorted(path.name for path in (project / "docs").glob("*.svg")) == FIGURES
    for name in FIGURES:
        text = (project / "docs" / name).read_text()
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(text) < 100_000
        assert f"]({name})" in page
        assert "href" not in text
        shown = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"psnr ↑", "cifar10: psnr ↑"} & shown
        assert any("eccv16" in (text or "") for text in shown)


def test_nothing_is_drawn_beyond_a_figure(project: Path) -> None:
    for name in FIGURES:
        root = ElementTree.parse(project / "docs" / name).getroot()
        for panel in root.iter("{http://www.w3.org/2000/svg}svg"):
            width, height = (float(part) for part in panel.attrib["viewBox"].split()[2:])
            for dot in panel.iter("{http://www.w3.org/2000/svg}circle"):
                assert 0 <= float(dot.attrib["cx"]) <= width
                assert 0 <= float(dot.attrib["cy"]) <= height


def test_twice_the_same_bytes_and_checked(project: Path, tmp_path: Path) -> None:
    assert build_findings(project, check=True).stale == []
    docs = tmp_path / "docs"
    write_method(tmp_path / "results", "l2")
    stale = build_findings(tmp_path, check=True).stale
    assert docs / "findings.md" in stale
    assert not docs.exists()
    build_findings(tmp_path)
    (docs / "findings-old.svg").write_text("of results that are gone")
    (docs / "findings.md").write_text("edited")
    assert build_findings(tmp_path, check=True).stale == [docs / "findings.md", docs / "findings-old.svg"]
    build_findings(tmp_path)
    assert not (docs / "findings-old.svg").exists()
    assert build_findings(tmp_path, check=True).stale == []


def test_the_command_fails_on_a_page_that_drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_method(write_params(tmp_path) / "results", "l2")
    monkeypatch.chdir(tmp_path)
    written = CliRunner().invoke(main, ["findings"])
    assert (written.exit_code, written.stdout.strip()) == (0, str(tmp_path / "docs/findings.md"))
    assert CliRunner().invoke(main, ["findings", "--check"]).exit_code == 0
    (tmp_path / "docs/findings-gray.svg").unlink()
    checked = CliRunner().invoke(main, ["findings", "--check"])
    assert checked.exit_code == 1
    assert "out of date: " in checked.stderr
    assert "run: bench findings, and commit what it writes" in checked.stderr


def one_method(results: Path) -> None:
    write_method(results, "l2", seeds=(0,))


def one_training_beside_gray(results: Path) -> None:
    write_method(results, "l2", seeds=(0,))
    write_method(results, "gray", seeds=(0,), role="floor")


def baselines_alone(results: Path) -> None:
    write_method(results, "gray", seeds=(0,), role="floor")


def another_data_set(results: Path) -> None:
    write_method(results, "l2", data="coco")


def no_results(results: Path) -> None:
    results.mkdir()


@pytest.mark.parametrize("write", [one_method, one_training_beside_gray, baselines_alone, another_data_set, no_results])
def test_the_page_is_made_from_whatever_is_there(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "results")
    build_findings(tmp_path)
    text = (tmp_path / "docs/findings.md").read_text()
    assert "| C12 " in text
    assert not re.search(r"None|\bnan\b|\binf\b", text)
    assert "\n\n\n" not in text
    for name in re.findall(r"\]\((findings-\w+\.svg)\)", text):
        assert (tmp_path / "docs" / name).is_file()
    assert ("No trained method is measured on cifar10 yet" in text) == (
        write not in (one_method, one_training_beside_gray)
    )


def test_the_main_table_is_the_fullest_of_the_first_data_set(project: Path) -> None:
    quick = build_table(project / "results/cifar10/quick")
    celeba = build_table(project / "results/celeba/quick")
    fuller = replace(quick, preset="paper", rows=[*quick.rows, quick.rows[0]])
    assert Facts([celeba, quick, fuller], [], []).main is fuller
    assert Facts([celeba], [], []).main is None


def write_longer(root: Path, better: float, seeds: tuple[int, ...]) -> Facts:
    """Writes three families and gray under two presets; in the longer one l2 has `better` dB more than cgan."""
    for preset, l2, own in (("quick", -1.0, (0, 1, 2)), ("standard", better, seeds)):
        cost = Cost(parameters=1, macs=1, train_seconds=9.0, budget_images=1000 if preset == "quick" else 5000)
        write_method(root, "cgan", 0.0, own, preset=preset, cost=cost)
        write_method(root, "l2", l2, own, preset=preset, cost=cost)
        write_method(root, "eccv16", -1.01, own, preset=preset, cost=cost)
        write_method(root, "gray", -2.0, (0,), role="floor", preset=preset)
    return Facts([build_table(root / "cifar10" / preset) for preset in ("quick", "standard")], [], [])


def test_a_longer_training_says_which_pairs_keep_their_order(tmp_path: Path) -> None:
    found = write_longer(tmp_path, 1.0, (0,))
    [(short, long)] = longer.longer(found)
    assert (short.preset, long.preset, longer.times(short, long)) == ("quick", "standard", "5")
    assert longer.once(short, long)
    assert longer.crossed(short, long) == "", "all of them stay above gray"
    assert longer.families_of(short, long) == "family"
    write_method(tmp_path, "house", 2.0)
    lacking = "of 3 families (`house` was not trained there)"
    assert longer.families_of(build_table(tmp_path / "cifar10/quick"), long) == lacking
    assert longer.trainings(short, long) == ("3 trainings each", "1 training each")
    [psnr] = [line for line in longer.order(short, long) if line.startswith("`psnr`")]
    assert psnr.startswith("`psnr`: 2 of 3 pairs keep their order; of the 2 that cifar10/quick shows to differ, 1.")
    assert psnr.endswith("The other way round in cifar10/standard: `cgan` and `l2`."), "one training shows nothing"
    lines = {line[0]: line[1] for line in cells_of(longer.beside(short, long))}
    assert list(lines)[-2:] == ["`gray`", "truth"]
    assert re.fullmatch(r"2\d\.\d\d → 2\d\.\d\d", lines["`l2`"])
    assert found.main is short, "the one of more trainings"
    assert found.with_methods == [short], "other data sets stand beside it, not its own longer trainings"


def test_a_pair_that_is_shown_the_other_way_round_is_marked(tmp_path: Path) -> None:
    [(short, long)] = longer.longer(write_longer(tmp_path, 1.0, (0, 1, 2)))
    assert any(line.endswith(": `cgan` and `l2` (shown there).") for line in longer.order(short, long))
    assert not longer.once(short, long)


def test_the_page_has_longer_trainings_where_both_presets_are_there(tmp_path: Path, page: str) -> None:
    write_longer(tmp_path / "results", -1.0, (0,))
    build_findings(tmp_path)
    part = section((tmp_path / "docs/findings.md").read_text(), "Longer trainings")
    assert "On the other side" not in part
    write_longer(tmp_path / "results", -3.0, (0,))
    build_findings(tmp_path)
    part = section((tmp_path / "docs/findings.md").read_text(), "Longer trainings")
    assert (
        "- On the other side of `gray` than in cifar10/quick, in the mean: `l2` in psnr, `l2` in ssim, `l2` in auc."
        in part
    )
    assert "In cifar10/standard each family sees 5 times the images that it sees in cifar10/quick;" in part
    assert "and so are the test images" in part
    assert "One training is no test" in part
    trap = section((tmp_path / "docs/findings.md").read_text(), "The trap")
    assert [line[1] for line in cells_of(trap) if "`gray`" in line[0]] == ["cifar10/quick"], "the same images once"
    assert "Longer trainings" not in page


def test_spread_of_seeds(project: Path) -> None:
    table = build_table(project / "results/cifar10/quick")
    told = dict(one.split() for one in facts.seed_spread(table).split(", "))
    assert set(told) == {f"`{row.name}`" for row in table.rows}
    for row in table.rows:
        assert row.cells["psnr"].estimate is not None
        assert float(told[f"`{row.name}`"]) == pytest.approx(row.cells["psnr"].estimate.seeds.std(ddof=1), abs=0.005)
    assert [*told.values()] == sorted(told.values(), reverse=True)


def test_decisions_are_those_of_the_claims_page(project: Path) -> None:
    tables = [build_table(project / "results" / data / "quick") for data in ("cifar10", "celeba")]
    claims = decide_all(tables)
    found = Facts(tables, claims, load_published())
    stated, ours = verdicts.reported(found), verdicts.ours(found)
    assert len(stated) + len(ours) == len(claims)
    counts = verdicts.counted(stated, tables[0])
    assert counts["supported"] == 3  # C2, C3, C4
    assert sum(counts.values()) == len(stated)
    assert verdicts.counted(ours, tables[0])["refuted"] == 1  # C12


@pytest.mark.slow
def test_needs_no_torch(project: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from benchmark.paper.findings import build_findings\n"
        f"build_findings(Path({str(project)!r}), check=True); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_it_says_of_which_methods_no_trial_was_above_gray(tmp_path: Path) -> None:
    def tuning(method: str, psnrs: tuple[float, ...]) -> SimpleNamespace:
        trials = [SimpleNamespace(metrics={"psnr": psnr} if psnr else {}) for psnr in psnrs]
        return SimpleNamespace(method=method, trials=trials, gray={"psnr": 24.0}, realism="fd_judge", images=4937)

    for method in ("cgan", "l2"):
        write_method(tmp_path, method)
    tables = [build_table(tmp_path / "cifar10/quick")]
    tunings: Any = [tuning("cgan", (23.9, 0, 24.0)), tuning("l2", (24.5, 20.0, 0)), tuning("house", (23.0,))]
    found = Facts(tables, [], [], tunings)
    assert colorless.never_above_gray(found) == ["cgan"]
    assert facts.searches(found) == "3 trials of one seed each, by `psnr` and `fd_judge` of 4,937 validation images"
    assert facts.searches(Facts([], [], [])) == ""


def test_a_control_that_stands_earlier_is_told_unless_it_said_the_same(tmp_path: Path) -> None:
    for method, quality in (("classification", 0.0), ("cgan", 1.0), ("cgan-seconds", 1.0), ("cgan-cifar", -1.0)):
        write_method(tmp_path, method, quality)
    tables = [build_table(tmp_path / "cifar10/quick")]
    lines = verdicts.attributions(Facts(tables, decide_all(tables), []))
    assert "`C1` is supported on cifar10/quick, and so is `C1-seconds`." in lines
    assert not any(line.startswith("`C1-seconds`") for line in lines)
    assert "`C1-cifar` is refuted on cifar10/quick, but `C1` is supported." in lines
