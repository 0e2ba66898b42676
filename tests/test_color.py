import warnings

import numpy as np
import pytest
import torch
from skimage import color as reference
from skimage import data
from torch import Tensor

from benchmark.data.color import join, lab_to_rgb, lab_to_srgb, rgb_to_lab


@pytest.fixture(scope="module")
def random_rgb() -> Tensor:
    return torch.randint(0, 256, (5, 48, 31, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def random_lab() -> tuple[Tensor, Tensor]:
    """Lab values, of which two thirds are outside the gamut."""
    generator = torch.Generator().manual_seed(1)
    L = torch.rand(4, 1, 40, 41, generator=generator) * 100
    return L, torch.rand(4, 2, 40, 41, generator=generator) * 220 - 110


def channels_last(L: Tensor, ab: Tensor) -> np.ndarray:
    return torch.cat([L, ab], dim=1).permute(0, 2, 3, 1).double().numpy()


def test_lab_equals_scikit_image(random_rgb: Tensor) -> None:
    L, ab = rgb_to_lab(random_rgb)
    assert L.shape == (5, 1, 48, 31)
    assert ab.shape == (5, 2, 48, 31)
    assert L.dtype == ab.dtype == torch.float32
    np.testing.assert_allclose(channels_last(L, ab), reference.rgb2lab(random_rgb.numpy()), atol=1e-3)


def test_srgb_equals_scikit_image_outside_the_gamut_too(random_lab: tuple[Tensor, Tensor]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image warns of colors outside the gamut
        expected = reference.lab2rgb(channels_last(*random_lab))
    np.testing.assert_allclose(lab_to_srgb(*random_lab).permute(0, 2, 3, 1), expected, atol=1e-4)
    rgb, _ = lab_to_rgb(*random_lab)
    assert np.abs(rgb.double().numpy() - 255 * expected).max() <= 0.5 + 1e-3


def test_a_photograph_survives_the_round_trip() -> None:
    photograph = torch.from_numpy(data.astronaut())[None]
    rgb, clipped = lab_to_rgb(*rgb_to_lab(photograph))
    assert torch.equal(rgb, photograph)
    assert not clipped.any()


def test_the_edges_of_the_cube_survive_the_round_trip() -> None:
    level = torch.arange(256, dtype=torch.uint8)
    axis = torch.tensor([0, 1, 2, 254, 255], dtype=torch.uint8)
    a, b, c = torch.meshgrid(level, axis, axis, indexing="ij")
    edges = torch.stack([torch.stack(order, dim=-1).reshape(-1, 3) for order in ((a, b, c), (b, a, c), (b, c, a))])
    rgb, clipped = lab_to_rgb(*rgb_to_lab(edges[:, None]))
    assert torch.equal(rgb, edges[:, None])
    assert not clipped.any()


@pytest.mark.slow
def test_every_color_survives_the_round_trip_and_equals_scikit_image() -> None:
    level = torch.arange(256, dtype=torch.uint8)
    green, blue = torch.meshgrid(level, level, indexing="ij")
    for red in range(256):
        plane = torch.stack([torch.full_like(green, red), green, blue], dim=-1)[None]
        L, ab = rgb_to_lab(plane)
        rgb, clipped = lab_to_rgb(L, ab)
        assert torch.equal(rgb, plane)
        assert not clipped.any()
        np.testing.assert_allclose(channels_last(L, ab), reference.rgb2lab(plane.numpy()), atol=1e-3)


def test_clipped_marks_what_scikit_image_calls_out_of_gamut(random_lab: tuple[Tensor, Tensor]) -> None:
    _, clipped = lab_to_rgb(*random_lab)
    xyz = channels_last(*random_lab)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear = reference.lab2xyz(xyz) @ np.linalg.inv(reference.colorconv.xyz_from_rgb).T
    encoded = np.where(linear > 0.0031308, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)
    distance = np.maximum(-encoded, encoded - 1).max(axis=-1) * 255  # 8-bit levels outside the cube; negative inside
    assert (distance[clipped.numpy()] > 0.5 - 1e-3).all()
    assert (distance[~clipped.numpy()] <= 0.5 + 1e-3).all()


def test_gradients_are_finite_at_black_and_outside_the_gamut(random_lab: tuple[Tensor, Tensor]) -> None:
    L, ab = (plane.clone() for plane in random_lab)
    L[0], ab[0] = 0.0, 0.0
    L[1], ab[1] = 100.0, 0.0
    L.requires_grad_()
    ab.requires_grad_()
    lab_to_srgb(L, ab).square().sum().backward()
    assert L.grad is not None
    assert ab.grad is not None
    assert L.grad.isfinite().all()
    assert ab.grad.isfinite().all()
    assert ab.grad[2:].any()


def test_the_gradient_is_the_slope() -> None:
    lab = torch.tensor([[40.0, 12.0, -9.0], [3.0, 1.0, 2.0], [85.0, -4.0, 6.0]]).reshape(3, 3, 1, 1)
    lab.requires_grad_()
    lab_to_srgb(lab[:, :1], lab[:, 1:]).sum().backward()
    step = 0.01
    for channel in range(3):
        offset = torch.zeros(1, 3, 1, 1)
        offset[0, channel] = step
        up, down = (
            lab_to_srgb(*(lab.detach() + sign * offset).split([1, 2], 1)).sum(dim=(1, 2, 3)) for sign in (1, -1)
        )
        assert lab.grad is not None
        torch.testing.assert_close(lab.grad[:, channel, 0, 0], (up - down) / (2 * step), atol=1e-4, rtol=2e-2)


def test_autocast_changes_nothing(random_rgb: Tensor) -> None:
    L, ab = rgb_to_lab(random_rgb)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(torch.equal(*pair) for pair in zip(rgb_to_lab(random_rgb), (L, ab), strict=True))
        assert torch.equal(lab_to_rgb(L, ab)[0], random_rgb)
        assert lab_to_srgb(L, ab.bfloat16()).dtype == torch.float32


def test_results_do_not_depend_on_the_batch(random_rgb: Tensor) -> None:
    L, ab = rgb_to_lab(random_rgb)
    single = [rgb_to_lab(image[None]) for image in random_rgb]
    torch.testing.assert_close(torch.cat([lightness for lightness, _ in single]), L, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cat([chroma for _, chroma in single]), ab, atol=1e-4, rtol=0)
    many = random_rgb.repeat(60, 1, 1, 1)  # more pixels than one chunk
    torch.testing.assert_close(rgb_to_lab(many)[1][-5:], ab, atol=1e-4, rtol=0)
    assert torch.equal(lab_to_rgb(*rgb_to_lab(many))[0], many)


def test_join_upsamples_bilinearly(random_rgb: Tensor) -> None:
    L, ab = rgb_to_lab(random_rgb)
    small = torch.nn.functional.avg_pool2d(ab, 3)
    enlarged = torch.nn.functional.interpolate(small, size=(48, 31), mode="bilinear", align_corners=False)
    assert torch.equal(join(L, small)[0], lab_to_rgb(L, enlarged)[0])
    assert torch.equal(join(L, ab)[0], random_rgb)


def test_an_empty_batch_stays_empty() -> None:
    L, ab = rgb_to_lab(torch.empty(0, 8, 8, 3, dtype=torch.uint8))
    assert L.shape == (0, 1, 8, 8)
    assert lab_to_rgb(L, ab)[0].shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(1, 8, 8, 3), torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
)
def test_wrong_input_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, H, W, 3\) uint8"):
        rgb_to_lab(wrong)
