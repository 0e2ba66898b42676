"""Claims are decided rightly on made-up cells whose truth is known; sources' figures stand beside ours, unranked."""

import json
from pathlib import Path

import pytest
from fake_results import write_method, write_skipped, write_suite

from benchmark.contracts.config import read_params
from benchmark.contracts.result import Cost
from benchmark.paper.claims import (
    Decided,
    Decision,
    as_json,
    build_claims,
    load_claims,
    summary,
    verdict_text,
)
from benchmark.paper.claims.schema import EVERY_FAMILY, TRUTH
from benchmark.paper.published import build_published, load_published
from benchmark.results.statistics import Difference
from benchmark.results.tables import build
from benchmark.support.errors import BenchError


def decided(root: Path, claim: str) -> Decided:
    return next(one for one in build_claims(root).claims if one.claim.id == claim)


def verdicts(root: Path) -> dict[str, str]:
    return {one.claim.id: one.decisions[0].verdict for one in build_claims(root).claims if one.decisions}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of cgan and classification alike, of l2 behind them and less colorful, and of eccv16 below gray."""
    root = tmp_path_factory.mktemp("results")
    write_suite(root)
    build(root)
    build_published(root)
    build_claims(root)
    return root


def test_verdicts(suite: Path) -> None:
    assert verdicts(suite) == {
        "C1": "undecided",  # the two are alike
        "C2": "supported",
        "C3": "supported",
        "C3-share": "undecided",  # each method leaves the same share of gray's error in every channel
        "C4": "supported",
        "C12": "refuted",  # eccv16 is below gray
    }


def test_a_false_claim_is_refuted(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", 0.0)
    write_method(tmp_path, "classification", 1.0)
    assert verdicts(tmp_path)["C1"] == "refuted"
    assert verdicts(tmp_path)["C2"] == "undecided"  # they are 0.008 apart, and the interval crosses the margin of 0.01
    write_method(tmp_path, "classification", 4.0)
    assert verdicts(tmp_path)["C2"] == "refuted"


def test_a_true_claim_is_supported(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", 1.0)
    write_method(tmp_path, "classification", 0.0)
    found = decided(tmp_path, "C1").decisions[0]
    assert found.verdict == "supported"
    assert [finding.text for finding in found.findings] == [
        "cgan better than classification in acc_2",
        "cgan better than classification in acc_5",
        "cgan better than classification in psnr",
    ]
    psnr = found.findings[-1]
    assert psnr.difference.low < 1.0 < psnr.difference.high
    assert (psnr.images, psnr.seeds, psnr.outcome) == (300, (3, 3), "holds")


def test_metrics_of_one_method_are_paired(suite: Path) -> None:
    """Red is 12 and blue is 11 on every image, so the difference is far surer than either mean."""
    finding = decided(suite, "C3").decisions[0].findings[1]
    assert finding.text == "cgan: mae_r higher than mae_b"
    assert finding.difference.high - finding.difference.low < 0.2
    assert finding.seeds == (3,)


def test_channels_are_held_against_those_of_gray(suite: Path) -> None:
    """The made-up channels keep the order of gray's errors, so there is no claim left once they are shares of those."""
    plain, share = (decided(suite, claim).decisions[0] for claim in ("C3", "C3-share"))
    assert [finding.outcome for finding in plain.findings if not finding.decides] == ["holds", "holds"], "gray, beside"
    first = share.findings[0]
    assert first.text == "cgan: mae_r higher than mae_g (as shares of those of gray)"
    assert abs(first.difference.effect) < 0.02, "shares are about 1"


def test_a_control_decides_its_own_claim(tmp_path: Path) -> None:
    """Squared error alone does what C6-own credits to other terms: the claim holds, and its control says why."""
    write_method(tmp_path, "eccv16", 0.0)
    write_method(tmp_path, "gan-perceptual-own", 1.0)
    write_method(tmp_path, "gan-perceptual-own-mse", 1.5)
    assert verdicts(tmp_path) == {"C6-own": "supported", "C6-own-mse": "refuted"}
    page = build_claims(tmp_path).page
    assert "- Control (`C6-own-mse`): The second half is squared error alone.\n" in page
    assert "- Control (`gan-perceptual-own-mse`): This is the control of C6-own.\n" in page


def test_what_stands_beside_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    write_method(tmp_path, "classification", 0.0)
    write_method(tmp_path, "classification-rebalance", -1.0)
    found = decided(tmp_path, "C7").decisions[0]
    assert found.verdict == "supported"
    assert [one.metric for one in found.findings if not one.decides] == ["auc_rebal"]
    assert "| beside: " in build_claims(tmp_path).page
    write_method(tmp_path, "gan-perceptual-own-report", 1.0)
    write_method(tmp_path, "gan-perceptual-own-lr-2e-4", 0.0)
    assert verdicts(tmp_path)["C9"] == "supported", "the arm beside is not measured"


def test_budgets_stand_beside_each_verdict(tmp_path: Path) -> None:
    for method, images in (("cgan", 128_000), ("classification", 128_000)):
        write_method(tmp_path, method, cost=Cost(budget_images=images, budget_steps=2000, train_seconds=76.0))
    page = build_claims(tmp_path).page
    told = "seconds without): `cgan` 128,000 images in 2,000 steps, 76 s; `classification` 128,000 images"
    assert told in page
    assert "Equal images." in page
    write_method(tmp_path, "classification", cost=Cost(budget_images=64_000, budget_steps=1000))
    assert "**Not equal images.**" in build_claims(tmp_path).page
    assert decided(tmp_path, "C1").decisions[0].same_images is False


def test_a_verdict_that_a_stricter_test_would_not_give_is_borderline(tmp_path: Path) -> None:
    """As a difference grows, its p passes through 0.05 and 0.01."""
    seen = {}
    for quality in (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 3.0):
        write_method(tmp_path, "classification", 0.0, spread=0.2)
        write_method(tmp_path, "classification-rebalance", -float(quality), spread=0.2)
        one = decided(tmp_path, "C7").decisions[0]
        worst = max(finding.difference.p for finding in one.findings if finding.decides)
        seen[one.verdict, one.borderline] = worst
        assert one.borderline == (one.verdict == "supported" and worst >= 0.01)
    assert {("undecided", False), ("supported", True), ("supported", False)} <= seen.keys()
    build = Decision("d", "p", "", "supported", True, [], [], [], [])
    assert verdict_text(Decided(load_claims()[0], [build], [], [])) == "**supported** (borderline) on d/p"


def test_an_ablation_is_no_learned_method_of_c12(tmp_path: Path) -> None:
    root = tmp_path / "results"
    suite = {"preset": "quick", "data": ["cifar10"], "methods": ["l2"], "seeds": [0]}
    entries = {"gray": {}, "mean-color": {}, "cgan": {}, "cgan-l1": {"adapter": "cgan", "varies": "cgan"}}
    (tmp_path / "params.yaml").write_text(json.dumps({"suite": suite, "entries": entries, "presets": {"quick": {}}}))
    write_method(root, "gray", 0.0, seeds=(0,), role="floor")
    write_method(root, "mean-color", -0.3, seeds=(0,), role="baseline")
    write_method(root, "cgan", 1.0)
    write_method(root, "cgan-l1", -3.0, adapter="cgan")
    assert verdicts(root)["C12"] == "supported"


def test_few_seeds_decide_nothing(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", 3.0, seeds=(0,))
    write_method(tmp_path, "classification", 0.0)
    found = decided(tmp_path, "C1").decisions[0]
    assert (found.verdict, found.thin) == ("undecided", ["cgan"])
    assert found.to_run == [f"bench run --method cgan --data cifar10 --preset quick --seed {seed}" for seed in (1, 2)]


def test_the_page_has_neither_interval_nor_p_of_one_training(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", 3.0, seeds=(0,))
    write_method(tmp_path, "classification", 0.0, seeds=(0,))
    page = build_claims(tmp_path).page
    assert " no interval | – | " in page
    assert "inf]" not in page
    assert "**Undecided** (one training, not tested) on cifar10, preset quick." in page
    assert "| **undecided** (one training, not tested) on cifar10/quick |" in page


def test_a_thin_method_hinders_support_but_not_the_refutation_by_others(tmp_path: Path) -> None:
    """C12 is about every learned method, so one that is shown to be below gray refutes it, whatever the others are."""
    write_method(tmp_path, "gray", 0.0, seeds=(0,), role="floor")
    write_method(tmp_path, "mean-color", -0.3, seeds=(0,), role="baseline")
    write_method(tmp_path, "l2", 1.0)
    write_method(tmp_path, "cgan", -2.0, seeds=(0, 1))
    assert verdicts(tmp_path)["C12"] == "undecided"  # only the thin one is below gray
    write_method(tmp_path, "eccv16", -2.0)
    found = decided(tmp_path, "C12").decisions[0]
    assert (found.verdict, found.thin) == ("refuted", ["cgan"])
    assert found.to_run == ["bench run --method cgan --data cifar10 --preset quick --seed 2"]
    build_claims(tmp_path)
    assert "To measure all of it, run:" in (tmp_path / "claims.md").read_text()
    write_method(tmp_path, "eccv16", 2.0)
    write_method(tmp_path, "cgan", 2.0)
    assert verdicts(tmp_path)["C12"] == "supported"


def test_a_part_of_a_data_set_is_called_one(tmp_path: Path) -> None:
    for method, quality in (("l2", 0.0), ("cgan", 1.0)):
        write_method(tmp_path, method, quality, data="celeba", config={"data_note": "500 of 202,599 faces."})
    page = build_claims(tmp_path).page
    assert "on celeba, preset quick. 500 of 202,599 faces.\n" in page


def test_what_is_not_measured_names_the_commands(tmp_path: Path) -> None:
    assert decided(tmp_path, "C1").to_run == [
        f"bench run --method {method} --data cifar10 --preset quick --seed {seed}"
        for method in ("cgan", "classification")
        for seed in range(3)
    ]
    write_method(tmp_path, "cgan", preset="paper")
    assert decided(tmp_path, "C1").to_run == [
        f"bench run --method classification --data cifar10 --preset paper --seed {seed}" for seed in range(3)
    ]
    assert decided(tmp_path, "C12").to_run == [
        f"bench run --method {baseline} --data cifar10 --preset paper --seed 0" for baseline in ("gray", "mean-color")
    ]


def test_metrics_without_weights(suite: Path, tmp_path: Path) -> None:
    """C5 uses any realism score that a table has, and says so if it has none."""
    assert decided(suite, "C5").unavailable[1] == "fd_judge (fd_judge weights missing)"
    for seed in range(3):
        write_method(tmp_path, "cgan", seeds=(seed,), metrics={"fid": 20.0 + seed / 10})
        write_method(tmp_path, "l2", seeds=(seed,), metrics={"fid": 50.0 + seed / 10})
    found = decided(tmp_path, "C5").decisions[0]
    assert found.verdict == "supported"
    assert [finding.metric for finding in found.findings] == ["fid"]


def test_a_skipped_method_gives_its_reason_and_no_command(tmp_path: Path) -> None:
    write_method(tmp_path, "eccv16")
    write_skipped(tmp_path, "gan-perceptual", "VGG-19 weights missing")
    write_method(tmp_path, "eccv16", data="coco")  # no source has tried it there
    found = decided(tmp_path, "C6")
    assert (found.to_run, found.unavailable) == ([], ["gan-perceptual (VGG-19 weights missing)"])
    assert "Not yet measured; missing: gan-perceptual (VGG-19 weights missing).\n" in build_claims(tmp_path).page


def test_each_table_has_its_own_verdict(tmp_path: Path) -> None:
    for preset, quality in (("quick", 1.0), ("paper", -1.0)):
        write_method(tmp_path, "cgan", quality, preset=preset)
        write_method(tmp_path, "classification", 0.0, preset=preset)
    found = {decision.preset: decision.verdict for decision in decided(tmp_path, "C1").decisions}
    assert found == {"quick": "supported", "paper": "refuted"}


def test_the_demonstration_decides_nothing(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", data="sample")
    write_method(tmp_path, "l2", data="sample")
    assert verdicts(tmp_path) == {}


def test_page_is_stable_and_checked(suite: Path) -> None:
    page = (suite / "claims.md").read_text()
    assert build_claims(suite).stale == []
    assert "| C2 | seed 002 | " in page
    assert "**supported** on cifar10/quick |" in page
    assert "bench run --method gan-perceptual-own-lambda-100 --data cifar10 --preset quick --seed 2" in page
    assert "\n\n\n\n" not in page
    (suite / "claims.md").write_text("edited")
    assert build_claims(suite, check=True).stale == [suite / "claims.md"]
    build_claims(suite)
    assert (suite / "claims.md").read_text() == page


def test_for_programs_and_terminals(suite: Path) -> None:
    built = build_claims(suite)
    content = json.loads(as_json(built))
    assert content[0]["claim"]["id"] == "C1"
    assert len(content[0]["decisions"][0]["findings"][0]["difference"]) == len(Difference._fields)
    assert "supported on cifar10/quick" in summary(built)
    assert "not yet measured" in summary(built)


def test_every_method_of_a_claim_is_an_entry() -> None:
    entries = read_params(Path(__file__).parents[1]).entries
    for claim in load_claims():
        for check in (*claim.checks, *claim.beside):
            named = {check.method, check.than, check.share_of} - {None, TRUTH, EVERY_FAMILY}
            assert named <= entries.keys(), f"{claim.id} compares {named - entries.keys()}"


def test_every_claim_of_the_reports_is_there() -> None:
    claims = load_claims()
    assert {claim.id.partition("-")[0] for claim in claims} == {f"C{k}" for k in range(1, 13)}
    assert len({claim.id for claim in claims}) == len(claims)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("{expect: better, method: a, than: b, metrics: [psnrr]}", "'psnrr' is no metric"),
        (
            "{expect: better, method: a, than: b, metrics: [colorfulness]}",
            "'colorfulness' is no metric, or one of which",
        ),
        ("{expect: better, method: a, metrics: [psnr]}", "one of than and than_metric"),
        ("{expect: within, method: a, than: b, metrics: [psnr]}", "margin belongs to"),
        ("{expect: best, method: a, than: b, metrics: [psnr]}", "checks.0.expect"),
    ],
)
def test_a_malformed_claim_is_named(check: str, said: str) -> None:
    with pytest.raises(BenchError, match=rf"claims\.yaml: C99: .*{said}"):
        load_claims(
            f"[{{id: C99, source: s, statement: t, differs: d, control: c, data: [cifar10], checks: [{check}]}}]"
        )


@pytest.mark.parametrize("name", ["C98", "C99", "c"])
def test_a_control_is_another_claim_or_an_arm(name: str) -> None:
    check = "{expect: better, method: a, than: b, metrics: [psnr]}"
    text = (
        "[{id: C99, source: s, statement: t, differs: d, controls: [b, %s], control: c, data: [cifar10], checks: [%s]}]"
    )
    assert load_claims(text.replace("b, %s", "a, b") % check)[0].controls == ("a", "b")
    with pytest.raises(BenchError, match=rf"C99: controls: '{name}' is no other claim and none of its arms"):
        load_claims(text % (name, check))


def test_reported_numbers_stand_beside_ours(suite: Path) -> None:
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (suite / "published.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    zhang = [line for line in lines if line[0].startswith("Zhang") and line[3] == "auc"]
    assert len(zhang) == 1
    assert zhang[0][4] == "89.5"
    assert "`eccv16` on cifar10/quick" in zhang[0][5]
    assert zhang[0][6].startswith("88.")  # what gray scores on the same images
    assert zhang[0][7] == "–"  # data sets differ, so there is no difference


def test_reported_numbers_are_in_our_units() -> None:
    for row in load_published():
        for name in row.metrics.keys() & {"auc", "auc_rebal", "top1"}:
            assert row.metrics[name] > 1, "in percent"


def test_a_demonstration_stands_beside_nothing(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan", data="sample")
    build(tmp_path)
    build_published(tmp_path)
    assert "sample/quick" not in (tmp_path / "published.md").read_text()


def test_difference_is_given_on_the_same_data(tmp_path: Path) -> None:
    write_method(tmp_path, "cgan-resnet18", data="coco", preset="seed-001")
    build(tmp_path)
    build_published(tmp_path)
    line = next(
        line for line in (tmp_path / "published.md").read_text().splitlines() if "24.7595" in line and "| psnr" in line
    )
    assert "`cgan-resnet18` on coco/seed-001" in line
    assert line.split("|")[-2].strip().startswith(("-", "+"))
