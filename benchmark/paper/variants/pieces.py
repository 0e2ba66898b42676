"""The arithmetic of evaluation codes in print: pure functions of images (H, W, 3) uint8, sRGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import structural_similarity

Picture = NDArray[np.uint8]
CROP = 4  # pixels that BasicSR's configuration for DDColor cuts from every edge


def psnr(output: Picture, truth: Picture) -> float:
    """Returns 10·log10(255² / MSE) over pixels and channels, dB; infinite for an exact match."""
    return _decibels(output.astype(np.float64) - truth, 255)


def psnr_inside(output: Picture, truth: Picture) -> float:
    """Returns `psnr` without the four outer pixels of every edge."""
    inside = slice(CROP, -CROP)
    return psnr(output[inside, inside], truth[inside, inside])


def psnr_ab(output: Picture, truth: Picture) -> float:
    """Returns the ratio over a and b alone, in Lab units, with a peak of 255; infinite for an exact match."""
    return _decibels(rgb2lab(output)[..., 1:] - rgb2lab(truth)[..., 1:], 255)


def _decibels(difference: NDArray[np.float64], peak: float) -> float:
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(peak**2 / np.square(difference).mean()))


def ssim_gaussian(output: Picture, truth: Picture) -> float:
    """Returns SSIM per RGB channel, Gaussian window 11×11, σ 1.5, population covariance, range 255."""
    return float(
        structural_similarity(
            output,
            truth,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
    )


def ssim_uniform_225(output: Picture, truth: Picture) -> float:
    """Returns SSIM per RGB channel, uniform window 7×7, sample covariance, and a range of 225 for levels up to 255."""
    return float(structural_similarity(output, truth, channel_axis=-1, data_range=225))


def colorfulness_absolute(picture: Picture) -> float:
    """Returns colorfulness of *absolute* opponents, which Hasler & Süsstrunk 2003 take with their sign."""
    red, green, blue = picture.astype(np.float64).transpose(2, 0, 1)
    opponents = np.abs(red - green), np.abs((red + green) / 2 - blue)
    spread = np.hypot(*(one.std() for one in opponents))
    return float(spread + 0.3 * np.hypot(*(one.mean() for one in opponents)))


def through_lab(picture: Picture) -> Picture:
    """Returns the picture to Lab in single precision and back, cut off instead of rounded: up to a level darker."""
    lab = rgb2lab(picture).astype(np.float32)
    return (255 * np.clip(lab2rgb(lab), 0, 1)).astype(np.uint8)


def squashed_plain(picture: Picture, side: int = 256) -> Picture:
    """Returns the picture at side × side, whatever its shape, bilinear without a filter (as OpenCV's default does)."""
    height, width, _ = picture.shape
    if (height, width) == (side, side):
        return picture
    rows, columns = (_two_nearest(length, side) for length in (height, width))
    levels = picture.astype(np.float64)
    (top, bottom, down), (left, right, across) = rows, columns
    levels = levels[top] * (1 - down)[:, None, None] + levels[bottom] * down[:, None, None]
    levels = levels[:, left] * (1 - across)[:, None] + levels[:, right] * across[:, None]
    return np.rint(levels).astype(np.uint8)


def _two_nearest(length: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns for each of `side` places the two nearest of `length` ones, and the weight of the second."""
    place = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), place - first


def squashed_filtered(picture: Picture, side: int = 256) -> Picture:
    """Returns the picture at side × side, whatever its shape, bilinear with Pillow's filter against aliasing."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def squashed_cubic(picture: Picture, side: int = 256) -> Picture:
    """Returns the picture at side × side, whatever its shape, bicubic with Pillow's filter against aliasing."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
