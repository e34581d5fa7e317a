"""Mean apparent motion: dense optical flow between neighbouring samples, in short sides per second.

(T, H, W, 3) uint8 at 8 fps; see `filters._flow`. Flow counts where the picture really changed: frozen shots and codec
noise score 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._flow import SHORT_SIDE, motions


class Motion(Score):
    """Mean speed over all pixels and pairs, in short sides per second; 0 for stills and images."""

    name = "motion"
    version = 3
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
        flow, _, changed = motions(frames_THWC)
        pairs = len(flow)
        if not pairs:
            return {"score": 0.0, "peak": 0.0, "area": 0.0, "pairs": 0}
        known = len(clip.times_s) == len(frames_THWC)
        times = np.asarray(clip.times_s) if known else np.arange(pairs + 1) / self.frames.fps
        rows = flow.reshape(pairs, -1, 2)
        speeds = cv2.magnitude(np.ascontiguousarray(rows[..., 0]), np.ascontiguousarray(rows[..., 1]))
        pixels = (speeds * changed.reshape(pairs, -1)).mean(axis=1)
        speed = pixels / SHORT_SIDE / np.maximum(np.diff(times), 1e-3)
        area = float(changed.mean())
        return {"score": float(speed.mean()), "peak": float(np.percentile(speed, 95)), "area": area, "pairs": pairs}
