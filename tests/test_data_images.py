"""Image files of every kind become the ground truth of docs/protocol.md §1, or are refused for a stated reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from data_files import encoded, picture
from PIL import Image

from benchmark.data.preparation.images import BadImage, decode, square


def resized_then_cropped(image: Image.Image, size: int) -> np.ndarray:
    """Does what the protocol says, word for word: resizes the whole image, then cuts out its center."""
    width, height = image.size
    short = min(width, height)
    width, height = (max(size, int(side * size / short + 0.5)) for side in (width, height))
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize(
    "shape", [(640, 480), (481, 640), (178, 218), (37, 32), (33, 33), (500, 21), (20, 30), (64, 64)]
)
@pytest.mark.parametrize("size", [32, 64])
def test_square_equals_resizing_the_whole_and_cropping(shape: tuple[int, int], size: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape[::-1], 3), dtype=np.uint8))
    found, expected = np.asarray(square(image, size)), resized_then_cropped(image, size)
    assert found.shape == (size, size, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1  # Pillow computes the same weights from other floats


def test_an_image_of_the_right_size_is_untouched() -> None:
    image = picture(1, 32, 32)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), 32), image)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = picture(2, 32, 32)
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]  # turns the upright image into the stored one
    stored = Image.fromarray(upright)
    exif = Image.Exif()
    exif[0x0112] = undo
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    from PIL import ImageOps

    stored = ImageOps.exif_transpose(Image.open(buffer))
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encoded(stored, "PNG", exif=exif), 32), upright)


def test_malformed_exif_counts_as_absent() -> None:
    data = encoded(picture(3, 32, 32), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data, 32).shape == (32, 32, 3)


def test_cmyk_is_converted() -> None:
    red = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    color = decode(encoded(red, "JPEG", quality=95), 32)[16, 16]
    assert color[0] > 240
    assert color[1] < 15
    assert color[2] < 15


def test_a_palette_is_looked_up() -> None:
    image = Image.fromarray(picture(4, 32, 32)).quantize(16)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), 32), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_shows_white(mode: str) -> None:
    image = Image.new("RGBA", (32, 32), (10, 200, 30, 0))
    image.paste((10, 200, 30, 255), (0, 0, 16, 32))
    if mode == "P":
        image = image.quantize(8)
    elif mode == "RGB":  # one color is declared transparent
        image = Image.new("RGB", (32, 32), (1, 2, 3))
        image.paste((10, 200, 30), (0, 0, 16, 32))
    else:
        image = image.convert(mode)
    options = {"transparency": (1, 2, 3)} if mode == "RGB" else {}
    found = decode(encoded(image, "PNG", **options), 32)
    np.testing.assert_array_equal(found[:, 16:], 255)
    assert (found[:, :16] != 255).all()


def png16(levels: np.ndarray) -> bytes:
    """Returns a PNG of (H, W, 3) uint16, because Pillow cannot write 16 bits per channel for RGB."""
    height, width, _ = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_16_bit_color_keeps_its_high_byte() -> None:
    image = picture(5, 32, 32)
    np.testing.assert_array_equal(decode(png16(image.astype(np.uint16) * 256 + 77), 32), image)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_not_clipped_to_white(file_format: str) -> None:
    levels = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    found = decode(encoded(Image.fromarray(levels), file_format), 32)
    np.testing.assert_array_equal(found[..., 1], levels >> 8)


def test_one_pixel_becomes_a_plain_square() -> None:
    found = decode(encoded(Image.new("RGB", (1, 1), (10, 20, 30)), "PNG"), 32)
    assert (found == (10, 20, 30)).all()


def test_an_extreme_panorama_costs_no_more_than_its_center() -> None:
    image = np.zeros((20, 30_000, 3), dtype=np.uint8)
    image[:, 14_990:15_010] = (200, 100, 50)  # only the center of 20×20 is kept
    found = decode(encoded(image, "PNG"), 256)
    assert found.shape == (256, 256, 3)
    assert (found[:, 64:192] == (200, 100, 50)).all()


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    found = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 32)
    assert (found == (255, 0, 0)).all()


def bomb() -> bytes:
    """Returns a PNG that begins well and claims 50,000×50,000 pixels in 100 bytes."""
    header = struct.pack(">2I5B", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data)) + b"IDAT" + data


JPEG = encoded(picture(6, 64, 64))
BAD = {
    "empty": (b"", "empty"),
    "text": (b"this is not an image, whatever its name says\n", "not an image file"),
    "truncated": (JPEG[: len(JPEG) // 2], "truncated"),
    "header only": (JPEG[:20], "not an image file|truncated|cannot|broken"),
    "broken png": (encoded(picture(7), "PNG")[:-40], "truncated|broken"),
    "bomb": (bomb(), "decompression bomb"),
    "floating point": (encoded(Image.fromarray(np.ones((8, 8), dtype=np.float32)), "TIFF"), "floating-point"),
    "32 bits": (encoded(Image.fromarray(np.full((8, 8), 70_000, dtype=np.int32)), "TIFF"), "32-bit"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not an image file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_with_a_reason(kind: str) -> None:
    data, reason = BAD[kind]
    with pytest.raises(BadImage, match=reason) as caught:
        decode(data, 32)
    assert "\n" not in str(caught.value)
