"""The time grid of a `Frames` request: which frames of a source it takes."""

from __future__ import annotations

import math

from curate.media.frames import Frames

_SLACK_S = 1e-6  # pts are rationals, k/fps is not, and 0.4999999 must count as 0.5


class Grid:
    """Takes the frame that is shown at each k/fps; every frame when fps is 0.

    So whatever is shown for 1/fps or longer is seen, however irregular the frames come. A frame is taken once, however
    many grid points fall on it (a source slower than the grid).
    """

    def __init__(self, request: Frames) -> None:
        self._fps = request.fps

    def takes(self, start_s: float, end_s: float) -> bool:
        """Tell whether the frame shown from `start_s` until `end_s` (seconds from the first frame) is on the grid."""
        if self._fps == 0:
            return True
        point = math.ceil((start_s - _SLACK_S) * self._fps) / self._fps  # the first one that is not before it
        return point <= start_s + _SLACK_S or point < end_s - _SLACK_S
