"""What the weight-free detector measures of small pictures: colour histograms of quarters, and how they change.

A hard cut shows as a step between two frames that is still there when the medians of the stretches before and after it
are compared, which a flash does not survive. A gradual transition shows as a difference across a gap that is larger
than what either side changes by itself over the same time (the twin comparison of Zhang, Kankanhalli and Smoliar,
"Automatic partitioning of full-motion video", 1993, with medians, and at several gaps).

Legend: N frames, H height, W width; times in seconds; differences are shares of the picture's area, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BINS = 4 * 4**3  # quarters of the picture times four levels of each colour
STRETCH = 5  # frames: 0.2 s at 25 fps, the median outlives flashes of two frames
GAPS_S = (0.2, 0.4, 0.8)  # half of the longest transition that a gap sees whole
_LIT = 32  # level: what never gets brighter is a bar, not picture
_LEAST_AREA = 0.25  # share of the picture: with less than that lit it is a dark scene, not a barred one


def histograms(frames_NHWC: np.ndarray) -> np.ndarray:
    """(N, BINS) uint16: pixels by quarter of the picture and colour."""
    count, height, width, _ = frames_NHWC.shape
    level = frames_NHWC >> 6
    code = (level[..., 0] << 4) | (level[..., 1] << 2) | level[..., 2]
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 2 // width
    code |= ((rows[:, None] * 2 + columns) << 6).astype(np.uint8)
    cells = code.reshape(count, -1) + np.arange(0, count * BINS, BINS)[:, None]
    return np.bincount(cells.ravel(), minlength=count * BINS).reshape(count, BINS).astype(np.uint16)


def picture_area(frames_NHWC: np.ndarray) -> np.ndarray:
    """(H, W) bool: the picture within black bars; bars would dilute every difference, and their edges mix both."""
    lit = (frames_NHWC.max(axis=0).max(axis=-1) > _LIT).astype(np.uint8)
    lit = cv2.erode(lit, np.ones((3, 3), np.uint8)).astype(bool)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    inside = np.zeros_like(lit)
    if len(rows):
        inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return inside if inside.mean() >= _LEAST_AREA else np.ones_like(lit)


def difference(one: np.ndarray, two: np.ndarray, area: int) -> np.ndarray:
    """Share of `area` pixels that changed their bin, for pairs of rows (bars are equal, so that they cancel)."""
    moved = np.minimum(one, two).sum(axis=-1, dtype=np.uint32)
    total = one[:1].sum(dtype=np.uint32)
    return (total - moved.astype(np.float32)) / area


def _median_of_five(rows: np.ndarray) -> np.ndarray:
    """Median of the five rows that start at each row (the last ones repeat), by a sorting network."""
    padded = np.concatenate([rows, np.repeat(rows[-1:], STRETCH - 1, axis=0)])
    a, b, c, d, e = (padded[k : k + len(rows)] for k in range(STRETCH))
    low, high = np.minimum(a, b), np.maximum(a, b)
    low2, high2 = np.minimum(c, d), np.maximum(c, d)
    least, most = np.maximum(low, low2), np.minimum(high, high2)  # neither extreme of the four can be the median
    return np.maximum(np.minimum(least, most), np.minimum(np.maximum(least, most), e))


@dataclass(frozen=True)
class Evidence:
    """Per frame, for a boundary just before it.

    step: difference to the frame before; near: between the stretches before and after;
    contrast (gaps, N): difference across the gap less what either side changes over the same time.
    """

    step: np.ndarray
    near: np.ndarray
    contrast: np.ndarray


def evidence(rows: np.ndarray, times_s: np.ndarray, area: int) -> Evidence:
    """Measure N frames with the histograms `rows` (N, BINS) and `area` pixels that are picture."""
    medians = _median_of_five(rows)
    count = len(rows)
    index = np.arange(count)

    def stretch(first: np.ndarray) -> np.ndarray:
        return medians[np.clip(first, 0, count - 1)]

    contrasts = []
    for gap in GAPS_S:
        before, after = np.searchsorted(times_s, times_s - gap), np.searchsorted(times_s, times_s + gap)
        before2, after2 = np.searchsorted(times_s, times_s - 2 * gap), np.searchsorted(times_s, times_s + 2 * gap)
        early, late = stretch(before - STRETCH), stretch(after)
        own = np.maximum(difference(stretch(before2 - STRETCH), early, area), difference(late, stretch(after2), area))
        contrasts.append(difference(early, late, area) - own)
    return Evidence(
        difference(rows[np.maximum(index - 1, 0)], rows, area),
        difference(stretch(index - STRETCH), medians, area),
        np.stack(contrasts),
    )
