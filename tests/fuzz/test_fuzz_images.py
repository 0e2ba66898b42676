"""Any image file is decoded to the requested size, or refused as an image."""

import numpy as np
from data_files import encoded, gray_picture, picture
from fuzzing import cases, fuzzer, mutated, refused, watched

from benchmark.data.preparation.images import BadImage, decode

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")


@fuzzer
def test_images_are_decoded_or_refused() -> None:
    whole = [encoded(draw(1, 40, 32), name) for name in FORMATS for draw in (picture, gray_picture)]
    decoded = 0
    for case, rng in cases("images"):
        data = mutated(rng.choice(whole), rng)
        with watched("images", case, data):
            try:
                image = decode(data, 16)
                assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)
                decoded += 1
            except (BadImage, OSError) as error:
                refused(error)
    assert decoded or case == 0
