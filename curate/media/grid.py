"""The time grid of a `Frames` request: which frames of a source it takes."""

from __future__ import annotations

import math

from curate.media.frames import Frames


class Grid:
    """Takes the first frame at or after each k/fps; every frame when fps is 0.

    A frame is taken once, however many grid points fall on it (a source slower than the grid).
    """

    def __init__(self, request: Frames) -> None:
        self._fps = request.fps
        self._last = -1

    def takes(self, time_s: float) -> bool:
        """Tell whether the frame at `time_s` (seconds from the source's first frame) is on the grid."""
        if self._fps == 0:
            return True
        # A microsecond of slack: pts are rationals, k/fps is not, and 0.4999999 must count as 0.5.
        point = math.floor(time_s * self._fps + 1e-6 * self._fps)
        if point <= self._last:
            return False
        self._last = point
        return True
