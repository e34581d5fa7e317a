"""Luma of sampled frames: BT.601 weights on full-range R'G'B', in grey levels 0..255.

Shapes: (T, H, W, C) uint8 with C = 1 (gray, passed on) or 3 (rgb) -> (T, H, W) float32.
"""

from __future__ import annotations

import numpy as np

# ITU-R BT.601: the weights that every JPEG, MPEG-4 and OpenCV gray conversion uses.
BT601 = np.array([0.299, 0.587, 0.114], np.float32)


def luma(frames_THWC: np.ndarray) -> np.ndarray:
    """Return (T, H, W) float32 luma in grey levels 0..255."""
    if frames_THWC.shape[-1] == 1:
        return frames_THWC[..., 0].astype(np.float32)
    # Frame by frame: a film's frames as floating-point colours would be twelve times their size.
    return np.stack([frame.astype(np.float32) @ BT601 for frame in frames_THWC])
