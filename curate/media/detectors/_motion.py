"""Camera moves: whether pictures follow from the ones before by a shift.

A fast pan changes colours as a transition does. It is told apart by matching blocks, the whole picture being the block.
A push moves the whole picture as well, by exactly its width or height, and stands still before and after.

Legend: L pictures, H, W; shifts in pixels.
"""

from __future__ import annotations

import numpy as np

_EXPLAINED = 0.6  # share of the difference that is left after the best shift; unrelated pictures keep 0.75 and more
_MOST_PAIRS = 0.6  # share of the pairs that move when the camera does
_PUSHED = (0.75, 1.3)  # a push's way in widths or heights of the picture; shifts are whole pixels


def shifts(pictures: np.ndarray) -> np.ndarray:
    """(L - 1, 2) how far (y, x) each of (L, H, W, C) moved since the one before; 0 where no shift explains it."""
    green = pictures[..., 1].astype(np.int16)
    old, new = green[:-1], green[1:]
    still = np.abs(new - old).mean(axis=(1, 2))
    best, found = still * _EXPLAINED, np.zeros((len(old), 2), int)
    height, width = green.shape[1:]
    for axis, length in ((0, height), (1, width)):
        for shift in range(1, length // 4 + 2):
            near, far = slice(0, length - shift), slice(shift, length)
            for sign, to, source in ((1, far, near), (-1, near, far)):
                a = new[:, to] if axis == 0 else new[:, :, to]
                b = old[:, source] if axis == 0 else old[:, :, source]
                left = np.abs(a - b).mean(axis=(1, 2)) if a.size else still
                better = left < best
                best = np.where(better, left, best)
                found[better] = (sign * shift, 0) if axis == 0 else (0, sign * shift)
    return found


def is_pan(pictures: np.ndarray, start: int, end: int) -> bool:
    """Whether the frames start <= k < end of (L, H, W, C) are a camera move rather than a transition."""
    moved = shifts(pictures)
    inside = moved[max(0, start - 1) : end]
    if len(inside) == 0:
        return False
    way = np.abs(inside.sum(axis=0))
    axis = int(way.argmax())
    if (inside[:, axis] != 0).mean() < _MOST_PAIRS:
        return False
    low, high = (share * pictures.shape[1 + axis] for share in _PUSHED)
    outside = np.concatenate([moved[max(0, start - 4) : max(0, start - 1)], moved[end + 1 : end + 4]])
    rests = len(outside) == 0 or (outside[:, axis] != 0).mean() < 0.5
    return not (low <= way[axis] <= high and rests)
