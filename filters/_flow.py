"""Dense optical flow between neighbouring samples of a clip, computed once for every score that reads it.

Frames (T, H, W, 3) uint8 -> flow (T-1, h, w, 2) float32 in pixels of a picture whose short side is `SHORT_SIDE`, and
views (T, h, w) uint8: the colour channel that changes most in the clip, at that size (a blue thing moves before a gray
wall of the same luma too). Inverse search on patches (Kroeger et al., "Fast optical flow using dense inverse search",
ECCV 2016), a fifth of the cost of Farneback's method.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np

# Smaller sources are enlarged to this, so that flow windows cover the same share of every picture.
SHORT_SIDE = 64
# Grey levels that a 5x5 mean must change by: codec and sensor noise stay below it (the mean divides white noise
# by 5), an edge of 10 levels that moves 0.02 short sides does not.
CHANGE = 2.0

Motions = tuple[np.ndarray, np.ndarray, np.ndarray]

# One clip's answer: `motion` and `camera` are given the same array one after the other. Holding it keeps its identity.
_last: list[tuple[np.ndarray, Motions]] = []


@cache
def _method() -> cv2.DISOpticalFlow:
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    method.setFinestScale(1)  # halves: 32 lines hold the motion of a picture of 64
    # Of the preset's 12 steps and patches every 4 pixels: half the time, and the same names of camera motion.
    method.setGradientDescentIterations(8)
    method.setPatchStride(5)
    return method


def motions(frames_THWC: np.ndarray) -> Motions:
    """Flow (T-1, h, w, 2), views (T, h, w), and where each pair changed, (T-1, h, w) bool."""
    if not _last or _last[0][0] is not frames_THWC:
        _last[:] = [(frames_THWC, _measured(frames_THWC))]
    return _last[0][1]


def _measured(frames_THWC: np.ndarray) -> Motions:
    scale = SHORT_SIDE / min(frames_THWC.shape[1:3])
    size = [max(SHORT_SIDE, round(side * scale)) for side in frames_THWC.shape[2:0:-1]]
    channel = _liveliest(frames_THWC)
    views = [np.ascontiguousarray(frame_HWC[..., channel]) for frame_HWC in frames_THWC]
    if views[0].shape[::-1] != tuple(size):
        views = [cv2.resize(view, size, interpolation=cv2.INTER_LINEAR) for view in views]
    shape = (len(views) - 1, *views[0].shape)
    flow, changed = np.zeros((*shape, 2), np.float32), np.zeros(shape, bool)
    for place, (one, two) in enumerate(pairwise(views)):
        difference = cv2.subtract(two, one, dtype=cv2.CV_32F)
        changed[place] = np.abs(cv2.blur(difference, (5, 5))) > CHANGE
        if changed[place].any():
            flow[place] = _method().calc(one, two, None)  # type: ignore[arg-type]
    return flow, np.stack(views), changed


def _liveliest(frames_THWC: np.ndarray) -> int:
    """The channel that changes most over the clip."""
    total = np.zeros(frames_THWC.shape[3])
    for one, two in pairwise(frames_THWC):
        total += cv2.mean(cv2.absdiff(one, two))[: len(total)]
    return int(total.argmax())
