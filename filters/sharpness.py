"""Sharpness: the share of edge contrast that a small blur would take away, in [0, 1].

(T, H, W, 3) uint8 on the proxy grid. Edges that are blurred already lose little when blurred again (Crete et
al., "The blur effect", SPIE 2007, turned round). It is a ratio, so contrast and brightness cancel while
edges stand out of the noise (below a fifth of full light they do not: see `edges`), and it is taken at one size for
every source, so a downscaled copy scores like its original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column

# Short side at which all are compared: small sources keep their pixels, noise of large ones is averaged away.
SHORT_SIDE = 96
STAIRS = 3  # pixels averaged first: half-resolution chroma comes back as steps 2 pixels wide, which are no edges
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
        scores, edges = zip(*(_frame(frame) for frame in frames_THWC), strict=True)
        return {"score": float(np.mean(scores)), "edges": float(np.mean(edges))}


def _frame(frame_HWC: np.ndarray) -> tuple[float, float]:
    """Sharpness of one (H, W, C) picture, over all channels, and its share of edge pixels; the worse axis counts."""
    scale = min(1.0, SHORT_SIDE / min(frame_HWC.shape[:2]))
    size = [max(1, round(side * scale)) for side in frame_HWC.shape[1::-1]]
    pixels = cv2.blur(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA).astype(np.float32), (STAIRS, STAIRS))
    lost, marked = [], 0.0
    for first, second, kernel in ((np.s_[:-1], np.s_[1:], (1, BLUR)), (np.s_[:, :-1], np.s_[:, 1:], (BLUR, 1))):
        blurred = cv2.blur(pixels, kernel).reshape(pixels.shape)
        step = np.abs(pixels[second] - pixels[first]).ravel()
        gone = step - np.abs(blurred[second] - blurred[first]).ravel()
        on = (step > LEAST_STEP).astype(np.float32)
        marked = max(marked, float(on.mean()) if on.size else 0.0)
        total = float(step @ on)
        lost.append(float(np.maximum(gone, 0.0) @ on) / total if total > 0.0 else 0.0)
    return min(lost), marked
