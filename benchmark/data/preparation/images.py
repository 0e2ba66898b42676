"""Image files → square uint8 arrays, by the one rule of the protocol (§1).

Numpy and Pillow only, for worker processes import it.
"""

import io
import re
import warnings

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, features

from benchmark.data.preparation.profiles import to_srgb

RULE = (
    "file → EXIF orientation → sRGB (16-bit levels to their high byte, color profile by relative colorimetric intent "
    "with black point compensation, transparency on white) → short side to S (antialiased bicubic) → center crop S×S "
    "→ uint8"
)
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
# The formats of these suffixes and no others: some that Pillow knows start foreign programs (EPS: Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 178_956_970  # where Pillow itself refuses by default; three bytes each: 512 MiB

_Transpose = Image.Transpose
_UPRIGHT = {  # EXIF orientation → what undoes it
    2: _Transpose.FLIP_LEFT_RIGHT,
    3: _Transpose.ROTATE_180,
    4: _Transpose.FLIP_TOP_BOTTOM,
    5: _Transpose.TRANSPOSE,
    6: _Transpose.ROTATE_270,
    7: _Transpose.TRANSVERSE,
    8: _Transpose.ROTATE_90,
}


class BadImage(Exception):
    """A file that is no readable image. The message says why, on one line, without the file's name."""


def decode(data: bytes, size: int) -> NDArray[np.uint8]:
    """The ground truth of the protocol, (size, size, 3) uint8 sRGB, from the bytes of an image file.

    BadImage: as `open_rgb`.
    """
    return np.asarray(square(open_rgb(data), size))


def open_rgb(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image file at its own size: upright, sRGB in 8 bits.

    Raises:
        BadImage: empty, truncated, not an image, of an unknown kind, or of more than `max_pixels` (not decoded then).
    """
    if not data:
        raise BadImage("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large images and odd metadata; both are dealt with here
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise BadImage(_too_large(f"{image.width}×{image.height}", max_pixels))
                image.load()
                return to_rgb(upright(image))
        except BadImage:
            raise
        except Image.DecompressionBombError as error:  # "Image size (2500000000 pixels) exceeds limit …"
            pixels = re.search(r"\d+", str(error))
            raise BadImage(_too_large(f"{int(pixels[0]):,}" if pixels else "too many", max_pixels)) from None
        except Image.UnidentifiedImageError:
            raise BadImage("not an image file of a known format") from None
        except Exception as error:  # Decoders raise whatever they like on broken files: SyntaxError, IndexError …
            raise BadImage(" ".join(str(error).split()) or type(error).__name__) from None


def _too_large(pixels: str, limit: int) -> str:
    return f"{pixels} pixels: refused as a possible decompression bomb (limit {limit:,} pixels)"


def upright(image: Image.Image) -> Image.Image:
    """Undoes the rotation or mirroring that EXIF records. Metadata that cannot be read counts as absent."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # malformed metadata on a sound image is common in the wild
        orientation = 1
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode that Pillow reads → sRGB in 8 bits: the color profile converted, transparency on white.

    Raises:
        BadImage: floating-point or 32-bit levels, whose range the file does not say.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        image = _high_byte(image)
    if image.mode == "F":
        raise BadImage("floating-point levels are not supported")
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
        canvas, glass = Image.new("RGBA", image.size, "white"), image.getchannel("A")
        opaque = to_srgb(image.convert(image.mode[:-1]), profile).convert("RGBA")
        opaque.putalpha(glass)
        canvas.alpha_composite(opaque)
        return canvas.convert("RGB")
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return to_srgb(image, profile).convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """16 bits, in one of Pillow's modes, to 8: its own conversion would clip all above 255."""
    levels = np.asarray(image)
    if image.mode == "I" and (levels.min() < 0 or levels.max() > 65535):
        raise BadImage("32-bit levels beyond 16 bits are not supported")
    return Image.fromarray((levels.astype(np.uint16) >> 8).astype(np.uint8))


def square(image: Image.Image, size: int) -> Image.Image:
    """Short side to `size` by antialiased bicubic, then the center square.

    Only the square is computed: the region of the source that it comes from goes to Pillow as `box`, whose filter still
    reads beyond the region's border. The result is that of resizing the whole image and cropping, for any aspect ratio.
    """
    width, height = image.size
    if width == height == size:
        return image
    short = min(width, height)
    scaled = [max(size, int(side * size / short + 0.5)) for side in (width, height)]
    left, top = ((side - size) // 2 for side in scaled)
    across, down = width / scaled[0], height / scaled[1]  # source pixels per pixel of the result
    box = (left * across, top * down, min(width, (left + size) * across), min(height, (top + size) * down))
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def decoder_versions() -> dict[str, str | None]:
    """Versions of what decides the prepared bytes."""
    turbo = features.version("libjpeg_turbo")
    jpeg = {"libjpeg-turbo": turbo} if turbo else {"libjpeg": features.version("jpg")}
    others = {"libwebp": features.version("webp"), "littlecms": features.version("littlecms2"), "numpy": np.__version__}
    return {"pillow": PIL.__version__, **jpeg, **others}
