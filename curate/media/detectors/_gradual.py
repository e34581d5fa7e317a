"""Gradual transitions: whether the middle is made of both ends, and where it starts and ends.

Legend: N frames of a window; L frames of one place in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.media.detectors._evidence import GAPS_S, STRETCH, Evidence
from curate.media.detectors._motion import is_pan
from curate.media.detectors._windows import Window

CONTRAST = 0.36  # of a gradual transition, at least
DOUBT_CONTRAST = 0.28  # worth a closer look whatever the blend says
OUTSIDE = 0.11  # share of the change by which pixels may leave the range between both ends; motion gives 0.15 and more
PUSH_CONTRAST = 0.45  # of a push, at least: its pixels prove nothing, so that the contrast has to
UNMIXED = 0.2  # the same of colours' shares: a push moves pixels, but mixes both ends' colours
PUSH_CHANGE = 0.3  # share of colours that differ between the ends of a push
MARGIN = 3  # frames around a transition whose extent was measured short
_LEAST_CHANGE = 12.0  # levels; pictures that hardly change prove nothing
_CLEAR_S = 0.2  # beyond the gap, around a hard cut: its own contrast, which stretches of few frames a second see longer
_AROUND_S = 0.4  # what is looked at to either side of a hard cut
_SAME_PATTERN = 0.85  # correlation of levels; scenes of one place seldom have as much
_REST = 6  # frames beside a transition that show whether the camera moves there too
_LEAST_BLEND = 4  # frames: shorter ones are cuts that the encoder or a rate conversion smeared
_JUMP = 0.5  # share of the whole way in one frame: a hard cut between moving pictures


@dataclass(frozen=True)
class Gradual:
    """Kept frames start <= k < end show both scenes; equal for a hard cut."""

    start: int
    end: int
    confidence: float


def graduals(
    window: Window,
    found: Evidence,
    rows: np.ndarray,
    area: np.ndarray,
    busy: np.ndarray,
    cuts: list[int],
    known: list[Gradual],
) -> tuple[list[Gradual], list[int]]:
    """Accepted transitions (the known ones among them), and doubtful frames. The strongest has its place.

    rows (N, BINS): histograms; busy (N,): frames where the picture flickers; known: transitions that are certain.
    """
    times_s = window.times_s
    clear_s = max(_CLEAR_S, STRETCH * float(np.median(np.diff(times_s)))) if len(times_s) > 1 else _CLEAR_S
    candidates = []
    for gap, contrast in zip(GAPS_S, found.contrast, strict=True):
        clear = np.where(busy, -1.0, contrast)
        for known_one in known:
            clear[max(0, known_one.start - MARGIN) : known_one.end + MARGIN] = -1.0
        for cut in cuts:
            clear[np.abs(times_s - times_s[cut]) < gap + clear_s] = -1.0
        for frame in np.flatnonzero(clear >= DOUBT_CONTRAST):
            first, last = np.searchsorted(times_s, [times_s[frame] - 1.5 * gap, times_s[frame] + 1.5 * gap])
            if clear[frame] == clear[first : last + 1].max():
                candidates.append((float(clear[frame]), gap, int(frame)))
    colours = rows.reshape(len(rows), 4, -1).sum(axis=1, dtype=np.float32)
    accepted = list(known)
    doubts: list[int] = []
    for strength, gap, frame in sorted(candidates, reverse=True):
        if any(g.start - 1 <= frame <= g.end + 1 for g in accepted):
            continue
        first, last = np.searchsorted(times_s, [times_s[frame] - gap, times_s[frame] + gap])
        last = min(int(last), len(times_s) - 1)
        extent = None
        if strength >= CONTRAST and last - first >= 2 and not busy[first : last + 1].any():
            extent = _blend(window.pictures[first : last + 1][:, area])
            if extent is None and strength >= PUSH_CONTRAST:
                extent = _push(colours[first : last + 1])
        if extent and _relit(window.pictures[first][area], window.pictures[last][area]):
            continue
        if extent and not _is_pan(window, int(first) + extent[0], int(first) + extent[1]):
            start, end = int(first) + extent[0], int(first) + extent[1]
            if not any(g.start <= end and start <= g.end for g in accepted):
                accepted.append(Gradual(start, end, min(1.0, strength)))
        elif all(abs(times_s[frame] - times_s[other]) > gap for other in doubts):
            doubts.append(frame)
    return sorted(accepted, key=lambda g: g.start), doubts


def blend_around(window: Window, area: np.ndarray, frame: int, strength: float) -> Gradual | None:
    """The transition, if a frame that looks like a hard cut stands in the middle of a blend."""
    first, last = np.searchsorted(window.times_s, window.times_s[frame] + np.array([-_AROUND_S, _AROUND_S]))
    extent = _blend(window.pictures[first : last + 1][:, area]) if last - first >= _LEAST_BLEND else None
    if extent is None or extent[1] - extent[0] < _LEAST_BLEND:
        return None
    return Gradual(int(first) + extent[0], int(first) + extent[1], min(1.0, strength))


def _relit(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether (pixels, C) are one scene in another light: its pattern stays."""
    one, two = (picture[:, 1] - picture[:, 1].mean(dtype=np.float64) for picture in (old, new))
    return float(one @ two) >= _SAME_PATTERN * float(np.sqrt((one @ one) * (two @ two)) + 1e-9)


def _is_pan(window: Window, start: int, end: int) -> bool:
    low = max(0, start - _REST)
    return is_pan(window.pictures[low : end + _REST], start - low, end - low)


def _blend(pictures: np.ndarray) -> tuple[int, int] | None:
    """The extent of a dissolve or wipe in (L, pixels, C): every pixel stays between its values at both ends."""
    span = pictures.astype(np.float32)
    low, high = np.minimum(span[0], span[-1]), np.maximum(span[0], span[-1])
    change = float((high - low).mean())
    if change < _LEAST_CHANGE:
        return None
    outside = np.maximum(low - span, 0) + np.maximum(span - high, 0)
    return _extent(_weights(span.reshape(len(span), -1))) if float(outside.mean()) / change <= OUTSIDE else None


def _push(colours: np.ndarray) -> tuple[int, int] | None:
    """The extent of a push in (L, colours): pixels move, while the share of the new scene's colours grows."""
    old, new = colours[0], colours[-1]
    change = float(np.abs(new - old).sum())
    if change < 2 * PUSH_CHANGE * float(old.sum()):
        return None
    weights = _weights(colours)
    mixed = old + np.clip(weights, 0, 1)[:, None] * (new - old)
    return _extent(weights) if float(np.abs(colours - mixed).sum(axis=1).mean()) / change <= UNMIXED else None


def _weights(rows: np.ndarray) -> np.ndarray:
    """(L,) the share of the last row in every row, by least squares."""
    way = rows[-1] - rows[0]
    return (rows - rows[0]) @ way / float(way @ way)


def _extent(weights: np.ndarray) -> tuple[int, int]:
    """Where the weight of the new scene leaves 0 and reaches 1."""
    jump = int(np.diff(weights).argmax())
    if weights[jump + 1] - weights[jump] >= _JUMP:
        return jump + 1, jump + 1
    middle = int((weights >= 0.5).argmax())
    low, high = _crossing(-weights[:middle][::-1], -0.25), _crossing(weights[middle:], 0.75)
    first, last = middle - 1 - low, middle + high  # where a quarter and three quarters are reached
    quarter = (last - first) / 2  # ramps are linear: as long again outside, where motion moves the weights as well
    return max(0, round(first - quarter) + 1), min(len(weights), round(last + quarter))


def _crossing(rising: np.ndarray, level: float) -> float:
    """The index, with its fraction, at which values first reach a level; their number if they do not."""
    reached = np.flatnonzero(rising >= level)
    if len(reached) == 0:
        return float(len(rising))
    k = int(reached[0])
    return k - float((rising[k] - level) / (rising[k] - rising[k - 1])) if k else 0.0
