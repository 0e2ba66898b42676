"""Images whose color profile is not sRGB are converted while decoded and counted; others keep their bytes."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from data_files import encoded, folder_of, photographs, picture, write_files
from PIL import Image, ImageCms
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmark.contracts.dataset import SPLITS
from benchmark.data.preparation.images import open_rgb
from benchmark.data.preparation.prepare import prepare
from benchmark.data.preparation.profiles import CONVERTED, noting
from benchmark.running.external import read

SRGB = ((0.43607, 0.22250, 0.01393), (0.38506, 0.71688, 0.09710), (0.14308, 0.06062, 0.71417))  # ICC, D50
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Returns a color profile of version 2 (ICC.1:2001, 6)."""
    text = b"made for a test"
    name = b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = {b"desc": name, b"wtpt": xyz((0.9642, 1.0, 0.82491)), b"cprt": b"text" + bytes(4) + b"none\0", **tags}
    table, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, tag in tags.items():
        table += signature + struct.pack(">2I", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    body = struct.pack(">I", len(tags)) + table + content
    header = struct.pack(">I", 128 + len(body)) + bytes(4) + b"\2\x20\0\0mntr" + space + b"XYZ " + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.82491))
    return header.ljust(128, b"\0") + body


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def adobe_rgb() -> bytes:
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256))
    return icc(b"RGB ", {b"rXYZ": xyz(ADOBE[0]), b"gXYZ": xyz(ADOBE[1]), b"bXYZ": xyz(ADOBE[2]), **curves})


def in_adobe_rgb(image: np.ndarray) -> np.ndarray:
    """Converts an sRGB image (H, W, 3) uint8 to Adobe RGB by their formulas (IEC 61966-2-1; Adobe 2005)."""
    levels = image / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    srgb = np.array(
        [[0.4360747, 0.2225045, 0.0139322], [0.3850649, 0.7168786, 0.0971045], [0.1430804, 0.0606169, 0.7141733]]
    )
    adobe = (linear @ srgb @ np.linalg.inv(np.array(ADOBE))).clip(0, 1) ** (256 / 563)
    return (adobe * 255).round().astype(np.uint8)


def test_adobe_rgb_becomes_what_it_shows() -> None:
    image = picture(3, 64, 64)
    file = encoded(in_adobe_rgb(image), "PNG", icc_profile=adobe_rgb())
    with noting() as notes:
        found = np.asarray(open_rgb(file))
    assert notes == [CONVERTED]
    assert deltaE_ciede2000(rgb2lab(found), rgb2lab(image)).mean() < 0.5
    assert deltaE_ciede2000(rgb2lab(in_adobe_rgb(image)), rgb2lab(image)).mean() > 2  # protocol 1 scored these colors


@pytest.mark.parametrize("profile", [None, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_srgb_keeps_its_bytes(mode: str, profile: bytes | None) -> None:
    image = Image.fromarray(picture(2)).convert(mode)
    options = {} if profile is None else {"icc_profile": profile}
    with noting() as notes:
        found = open_rgb(encoded(image, "PNG", **options))
    assert not notes
    np.testing.assert_array_equal(np.asarray(found), np.asarray(image.convert("RGB")))


def test_transparency_and_palettes_are_converted_too() -> None:
    """They are composited on white, which is the same in both spaces."""
    adobe = in_adobe_rgb(picture(4))
    expected = np.asarray(open_rgb(encoded(adobe, "PNG", icc_profile=adobe_rgb())))
    glass = Image.fromarray(adobe).convert("RGBA")
    glass.putpixel((0, 0), (10, 20, 30, 0))
    found = np.asarray(open_rgb(encoded(glass, "PNG", icc_profile=adobe_rgb())))
    assert found[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(found[1:], expected[1:])
    palette = Image.fromarray(adobe).quantize(16)
    found = np.asarray(open_rgb(encoded(palette, "PNG", icc_profile=adobe_rgb())))
    expected = np.asarray(open_rgb(encoded(palette.convert("RGB"), "PNG", icc_profile=adobe_rgb())))
    np.testing.assert_array_equal(found, expected)


def test_a_gray_profile_changes_lightness_and_gives_no_color() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with noting() as notes:
        found = np.asarray(
            open_rgb(encoded(Image.fromarray(levels), "PNG", icc_profile=icc(b"GRAY", {b"kTRC": gamma(1.0)})))
        )
    assert notes == [CONVERTED]
    assert (np.ptp(found, axis=-1) == 0).all()
    assert abs(int(found[8, 0, 0]) - 188) <= 1  # half of the light


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"no profile at all", "cannot be used"),
        (adobe_rgb()[:200], "cannot be used"),
        (icc(b"GRAY", {b"kTRC": gamma(1.0)}), "is for GRAY, the image is RGB"),
        (icc(b"RGB ", {}), "cannot be used"),
    ],
    ids=["no profile", "cut off", "for gray", "empty"],
)
def test_a_profile_that_cannot_be_used_counts_as_absent(profile: bytes, reason: str) -> None:
    with noting() as notes:
        found = open_rgb(encoded(picture(5), "PNG", icc_profile=profile))
    np.testing.assert_array_equal(np.asarray(found), picture(5))
    assert len(notes) == 1
    assert reason in notes[0]


def test_meta_counts_profiles(tmp_path: Path) -> None:
    adobe = {f"a{n}.png": encoded(in_adobe_rgb(picture(n)), "PNG", icc_profile=adobe_rgb()) for n in range(6)}
    photos = write_files(tmp_path / "photos", {**photographs(8), **adobe})
    write_files(photos, {"bad.png": encoded(picture(50), "PNG", icc_profile=b"damaged")})
    prepared = prepare(folder_of(photos), tmp_path / "out", quiet=True)
    splits = json.loads((tmp_path / "out" / "meta.json").read_text())["splits"]
    assert sum(splits[split]["profiles_converted"] for split in SPLITS) == 6
    [unusable] = [splits[split]["profiles_unusable"] for split in SPLITS if splits[split]["profiles_unusable"]]
    assert list(unusable) == ["bad"]
    assert "6 color profiles converted, 1 unusable" in prepared.summary()


def test_scored_folders_are_read_by_the_same_rule(tmp_path: Path) -> None:
    file = encoded(in_adobe_rgb(picture(3)), "PNG", icc_profile=adobe_rgb())
    write_files(tmp_path, {"x.png": file})
    np.testing.assert_array_equal(read(tmp_path / "x.png"), np.asarray(open_rgb(file)))


def test_decoding_concerns_only_data_sets_of_files(tmp_path: Path) -> None:
    from data_files import Few, pixels

    few = Few({split: pixels(2, seed=i) for i, split in enumerate(SPLITS)})
    assert "profile" not in prepare(few, tmp_path / "few", quiet=True).meta.rule
    photos = write_files(tmp_path / "photos", photographs(5))
    assert "profile" in prepare(folder_of(photos), tmp_path / "out", quiet=True).meta.rule
