"""The metrics of the protocol: what each column is called, means and needs. Importing this costs nothing (no torch).

`METRICS` is the one table that the evaluation, the statistics, the leaderboards and `bench list` read. The
definitions themselves are pure functions in `pixels` (per image), `distances` (between sets) and `perceptual`;
`scorer` streams batches through them and `pooled` turns per-image columns into a column's value.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One column of every table. Its name stands for exactly one variant (protocol §2)."""

    name: str
    label: str  # for the heads of tables
    unit: str  # "" for a pure number
    direction: Literal["higher", "lower"] | None  # which is better; None where neither is
    digits: int  # decimals in tables
    description: str
    columns: tuple[str, ...] = ()  # the per-image columns that its value follows from, see `pooled`; () for set metrics
    needs: tuple[str, ...] = ()  # pretrained files, by their names in `benchmark.support.weights`

    @property
    def per_image(self) -> bool:
        """Whether each image has a value of its own (then in a per-image column of this name)."""
        return self.name in self.columns


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _table(
    Metric("psnr", "PSNR", "dB", "higher", 2, "mean over images of 10·log10(255²/MSE), 100 dB at most", ("psnr",)),
    Metric("psnr_pooled", "PSNR pooled", "dB", "higher", 2, "PSNR of the whole set's mean squared error", ("mse",)),
    Metric("ssim", "SSIM", "", "higher", 4, "color SSIM: each RGB channel, Gaussian window 11×11, σ 1.5", ("ssim",)),
    Metric(
        "lpips_alex", "LPIPS", "", "lower", 4, "LPIPS v0.1, AlexNet, linear heads", ("lpips_alex",), needs=("alexnet",)
    ),
    Metric("fid", "FID", "", "lower", 2, "Fréchet distance of pytorch-fid Inception features", needs=("inception",)),
    Metric("kid", "KID", "", "lower", 4, "cubic-kernel MMD² of the same features, 100 subsets", needs=("inception",)),
    Metric("top1", "Top-1", "%", "higher", 1, "accuracy of the data set's judge on the recolored images", ("top1",)),
    Metric("fd_judge", "FD judge", "", "lower", 3, "Fréchet distance of the judge's penultimate features"),
    Metric("auc", "AuC", "%", "higher", 2, "area under the curve of pixels with ab error ≤ t, t = 0…150", ("auc",)),
    Metric(
        "auc_rebal",
        "AuC rebal.",
        "%",
        "higher",
        2,
        "AuC, each pixel weighted by the rarity of its true color's bin",
        ("auc_rebal", "auc_rebal_weight"),
    ),
    Metric("acc_2", "Acc 2 %", "%", "higher", 2, "pixels whose rounded L, a and b are within 2 % of range", ("acc_2",)),
    Metric("acc_5", "Acc 5 %", "%", "higher", 2, "pixels whose rounded L, a and b are within 5 % of range", ("acc_5",)),
    Metric("mae_r", "MAE R", "", "lower", 2, "mean absolute error of red, 0–255", ("mae_r",)),
    Metric("mae_g", "MAE G", "", "lower", 2, "mean absolute error of green, 0–255", ("mae_g",)),
    Metric("mae_b", "MAE B", "", "lower", 2, "mean absolute error of blue, 0–255", ("mae_b",)),
    Metric("delta_e00", "ΔE00", "", "lower", 2, "mean CIEDE2000 color difference", ("delta_e00",)),
    Metric("colorfulness", "CF", "", None, 2, "Hasler & Süsstrunk 2003, signed, 0–255", ("colorfulness",)),
    Metric(
        "delta_colorfulness",
        "ΔCF",
        "",
        "lower",
        2,
        "|mean colorfulness of outputs − of truths|",
        ("colorfulness", "colorfulness_target"),
    ),
    Metric("clipped", "Clipped", "%", "lower", 2, "output pixels outside the sRGB gamut before clipping", ("clipped",)),
)
"""Every metric by name, in the order of the tables' columns."""
