"""Where black bars end: the box of the picture within letterbox and pillarbox bars.

peak_HW is (H, W) luma in grey levels 0..255, the brightest value that each pixel ever has in the clip: so
one dark frame makes no bar. A bar must also end in a straight step along the picture, so a dark scene has none.
"""

from __future__ import annotations

import numpy as np

BLACK = 24.0  # grey levels a bar may reach (black after lossy coding, or raised to limited-range 16)
UNEVEN = 8.0  # grey levels between its 2nd and 98th percentile: codec noise; a dark scene varies more
STEP = 5.0  # grey levels from bar to picture, two lines apart (a scaler smears the edge over one line)
ALONG = 0.7  # share of the edge that must show the step: a bar is straight, the outline of a thing is not


def content_box(peak_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) in pixels, ends exclusive; the whole picture if there are no bars."""
    rows, columns = _dark_ends(peak_HW), _dark_ends(peak_HW.T)
    within = peak_HW[:, columns[0] : columns[1]]
    across = peak_HW[rows[0] : rows[1]].T
    return (*_straight(within, *rows), *_straight(across, *columns))


def _dark_ends(lines: np.ndarray) -> tuple[int, int]:
    """First and last (exclusive) line that is not black and even; all of them if every line is."""
    low, high = np.percentile(lines, (2, 98), axis=1)
    lit = np.flatnonzero((high > BLACK) | (high - low > UNEVEN))
    return (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, len(lines))


def _straight(lines: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """Keep an edge only where the picture steps up from it along most of its length."""
    last = len(lines) - 1
    if start and (lines[min(start + 1, last)] - lines[start - 1] > STEP).mean() < ALONG:
        start = 0
    if end <= last and (lines[max(end - 2, 0)] - lines[end] > STEP).mean() < ALONG:
        end = len(lines)
    return start, end
