"""Bars (letterbox, pillarbox, both, plain mats): the share of the picture that they take over the whole clip.

(T, H, W, 3) uint8 on the proxy grid; see `filters._bars` for what counts as a bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._bars import exact_box
from filters._luma import luma


class Borders(Score):
    """Share of the picture in bars, in [0, 1], and the box of the picture without them."""

    name = "borders"
    version = 3
    frames = Frames(2.0, 256, "rgb")
    fields = (
        column("score", pa.float32(), "share", "area of the picture inside bars"),
        column("left", pa.float32(), "share of width", "left edge of the picture without bars"),
        column("top", pa.float32(), "share of height", "top edge of the picture without bars"),
        column("right", pa.float32(), "share of width", "right edge of the picture without bars"),
        column("bottom", pa.float32(), "share of height", "bottom edge of the picture without bars"),
    )
    higher_is = "worse"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        top, bottom, left, right = exact_box(luma(frames_THWC))
        height, width = frames_THWC.shape[1:3]
        box = {"left": left / width, "top": top / height, "right": right / width, "bottom": bottom / height}
        return {"score": 1.0 - (bottom - top) * (right - left) / (height * width), **box}
