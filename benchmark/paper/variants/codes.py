"""Which evaluation code takes which arithmetic. Each names the file and the commit that was read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmark.paper.variants import pieces
from benchmark.paper.variants.pieces import Picture

Values = NDArray[np.float64]
Measure = Callable[[Picture, Picture], float | tuple[float, float]]
Fit = Callable[[Picture], Picture] | None
HUNDRED = 100  # images of a batch of UniColor's SSIM
LEAST_COLORFULNESS = 1.0  # of outputs that ColorFormer's mean counts


def mean(values: Values) -> float:
    """Returns the mean; infinite if one image matches exactly."""
    return float(values.mean())


def mean_of_finite(values: Values) -> float:
    """Returns the mean of the images that do not match exactly."""
    return float(values[np.isfinite(values)].mean())


def mean_of_colorful(values: Values) -> float:
    """Returns the mean over images whose own value is above 1."""
    return float(values[values > LEAST_COLORFULNESS].mean())


def mean_of_whole_hundreds(values: Values) -> float:
    """Returns the mean over all images but those after the last whole hundred; not a number for fewer than 100."""
    whole = len(values) // HUNDRED * HUNDRED
    return float(values[:whole].mean()) if whole else float("nan")


def mean_of_outputs(values: Values) -> float:
    """Returns the mean of the first of (N, 2) values."""
    return float(values[:, 0].mean())


def distance_of_means(values: Values) -> float:
    """Returns how far the means of (N, 2) values are apart."""
    return float(abs(values[:, 0].mean() - values[:, 1].mean()))


@dataclass(frozen=True)
class Column:
    """One score of a code."""

    says: str  # what it is, and what is odd about it
    measure: Measure  # of output and truth
    pool: Callable[[Values], float] = mean  # of all images' values, (N,) or (N, 2)
    fit: Fit = None  # what is done to either picture before; None: sizes must agree
    fit_truth: Fit = None  # what is done to the truth instead


@dataclass(frozen=True)
class Code:
    """An evaluation code."""

    source: str
    columns: Mapping[str, Column]
    ours: Mapping[str, str] = field(default_factory=dict)  # score of that code → the suite's metric that it is
    absent: Mapping[str, str] = field(default_factory=dict)  # score of that code → why it is not computed here


def _colorfulness(output: Picture, _: Picture) -> float:
    return pieces.colorfulness_absolute(output)


def _colorfulnesses(output: Picture, truth: Picture) -> tuple[float, float]:
    return pieces.colorfulness_absolute(output), pieces.colorfulness_absolute(truth)


_DELTA = "|mean of outputs − mean of truths| of it"
_TORCHVISION = "torchvision's Inception with its own scaling, not pytorch-fid's; its weights are not in the suite"

CODES: dict[str, Code] = {
    "colorbench": Code(
        "this suite: docs/metrics.md",
        {},
        ours={"psnr": "psnr", "ssim": "ssim", "cf": "colorfulness", "delta_cf": "delta_colorfulness"}
        | {"auc": "auc", "auc_rebal": "auc_rebal", "fid": "fid", "lpips": "lpips_alex"},
    ),
    "ddcolor": Code(
        "piddnad/DDColor 2adb63f: basicsr/metrics/{psnr_ssim,colorfulness}.py, basicsr/data/lab_dataset.py, "
        "options/train/train_ddcolor.yml",
        {
            "psnr": Column("RGB, without four pixels of each edge", pieces.psnr_inside, fit=pieces.squashed_plain),
            "ssim": Column("Gaussian window 11×11, range 255", pieces.ssim_gaussian, fit=pieces.squashed_plain),
            "cf": Column(
                "colorfulness of absolute opponents", _colorfulnesses, mean_of_outputs, fit=pieces.squashed_plain
            ),
            "delta_cf": Column(_DELTA, _colorfulnesses, distance_of_means, fit=pieces.squashed_plain),
        },
        absent={"fid": _TORCHVISION},
    ),
    "ct2": Code(
        "shuchenweng/CT2 cd40f5a: segm/metrics.py, segm/eval_colorfullness.py",
        {
            "psnr": Column("RGB", pieces.psnr),
            "psnr_convert": Column(
                "RGB, against the truth taken to Lab and back", pieces.psnr, fit_truth=pieces.through_lab
            ),
            "ssim": Column("uniform window 7×7, range 225", pieces.ssim_uniform_225),
            "ssim_convert": Column(
                "the same, against the truth taken to Lab and back",
                pieces.ssim_uniform_225,
                fit_truth=pieces.through_lab,
            ),
            "cf": Column("colorfulness of absolute opponents", _colorfulness),
        },
        absent={"lpips": "LPIPS with VGG, which is not re-stated here", "fid": _TORCHVISION},
    ),
    "colorformer": Code(
        "jixiaozhong/ColorFormer 0d3ae85: metric/{psnr,colorful}.py",
        {
            "psnr": Column("RGB, exact matches left out", pieces.psnr, mean_of_finite),
            "cf": Column("of absolute opponents, outputs of 1 and less left out", _colorfulness, mean_of_colorful),
        },
        ours={"fid": "fid"},
    ),
    "unicolor": Code(
        "luckyhzt/unicolor dfd77f2: sample/unsorted_codes/metrics.ipynb",
        {
            "psnr": Column("RGB, squashed to 256×256", pieces.psnr, fit=pieces.squashed_filtered),
            "ssim": Column(
                "Gaussian window 11×11, squashed; images after the last whole hundred left out",
                pieces.ssim_gaussian,
                mean_of_whole_hundreds,
                fit=pieces.squashed_filtered,
            ),
            "cf": Column("colorfulness of absolute opponents, bicubic", _colorfulness, fit=pieces.squashed_cubic),
        },
        ours={"lpips": "lpips_alex", "fid": "fid"},
    ),
    "eccv16": Code(
        "Zhang et al. 2016, §3.1; no evaluation code was released, so it is the text that is followed",
        {},
        ours={"auc": "auc", "auc_rebal": "auc_rebal"},
        absent={"top1": "VGG-16's answers on recolored images, which the suite does not ask for"},
    ),
    "chromagan": Code(
        "Vitoria et al. 2020, Table 2: over the ab channels; the peak is not stated and is 255 here",
        {"psnr": Column("a and b alone", pieces.psnr_ab)},
    ),
}
"""Evaluation codes by name."""
