"""Compares all weight-free metrics with scikit-image and NumPy: `python tests/speed/bench_metrics.py`.

The reference computes the same columns image by image, as one would with the libraries: scikit-image for PSNR, SSIM,
Lab and CIEDE2000, NumPy for the rest. It shares work where possible: each image is converted to Lab once, the curve of
thresholds is one histogram, and the nearest bins come from a tree. The same in one process per core stands beside it.
The benchmark exits with 1 below 4× at 256² or 15× at 32², or if a value differs.

It also compares Inception features with pytorch-fid's loop, both on random weights and the same decoded images.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torchvision
from bench_color import images_per_second, photographs
from PIL import Image
from pytorch_fid import fid_score, inception
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.data.ab_bins import centers
from benchmark.scoring.evaluate import batch_size_for
from benchmark.scoring.metrics import METRICS
from benchmark.scoring.metrics.scorer import Scorer
from benchmark.scoring.networks.features import FeatureStream
from benchmark.scoring.networks.inception import Inception

WANTED = {256: 4, 32: 15}
IMAGES = {256: 16, 32: 1024}
PLAIN = [name for name, metric in METRICS.items() if metric.measured_by is None and name != "clipped"]
COLUMNS = sorted({column for name in PLAIN for column in METRICS[name].columns})
PRIOR = np.random.default_rng(0).dirichlet(np.ones(313))
CENTERS = centers().numpy()
BINS = KDTree(CENTERS)
SIGMA = 5  # of the Gaussian that smooths the prior (Zhang et al. 2016, §2.2)


def smoothed(prior: np.ndarray) -> np.ndarray:
    """Returns the prior (313,) with the mass of each bin spread over all by a Gaussian."""
    kernel = np.exp(-cdist(CENTERS, CENTERS, "sqeuclidean") / (2 * SIGMA**2))
    return np.asarray(prior @ (kernel / kernel.sum(axis=1, keepdims=True)))


WEIGHTS = 1 / smoothed(PRIOR)


def colorfulness(image: np.ndarray) -> float:
    red, green, blue = np.moveaxis(image.astype(np.float32), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def reference(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Returns every column of one pair of (H, W, 3) uint8 images."""
    predicted, target = pair
    lab, true_lab = rgb2lab(predicted), rgb2lab(target)
    difference = predicted.astype(np.float32) - target
    error = np.linalg.norm(lab[..., 1:] - true_lab[..., 1:], axis=-1).ravel()
    weights = WEIGHTS[BINS.query(true_lab[..., 1:].reshape(-1, 2))[1]]
    thresholds = np.concatenate([[-1], np.arange(151)]) + 1e-9
    curve = np.cumsum(np.histogram(error, thresholds)[0]) / error.size
    weighted = np.cumsum(np.histogram(error, thresholds, weights=weights)[0]) / weights.sum()
    wrong = np.abs(np.rint(lab) - np.rint(true_lab))
    ssim = structural_similarity(
        predicted,
        target,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    return {
        "mse": float(np.square(difference).mean()),
        "psnr": peak_signal_noise_ratio(target, predicted, data_range=255),
        "ssim": ssim,
        "auc": 100 * float(np.trapezoid(curve)) / 150,
        "auc_rebal": 100 * float(np.trapezoid(weighted)) / 150,
        "auc_rebal_weight": float(weights.mean()) / 313,
        "acc_2": 100 * float((wrong <= [2, 4, 4]).all(axis=-1).mean()),
        "acc_5": 100 * float((wrong <= [5, 11, 11]).all(axis=-1).mean()),
        **{f"mae_{name}": float(np.abs(difference[..., channel]).mean()) for channel, name in enumerate("rgb")},
        "delta_e00": float(deltaE_ciede2000(lab, true_lab).mean()),
        "colorfulness": colorfulness(predicted),
        "colorfulness_target": colorfulness(target),
    }


def ours(predicted: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    """Returns the same columns, computed in the batches of an evaluation."""
    prepared: Any = SimpleNamespace(ab_prior=PRIOR, folder=Path(), sha256={"test": ""}, ids=lambda split: ())
    scorer = Scorer(device=torch.device("cpu"), prepared=prepared, metrics=PLAIN)
    size = batch_size_for(target.shape[1])
    for pair in zip(predicted.split(size), target.split(size), strict=True):
        scorer.update(*pair)
    return scorer.compute().per_image


def compare_columns(size: int, pool: ProcessPoolExecutor) -> bool:
    """Prints one line; returns whether ours is fast enough and right."""
    target = photographs(size, IMAGES[size])
    noise = np.random.default_rng(1).normal(0, 8, target.shape)
    predicted = (target * [0.9, 1, 1.05] + noise).clip(0, 255).astype(np.uint8)
    pairs = list(zip(predicted, target, strict=True))
    tensors = torch.from_numpy(predicted), torch.from_numpy(target)
    found, expected = ours(*tensors), [reference(pair) for pair in pairs]
    means = {column: float(np.mean([row[column] for row in expected])) for column in COLUMNS}
    left_out = [column for column in COLUMNS if column not in found]  # of too few images: auc_rebal has no value then
    wrong = [column for column in found if not np.isclose(found[column].mean(), means[column], rtol=1e-4)]
    rate = images_per_second(lambda: ours(*tensors), len(pairs), 9)
    single = images_per_second(lambda: list(map(reference, pairs)), len(pairs), 3)
    parallel = images_per_second(lambda: list(pool.map(reference, pairs, chunksize=4)), len(pairs), 3)
    ratio = rate / single
    print(
        f"{size}²: ours {rate:6.0f} images/s   one by one {single:6.1f}, in processes {parallel:6.1f} ({ratio:.1f}×)",
        end="",
    )
    print(f"   differ: {', '.join(wrong)}" if wrong else "   equal", end="")
    print(f"; not compared: {', '.join(left_out)}" if left_out else "")
    return ratio >= WANTED[size] and not wrong and not (left_out and IMAGES[size] >= 100)


def compare_features(images: int = 32) -> bool:
    """Prints one line; returns whether ours is no slower."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TORCH_HOME"] = name
        weights = folder / "hub" / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
        weights.parent.mkdir(parents=True)
        network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        torch.save(network.state_dict(), weights)
        batch = photographs(256, images)
        files = [folder / f"{number:03}.png" for number in range(images)]
        for file, image in zip(files, batch, strict=True):
            Image.fromarray(image).save(file, compress_level=1)
        theirs = inception.InceptionV3([3]).eval()
        mine = Inception(weights, torch.device("cpu"))

    def stream() -> None:
        features = FeatureStream(mine, torch.device("cpu"))
        for part in torch.from_numpy(batch).split(4):
            features.update(part)
        features.compute()

    loaded = fid_score.ImagePathDataset
    fid_score.ImagePathDataset = lambda files, transforms: [transforms(image) for image in batch]
    fid_score.tqdm = iter  # no progress bar
    reference_rate = images_per_second(
        lambda: fid_score.get_activations(files, theirs, batch_size=16, num_workers=0), images, 3
    )
    fid_score.ImagePathDataset = loaded
    rate = images_per_second(stream, images, 3)
    print(f"Inception: ours {rate:.1f} images/s   pytorch-fid {reference_rate:.1f} ({rate / reference_rate:.1f}×)")
    return rate >= reference_rate


def main() -> int:
    started = time.perf_counter()
    with ProcessPoolExecutor(torch.get_num_threads()) as pool:
        right = [compare_columns(size, pool) for size in WANTED]
    right.append(compare_features())
    print(f"{torch.get_num_threads()} threads, {time.perf_counter() - started:.0f} s")
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
