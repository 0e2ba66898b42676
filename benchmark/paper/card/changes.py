"""Known changes of true images. A new one is a function and `@change(…)` above it; the card then measures it."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmark.data.color import lab_to_rgb
from benchmark.paper.card.rows import Aspect

SIDE = 32  # pixels: strengths that are lengths, but for shifts, are those at this size of an image


class Changed(NamedTuple):
    """Changed images."""

    rgb: Tensor  # (B, S, S, 3) uint8
    clipped: Tensor | None = None  # (B, S, S) bool, the pixels outside the gamut; None: not known


@dataclass(frozen=True)
class Truth:
    """A batch of true images, as changes take it."""

    rgb: Tensor  # (B, S, S, 3) uint8
    L: Tensor  # (B, 1, S, S), [0, 100]
    ab: Tensor  # (B, 2, S, S), Lab units
    other_ab: Tensor  # (B, 2, S, S), of another photograph each
    mean_ab: tuple[float, float]  # of the training split
    seed: int  # differs from batch to batch

    @property
    def side(self) -> int:
        """S, pixels."""
        return self.rgb.shape[1]

    def recolored(self, ab: Tensor) -> Changed:
        """Returns the images with another ab, (B, 2, S, S), on their own lightness."""
        return Changed(*lab_to_rgb(self.L, ab))


@dataclass(frozen=True)
class Change:
    """One way to change true images, at several strengths."""

    name: str
    title: str  # for heads: what is done
    strengths: Sequence[float]  # from the weakest to the strongest
    aspect: Aspect
    wrong: bool  # the strongest makes wrong color, which must not score above no color
    apply: Callable[[Truth, float], Changed]


CHANGES: dict[str, Change] = {}
"""Every change by name, in the order of the card's columns."""


def change(
    title: str, strengths: Sequence[float], aspect: Aspect = "other", wrong: bool = False
) -> Callable[[Callable[[Truth, float], Changed]], Callable[[Truth, float], Changed]]:
    """Registers a function of a batch and a strength, under its own name; ValueError if that is taken."""

    def registered(function: Callable[[Truth, float], Changed]) -> Callable[[Truth, float], Changed]:
        name = function.__name__
        if name in CHANGES:
            raise ValueError(f"there is a change {name!r} already")
        CHANGES[name] = Change(name, title, tuple(strengths), aspect, wrong, function)
        return function

    return registered


@change("less saturation, down to none (factor)", (0.75, 0.5, 0.25, 0.0), "saturation")
def saturation(truth: Truth, factor: float) -> Changed:
    """Multiplies chroma."""
    return truth.recolored(truth.ab * factor)


@change("more saturation (factor)", (1.25, 1.5))
def oversaturation(truth: Truth, factor: float) -> Changed:
    """Multiplies chroma; the gamut clips."""
    return truth.recolored(truth.ab * factor)


@change("hue turned (degrees)", (15, 45, 90, 180), "hue", wrong=True)
def hue(truth: Truth, degrees: float) -> Changed:
    """Turns the ab plane about gray, which keeps lightness and chroma."""
    angle = np.deg2rad(degrees)
    a, b = truth.ab.unbind(dim=1)
    turned = torch.stack([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], dim=1)
    return truth.recolored(turned)


@change("the colors of another photograph", (1,), wrong=True)
def another(truth: Truth, _: float) -> Changed:
    """Puts the ab of another test image on the lightness."""
    return truth.recolored(truth.other_ab)


@change("the training split's mean color", (1,))
def mean_color(truth: Truth, _: float) -> Changed:
    """Gives every pixel the same ab."""
    return truth.recolored(torch.tensor(truth.mean_ab).view(1, 2, 1, 1).expand_as(truth.ab))


@change("color bleeds (σ, pixels of 32)", (1, 2, 4, 8), "place")
def bleeding(truth: Truth, sigma: float) -> Changed:
    """Blurs ab by a Gaussian."""
    sigma *= truth.side / SIDE
    blurred = gaussian_filter(truth.ab.numpy(), (0, 0, sigma, sigma), mode="nearest")
    return truth.recolored(torch.from_numpy(blurred))


@change("color shifted (pixels)", (1, 2, 4), "place")
def shift(truth: Truth, pixels: float) -> Changed:
    """Moves ab to the right; the left edge is continued."""
    columns = (torch.arange(truth.side) - int(pixels)).clamp(min=0)
    return truth.recolored(truth.ab.index_select(3, columns))


@change("color noise (σ, Lab units)", (5, 10, 20, 40))
def noise(truth: Truth, sigma: float) -> Changed:
    """Adds normal noise to each pixel's ab."""
    generator = torch.Generator().manual_seed(truth.seed)
    return truth.recolored(truth.ab + sigma * torch.randn(truth.ab.shape, generator=generator))


@change("every second pixel without color", (1,))
def checkerboard(truth: Truth, _: float) -> Changed:
    """Sets ab to 0 on the black squares of a chessboard."""
    rows = torch.arange(truth.side)
    white = (rows[:, None] + rows) % 2
    return truth.recolored(truth.ab * white)


@change("JPEG, 4:2:0 (quality)", (95, 75, 50))
def jpeg(truth: Truth, quality: float) -> Changed:
    """Saves and reads as JPEG with color at half the resolution; lightness suffers too."""
    return Changed(torch.stack([_through_jpeg(image, int(quality)) for image in truth.rgb]))


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    content = io.BytesIO()
    Image.fromarray(image.numpy()).save(content, "JPEG", quality=quality, subsampling="4:2:0")
    return torch.from_numpy(np.array(Image.open(content)))
