"""Exposure: how much of the picture is crushed to black or burnt to white, and how bright it is.

(T, H, W, 3) uint8 on the proxy grid; a per-pixel count, the same at every size. Black bars are left out:
`borders` measures them. Dark alone is not bad: `score` counts the pixels that hold no picture any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._bars import content_box
from filters._luma import luma

# Grey levels. Around 10 a display shows black and a codec keeps nothing but noise (full-range black is 0, and ringing
# lifts it); a dark but readable scene, such as a night sky at 14, is not counted. White lands on 255 less some ringing.
# Pixels count by degrees, or a resampling that moves levels by one would move the score by a tenth.
LEVELS = np.arange(256)
IS_DARK = np.interp(LEVELS, (6, 14), (1.0, 0.0))
IS_BRIGHT = np.interp(LEVELS, (246, 254), (0.0, 1.0))
GREY_LEVELS = 255.0


class Exposure(Score):
    """Share of clipped pixels, dark and bright together, in [0, 1], its parts, and the mean brightness."""

    name = "exposure"
    version = 3
    frames = Frames(2.0, 256, "rgb")
    fields = (
        column("score", pa.float32(), "share", "pixels without picture: dark + bright, mean over frames"),
        column("brightness", pa.float32(), "0..1", "mean luma over picture and time"),
        column("contrast", pa.float32(), "0..1", "standard deviation of luma, mean over frames"),
        column("dark", pa.float32(), "share", "pixels crushed to black (luma about 10 of 255 and below)"),
        column("bright", pa.float32(), "share", "pixels burnt to white (luma about 250 of 255 and above)"),
    )
    higher_is = "worse"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        gray_THW = luma(frames_THWC)
        top, bottom, left, right = content_box(gray_THW)
        views = [np.ascontiguousarray(gray[top:bottom, left:right]) for gray in gray_THW]
        counts = np.stack([cv2.calcHist([view], [0], None, [256], [0, 256]).ravel() for view in views])
        shares = counts / counts.sum(axis=1, keepdims=True)
        dark, mean, bright = shares @ IS_DARK, shares @ LEVELS, shares @ IS_BRIGHT
        return {
            "score": dark + bright,
            "brightness": mean / GREY_LEVELS,
            "contrast": np.sqrt(np.maximum(shares @ LEVELS**2 - mean**2, 0.0)) / GREY_LEVELS,
            "dark": dark,
            "bright": bright,
        }
