"""PySceneDetect's AdaptiveDetector on our own decode pass: a rolling average absorbs fast camera moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scenedetect import AdaptiveDetector, FrameTimecode
from scenedetect.common import Timecode

from curate.stage import Boundary, Frames


class Adaptive:
    """Cuts where a frame's HSV change exceeds `threshold` times the mean of the `window` frames on either side."""

    name = "adaptive"
    version = 2
    # 54 lines: detection needs no more, and a small frame keeps HSV conversion cheap beside decoding.
    frames = Frames(fps=0, short_side=54, colour="rgb")

    def __init__(
        self, threshold: float = 3.5, window: int = 3, min_content: float = 15.0, min_scene_s: float = 0.6
    ) -> None:
        for key, value in (("threshold", threshold), ("min_content", min_content), ("min_scene_s", min_scene_s)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{key} must be a number, got {value!r}")
            if not 0 <= value < math.inf:
                raise ValueError(f"{key} must be at least 0 and finite, got {value}")
        if threshold == 0:
            raise ValueError("threshold must be above 0: at 0 every frame is a cut")
        if isinstance(window, bool) or not isinstance(window, int):
            raise TypeError(f"window must be a whole number, got {window!r}")
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        self._detector = AdaptiveDetector(
            adaptive_threshold=threshold,
            window_width=window,
            min_content_val=min_content,
            min_scene_len=float(min_scene_s),
        )
        self._window = window
        self._pts: dict[int, int] = {}  # pts in microseconds -> frame number, of the frames still in the window

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take the next frames; return the cuts among those up to `window` frames ago."""
        cuts: list[int] = []
        for number, (frame_HWC, time_s) in enumerate(zip(frames_THWC, times_s, strict=True), index):
            cuts += self._push(frame_HWC, time_s, number)
        return [Boundary(cut, cut) for cut in cuts]

    def _push(self, frame_HWC: np.ndarray, time_s: float, index: int) -> list[int]:
        microseconds = round(time_s * 1e6)
        self._pts[microseconds] = index
        if len(self._pts) > 2 * self._window + 2:
            del self._pts[next(iter(self._pts))]
        # The rate only serves comparisons with frame counts, and none is made: lengths are in seconds.
        moment = FrameTimecode(Timecode(microseconds, Fraction(1, 1_000_000)), fps=30.0)
        cuts = self._detector.process_frame(moment, np.ascontiguousarray(frame_HWC[..., ::-1]))
        return [self._pts[round(cut.seconds * 1e6)] for cut in cuts]

    def finish(self) -> list[Boundary]:
        """The adaptive rule decides nothing at the end: the last `window` frames cannot hold a cut."""
        return []
