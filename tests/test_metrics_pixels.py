"""Every per-image metric agrees with an independent implementation or a case worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from skimage import color as reference_color
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from benchmark.data.color import rgb_to_lab
from benchmark.scoring.metrics import METRICS, pixels

Lab = tuple[Tensor, Tensor]

# Table 1 of Sharma, Wu & Dalal 2005 gives L, a, b of two colors, and their difference.
SHARMA = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def photographs(size: int) -> np.ndarray:
    """Returns three photographs, (3, size, size, 3) uint8."""
    return np.stack(
        [image[60 : 60 + size, 100 : 100 + size] for image in (data.astronaut(), data.coffee(), data.cat())]
    )


@pytest.fixture(scope="module", params=[32, 224])
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Photographs with changed colors, and the originals, (3, S, S, 3) uint8 each."""
    truth = photographs(request.param)
    noise = np.random.default_rng(0).normal(0, 12, truth.shape)
    return (truth * [0.8, 1.0, 1.1] + noise).clip(0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module")
def tensors(pair: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    predicted, target = (pixels.planes(torch.from_numpy(images)) for images in pair)
    return predicted, target


@pytest.fixture(scope="module")
def labs(pair: tuple[np.ndarray, np.ndarray]) -> tuple[Lab, Lab]:
    predicted, target = (rgb_to_lab(torch.from_numpy(images)) for images in pair)
    return predicted, target


@pytest.fixture(scope="module")
def reference_labs(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    predicted, target = (reference_color.rgb2lab(images) for images in pair)
    return predicted, target


def test_psnr_equals_scikit_image(pair: tuple[np.ndarray, np.ndarray], tensors: tuple[Tensor, Tensor]) -> None:
    expected = [peak_signal_noise_ratio(t, p, data_range=255) for p, t in zip(*pair, strict=True)]
    np.testing.assert_allclose(pixels.psnr(pixels.squared_error(*tensors)), expected, atol=1e-4)


def test_psnr_is_100_at_most() -> None:
    nearly = torch.zeros(2, 3, 256, 256)
    nearly[1, 0, 0, 0] = 1  # one level in one channel of one pixel would be 101 dB
    assert pixels.psnr(pixels.squared_error(nearly, torch.zeros_like(nearly))).tolist() == [100, 100]


def test_mean_absolute_error_keeps_the_channels_apart() -> None:
    target = torch.full((2, 3, 4, 5), 100.0)
    predicted = target + torch.tensor([3.0, -5.0, 0.5]).view(3, 1, 1)
    found = pixels.absolute_errors(predicted, target)
    assert list(found) == ["mae_r", "mae_g", "mae_b"]
    assert [values.tolist() for values in found.values()] == [[3, 3], [5, 5], [0.5, 0.5]]


def test_ssim_equals_scikit_image(pair: tuple[np.ndarray, np.ndarray], tensors: tuple[Tensor, Tensor]) -> None:
    np.testing.assert_allclose(pixels.ssim(*tensors), [ssim_of(p, t) for p, t in zip(*pair, strict=True)], atol=1e-5)


@pytest.mark.parametrize("shape", [(11, 11), (11, 40), (33, 17)])
def test_ssim_of_any_shape(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    found = pixels.ssim(*(pixels.planes(torch.from_numpy(image)[None]) for image in (first, second)))
    assert found.item() == pytest.approx(ssim_of(first, second), abs=1e-5)


def test_ssim_of_flat_bright_images_is_not_lost_to_rounding() -> None:
    rng = np.random.default_rng(4)
    first = np.full((64, 64, 3), 254, np.uint8)
    second = first - rng.integers(0, 2, first.shape, dtype=np.uint8)
    found = pixels.ssim(*(pixels.planes(torch.from_numpy(image)[None]) for image in (first, second)))
    assert found.item() == pytest.approx(ssim_of(first, second), abs=1e-4)


def ssim_of(first: np.ndarray, second: np.ndarray) -> float:
    return structural_similarity(
        first, second, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )


def test_ssim_refuses_images_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="smaller than 11×11"):
        pixels.ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_auc_equals_the_curve_drawn_out(labs: tuple[Lab, Lab], reference_labs: tuple[np.ndarray, np.ndarray]) -> None:
    errors = np.linalg.norm(reference_labs[0][..., 1:] - reference_labs[1][..., 1:], axis=-1)
    curve = [(errors <= threshold).mean(axis=(1, 2)) for threshold in range(151)]
    found = pixels.auc_credit(labs[0][1], labs[1][1]).mean(dim=(1, 2))
    np.testing.assert_allclose(found, np.trapezoid(curve, axis=0) / 150, atol=1e-5)


@pytest.mark.parametrize(
    ("error", "area"), [(0, 1), (0.5, 149.5 / 150), (1, 149.5 / 150), (1.5, 148.5 / 150), (150, 0.5 / 150), (151, 0)]
)
def test_auc_of_a_constant_error(error: float, area: float) -> None:
    target = torch.zeros(1, 2, 3, 3)
    predicted = target + torch.tensor([0.0, -error]).view(2, 1, 1)
    curve = [float(error <= threshold) for threshold in range(151)]
    assert area == pytest.approx(np.trapezoid(curve) / 150)
    assert pixels.auc_credit(predicted, target).unique().tolist() == pytest.approx([area])


def test_accuracy_equals_its_definition(labs: tuple[Lab, Lab], reference_labs: tuple[np.ndarray, np.ndarray]) -> None:
    difference = np.abs(np.rint(reference_labs[0]) - np.rint(reference_labs[1]))
    found = pixels.accuracies(*labs, (1, 2, 5))
    for percent in (1, 2, 5):
        right = (difference <= percent * np.array([1, 2.2, 2.2]) + 1e-9).all(axis=-1).mean(axis=(1, 2))
        np.testing.assert_allclose(found[f"acc_{percent}"], 100 * right, atol=0.1)


def test_accuracy_counts_the_limit_itself() -> None:
    def lab(L: float, a: float, b: float) -> Lab:
        return torch.full((1, 1, 1, 1), L), torch.tensor([a, b]).view(1, 2, 1, 1)

    def found(predicted: Lab) -> list[float]:
        return [share.item() for share in pixels.accuracies(predicted, lab(50, 0, 0)).values()]

    assert found(lab(55, 11, -11)) == [0, 100]
    assert found(lab(55.6, 0, 0)) == [0, 0]
    assert found(lab(52, 4, -4)) == [100, 100]
    assert found(lab(50, 4.6, 0)) == [0, 100]
    assert found(lab(50, 0, -11.6)) == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("swapped", [False, True])
def test_ciede2000_of_the_published_pairs(dtype: torch.dtype, swapped: bool) -> None:
    assert SHARMA.shape == (34, 7)
    values = torch.tensor(SHARMA, dtype=dtype)[:, :, None, None]
    first, second = (values[:, :1], values[:, 1:3]), (values[:, 3:4], values[:, 4:6])
    found = pixels.delta_e00(second, first) if swapped else pixels.delta_e00(first, second)
    np.testing.assert_allclose(found.flatten(), SHARMA[:, 6], atol=1e-4)


def test_ciede2000_equals_scikit_image(labs: tuple[Lab, Lab], reference_labs: tuple[np.ndarray, np.ndarray]) -> None:
    expected = reference_color.deltaE_ciede2000(*reference_labs).mean(axis=(1, 2))
    np.testing.assert_allclose(pixels.delta_e00(*labs).mean(dim=(1, 2)), expected, atol=1e-4)


def test_ciede2000_of_a_color_and_itself_is_nothing(labs: tuple[Lab, Lab]) -> None:
    assert pixels.delta_e00(labs[0], labs[0]).count_nonzero() == 0


def test_colorfulness_equals_its_definition(
    pair: tuple[np.ndarray, np.ndarray], tensors: tuple[Tensor, Tensor]
) -> None:
    red, green, blue = np.moveaxis(pair[0].astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    axes = (1, 2)
    deviation = np.hypot(rg.std(axis=axes), yb.std(axis=axes))
    expected = deviation + 0.3 * np.hypot(rg.mean(axis=axes), yb.mean(axis=axes))
    np.testing.assert_allclose(pixels.colorfulness(tensors[0]), expected, rtol=1e-5)


def test_colorfulness_by_hand() -> None:
    gray = torch.arange(48.0).view(1, 1, 4, 12).expand(1, 3, 4, 12)
    red = torch.tensor([255.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 12)
    halves = torch.cat([red, red.flip(1)], dim=3)  # red and blue: rg is 255 or 0, yb is 127.5 or -255
    spread = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    found = pixels.colorfulness(torch.cat([gray.repeat(1, 1, 1, 2), red.repeat(1, 1, 1, 2), halves]))
    np.testing.assert_allclose(found, [0, 0.3 * np.hypot(255, 127.5), spread], rtol=1e-6)


def test_the_table_is_the_protocol_and_needs_no_torch() -> None:
    columns = (
        "psnr psnr_pooled ssim lpips_alex fid kid top1 fd_judge kid_judge agree_lite p_lite fd_lite kid_lite auc "
        "auc_rebal acc_2 acc_5 mae_r mae_g mae_b delta_e00 colorfulness delta_colorfulness clipped "
        "lpips_vgg precision_judge recall_judge"
    )
    assert list(METRICS) == columns.split()
    assert all(name == metric.name for name, metric in METRICS.items())
    assert {name for name, metric in METRICS.items() if metric.direction is None} == {"colorfulness"}
    program = "import sys, benchmark.scoring.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
