"""The 313 bins agree with brute force in float64, with scikit-learn and with the definitions of the paper."""

import numpy as np
import pytest
import torch
from skimage import color, data
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from benchmark.data import ab_bins
from benchmark.support.errors import InputError


@pytest.fixture(scope="module")
def photo_ab() -> Tensor:
    """The ab of a colorful photograph, (1, 2, 96, 96)."""
    lab = color.rgb2lab(data.astronaut()[::5, ::5][:96, :96])
    return torch.from_numpy(lab[..., 1:]).permute(2, 0, 1)[None].float()


def as_image(points: Tensor) -> Tensor:
    """Turns points (N, 2) into an ab batch (1, 2, N, 1)."""
    return points.T.reshape(1, 2, -1, 1).float()


def brute_force(points: Tensor, k: int) -> Tensor:
    """Returns the nearest bins (N, k) by sorting all distances in float64; of equal ones the higher index wins."""
    squared = (points.double()[:, None] - ab_bins.centers().double()).square().sum(-1)
    return (ab_bins.BINS - 1) - squared.flip(1).sort(dim=1, stable=True).indices[:, :k]


def dense(targets: ab_bins.SoftTargets) -> Tensor:
    """Returns targets as a dense (B, 313, H, W)."""
    shape = list(targets.indices.shape)
    shape[1] = ab_bins.BINS
    return torch.zeros(shape).scatter_add_(1, targets.indices, targets.weights)


POINTS = {
    "everywhere": lambda g: torch.rand(4000, 2, generator=g) * 256 - 128,
    "near gray": lambda g: torch.rand(4000, 2, generator=g) * 40 - 20,
    "whole units": lambda g: torch.randint(-128, 128, (4000, 2), generator=g).float(),
    "multiples of five, where ties lie": lambda g: torch.randint(-25, 26, (2000, 2), generator=g) * 5.0,
    "a hair beside ties": lambda g: (
        torch.randint(-25, 26, (4000, 2), generator=g) * 5.0 + torch.randint(-1, 2, (4000, 2), generator=g) * 2.0**-16
    ),
    "the table's corners": lambda g: torch.tensor([[-128.0, -128.0], [128.0, 128.0], [-128.0, 128.0], [127.99, 0.0]]),
}


def test_centers_are_the_published_ones() -> None:
    centers = ab_bins.centers()
    assert centers.shape == (313, 2)
    assert (centers % 10 == 0).all()
    assert centers.min(0).values.tolist() == [-90, -110]
    assert centers.max(0).values.tolist() == [100, 100]
    assert (np.lexsort((centers[:, 1], centers[:, 0])) == np.arange(313)).all()


@pytest.mark.parametrize("k", [1, 2, 5, 10])
@pytest.mark.parametrize("where", POINTS)
def test_nearest_bins_equal_brute_force(where: str, k: int) -> None:
    points = POINTS[where](torch.Generator().manual_seed(0))
    found = ab_bins.soft_encode(as_image(points), k).indices[0, :, :, 0].T
    assert torch.equal(found.sort(1).values, brute_force(points, k).sort(1).values)


@pytest.mark.slow
def test_32_neighbors_equal_brute_force() -> None:
    points = POINTS["everywhere"](torch.Generator().manual_seed(1))[:1500]
    found = ab_bins.soft_encode(as_image(points), 32).indices[0, :, :, 0].T
    assert torch.equal(found.sort(1).values, brute_force(points, 32).sort(1).values)


@pytest.mark.parametrize(("k", "sigma"), [(5, 5.0), (10, 5.0), (5, 2.0)])
def test_weights_equal_scikit_learn(photo_ab: Tensor, k: int, sigma: float) -> None:
    targets = ab_bins.soft_encode(photo_ab, k, sigma)
    centers = ab_bins.centers().double().numpy()
    points = photo_ab[0].flatten(1).T.double().numpy()
    distances, _ = NearestNeighbors(n_neighbors=k).fit(centers).kneighbors(points)
    expected = np.exp(-(distances**2) / (2 * sigma**2))
    expected /= expected.sum(1, keepdims=True)
    found = targets.weights[0].flatten(1).T.sort(1, descending=True).values.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)  # sorted: the order of equally near bins does not matter


def test_dense_targets_equal_brute_force(photo_ab: Tensor) -> None:
    points = photo_ab[0].flatten(1).T
    nearest = brute_force(points, 5)
    squared = (points.double()[:, None] - ab_bins.centers().double()[nearest]).square().sum(-1)
    expected = torch.zeros(len(points), 313, dtype=torch.float64).scatter_(1, nearest, (squared / -50).softmax(1))
    found = dense(ab_bins.soft_encode(photo_ab))[0].flatten(1).T
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)


def test_batches_and_odd_shapes_keep_their_layout(photo_ab: Tensor) -> None:
    batch = torch.cat([photo_ab, photo_ab.flip(-1)])[..., :37]
    targets = ab_bins.soft_encode(batch)
    assert targets.indices.shape == targets.weights.shape == (2, 5, 96, 37)
    alone = ab_bins.soft_encode(batch[1:])
    assert torch.equal(dense(targets)[1:], dense(alone))
    assert torch.equal(ab_bins.nearest_bin(batch)[1:], ab_bins.nearest_bin(batch[1:]))
    # The nearest bin is the one with the largest weight.
    heaviest = targets.indices.gather(1, targets.weights.argmax(1, keepdim=True)).squeeze(1)
    assert (heaviest == ab_bins.nearest_bin(batch)).float().mean() > 0.999  # exact ties may differ


def test_many_pixels_go_through_in_pieces_unchanged(photo_ab: Tensor) -> None:
    large = photo_ab.repeat(9, 1, 1, 1)
    with torch.inference_mode():
        targets = ab_bins.soft_encode(large)
    assert torch.equal(dense(targets)[8], dense(ab_bins.soft_encode(photo_ab))[0])


@pytest.mark.slow
def test_the_way_of_other_devices_finds_the_same_bins() -> None:
    points = POINTS["everywhere"](torch.Generator().manual_seed(2))
    candidates = ab_bins._table(5, "cpu").candidates
    cell = ((points * 2).floor() + 256) @ torch.tensor([512.0, 1.0])
    found = ab_bins._by_sorting(candidates[cell.long()], points[:, 0], points[:, 1], 5)
    assert torch.equal(found.T.sort(1).values, brute_force(points, 5).sort(1).values)
    targets = ab_bins.soft_encode(torch.empty(2, 2, 4, 3, device="meta"))  # which never waits for a count of pixels
    assert targets.indices.shape == (2, 5, 4, 3)


def test_colors_beyond_the_table_count_as_its_edge() -> None:
    far = torch.tensor([[500.0, 0.0], [0.0, -1e6]])
    edge = torch.tensor([[128.0, 0.0], [0.0, -128.0]])
    assert torch.equal(ab_bins.nearest_bin(as_image(far)), ab_bins.nearest_bin(as_image(edge)))
    assert ab_bins.soft_encode(as_image(far)).weights.isfinite().all()


def test_what_is_kept_from_inference_serves_training() -> None:
    ab_bins.centers.cache_clear()
    ab_bins._table.cache_clear()
    with torch.inference_mode():
        ab_bins.nearest_bin(torch.zeros(1, 2, 1, 1))
    logits = torch.zeros(1, 313, 1, 1, requires_grad=True)
    ab_bins.decode(logits).sum().backward()
    assert logits.grad is not None


def test_illegal_arguments_are_named() -> None:
    ab = torch.zeros(1, 2, 2, 2)
    with pytest.raises(InputError, match="neighbors is 33"):
        ab_bins.soft_encode(ab, 33)
    with pytest.raises(InputError, match="sigma is 0"):
        ab_bins.soft_encode(ab, 5, 0.0)
    with pytest.raises(InputError, match="temperature is 'hot'"):
        ab_bins.decode(torch.zeros(1, 313, 2, 2), "hot")
    with pytest.raises(InputError, match="temperature is 0"):
        ab_bins.decode(torch.zeros(1, 313, 2, 2), 0)
    with pytest.raises(ValueError, match=r"\(B, 2, H, W\)"):
        ab_bins.nearest_bin(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_cross_entropy_equals_the_dense_one(photo_ab: Tensor, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    ab = photo_ab[..., ::8, ::8]
    logits = torch.randn(1, 313, 12, 12, generator=generator, requires_grad=True)
    weights = torch.rand(1, 12, 12, generator=generator) if weighted else torch.ones(1, 12, 12)
    targets = ab_bins.soft_encode(ab)
    loss = ab_bins.soft_cross_entropy(logits, targets, weights if weighted else None)
    (gradient,) = torch.autograd.grad(loss, logits)
    expected = (-(dense(targets) * logits.log_softmax(1)).sum(1) * weights).mean()
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_smoothing_keeps_all_mass(photo_ab: Tensor) -> None:
    counts = torch.bincount(ab_bins.nearest_bin(photo_ab).flatten(), minlength=313)
    prior = counts / counts.sum()
    smooth = ab_bins.smooth_prior(prior)
    torch.testing.assert_close(smooth.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert smooth.max() < prior.max()
    uniform_inside = ab_bins.smooth_prior(torch.eye(313)[156].double(), sigma=1e-3)
    torch.testing.assert_close(uniform_inside, torch.eye(313)[156].double())
    # One bin's mass falls off with the distance as in the Gaussian; neighbors are 10 and 20 units away.
    index = {tuple(c.tolist()): i for i, c in enumerate(ab_bins.centers())}
    spread = ab_bins.smooth_prior(torch.eye(313)[index[0, 0]])
    assert float(spread[index[10, 0]] / spread[index[0, 0]]) == pytest.approx(np.exp(-100 / 50))
    assert float(spread[index[0, -20]] / spread[index[0, 0]]) == pytest.approx(np.exp(-400 / 50))


def test_class_weights_follow_the_paper() -> None:
    prior = torch.zeros(313, dtype=torch.float64)
    prior[:4] = torch.tensor([0.7, 0.2, 0.1 - 1e-6, 1e-6])
    weights = ab_bins.class_weights(prior, uniform=0.5)
    expected = 1 / (0.5 * prior[:4] + 0.5 / 4)  # Q is the number of bins that occur
    expected /= (prior[:4] * expected).sum()
    torch.testing.assert_close(weights[:4], expected)
    assert torch.equal(weights[4:], weights[3].expand(309))  # empty bins have the weight of the rarest
    torch.testing.assert_close((prior * weights).sum(), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(ab_bins.class_weights(prior, uniform=1.0)[:4], torch.ones(4, dtype=torch.float64))
    inverse = ab_bins.class_weights(prior, uniform=0.0)
    torch.testing.assert_close(inverse[0] / inverse[1], torch.tensor(0.2 / 0.7, dtype=torch.float64))


def test_decoding_runs_from_mean_to_mode() -> None:
    logits = torch.randn(2, 313, 3, 5, generator=torch.Generator().manual_seed(0))
    mean = ab_bins.decode(logits, "mean")
    assert mean.shape == (2, 2, 3, 5)
    expected = torch.einsum("bqhw,qc->bchw", logits.softmax(1), ab_bins.centers())
    torch.testing.assert_close(mean, expected, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(ab_bins.decode(logits, 1.0), mean)
    mode = ab_bins.decode(logits, "mode")
    torch.testing.assert_close(ab_bins.decode(logits, 1e-4), mode, atol=1e-3, rtol=0)
    assert torch.equal(ab_bins.centers()[ab_bins.nearest_bin(mode)].movedim(-1, 1), mode)
    annealed = torch.einsum("bqhw,qc->bchw", (logits / 0.38).softmax(1), ab_bins.centers())
    torch.testing.assert_close(ab_bins.decode(logits), annealed, atol=1e-3, rtol=1e-4)


def test_decoding_is_differentiable_and_stays_float32_under_autocast() -> None:
    logits = torch.randn(1, 313, 2, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ab = ab_bins.decode(logits.bfloat16())
    assert ab.dtype == torch.float32
    ab.sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0
