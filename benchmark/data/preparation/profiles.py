"""Color profiles: what a file says its numbers mean, brought to sRGB while it is decoded (protocol 2, §1).

- A file without a profile is sRGB, and so is one whose profile moves no color by more than two levels of 255: there are
  many copies of sRGB, rounded in many ways. Such files keep their bytes.
- Any other profile is converted by Little CMS to sRGB: relative colorimetric, so that each color which sRGB has stays
  what it was (perceptual tables move all of them, each maker's in another way), with black point compensation, so that
  the shadows of prints do not all become black.
- A profile that is damaged, or of another kind than the image, counts as absent, as in browsers, and is noted: leaving
  the photograph out would change an official test split. Gamma chunks of PNG files and EXIF's color space are not read.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

CONVERTED = "converted"
_SAME = 2  # levels
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # an image's mode → its profile's color space
_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collects, of every image that is decoded inside, `CONVERTED` or why its profile could not be used."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colors of an image (L, RGB or CMYK in 8 bits; may be written to), whose file has this ICC profile, in sRGB.

    The image itself where nothing is to be converted, else RGB.
    """
    if not profile:
        return image
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    notes = _notes.get()
    if isinstance(transform, str):
        note, converted = transform, image
    else:
        note, converted = CONVERTED, _apply(transform, image)
    if notes is not None:
        notes.append(note)
    return converted


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | str | None:
    """What brings a profile's colors to sRGB; None where they are sRGB, a text where the profile cannot be used."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != _SPACES[mode]:
            return f"its color profile is for {space}, the image is {_SPACES[mode]}"
        target, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)
        probe = _probe(mode)
        moved = np.asarray(_apply(transform, probe.copy())).astype(int) - np.asarray(probe.convert("RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        return f"its color profile cannot be used: {' '.join(str(error).split())}"
    return None if mode != "CMYK" and np.abs(moved).max() <= _SAME else transform


def _probe(mode: str) -> Image.Image:
    """Colors from all over an image's range."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * 3), axis=-1).reshape(len(levels), -1, 3)
    return Image.fromarray(grid).convert(mode)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        ImageCms.applyTransform(image, transform, inPlace=True)
        return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only in place there is no result
    # Rounding must not give color to a gray photograph.
    return converted.getchannel("G").convert("RGB") if image.mode == "L" else converted
