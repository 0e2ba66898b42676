"""Pictures beside each other on one sheet: the one way in which this program lays them out."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEFT, ABOVE, MARGIN, FONT = 128, 24, 4, 15  # pixels: least room for names at the left, room above, around a name, type


def montage(
    rows: Sequence[Iterable[np.ndarray | Image.Image]],
    gap: int = 2,
    left: Sequence[str] = (),
    above: Sequence[str] = (),
    below: str = "",
) -> Image.Image:
    """Lays pictures of one size, (H, W, 3) uint8 or images, out in rows and columns on white.

    `gap` is in pixels; `left` and `above` name rows and columns, and without names there is no room for any. A row may
    be shorter than others. `below` is a line under all of them, for terms of use.
    """
    sheet = [[Image.fromarray(one) if isinstance(one, np.ndarray) else one for one in row] for row in rows]
    width, height = sheet[0][0].size
    font = ImageFont.load_default(FONT)
    x0 = max(LEFT, *(round(font.getlength(name)) + 2 * MARGIN for name in left)) if left else 0
    y0 = ABOVE if above else 0
    bottom = y0 + len(sheet) * (height + gap) - gap
    across = max(x0 + max(map(len, sheet)) * (width + gap) - gap, round(font.getlength(below)) + 2 * MARGIN)
    size = (across, bottom + (ABOVE if below else 0))
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    for k, name in enumerate(left):
        pen.text((MARGIN, y0 + k * (height + gap) + height / 2), name, fill="black", font=font, anchor="lm")
    for k, name in enumerate(above):
        pen.text((x0 + k * (width + gap) + MARGIN, y0 / 2), name, fill="black", font=font, anchor="lm")
    pen.text((MARGIN, bottom + ABOVE / 2), below, fill="black", font=font, anchor="lm")
    for r, row in enumerate(sheet):
        for k, picture in enumerate(row):
            canvas.paste(picture, (x0 + k * (width + gap), y0 + r * (height + gap)))
    return canvas
