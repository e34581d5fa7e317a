"""From a shown picture to the pixels that a codec is given: where to scale and what to cut. Pure geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curate.errors import InputRejected
from curate.media.facts import Fit

_HAIR = 1e-6  # so that a box of 0.1 * 480 = 48.00000001 lines is 48


@dataclass(frozen=True)
class Fitting:
    """Scale the whole shown picture to (width, height), then take the window (x, y, out_width, out_height) of it.

    crop is the window in pixels of the shown picture: [x, y, width, height].
    """

    width: int
    height: int
    x: int
    y: int
    out_width: int
    out_height: int
    crop: list[int]


def fitting(width: int, height: int, fit: Fit) -> Fitting:
    """Where `fit` cuts a shown picture of this size.

    Raises:
        InputRejected: what is left is smaller than one block.
    """
    left, top, right, bottom = fit.box
    box_w, box_h = (right - left) * width, (bottom - top) * height
    # Edges inside the picture lose up to a line each to rounding, which must not cost a whole block.
    margin = 0 if fit.box == (0.0, 0.0, 1.0, 1.0) else 2
    scale = min(1.0, (fit.short_side + margin) / max(1.0, min(box_w, box_h)))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    # Towards the inside: a line that is half border is border.
    x0, y0 = math.ceil(left * wide - _HAIR), math.ceil(top * high - _HAIR)
    x1, y1 = math.floor(right * wide + _HAIR), math.floor(bottom * high + _HAIR)
    out_w, out_h = ((end - start) // fit.multiple * fit.multiple for start, end in ((x0, x1), (y0, y1)))
    if out_w <= 0 or out_h <= 0:
        raise InputRejected("encode:too_small", f"{x1 - x0}x{y1 - y0} is below one block of {fit.multiple} px")
    x, y = x0 + (x1 - x0 - out_w) // 2, y0 + (y1 - y0 - out_h) // 2
    # Each side by its own factor, which rounding made: the crop lies within the picture.
    edges = [round(place * width / wide) for place in (x, x + out_w)]
    lines = [round(place * height / high) for place in (y, y + out_h)]
    return Fitting(wide, high, x, y, out_w, out_h, [edges[0], lines[0], edges[1] - edges[0], lines[1] - lines[0]])
