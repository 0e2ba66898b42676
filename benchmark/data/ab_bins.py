"""The 313 ab bins of Zhang et al. 2016: soft-encoding, nearest bin, priors, class weights and decoding.

The ab plane is cut into a grid of step 10; the 313 grid points inside the sRGB gamut are the classes. Their
coordinates (`ab_centers.npy`, (313, 2), order kept) were published with Zhang, Isola and Efros, "Colorful Image
Colorization", ECCV 2016. They cannot be recomputed from the gamut: other counts than 313 result, to which the
authors' released weights do not fit.

Soft-encoding gives a pixel the k nearest bins, weighted by a Gaussian of the distance. The nearest bins are found
exactly, from a table of candidates per cell of half a Lab unit: nearly everywhere a whole cell has the same k nearest
bins, or the same k - 1 and two rivals for the last place; what is left is sorted. At equal distances the bin with the
higher index counts as the nearer one.
"""

from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from benchmark.support.errors import InputError
from benchmark.support.files import load_array
from benchmark.support.precision import no_autocast

BINS = 313
NEIGHBORS = 5  # Zhang et al. 2016, §2.1; the Caffe training code that they released has 10
SIGMA = 5.0  # §2.1, Lab units
TEMPERATURE = 0.38  # §2.3
UNIFORM = 0.5  # §2.2, λ

_RANGE = 128  # the table covers ab in [-128, 128); sRGB reaches from -108 to 99
_EDGES = (32, 8, 2, 0.5)  # Lab units: the table is built from coarse cells to fine ones
_CELLS = int(2 * _RANGE / _EDGES[-1])  # along each axis
_OUT, _OPEN, _CERTAIN = 0, 1, 2  # a bin's standing in a cell: never, perhaps, always among the k nearest
_CHUNK = 1 << 16  # pixels at a time on a CPU: what is touched stays in the cache


class SoftTargets(NamedTuple):
    """Soft-encoded ab: per pixel a distribution over the bins with `k` non-zero entries."""

    indices: Tensor  # (B, k, H, W) int64, [0, 313)
    weights: Tensor  # (B, k, H, W) float32, sums to 1 over k


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # The cached tensor may later take part in gradients.
def centers(device: str = "cpu") -> Tensor:
    """The bins' coordinates (313, 2) in Lab units, float32, shared: not to be written to."""
    with as_file(files("benchmark.data") / "ab_centers.npy") as path:
        return torch.from_numpy(load_array(path)).float().to(device)


def nearest_bin(ab: Tensor) -> Tensor:
    """The nearest bin of each pixel.

    Args:
        ab: (B, 2, H, W) float32, Lab units; values beyond ±128, which no sRGB color has, count as ±128.

    Returns:
        (B, H, W) int64, [0, 313).
    """
    return _encode(ab, 1, None).indices.squeeze(1)


def soft_encode(ab: Tensor, neighbors: int = NEIGHBORS, sigma: float = SIGMA) -> SoftTargets:
    """The soft-encoding of §2.1: the nearest bins, weighted by exp(-distance² / 2σ²), normalised.

    Args:
        ab: (B, 2, H, W) float32, Lab units; values beyond ±128, which no sRGB color has, count as ±128.
        neighbors: how many bins share a pixel, 1 to 32.
        sigma: the Gaussian's standard deviation, Lab units.

    Returns:
        Targets whose k entries are in no particular order.

    Raises:
        InputError: `neighbors` or `sigma` out of range.
    """
    if not 1 <= neighbors <= 32:
        raise InputError(f"neighbors is {neighbors}; legal: 1 to 32")
    if not sigma > 0:
        raise InputError(f"sigma is {sigma}; it must be above 0")
    return _encode(ab, neighbors, sigma)


def soft_cross_entropy(logits: Tensor, targets: SoftTargets, pixel_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of a prediction with soft targets, without ever making the targets dense.

    Args:
        logits: (B, 313, h, w).
        targets: k bins and their weights, each (B, k, h, w).
        pixel_weights: (B, h, w), the rebalancing factor v of §2.2, or None for 1 everywhere.

    Returns:
        The mean over all pixels, scalar, float32, in nats. It can be backpropagated once.
    """
    per_pixel: Tensor = _SoftCrossEntropy.apply(logits.float(), targets.indices, targets.weights)
    return (per_pixel if pixel_weights is None else per_pixel * pixel_weights).mean()


class _SoftCrossEntropy(torch.autograd.Function):
    """-Σ_k w_k log p_k per pixel, whose gradient by the logits is p - w.

    Autograd would hold 313 values per pixel three times; this function holds them once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        """(B, 313, h, w), (B, k, h, w), (B, k, h, w) → (B, h, w)."""
        log_p = logits.log_softmax(1)
        loss = -(log_p.gather(1, indices) * weights).sum(1)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(indices, weights)
            ctx.p = log_p.exp_()
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """(B, h, w) → (B, 313, h, w), in the memory of p."""
        indices, weights = ctx.saved_tensors  # A second call raises here.
        p, ctx.p = ctx.p, None
        gradient = gradient[:, None]
        return p.mul_(gradient).scatter_add_(1, indices, -weights * gradient), None, None


def smooth_prior(prior: Tensor, sigma: float = SIGMA) -> Tensor:
    """A distribution over the bins (313,), smoothed by a Gaussian in the ab plane (§2.2, p̃). Float64, sums to 1.

    Each bin's mass is spread over all bins; what would fall outside the gamut stays inside.
    """
    points = centers(str(prior.device)).double()
    squared = (points[:, None] - points[None]).square().sum(-1)
    kernel = torch.exp(squared / (-2 * sigma**2))  # (from, to)
    return prior.double() @ (kernel / kernel.sum(1, keepdim=True))


def class_weights(prior: Tensor, uniform: float = UNIFORM) -> Tensor:
    """The rebalancing weight of each bin: 1 / ((1 - λ)·prior + λ/Q), scaled to mean 1 under the prior (§2.2, eq. 4).

    As in the authors' released code Q counts the bins that occur, and the mean is taken under the same prior.

    Args:
        prior: (313,) probabilities, sum 1; smoothed first (`smooth_prior`) for training, as it is for metrics.
        uniform: λ in [0, 1]. 0 is inverse frequency (rebalanced AuC); 1 gives every bin the weight 1.

    Returns:
        (313,) float64. A bin that never occurs gets the weight of the rarest one that does.
    """
    prior = prior.double()
    occurs = prior > 0
    mixed = (1 - uniform) * prior + uniform * occurs / occurs.sum()
    weights = 1 / mixed.clamp(min=float(mixed[occurs].min()))
    return weights / (prior * weights).sum()


def decode(logits: Tensor, temperature: float | str = TEMPERATURE) -> Tensor:
    """The color of a predicted distribution (§2.3), differentiable unless "mode".

    Args:
        logits: (B, 313, h, w).
        temperature: T of the annealed mean, above 0; "mean" is T = 1, "mode" the likeliest bin (T → 0).

    Returns:
        (B, 2, h, w) float32, Lab units, inside the hull of the bins.

    Raises:
        InputError: `temperature` is another word, or T ≤ 0.
    """
    points = centers(str(logits.device))
    if temperature == "mode":
        return points[logits.argmax(1)].movedim(-1, 1)
    value = 1.0 if temperature == "mean" else temperature
    if isinstance(value, str) or not value > 0:
        raise InputError(f"temperature is {temperature!r}; legal: a number above 0, 'mean', 'mode'")
    with no_autocast(logits.device):
        return F.conv2d((logits.float() * (1 / value)).softmax(1), points.T[:, :, None, None])


def _encode(ab: Tensor, k: int, sigma: float | None) -> SoftTargets:
    """The k nearest bins of every pixel of (B, 2, H, W), and their weights; without `sigma` no weights (B, 0, H, W)."""
    if ab.ndim != 4 or ab.shape[1] != 2:
        raise ValueError(f"ab must be (B, 2, H, W), got {tuple(ab.shape)}")
    images, _, height, width = ab.shape
    pixels = height * width
    table = _table(k, str(ab.device))
    indices = torch.empty(images, k, pixels, dtype=torch.int64, device=ab.device)
    weights = torch.empty(images, k if sigma else 0, pixels, dtype=torch.float32, device=ab.device)
    at_once = max(1, _CHUNK // max(1, pixels)) if ab.device.type == "cpu" else max(1, images)
    for start in range(0, images, at_once):
        part = slice(start, start + at_once)
        count = len(indices[part])
        a, b = ab[part].detach().float().clamp(-_RANGE, _RANGE).transpose(0, 1).reshape(2, -1)
        # Of a single image the results go to their place at once, of several by way of (k, pixels of all).
        index = indices[start] if count == 1 else torch.empty(k, count * pixels, dtype=torch.int64, device=ab.device)
        _find_nearest(table, a, b, out=index)
        if count > 1:
            indices[part] = index.view(k, count, pixels).transpose(0, 1)
        if sigma:
            weights[part] = _weigh(index, a, b, sigma).view(k, count, pixels).transpose(0, 1)
    return SoftTargets(indices.view(images, k, height, width), weights.view(images, weights.shape[1], height, width))


def _find_nearest(table: "_Table", a: Tensor, b: Tensor, out: Tensor) -> None:
    """Writes the k nearest bins of n pixels to `out` (k, n)."""
    # Shifted only after rounding down: -1e-7 + 128 is 128, the wrong cell.
    row, column = torch.stack([a, b]).div_(_EDGES[-1]).floor_().clamp_(max=_CELLS // 2 - 1).add_(_CELLS // 2)
    cell = row.mul_(_CELLS).add_(column).int()
    if a.device.type != "cpu":  # plenty of arithmetic there, but nothing may wait for a count of contested pixels
        out.copy_(_by_sorting(table.candidates[cell], a, b, len(out)))
        return
    for place, bins in zip(out, table.bins, strict=True):
        torch.index_select(bins, 0, cell, out=place)
    contested = table.is_contested.index_select(0, cell).nonzero().squeeze(1)
    if len(contested):
        cell, a, b = (t.index_select(0, contested) for t in (cell, a, b))
        slope_a, slope_b, offset = (line.index_select(0, cell) for line in table.duel)
        rival_wins = slope_a.mul_(a).addcmul_(slope_b, b.double()).add_(offset) >= 0
        out[-1].index_add_(0, contested, table.step.index_select(0, cell).mul_(rival_wins))
        hard = table.is_hard.index_select(0, cell).nonzero().squeeze(1)
        out[:, contested[hard]] = _by_sorting(table.candidates[cell[hard]], a[hard], b[hard], len(out))


def _by_sorting(candidates: Tensor, a: Tensor, b: Tensor, k: int) -> Tensor:
    """The k nearest (k, n) of each pixel's candidates (n, M), which stand highest first, then BINS for none."""
    # In float64 the squared differences of float32 numbers are exact, and so are ties; the sort is stable.
    candidates = candidates.long()
    center_a, center_b = F.pad(centers(str(a.device)).double(), (0, 0, 0, 1), value=torch.inf).T
    off_a, off_b = center_a[candidates].sub_(a[:, None]), center_b[candidates].sub_(b[:, None])  # (n, M)
    squared = off_a.square_().addcmul_(off_b, off_b)
    return candidates.gather(1, squared.sort(dim=1, stable=True).indices[:, :k]).T


def _weigh(indices: Tensor, a: Tensor, b: Tensor, sigma: float) -> Tensor:
    """The Gaussian weights (k, n) of the bins `indices` (k, n) of n pixels."""
    center_a, center_b = centers(str(a.device)).T.contiguous()
    flat = indices.view(-1)
    squared = center_a.index_select(0, flat).view(indices.shape).sub_(a).square_()
    off_b = center_b.index_select(0, flat).view(indices.shape).sub_(b)
    return squared.addcmul_(off_b, off_b).mul_(-0.5 / sigma**2).softmax(0)


class _Table(NamedTuple):
    """What is known of the k nearest bins in each cell [a, a + 1/2) x [b, b + 1/2) of the ab plane, row by row."""

    bins: Tensor  # (k, cells) int64: the k nearest; the last of them may have a rival
    duel: Tensor  # (3, cells) float64 s_a, s_b, s_0: the rival is the nearer one where s_a·a + s_b·b + s_0 ≥ 0
    step: Tensor  # (cells,) int64: index of the rival - index of the last
    is_contested: Tensor  # (cells,) bool: more bins compete than places are left
    is_hard: Tensor  # (cells,) bool: and more than two of them for the last place, so that `duel` does not tell
    candidates: Tensor  # (cells, M) int16: every bin that can be among the k nearest, highest first, then BINS


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _table(k: int, device: str) -> _Table:
    """Builds the table for k neighbors (0.2 s for k = 5), once per process and device."""
    near, standing = _standings(k)
    certain, possible = (standing == _CERTAIN).sum(1), (standing > _OUT).sum(1)
    # Certain bins first, then the rivals, lower index first, so that a tie goes to the rival.
    bins = near.gather(1, standing.sort(dim=1, descending=True, stable=True).indices)
    last, rival = bins[:, k - 1], bins[:, min(k, bins.shape[1] - 1)]
    is_duel = (possible == k + 1) & (certain == k - 1)
    points = F.pad(centers().double(), (0, 0, 0, 1))
    slopes = 2 * (points[rival] - points[last])  # d²(last) - d²(rival) = slopes · (a, b) + |last|² - |rival|²
    offset = points[last].square().sum(1) - points[rival].square().sum(1)
    duel = torch.stack([slopes[:, 0] * is_duel, slopes[:, 1] * is_duel, torch.where(is_duel, offset, -1.0)])
    candidates = torch.where(standing > _OUT, near, -1).sort(dim=1, descending=True).values
    candidates = torch.where(candidates < 0, BINS, candidates).short()
    tables = (bins[:, :k].T, duel, rival - last, possible > k, (possible > k) & ~is_duel, candidates)
    return _Table(*(table.contiguous().to(device) for table in tables))


def _standings(k: int) -> tuple[Tensor, Tensor]:
    """For every cell of the table: the bins that can be among the k nearest (cells, M), and their standing there.

    Bins stand in order of their index; rows with fewer are filled up with BINS, standing `_OUT`.
    """
    middle, near = torch.zeros(1, 2), torch.arange(BINS)[None]
    standing = torch.full_like(near, _OPEN)
    coarse = 2.0 * _RANGE
    for edge in _EDGES:
        offsets = (torch.arange(coarse / edge) + 0.5) * edge - coarse / 2
        middle = (middle[:, None] + torch.cartesian_prod(offsets, offsets)).reshape(-1, 2)
        near, standing = (t.repeat_interleave(len(offsets) ** 2, dim=0) for t in (near, standing))
        parts = zip(middle.split(4096), near.split(4096), standing.split(4096), strict=True)
        standing = torch.cat([_decide(*part, edge=edge, k=k) for part in parts])
        near, order = torch.where(standing > _OUT, near, BINS).sort(dim=1)
        width = int((near < BINS).sum(1).max())
        near, standing = near[:, :width], standing.gather(1, order)[:, :width]
        coarse = edge
    row, column = ((middle + _RANGE) / _EDGES[-1]).long().T
    by_place = (row * _CELLS + column).argsort()
    return near[by_place], standing[by_place]


def _decide(middle: Tensor, near: Tensor, standing: Tensor, edge: float, k: int) -> Tensor:
    """Settles, where it can be, which of the open bins are among the k nearest in square cells.

    Bin i is nearer than bin j where d_i² - d_j² < 0. That is linear in (a, b), so over a cell it is largest at a
    corner: its value in the middle plus half the edge times the sum of its slopes' sizes. Where this is ≤ 0, i beats j
    all over the cell. (Equality is no loss: the bins are sorted by a, then b, and the higher wins a tie, so either i
    is the higher, or the tie lies on an edge that belongs to the next cell.) With n places left, a bin that n others
    beat is out, and one that fails to beat fewer than n others is certain. All numbers here are exact in float32.

    The cells' `middle` is (cells, 2) and their `edge` is in Lab units; `near` (cells, M) are indices of bins, or BINS,
    and `standing` (cells, M) is what they were in the coarser cell around. The result is their standing in these cells.
    """
    places = k - (standing == _CERTAIN).sum(1, keepdim=True)
    rivals = int((standing == _OPEN).sum(1).max())
    columns = (standing == _OPEN).int().sort(dim=1, descending=True, stable=True).indices[:, :rivals]
    is_open = standing.gather(1, columns) == _OPEN
    points = F.pad(centers(), (0, 0, 0, 1))[near.gather(1, columns)]  # (cells, rivals, 2)
    squared = (points - middle[:, None]).square().sum(-1).masked_fill(~is_open, torch.inf)
    reach = (points[:, :, None] - points[:, None]).abs().sum(-1) * edge
    beats = squared[:, :, None] - squared[:, None] + reach <= 0  # (cells, i, j); nothing closed beats
    beats &= is_open[:, None] & ~torch.eye(rivals, dtype=torch.bool)
    unbeaten = is_open.sum(1, keepdim=True) - 1 - beats.sum(2)
    verdict = torch.full_like(columns, _OPEN)
    verdict[unbeaten < places] = _CERTAIN
    verdict[beats.sum(1) >= places] = _OUT
    return standing.scatter(1, columns, torch.where(is_open, verdict, standing.gather(1, columns)))
