"""The metrics of the protocol, in the order of the tables' columns: each one's name, meaning and function.

Importing this costs nothing (no torch). A new metric is one function and one `register`: CONTRIBUTING.md shows it.
"""

from benchmark.scoring.metrics.metric import METRICS, Metric, difference, psnr_of, ratio, register, usual, weighted

__all__ = ["METRICS", "Metric", "register", "usual"]

_PIXELS, _SETS = "benchmark.scoring.metrics.pixels:", "benchmark.scoring.metrics.sets:"
_INCEPTION, _JUDGE = _SETS + "inception_metrics", _SETS + "JudgeMetrics"
_LITE = "benchmark.scoring.networks.lite:LiteMetrics"
_OPTIONAL = "benchmark.scoring.metrics.optional:"
_SHARE, _DISTANCE, _LEVELS = (0.0, 100.0), (0.0, None), (0.0, 255.0)  # bounds

# fmt: off
for _metric in (
    Metric("psnr", "PSNR", "dB", "higher", 2, "mean over images of 10·log10(255²/MSE), 100 dB at most",
           per_image=_PIXELS + "squared_errors", bounds=_SHARE),
    Metric("psnr_pooled", "PSNR pooled", "dB", "higher", 2, "PSNR of the whole set's mean squared error",
           per_image=_PIXELS + "squared_errors", columns=("mse",), combine=psnr_of, bounds=_SHARE),
    Metric("ssim", "SSIM", "", "higher", 4, "color SSIM: each RGB channel, Gaussian window 11×11, σ 1.5",
           per_image=_PIXELS + "ssim", bounds=(-1.0, 1.0)),
    Metric("lpips_alex", "LPIPS", "", "lower", 4, "LPIPS v0.1, AlexNet, linear heads",
           measured_by=_SETS + "LpipsMetric", columns=("lpips_alex",), needs=("alexnet",), bounds=_DISTANCE),
    Metric("fid", "FID", "", "lower", 2, "Fréchet distance of pytorch-fid Inception features",
           measured_by=_INCEPTION, needs=("inception",), bounds=_DISTANCE),
    Metric("kid", "KID", "", "lower", 4, "cubic-kernel MMD² of the same features, 100 subsets",
           measured_by=_INCEPTION, needs=("inception",)),
    Metric("top1", "Top-1", "%", "higher", 1, "accuracy of the data set's judge on the recolored images",
           measured_by=_JUDGE, columns=("top1",), bounds=_SHARE),
    Metric("fd_judge", "FD judge", "", "lower", 3, "Fréchet distance of the judge's penultimate features",
           measured_by=_JUDGE, bounds=_DISTANCE),
    Metric("kid_judge", "KID judge", "", "lower", 4, "cubic-kernel MMD² of the same features, 100 subsets",
           measured_by=_JUDGE),
    Metric("agree_lite", "Agree", "%", "higher", 1, "images on which EfficientNet-Lite2 answers as on the truth",
           measured_by=_LITE, columns=("agree_lite",), needs=("lite2",), bounds=_SHARE),
    Metric("p_lite", "p agree", "%", "higher", 1, "probability that it gives to its answer on the truth",
           measured_by=_LITE, columns=("p_lite",), needs=("lite2",), bounds=_SHARE),
    Metric("fd_lite", "FD lite", "", "lower", 2, "Fréchet distance of its pooled features",
           measured_by=_LITE, needs=("lite2",), bounds=_DISTANCE),
    Metric("kid_lite", "KID lite", "", "lower", 4, "cubic-kernel MMD² of the same features, 100 subsets",
           measured_by=_LITE, needs=("lite2",)),
    Metric("auc", "AuC", "%", "higher", 2, "area under the curve of pixels with ab error ≤ t, t = 0…150",
           space="lab", per_image=_PIXELS + "auc", bounds=_SHARE),
    Metric("auc_rebal", "AuC rebal.", "%", "higher", 2,
           "AuC, each pixel weighted by the rarity of its true color's bin, smoothed by σ = 5",
           space="weighted_lab", per_image=_PIXELS + "rebalanced_auc", columns=("auc_rebal", "auc_rebal_weight"),
           moments=weighted, combine=ratio, weight="auc_rebal_weight", bounds=_SHARE),
    Metric("acc_2", "Acc 2 %", "%", "higher", 2, "pixels whose rounded L, a and b are within 2 % of range",
           space="lab", per_image=_PIXELS + "accuracies", bounds=_SHARE),
    Metric("acc_5", "Acc 5 %", "%", "higher", 2, "pixels whose rounded L, a and b are within 5 % of range",
           space="lab", per_image=_PIXELS + "accuracies", bounds=_SHARE),
    Metric("mae_r", "MAE R", "", "lower", 2, "mean absolute error of red, 0–255",
           per_image=_PIXELS + "absolute_errors", bounds=_LEVELS),
    Metric("mae_g", "MAE G", "", "lower", 2, "mean absolute error of green, 0–255",
           per_image=_PIXELS + "absolute_errors", bounds=_LEVELS),
    Metric("mae_b", "MAE B", "", "lower", 2, "mean absolute error of blue, 0–255",
           per_image=_PIXELS + "absolute_errors", bounds=_LEVELS),
    Metric("delta_e00", "ΔE00", "", "lower", 2, "mean CIEDE2000 color difference",
           space="lab", per_image=_PIXELS + "mean_delta_e00", bounds=_DISTANCE),
    Metric("colorfulness", "CF", "", None, 2, "Hasler & Süsstrunk 2003, signed, 0–255",
           per_image=_PIXELS + "colorfulnesses", bounds=_DISTANCE),
    Metric("delta_colorfulness", "ΔCF", "", "lower", 2, "|mean colorfulness of outputs − of truths|",
           per_image=_PIXELS + "colorfulnesses", columns=("colorfulness", "colorfulness_target"), combine=difference,
           folded=True),
    Metric("clipped", "Clipped", "%", "lower", 2, "output pixels outside the sRGB gamut before clipping",
           space="gamut", per_image=_PIXELS + "clipped", bounds=_SHARE),
    Metric("lpips_vgg", "LPIPS VGG", "", "lower", 4, "LPIPS v0.1, VGG-16, linear heads",
           measured_by=_OPTIONAL + "LpipsVgg", columns=("lpips_vgg",), needs=("vgg16",), bounds=_DISTANCE,
           optional=True),
    Metric("precision_judge", "Precision", "%", "higher", 1, "outputs in the third-neighbor ball of a truth's features",
           measured_by=_OPTIONAL + "JudgeCoverage", bounds=_SHARE, optional=True),
    Metric("recall_judge", "Recall", "%", "higher", 1, "truths in the third-neighbor ball of an output's features",
           measured_by=_OPTIONAL + "JudgeCoverage", bounds=_SHARE, optional=True),
):
    register(_metric)
# fmt: on
