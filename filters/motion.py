"""Mean apparent motion: dense optical flow between neighbouring samples, in short sides per second.

(T, H, W, 3) uint8 at 8 fps. Farneback flow, in the colour channel that changes most (a blue thing moves before a gray
wall of the same luma too), counts where the picture really changed: frozen shots and codec noise score 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column

# Smaller sources are enlarged to this, so that flow windows cover the same share of every picture.
SHORT_SIDE = 64
# Grey levels that a 5x5 mean must change by: codec and sensor noise stay below it (the mean divides white noise
# by 5), an edge of 10 levels that moves 0.02 short sides does not.
CHANGE = 2.0
WINDOW = 9  # pixels that agree on one flow vector; reaches about 2 short sides per second with 3 levels


class Motion(Score):
    """Mean speed over all pixels and pairs, in short sides per second; 0 for stills and images."""

    name = "motion"
    frames = Frames(8.0, SHORT_SIDE, "rgb")
    fields = (
        column("score", pa.float32(), "short sides/s", "mean apparent speed over the picture and the clip"),
        column("peak", pa.float32(), "short sides/s", "95th percentile over time of the mean apparent speed"),
        column("area", pa.float32(), "share", "mean share of the picture that changed between samples"),
        column("pairs", pa.int32(), "count", "pairs of samples compared; 0 for an image"),
    )
    higher_is = "better"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames; times come from the clip, or from the grid if it has none."""
        scale = SHORT_SIDE / min(frames_THWC.shape[1:3])
        size = [max(SHORT_SIDE, round(side * scale)) for side in frames_THWC.shape[2:0:-1]]
        change = np.abs(np.diff(frames_THWC.astype(np.int16), axis=0)).sum(axis=(0, 1, 2))
        views = [cv2.resize(f[..., int(change.argmax())], size, interpolation=cv2.INTER_LINEAR) for f in frames_THWC]
        times = clip.times_s if len(clip.times_s) == len(views) else np.arange(len(views)) / self.frames.fps
        pairs = [_speed(a, b) for a, b in pairwise(views)]
        pixels, area = np.array(pairs or [(0.0, 0.0)]).T
        speed = pixels / SHORT_SIDE / (np.maximum(np.diff(times), 1e-3) if pairs else 1.0)
        return {"score": speed.mean(), "peak": np.percentile(speed, 95), "area": area.mean(), "pairs": len(pairs)}


def _speed(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """Mean flow in pixels over the picture, and the share of it that changed."""
    change = np.abs(cv2.blur(two.astype(np.float32) - one.astype(np.float32), (5, 5))) > CHANGE
    if not change.any():
        return 0.0, 0.0
    flow = cv2.calcOpticalFlowFarneback(one, two, np.empty(0), 0.5, 3, WINDOW, 2, 5, 1.1, 0)
    return float((np.hypot(flow[..., 0], flow[..., 1]) * change).mean()), float(change.mean())
