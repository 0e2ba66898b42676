"""The scorer turns batches into a row of the table."""

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2lab
from torch import Tensor

from benchmark.data.ab_bins import centers
from benchmark.data.color import lab_to_rgb, rgb_to_lab
from benchmark.scoring.metrics import METRICS, usual
from benchmark.scoring.metrics.scorer import Scorer, Scores
from benchmark.scoring.networks.judge import Judge, JudgeNetwork
from benchmark.scoring.networks.lite import LiteMetrics
from benchmark.support.errors import InputError
from benchmark.support.weights import absent

CPU = torch.device("cpu")
WITHOUT_NETWORKS = [name for name, metric in METRICS.items() if metric.measured_by is None]


@pytest.fixture(autouse=True)
def _few_images_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of weights is here, and two dozen images are enough for any metric."""
    monkeypatch.setattr("benchmark.support.weights.path", lambda name: None)
    monkeypatch.setattr("benchmark.scoring.metrics.scorer.EFFECTIVE_IMAGES", 0)
    monkeypatch.setattr("benchmark.scoring.metrics.sets.FRECHET_IMAGES", 2)


@pytest.fixture(scope="module")
def target() -> Tensor:
    """Tiles of two photographs, (24, 32, 32, 3) uint8."""
    photographs = [image[:192, :256] for image in (data.coffee(), data.astronaut())]
    tiles = [image.reshape(6, 32, 8, 32, 3).swapaxes(1, 2).reshape(48, 32, 32, 3) for image in photographs]
    return torch.from_numpy(np.concatenate(tiles)[::4].copy())


@pytest.fixture(scope="module")
def predicted(target: Tensor) -> Tensor:
    noise = torch.randint(-25, 26, (len(target), 1, 1, 3), generator=torch.Generator().manual_seed(0))
    return (target + noise).clamp(0, 255).to(torch.uint8)


@pytest.fixture
def prepared(target: Tensor, tmp_path: Path) -> Any:
    """The parts of a prepared data set that a scorer uses: labels, and a prior with half of the bins empty."""
    prior = np.random.default_rng(0).dirichlet(np.ones(313)) * (np.arange(313) % 2)
    return SimpleNamespace(
        ab_prior=prior / prior.sum(),
        meta=SimpleNamespace(name="tiles"),
        folder=tmp_path / "tiles-quick",
        sha256={"test": "ab" * 32},
        ids=lambda split: [str(number) for number in range(len(target))],
        labels=lambda split: np.arange(len(target)) % 3,
    )


def score(
    predicted: Tensor, target: Tensor, *, size: int = 100, clipped: Tensor | None = None, **settings: Any
) -> Scores:
    scorer = Scorer(device=CPU, **settings)
    for start in range(0, len(target), size):
        part = slice(start, start + size)
        scorer.update(predicted[part], target[part], None if clipped is None else clipped[part])
    return scorer.compute()


def test_the_truth_is_perfect(target: Tensor, prepared: Any) -> None:
    nothing_clipped = torch.zeros(target.shape[:3], dtype=torch.bool)
    found = score(target, target, clipped=nothing_clipped, prepared=prepared)
    assert {name: found.values[name] for name in WITHOUT_NETWORKS if name != "colorfulness"} == {
        "psnr": 100,
        "psnr_pooled": 100,
        "ssim": pytest.approx(1, abs=1e-6),
        "auc": 100,
        "auc_rebal": 100,
        "acc_2": 100,
        "acc_5": 100,
        "mae_r": 0,
        "mae_g": 0,
        "mae_b": 0,
        "delta_e00": 0,
        "delta_colorfulness": 0,
        "clipped": 0,
    }


@pytest.mark.parametrize("size", [1, 7, 24])
def test_batches_and_their_order_change_nothing(size: int, predicted: Tensor, target: Tensor, prepared: Any) -> None:
    clipped = predicted[..., 0] > 200
    expected = score(predicted, target, clipped=clipped, prepared=prepared)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(size))
    found = score(predicted[order], target[order], size=size, clipped=clipped[order], prepared=prepared)
    for name in WITHOUT_NETWORKS:
        assert found.values[name] == pytest.approx(expected.values[name], rel=1e-6)
    for column, values in expected.per_image.items():
        assert values.shape == (len(target),)
        assert values.dtype == np.float32
        np.testing.assert_allclose(found.per_image[column], values[order], rtol=1e-5)


def test_a_batch_larger_than_a_piece_is_scored_whole(predicted: Tensor, target: Tensor) -> None:
    found = score(predicted.repeat(4, 1, 1, 1), target.repeat(4, 1, 1, 1), metrics=["psnr", "auc"])
    expected = score(predicted, target, metrics=["psnr", "auc"])
    np.testing.assert_allclose(found.per_image["auc"], np.tile(expected.per_image["auc"], 4), rtol=1e-6)
    assert found.values == pytest.approx(expected.values)


def test_every_column_is_kept_for_the_bootstrap(predicted: Tensor, target: Tensor, prepared: Any) -> None:
    found = score(predicted, target, clipped=predicted[..., 0] > 200, prepared=prepared)
    assert set(found.per_image) == {column for name in WITHOUT_NETWORKS for column in METRICS[name].columns}
    assert all(np.isfinite(values).all() for values in found.per_image.values())
    assert list(found.values) == list(usual())


def smoothed(prior: np.ndarray) -> np.ndarray:
    """Computes p̃ of Zhang et al. 2016 bin by bin; bins that do not occur get the least of those that do."""
    points, found = centers().numpy().astype(np.float64), np.zeros(313)
    for share, point in zip(prior, points, strict=True):
        spread = np.exp(-np.square(points - point).sum(axis=1) / (2 * 5**2))
        found += share * spread / spread.sum()
    return np.maximum(found, found[prior > 0].min())


def test_rebalanced_auc_equals_its_definition(predicted: Tensor, target: Tensor, prepared: Any) -> None:
    first, second = (rgb2lab(images.numpy())[..., 1:].reshape(-1, 2) for images in (predicted, target))
    bins = np.linalg.norm(second[:, None] - centers().numpy(), axis=-1).argmin(axis=1)
    weights = 1 / smoothed(prepared.ab_prior)[bins]
    errors = np.linalg.norm(first - second, axis=-1)
    curve = [np.average(errors <= threshold, weights=weights) for threshold in range(151)]
    expected = 100 * np.trapezoid(curve) / 150
    assert score(predicted, target, prepared=prepared).values["auc_rebal"] == pytest.approx(expected, abs=0.01)


def test_few_effective_images_make_no_value(
    predicted: Tensor, target: Tensor, prepared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = score(predicted, target, prepared=prepared, metrics=["auc_rebal", "auc"])
    weights = found.per_image["auc_rebal_weight"].astype(np.float64)
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert 1 < effective < len(target)
    assert found.notes == {"auc_rebal": f"effective number of images: {effective:.0f}"}
    monkeypatch.setattr("benchmark.scoring.metrics.scorer.EFFECTIVE_IMAGES", 100)
    found = score(predicted, target, prepared=prepared, metrics=["auc_rebal", "auc"])
    assert found.values["auc_rebal"] is None
    assert found.notes == {"auc_rebal": f"n/a (effective number of images: {effective:.0f}, fewer than 100)"}
    assert found.per_image.keys() == {"auc"}  # nothing is kept from which a table could make the value again


def test_equal_weights_count_every_image() -> None:
    metric = METRICS["auc_rebal"]
    assert metric.effective_images({"auc_rebal_weight": np.full(7, 0.3, np.float32)}) == pytest.approx(7)
    assert metric.effective_images({"auc_rebal_weight": np.array([1, 0, 0, 0])}) == 1


def test_the_truth_is_converted_to_lab_once(
    predicted: Tensor, target: Tensor, prepared: Any, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[Tensor] = []

    def convert(rgb: Tensor) -> tuple[Tensor, Tensor]:
        converted.append(rgb)
        return rgb_to_lab(rgb)

    monkeypatch.setattr("benchmark.scoring.metrics.pair.rgb_to_lab", convert)
    expected = score(predicted, target, prepared=prepared)
    assert [torch.equal(rgb, target) for rgb in converted] == [True, False]  # judge and metrics convert it once
    converted.clear()
    (prepared.folder.parent / ".features").rename(prepared.folder.parent / "elsewhere")
    scorer = Scorer(device=CPU, prepared=prepared)
    scorer.update(predicted, target, None, rgb_to_lab(target))
    assert [torch.equal(rgb, predicted) for rgb in converted] == [True]  # known Lab is never converted
    assert scorer.compute().values == expected.values


def test_only_what_was_asked_for_is_computed(predicted: Tensor, target: Tensor) -> None:
    found = score(predicted, target, metrics=["ssim", "psnr"])
    assert list(found.values) == ["ssim", "psnr"]
    assert set(found.per_image) == {"ssim", "psnr"}
    assert found.notes == {}


def test_what_cannot_be_had_is_none_and_says_why(predicted: Tensor, target: Tensor, prepared: Any) -> None:
    assert score(predicted, target, prepared=prepared).notes == {
        "lpips_alex": "n/a (AlexNet weights missing: bench weights fetch alexnet)",
        "fid": "n/a (Inception weights missing: bench weights fetch inception)",
        "kid": "n/a (Inception weights missing: bench weights fetch inception)",
        **dict.fromkeys(LiteMetrics.names, f"n/a ({absent('lite2')})"),
        "top1": "n/a (the data set has no judge)",
        "fd_judge": "n/a (the data set has no judge)",
        "kid_judge": "n/a (the data set has no judge)",
        "auc_rebal": "effective number of images: 23",
        "clipped": "n/a (not known of finished images)",
    }
    prepared.labels = lambda split: None
    small = score(predicted[:, :8], target[:, :8], metrics=["top1", "auc_rebal", "ssim"], prepared=prepared)
    assert small.values["ssim"] is None
    assert small.notes == {
        "top1": "n/a (the data set has no labels)",
        "ssim": "n/a (images smaller than 11×11)",
        "auc_rebal": "effective number of images: 23",
    }
    alone = score(predicted, target, metrics=["auc_rebal"])
    assert alone.notes == {"auc_rebal": "n/a (no training split to weigh the bins by)"}


def test_one_image_is_no_set(target: Tensor, prepared: Any, judge: Judge) -> None:
    prepared.labels = lambda split: np.zeros(1, np.int64)
    found = score(target[:1], target[:1], metrics=["fd_judge", "psnr"], prepared=prepared)
    assert found.values == {"fd_judge": None, "psnr": 100}
    assert found.notes == {"fd_judge": "n/a (too few images)"}
    nothing = Scorer(device=CPU, metrics=["clipped", "ssim"]).compute()
    assert nothing.values == {"clipped": None, "ssim": None}
    assert set(nothing.notes.values()) == {"n/a (too few images)"}


@pytest.mark.slow
def test_scoring_keeps_no_large_memory(target: Tensor) -> None:
    """Small tensors kept among large ones that come and go once cost 2 MB per image of 256²."""
    large = (
        torch.nn.functional.interpolate(target.movedim(-1, 1).float(), size=256).movedim(1, -1).byte()[:4].contiguous()
    )
    scorer = Scorer(device=CPU, metrics=["psnr", "ssim", "auc", "delta_e00", "colorfulness"])
    for _ in range(5):
        scorer.update(large, large)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(40):
        scorer.update(large, large)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60  # MiB, for 160 images


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(InputError, match="unknown metric 'pnsr' \\(did you mean 'psnr'"):
        Scorer(device=CPU, metrics=["pnsr"])


@pytest.mark.parametrize("wrong", [torch.zeros(24, 32, 32, 3), torch.zeros(24, 16, 32, 3, dtype=torch.uint8)])
def test_what_is_no_pair_of_images_is_refused(wrong: Tensor, target: Tensor) -> None:
    with pytest.raises(ValueError, match="two uint8 batches of one shape"):
        Scorer(device=CPU, metrics=["psnr"]).update(wrong, target)


# The judge ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    torch.manual_seed(0)
    network = JudgeNetwork(classes=3).eval().requires_grad_(False)
    judge = Judge("judge-tiles-v1", "c" * 64, network)
    monkeypatch.setattr("benchmark.scoring.metrics.sets.load_judge", lambda name, device: judge)
    return judge


def accuracy(judge: Judge, images: Tensor) -> float:
    guesses = judge.classify(judge.features(images)).numpy()
    return 100 * float((guesses == np.arange(len(images)) % 3).mean())


def test_the_judge_sees_outputs_truth_and_gray(predicted: Tensor, target: Tensor, prepared: Any, judge: Judge) -> None:
    L, ab = rgb_to_lab(target)
    gray, _ = lab_to_rgb(L, torch.zeros_like(ab))
    found = score(predicted, target, size=7, prepared=prepared, metrics=["top1", "fd_judge"])
    assert found.values["top1"] == pytest.approx(accuracy(judge, predicted))
    assert found.per_image["top1"].mean() == pytest.approx(accuracy(judge, predicted))
    truth, floor = (f"{accuracy(judge, images):.1f} %" for images in (target, gray))
    assert found.notes["top1"] == f"truth {truth}, gray {floor}; judge-tiles-v1"
    assert found.values["fd_judge"] is not None
    assert found.values["fd_judge"] > 0
    perfect = score(target, target, prepared=prepared, metrics=["fd_judge"])
    assert perfect.values["fd_judge"] == pytest.approx(0, abs=1e-6)


def test_the_truth_is_judged_once(predicted: Tensor, target: Tensor, prepared: Any, judge: Judge) -> None:
    expected = score(predicted, target, prepared=prepared, metrics=["top1", "fd_judge"])
    kept = sorted(path.name for path in (prepared.folder.parent / ".features").iterdir())
    assert [name.split("-")[-2] for name in kept] == ["grays", "truth"]
    seen: list[int] = []
    features = judge.features
    judge.features = lambda images: seen.append(len(images)) or features(images)  # type: ignore
    found = score(predicted, target, prepared=prepared, metrics=["top1", "fd_judge"])
    assert sum(seen) == len(predicted)
    assert found.values == expected.values
    assert found.notes == expected.notes


def test_some_of_the_images_have_some_of_the_labels(predicted: Tensor, prepared: Any, judge: Judge) -> None:
    chosen = [1, 4, 5, 20]
    found = score(predicted[chosen], predicted[chosen], prepared=prepared, metrics=["top1"], chosen=chosen)
    guesses = judge.classify(judge.features(predicted[chosen])).numpy()
    assert found.per_image["top1"].tolist() == (100.0 * (guesses == np.array(chosen) % 3)).tolist()
    kept = [path.name for path in (prepared.folder.parent / ".features").iterdir()]
    assert not [name for name in kept if prepared.sha256["test"][:16] in name]  # which are of the whole split


def test_images_without_their_label_are_noticed(target: Tensor, prepared: Any, judge: Judge) -> None:
    with pytest.raises(ValueError, match="23 images were given for 24 labels"):
        score(target[1:], target[1:], prepared=prepared, metrics=["top1"])
