"""The frames of one clip, for those who measure it: those of a grid, and its first and last one.

Legend: T frames, H height, W width, C channels; uint8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from curate.media.facts import Job
from curate.stage import PROXY, Frames

if TYPE_CHECKING:
    from curate.media.decode_pass import DecodePass

Row = dict[str, Any]
EVERY = Frames(1e6, PROXY.short_side, PROXY.colour)  # pictures as the proxies are, of every frame
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]  # Q90 keeps what a caption model or classifier reads at a tenth of the bytes


class Sampled:
    """The frames of one clip on each grid, read once for all scores that ask for it."""

    def __init__(self, decoding: DecodePass, clip: Row, first: int, end: int) -> None:
        self._pass, self._clip, self._first, self._end = decoding, clip, first, end
        self._have: dict[Frames, tuple[np.ndarray, list[float]]] = {}

    def frames(self, grid: Frames) -> tuple[np.ndarray, list[float]]:
        """Pixels (T, H, W, C) and times from the clip's start; a clip without a grid frame gives its middle frame.

        Raises:
            InputRejected: the picture size changes within the clip.
        """
        if grid not in self._have:
            pixels_THWC, times = self._pass.spools[grid].frames(self._first, self._end)
            if not times:
                pixels_THWC, times = self._middle(grid)
            pixels_THWC.flags.writeable = False  # several scores are given the same array
            self._have[grid] = pixels_THWC, [time - self._clip["start_s"] for time in times]
        return self._have[grid]

    def _middle(self, grid: Frames) -> tuple[np.ndarray, list[float]]:
        scene = self._pass.scene
        pts = scene.pts((self._first + self._end - 1) // 2)
        job = Job(start_pts=pts, end_pts=pts + 1, views=(grid,))
        (frame,) = self._pass.reader.frames(self._pass.request.url, job)
        return frame.views[grid][None], [scene.seconds(pts)]


class Ends:
    """Frames at the ends of clips, decoded once more: where a scene ends is known when its last frame is long gone.

    The last frame of a clip and the first of the next are neighbours, and come from one look.
    """

    def __init__(self, decoding: DecodePass) -> None:
        self._pass = decoding
        self._have: dict[int, np.ndarray] = {}

    def frame(self, number: int) -> np.ndarray:
        """The frame of this number as a proxy, (H, W, 3) uint8."""
        if number not in self._have:
            scene = self._pass.scene
            last = min(number + 1, scene.count - 1)
            job = Job(start_pts=scene.pts(number), end_pts=scene.pts(last) + 1, views=(EVERY,))
            looked = self._pass.reader.frames(self._pass.request.url, job)
            self._have = {number + k: frame.views[EVERY] for k, frame in enumerate(looked)}
        return self._have[number]


def stored(pixels_THWC: np.ndarray, times: list[float]) -> Row:
    """Proxies as they are stored: JPEG, and their times from the clip's start."""
    jpegs = [
        cv2.imencode(".jpg", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR), _JPEG)[1].tobytes()
        for frame_HWC in pixels_THWC
    ]
    height, width = pixels_THWC.shape[1:3]
    return {"jpeg": jpegs, "times_s": times, "width": width, "height": height}
