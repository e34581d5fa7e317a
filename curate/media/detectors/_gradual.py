"""Gradual transitions: whether the middle lies between the ends, fades through a flat picture, and their extent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.media.detectors._evidence import GAPS_S, Evidence
from curate.media.detectors._windows import Window

CONTRAST = 0.28  # of a gradual transition, at least
DOUBT_CONTRAST = 0.26  # worth a closer look whatever the blend says
OUTSIDE = 0.11  # share of the change by which pixels may leave the range between both ends; motion gives 0.15 and more
_LEAST_CHANGE = 12.0  # levels; pictures that hardly change prove nothing
_CLEAR_S = 0.2  # beyond the gap, around a hard cut: its own contrast
_RAMP_RISE = 0.08  # blend weights within this of 0 and 1 count as one scene only


@dataclass(frozen=True)
class Gradual:
    """Kept frames start <= k < end show both scenes."""

    start: int
    end: int
    confidence: float


def graduals(
    window: Window, found: Evidence, area: np.ndarray, busy: np.ndarray, cuts: list[int]
) -> tuple[list[Gradual], list[int]]:
    """Accepted transitions and doubtful places, in order of their strength at any gap, none of them twice."""
    times_s = window.times_s
    candidates = []
    for gap, contrast in zip(GAPS_S, found.contrast, strict=True):
        clear = np.where(busy, -1.0, contrast)
        for cut in cuts:
            clear[np.abs(times_s - times_s[cut]) < gap + _CLEAR_S] = -1.0
        # The first and last gap's worth of the window compares frames with themselves.
        for frame in np.flatnonzero(clear >= DOUBT_CONTRAST):
            first, last = np.searchsorted(times_s, [times_s[frame] - 1.5 * gap, times_s[frame] + 1.5 * gap])
            if clear[frame] == clear[first : last + 1].max():
                candidates.append((float(clear[frame]), gap, int(frame)))
    accepted: list[Gradual] = []
    doubts: list[int] = []
    for strength, gap, frame in sorted(candidates, reverse=True):
        blend = _blend(window, area, frame, gap)
        near = any(g.start - 1 <= frame <= g.end + 1 for g in accepted)
        if near:
            continue
        if strength >= CONTRAST and blend is not None and blend[0] <= OUTSIDE:
            start, end = blend[1], blend[2]
            if not any(g.start < end and start < g.end for g in accepted):
                accepted.append(Gradual(start, end, min(1.0, strength)))
        elif all(abs(times_s[frame] - times_s[other]) > gap for other in doubts):
            doubts.append(frame)
    return sorted(accepted, key=lambda g: g.start), doubts


def _blend(window: Window, area: np.ndarray, frame: int, gap: float) -> tuple[float, int, int] | None:
    """How far the frames around `frame` leave the range between both ends, and the extent of the blend."""
    times_s = window.times_s
    first, last = np.searchsorted(times_s, [times_s[frame] - gap, times_s[frame] + gap])
    last = min(int(last), len(times_s) - 1)
    span = window.pictures[first : last + 1][:, area].astype(np.float32)
    if len(span) < 3:
        return None
    low, high = np.minimum(span[0], span[-1]), np.maximum(span[0], span[-1])
    change = float((high - low).mean())
    if change < _LEAST_CHANGE:
        return None
    outside = np.maximum(low - span, 0) + np.maximum(span - high, 0)
    way = (span[-1] - span[0]).ravel()
    weight = (span - span[0]).reshape(len(span), -1) @ way / float(way @ way)
    inside = np.flatnonzero((weight > _RAMP_RISE) & (weight < 1 - _RAMP_RISE))
    if len(inside) == 0:
        return None
    return float(outside.mean()) / change, int(first + inside[0]), int(first + inside[-1] + 1)
