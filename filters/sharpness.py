"""Sharpness: the share of edge contrast that a small blur would take away, in [0, 1].

(T, H, W, 3) uint8 on the proxy grid. Edges that are blurred already lose little when blurred again (Crete et
al., "The blur effect", SPIE 2007, turned round). It is a ratio, so contrast and brightness cancel, and it is
taken at one size for every source, so a downscaled copy scores like its original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._luma import luma

# Short side at which all are compared: small sources keep their pixels, noise of large ones is averaged away.
SHORT_SIDE = 96
BLUR = 5  # pixels of the box blur: one that clearly changes a sharp edge at this size
# Steps between neighbouring pixels below this many grey levels are noise and gradients, not edges.
LEAST_STEP = 4.0


class Sharpness(Score):
    """0 where nothing is in focus (or nothing is to be seen), about 0.5 and more for crisp pictures."""

    name = "sharpness"
    frames = Frames(2.0, 256, "rgb")
    fields = (
        column("score", pa.float32(), "share", "edge contrast that a 5 px blur at 96 px takes away"),
        column("edges", pa.float32(), "share", "pixels on an edge; near 0 the score rests on little"),
    )
    higher_is = "better"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        scores, edges = zip(*(_frame(gray) for gray in luma(frames_THWC)), strict=True)
        return {"score": float(np.mean(scores)), "edges": float(np.mean(edges))}


def _frame(gray_HW: np.ndarray) -> tuple[float, float]:
    """Sharpness of one (H, W) float32 picture and its share of edge pixels; the worse axis counts."""
    scale = SHORT_SIDE / min(gray_HW.shape)
    if scale < 1.0:
        size = [max(1, round(side * scale)) for side in gray_HW.shape[::-1]]
        gray_HW = cv2.resize(gray_HW, size, interpolation=cv2.INTER_AREA)
    lost = []
    marked = 0.0
    for axis, kernel in ((0, (1, BLUR)), (1, (BLUR, 1))):
        step = np.abs(np.diff(gray_HW, axis=axis))
        blurred = np.abs(np.diff(cv2.blur(gray_HW, kernel), axis=axis))
        on = step > LEAST_STEP
        marked = max(marked, float(on.mean()) if on.size else 0.0)
        total = float(step[on].sum())
        lost.append(float(np.maximum(step - blurred, 0.0)[on].sum()) / total if total > 0.0 else 0.0)
    return min(lost), marked
