"""Camera motion: what the whole picture does together, and its name.

(T, H, W, 3) uint8 at 8 fps; flow from `filters._flow`, the fit from `filters._similarity`. Rates are medians over time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._camera_names import NAMES, name_of
from filters._flow import SHORT_SIDE, motions
from filters._similarity import similarities

SMOOTH = 5  # pairs (0.6 s) over which a path is smooth; what is left is shake
# The camera moves against the picture: to the right when it shifts to the left, clockwise when it turns back; and turns
# are told in degrees. A picture that shifts down is seen by a camera that tilts up.
AS_CAMERA = np.array([-1.0, 1.0, 1.0, -180 / np.pi])


class Camera(Score):
    """The name of the camera's motion, and its numbers; `keep: {camera: {deny: [shaky]}}`."""

    name = "camera"
    version = 2
    frames = Frames(8.0, SHORT_SIDE, "rgb")
    fields = (
        column("motion", pa.string(), "", f"what the camera does: {', '.join(NAMES)}"),
        column("pan", pa.float32(), "short sides/s", "above 0 the camera turns to the right"),
        column("tilt", pa.float32(), "short sides/s", "above 0 the camera turns up"),
        column("zoom", pa.float32(), "1/s", "growth of the picture; above 0 the camera zooms or moves in"),
        column("roll", pa.float32(), "degrees/s", "above 0 the camera turns clockwise"),
        column("shake", pa.float32(), "short sides/s", "mean deviation of the shift from its smooth path"),
        column("share", pa.float32(), "share", "textured points that follow the camera, mean over pairs"),
    )

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames; a single frame is static."""
        flow, views, changed = motions(frames_THWC)
        rates, shake, share = np.zeros(4), 0.0, 0.0
        if len(flow):
            known = len(clip.times_s) == len(frames_THWC)
            steps_s = np.diff(clip.times_s) if known else np.full(len(flow), 1 / self.frames.fps)
            fits, shares = similarities(flow, views, changed)
            path = fits * AS_CAMERA / np.maximum(steps_s, 1e-3)[:, None]
            rates, share = np.median(path, axis=0), float(shares.mean())
            shake = float(np.abs(path[:, :2] - _smooth(path[:, :2])).sum(axis=1).mean())
        numbers = {name: float(rate) for name, rate in zip(("pan", "tilt", "zoom", "roll"), rates, strict=True)}
        return {"motion": name_of(rates, shake), **numbers, "shake": shake, "share": share}


def _smooth(path_P2: np.ndarray) -> np.ndarray:
    """The path averaged over `SMOOTH` neighbours; its ends are repeated."""
    padded = np.pad(path_P2, ((SMOOTH // 2, SMOOTH // 2), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=0).mean(axis=-1)
