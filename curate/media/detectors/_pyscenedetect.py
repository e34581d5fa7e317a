"""PySceneDetect's detectors (https://www.scenedetect.com) on our own decode pass.

They give the cuts that the library's class gives for the same frames. Their rules say yes or no, so that every boundary
has confidence 1; all are hard cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.common import Timecode
from scenedetect.detector import SceneDetector

from curate.stage import Boundary, Frames


class Moment(FrameTimecode):
    """A presentation time that knows its frame number; the library hands back the object that it was given."""

    def __init__(self, time_s: float, index: int) -> None:
        # The rate only serves comparisons with frame counts, and none is made: lengths are in seconds.
        super().__init__(Timecode(round(time_s * 1e6), Fraction(1, 1_000_000)), fps=30.0)
        self.index = index


class Wrapped:
    """A detector of the library under our protocol. A subclass makes `detector` from its checked parameters."""

    # 54 lines: detection needs no more, and a small frame keeps HSV conversion cheap beside decoding.
    frames = Frames(fps=0.0, short_side=54, colour="rgb")

    def __init__(self, detector: SceneDetector) -> None:
        self._detector = detector
        self._last: Moment | None = None

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take the next frames; the library wants them one at a time and with blue first."""
        found = []
        for number, (frame_HWC, time_s) in enumerate(zip(frames_THWC, times_s, strict=True), index):
            self._last = Moment(time_s, number)
            found += self._detector.process_frame(self._last, np.ascontiguousarray(frame_HWC[..., ::-1]))
        return [Boundary(moment.index, moment.index) for moment in found]

    def finish(self) -> list[Boundary]:
        """What the library decides at the end."""
        found = self._detector.post_process(self._last) if self._last else []
        return [Boundary(moment.index, moment.index) for moment in found]
