"""Cuts a stream of pictures into overlapping windows, at the same places whatever the batches are.

Above 40 fps frames are skipped, by their times; a window keeps the skipped pictures as well, so that a cut can be
placed to the frame. Legend: N kept frames of a window; M all frames; uint8 pictures of one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

CORE = 128  # kept frames that a window decides
CONTEXT = 96  # kept frames seen on both sides: no decision reaches further (1.6 s and three stretches, at 40 fps)
_LEAST_STEP_S = 1 / 40  # frames closer than that are skipped; 50 and 60 fps lose every second one
_MOST_SKIPPED = 16  # frames: more than 600 fps is a broken clock, and must not pile up pictures
_ROUNDING_S = 5e-4  # containers round times to the millisecond


@dataclass(frozen=True)
class Window:
    """Frames with context: pictures (N, H, W, C), times_s (N,), numbers (N,) of the source's frames, rows (N, ...).

    Decisions about kept frames core_start <= k < core_end are this window's. pictures_M holds every picture, the
    skipped ones as well, from number first_M on.
    """

    pictures: np.ndarray
    times_s: np.ndarray
    numbers: np.ndarray
    core_start: int
    core_end: int
    pictures_M: Sequence[np.ndarray]
    first_M: int


class Windows:
    """Takes batches and gives windows."""

    def __init__(self, core: int = CORE, context: int = CONTEXT) -> None:
        self._core_length, self._context = core, context
        self._all: list[np.ndarray] = []  # every picture from number _first on
        self._first = 0
        self._times: list[float] = []  # of the kept frames in hand
        self._numbers: list[int] = []
        self._core = 0  # the first kept frame in hand that is not decided yet
        self._size: tuple[int, int] | None = None

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> Iterator[Window]:
        """Take a batch; give the windows that it completes."""
        if len(frames_THWC) == 0:
            return
        if self._size is None:
            self._first = index
            self._size = frames_THWC.shape[1:3]
        for number, (picture, time_s) in enumerate(zip(frames_THWC, times_s, strict=True), index):
            if picture.shape[:2] != self._size:  # pictures of another size are compared at the first one's
                picture = cv2.resize(picture, self._size[::-1], interpolation=cv2.INTER_LINEAR)
            self._all.append(picture)
            late = not self._times or time_s - self._times[-1] >= _LEAST_STEP_S - _ROUNDING_S
            if late or number - self._numbers[-1] >= _MOST_SKIPPED:
                self._times.append(time_s)
                self._numbers.append(number)
                if len(self._times) == self._core + self._core_length + self._context:
                    yield self._window(self._core + self._core_length)

    def finish(self) -> Iterator[Window]:
        """Give the last window, if there is anything left."""
        if len(self._times) > self._core:
            yield self._window(len(self._times))

    def _window(self, core_end: int) -> Window:
        numbers = np.array(self._numbers)
        pictures = np.stack([self._all[number - self._first] for number in self._numbers])
        times_s = np.array(self._times, dtype=np.float64)
        window = Window(pictures, times_s, numbers, self._core, core_end, list(self._all), self._first)
        drop = max(0, core_end - self._context)
        if drop and drop < len(self._numbers):
            del self._all[: self._numbers[drop] - self._first]
            self._first = self._numbers[drop]
            del self._times[:drop], self._numbers[:drop]
        self._core = core_end - drop
        return window
