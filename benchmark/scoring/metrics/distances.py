"""Distances between two sets of images, given a feature vector of each: Fréchet and kernel, both in float64."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_ROWS = 4096  # features widened to float64 at a time

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # Bińkowski et al. 2018, appendix D
_KID_SEED = 0


@dataclass(frozen=True)
class Gaussian:
    """The first two moments of a set of feature vectors."""

    mean: Tensor  # (d,) float64
    covariance: Tensor  # (d, d) float64, unbiased

    @classmethod
    def of(cls, features: Tensor) -> "Gaussian":
        """Computes the moments of (N, d) features of any floating type, N ≥ 2, which are widened piece by piece."""
        if len(features) < 2:
            raise ValueError(f"a covariance needs two images, got {len(features)}")
        parts = features.split(_ROWS)
        mean = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / len(features)
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for part in parts:
            centered = part.double() - mean
            covariance.addmm_(centered.T, centered)
        return cls(mean, covariance / (len(features) - 1))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Returns |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½), not negative.

    Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½ Σ₂ Σ₁^½, whose roots sum up to the trace: no root of a matrix that is
    not symmetric, no complex numbers, and singular covariances (fewer images than features) do no harm.
    """
    eigenvalues, vectors = torch.linalg.eigh(first.covariance)
    root = vectors * eigenvalues.clamp(min=0).sqrt()
    cross = torch.linalg.eigvalsh(root.T @ second.covariance @ root).clamp(min=0).sqrt().sum()
    distance = (
        (first.mean - second.mean).square().sum() + first.covariance.trace() + second.covariance.trace() - 2 * cross
    )
    return max(0.0, float(distance))


class KernelDistance(NamedTuple):
    """The kernel distance, the mean over subsets of the images.

    How far the subsets' values lie apart is no error of this mean, as they overlap: two seeds of a method, or two
    methods, are told apart by the values of seeds.
    """

    mean: float
    subsets: int
    subset_size: int


def kernel_distance(first: Tensor, second: Tensor) -> KernelDistance:
    """Returns the squared maximum mean discrepancy under the kernel (x·y/d + 1)³ (Bińkowski et al. 2018), unbiased.

    The mean over 100 random subsets of min(1000, N) images of each set, drawn without replacement and always the same.
    The sets are (N, d) and (M, d), N, M ≥ 2, of any floating type.
    """
    size = min(KID_SUBSET_SIZE, len(first), len(second))
    subsets = 1 if size == len(first) == len(second) else KID_SUBSETS
    rng = np.random.default_rng(_KID_SEED)
    estimates = [_squared_mmd(_draw(first, size, rng), _draw(second, size, rng)) for _ in range(subsets)]
    return KernelDistance(float(np.mean(estimates)), subsets, size)


def _draw(features: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    chosen = rng.choice(len(features), size, replace=False)
    return features[torch.from_numpy(chosen).to(features.device)].double()


def _squared_mmd(x: Tensor, y: Tensor) -> float:
    """Returns the U-statistic of a set's kernel matrix with itself, which leaves out the diagonal."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T).div_(a.shape[1]).add_(1).pow_(3)

    count = len(x)
    within = sum((matrix.sum() - matrix.trace()) / (count * (count - 1)) for matrix in (kernel(x, x), kernel(y, y)))
    return float(within - 2 * kernel(x, y).mean())
