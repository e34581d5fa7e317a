"""Luma of sampled frames: BT.601 weights on full-range R'G'B', in grey levels 0..255.

Shapes: (T, H, W, C) uint8 with C = 1 (gray, passed on) or 3 (rgb) -> (T, H, W) uint8.
"""

from __future__ import annotations

import cv2
import numpy as np

# The last answer: scores on one grid are given the same array one after the other. Holding it keeps its identity.
_last: list[tuple[np.ndarray, np.ndarray]] = []


def luma(frames_THWC: np.ndarray) -> np.ndarray:
    """Return (T, H, W) uint8 luma in grey levels 0..255; it is shared, so nobody writes to it."""
    if not _last or _last[0][0] is not frames_THWC:
        _last[:] = [(frames_THWC, _converted(frames_THWC))]
    return _last[0][1]


def _converted(frames_THWC: np.ndarray) -> np.ndarray:
    if frames_THWC.shape[-1] == 1:
        return frames_THWC[..., 0]
    # cv2's weights are BT.601's, as those of every JPEG and MPEG-4 conversion.
    gray_THW = np.empty(frames_THWC.shape[:3], np.uint8)
    for frame_HWC, gray_HW in zip(frames_THWC, gray_THW, strict=True):
        cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY, gray_HW)
    gray_THW.flags.writeable = False
    return gray_THW
