"""Square crops of frames for models that see squares: both ends and the middle of the long side, so that nothing at a
side is lost (GLIDE's recipe, F.1: the shorter side to the model's size, three crops of a wide picture).
"""

from __future__ import annotations

import cv2
import numpy as np


def crops(frames_THWC: np.ndarray, side: int) -> np.ndarray:
    """(T, K, side, side, C) uint8 of (T, H, W, C): K is 1 for a square picture and 3 for any other.

    The shorter side is scaled to `side` pixels, up or down. Crops start at 0, at the middle and at the end of the long
    side; beyond 3:1 they leave gaps between them.
    """
    height, width = frames_THWC.shape[1:3]
    scale = side / min(height, width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled_THWC = np.stack([cv2.resize(frame, size, interpolation=how) for frame in frames_THWC])
    if size[0] == size[1]:
        return scaled_THWC[:, None]
    starts = crop_starts(max(size), side)
    if size[0] > size[1]:
        return np.stack([scaled_THWC[:, :, at : at + side] for at in starts], axis=1)
    return np.stack([scaled_THWC[:, at : at + side] for at in starts], axis=1)


def crop_starts(length: int, side: int) -> tuple[int, int, int]:
    """Where the three crops begin on a long side of this length."""
    return 0, (length - side) // 2, length - side


def worst_of_crops(values_TK: np.ndarray) -> np.ndarray:
    """(T,): the maximum over the crops of each frame. Pooling features before deciding would dilute a small region."""
    return values_TK.max(axis=1)
