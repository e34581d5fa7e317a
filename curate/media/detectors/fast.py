"""The default detector: weight-free, on pictures of 27 lines, at a tenth of the cost of decoding them.

Hard cuts are steps of the colour histogram that last, unless the picture flickers around them; their confidence is the
share of the picture that changed. Gradual transitions are changes across a gap whose middle is made of its ends
(confidence: how much more changed than on either side), or fades through a flat picture (0.9). What the camera's own
move explains is neither. See `_evidence` for what is measured, `_gradual` for blends and their extent, `_fades` and
`_motion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curate.media.detectors._evidence import Evidence, evidence, histograms, picture_area
from curate.media.detectors._fades import covered, fades, spreads
from curate.media.detectors._gradual import MARGIN, Gradual, blend_around, graduals
from curate.media.detectors._motion import shifts
from curate.media.detectors._windows import Window, Windows
from curate.stage import Boundary, Frames

SURE = 0.35  # a step this large that lasts is a hard cut
DOUBT = 0.25  # one this large is worth a closer look (the cascade's)
APART_S = 0.15  # no two hard cuts are closer
BUSY_S, BUSY_JUMPS = 0.3, 3  # this many sure steps within this time to either side are a strobe, or a flash
FADE_CONFIDENCE = 0.9  # a ramp to a flat picture and a scene on either side is hardly anything else


@dataclass(frozen=True)
class Decision:
    """What one window holds: boundaries, and kept frames worth a closer look (with their evidence, 0..1)."""

    cuts: list[int]
    strengths: list[float]
    graduals: list[Gradual]
    fades: list[Gradual]  # those of the graduals that go through a flat picture
    doubts: list[int]
    busy: np.ndarray


def peaks(values: np.ndarray, times_s: np.ndarray, least: float, apart_s: float) -> list[int]:
    """Frames whose value is the highest, and the first such, within `apart_s` to either side."""
    found: list[int] = []
    for frame in np.flatnonzero(values >= least):
        first, last = np.searchsorted(times_s, [times_s[frame] - apart_s, times_s[frame] + apart_s])
        if values[frame] == values[first : last + 1].max() and not (found and found[-1] >= first):
            found.append(int(frame))
    return found


def flickering(found: Evidence, times_s: np.ndarray) -> np.ndarray:
    """(N,) bool: whether too many steps happen around a frame for any of them to be a cut."""
    jumps = times_s[found.step >= SURE]
    first = np.searchsorted(jumps, times_s - BUSY_S)
    return np.searchsorted(jumps, times_s + BUSY_S, side="right") - first >= BUSY_JUMPS


def _faded(window: Window, area: np.ndarray) -> list[tuple[int, int]]:
    return fades(spreads(window.pictures, area), covered(window.pictures, area), window.times_s)


def decide(window: Window) -> Decision:
    """Find hard cuts, then gradual transitions away from them."""
    area = picture_area(window.pictures)
    rows = histograms(window.pictures)
    found = evidence(rows, window.times_s, int(area.sum()))
    faded = [Gradual(*pair, FADE_CONFIDENCE) for pair in _faded(window, area)]
    barred = np.zeros(len(rows), bool)  # what belongs to a fade is nothing else as well
    for fade in faded:
        barred[max(0, fade.start - MARGIN) : fade.end + MARGIN] = True
    busy = flickering(found, window.times_s)
    strength = np.where(busy | barred, 0.0, np.minimum(found.step, found.near))
    jumps = peaks(strength, window.times_s, DOUBT, APART_S)
    cuts = [frame for frame in jumps if strength[frame] >= SURE]
    cuts = [cut for cut in cuts if not shifts(window.pictures[cut - 1 : cut + 1]).any()]  # whip pans step as well
    blends = [(cut, blend_around(window, area, cut, float(strength[cut]))) for cut in cuts]
    cuts = [cut for cut, blend in blends if blend is None]
    known = [*faded, *(blend for _, blend in blends if blend is not None)]
    accepted, doubts = graduals(window, found, rows, area, busy, cuts, known)
    doubts += [frame for frame in jumps if strength[frame] < SURE]
    return Decision(cuts, [float(strength[frame]) for frame in cuts], accepted, faded, sorted(doubts), busy)


def first_of_scene(window: Window, kept: int) -> int:
    """The number of the frame that starts the new scene: among skipped ones, that with the largest step."""
    if kept == 0:
        return int(window.numbers[0])
    start, end = int(window.numbers[kept - 1]) - window.first_M, int(window.numbers[kept]) - window.first_M
    if end - start == 1:
        return end + window.first_M
    pictures = np.stack(window.pictures_M[start : end + 1]).astype(np.int16)
    return window.first_M + start + 1 + int(np.abs(np.diff(pictures, axis=0)).sum(axis=(1, 2, 3)).argmax())


def boundary_of(window: Window, found: Gradual) -> Boundary:
    """A transition or cut in numbers of source frames; a cut is placed to the frame."""
    if found.start == found.end:
        number = first_of_scene(window, found.start)
        return Boundary(number, number, found.confidence)
    end = min(found.end, len(window.numbers) - 1)
    return Boundary(int(window.numbers[found.start]), int(window.numbers[end]), found.confidence)


def boundaries(window: Window, decision: Decision) -> list[Boundary]:
    """What starts in the window's core, in order."""
    cuts = [Gradual(kept, kept, s) for kept, s in zip(decision.cuts, decision.strengths, strict=True)]
    inside = [g for g in [*cuts, *decision.graduals] if window.core_start <= g.start < window.core_end]
    return [boundary_of(window, g) for g in sorted(inside, key=lambda g: g.start)]


class Fast:
    """Finds cuts and gradual transitions without weights."""

    name = "fast"
    version = 2
    frames = Frames(fps=0.0, short_side=27, colour="rgb")

    def __init__(self) -> None:
        self._windows = Windows()
        self._last = 0  # the end of the last boundary; neighbouring windows may see one transition a little apart

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take the next frames."""
        return self._decided(self._windows.push(frames_THWC, times_s, index))

    def finish(self) -> list[Boundary]:
        """Decide what is left."""
        return self._decided(self._windows.finish())

    def _decided(self, windows: Iterator[Window]) -> list[Boundary]:
        found = []
        for window in windows:
            for boundary in boundaries(window, decide(window)):
                if boundary.start > self._last:
                    found.append(boundary)
                    self._last = boundary.end
        return found
