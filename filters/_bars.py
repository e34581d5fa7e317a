"""Where black bars end: the box of the picture within letterbox and pillarbox bars.

Luma (T, H, W) in grey levels 0..255. A bar is black in every frame, so one dark frame makes none, and in some frame
the picture steps up from it all along its edge, so neither a dark scene nor a thing that passes through one has bars.
"""

from __future__ import annotations

import numpy as np

BLACK = 24.0  # grey levels a bar may reach (black after lossy coding, or raised to limited-range 16)
UNEVEN = 8.0  # grey levels between its 2nd and 98th percentile: codec noise; a dark scene varies more
DRIFT = 4.0  # grey levels between the middle of a line and of the outermost one: a bar has one level
STEP = 5.0  # grey levels from bar to picture, two lines apart (a scaler smears the edge over one line)
ALONG = 0.6  # share of the edge that must show the step: a bar is straight, the outline of a thing is not


def content_box(luma_THW: np.ndarray) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) in pixels, ends exclusive; the whole picture if there are no bars."""
    height, width = luma_THW.shape[1:]
    top, bottom = _picture(luma_THW)
    left, right = _picture(luma_THW[:, top:bottom].transpose(0, 2, 1))
    if (top, bottom) == (0, height) and (left, right) != (0, width):
        # Bars at the sides shorten the edges of those above and below: look again without them.
        top, bottom = _picture(luma_THW[:, :, left:right])
    return top, bottom, left, right


def _picture(lines_TLN: np.ndarray) -> tuple[int, int]:
    """First and last (exclusive) of the L lines between bars at either end."""
    count = lines_TLN.shape[1]
    start, end = _bar(lines_TLN), count - _bar(lines_TLN[:, ::-1])
    return (start, end) if start < end else (0, count)


def _bar(lines_TLN: np.ndarray) -> int:
    """Lines of the bar that begins with the first one: black, even, of one level, and ending in a straight step."""
    low, middle, high = np.percentile(lines_TLN.max(axis=0), (2, 50, 98), axis=1)
    inside = (high <= BLACK) & (high - low <= UNEVEN) & (np.abs(middle - middle[0]) <= DRIFT)
    length = int(np.argmin(inside))
    if inside.all() or not length:
        return 0
    beyond = lines_TLN[:, min(length + 1, lines_TLN.shape[1] - 1)]
    straight = (beyond - lines_TLN[:, length - 1] > STEP).mean(axis=1).max()
    return length if straight >= ALONG else 0
