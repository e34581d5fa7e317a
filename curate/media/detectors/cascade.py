"""`fast` everywhere, and TransNetV2 where it is in doubt and for gradual transitions. Needs the extra `shots`.

Confidence of a hard cut is that of `fast`, of everything else the network's probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from curate.media.detectors._checks import number
from curate.media.detectors._extra import needs_shots
from curate.media.detectors._windows import Window, Windows
from curate.media.detectors.fast import Decision, boundary_of_cut, decide, first_of_scene
from curate.stage import Boundary, Frames

with needs_shots():
    from curate.media.detectors._transnet import network, to_input, transitions

_AROUND_S = 0.4  # how far from a doubtful frame an answer counts
_CONTEXT = 25  # frames beyond that, as the authors give the network
_MERGE_S = 0.2  # answers this near to a boundary are that boundary


class Cascade:
    """The network is asked where `fast` doubts; its answers count above `threshold`."""

    name = "cascade"
    version = 1
    frames = Frames(fps=0.0, short_side=27, colour="rgb")

    def __init__(self, threshold: float = 0.4) -> None:
        self._threshold = number("threshold", threshold, most=1.0, above=True)
        self._windows = Windows()
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
            for boundary in self._boundaries(window, decide(window)):
                if boundary.start > self._last:
                    found.append(boundary)
                    self._last = boundary.end
        return found

    def _boundaries(self, window: Window, decision: Decision) -> list[Boundary]:
        """What starts in the window's core, in order."""
        found = [(kept, boundary_of_cut(window, kept, s)) for kept, s in zip(decision.cuts, decision.strengths, strict=True)]
        cuts_s = window.times_s[decision.cuts]
        for start, end, confidence in self._asked(window, decision):
            middle_s = (window.times_s[start] + window.times_s[end]) / 2
            if decision.busy[start] or (np.abs(cuts_s - middle_s) <= _MERGE_S).any():
                continue
            seen = [g for g in decision.graduals if g.start <= end and start <= g.end and g.end > g.start]
            if start == end:
                number = first_of_scene(window, start)
                found.append((start, Boundary(number, number, confidence)))
                continue
            if seen:  # the blend is measured, the network's run of frames is not
                start, end = seen[0].start, seen[0].end
            found.append((start, Boundary(int(window.numbers[start]), int(window.numbers[end]), confidence)))
        inside = [pair for pair in found if window.core_start <= pair[0] < window.core_end]
        return [boundary for _, boundary in sorted(inside, key=lambda pair: pair[1].start)]

    def _asked(self, window: Window, decision: Decision) -> list[tuple[int, int, float]]:
        """The network's boundaries around doubtful places near the core, in kept frames."""
        places = sorted([*decision.doubts, *((g.start + g.end) // 2 for g in decision.graduals)])
        times_s, last = window.times_s, len(window.times_s) - 1
        spans: list[list[int]] = []
        for place in places:
            low, high = np.searchsorted(times_s, [times_s[place] - _AROUND_S, times_s[place] + _AROUND_S])
            if high < window.core_start or low >= window.core_end:
                continue
            if spans and low <= spans[-1][1] + _CONTEXT:
                spans[-1][1] = int(high)
            else:
                spans.append([int(low), int(high)])
        found = []
        for low, high in spans:
            first = max(0, low - _CONTEXT)
            pictures = to_input(window.pictures[first : high + _CONTEXT])
            for start, end, confidence in transitions(*network().predict(pictures), self._threshold):
                if low <= start + first <= high:
                    found.append((min(start + first, last), min(end + first, last), confidence))
        return found
