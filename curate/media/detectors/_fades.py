"""Fades: out to a flat picture and in from it, whatever the flat colour.

The spread of levels over the picture falls to nothing and comes back (Lienhart, "Comparison of automatic shot boundary
detection algorithms", 1999). A ramp is linear in time, so that its ends follow from where the spread passes a quarter
and three quarters of the scene's own. Legend: N frames.
"""

from __future__ import annotations

import numpy as np

_LOW = 6.0  # levels of standard deviation: next to nothing to see ...
_FLAT = 2.5  # ... and nothing, once in the run at least; a dark or covered scene keeps more than that
_SCENE = 10.0  # a scene has more than that; a source that begins or ends flat has no boundary there
_COVERED = 6.0  # levels: what most of a scene differs by from its background
_REACH_S = 1.2  # the longest ramp, with room to see the scene's own spread
_JUMP = 0.45  # share of the scene's spread from one frame to the next: a cut, no ramp of three frames
_PLATEAU, _RISEN = 5, 0.94  # the ramp ends where this many frames on the spread has hardly grown
_LEAST_RAMP = 3  # frames: steeper on both sides is a cut to black, or a flash ...
_LEAST_FLAT = 3  # ... and on one side is a fade only when the picture stays flat for as many frames


def spreads(pictures: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N,) standard deviation of the green levels, over the picture's quarters but the liveliest.

    A logo stays in its quarter when everything else fades.
    """
    rows, columns = (np.arange(length) * 2 // length for length in area.shape)
    quarter = (rows[:, None] * 2 + columns)[area]
    members = np.equal.outer(quarter, np.arange(4)).astype(np.float32)  # (pixels, 4)
    members /= np.maximum(1, members.sum(axis=0))
    greens = pictures[..., 1][:, area].astype(np.float32)
    variances = (greens * greens) @ members - (greens @ members) ** 2
    return np.sqrt(np.sort(np.maximum(variances, 0), axis=1)[:, :3].mean(axis=1))


def covered(pictures: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N,) levels between the 20th and the 80th percentile of green: next to nothing before a plain wall."""
    greens = np.sort(pictures[..., 1][:, area], axis=1)
    low, high = (greens[:, round(share * (greens.shape[1] - 1))] for share in (0.2, 0.8))
    return (high - low).astype(np.float32)


def fades(spread: np.ndarray, cover: np.ndarray, times_s: np.ndarray) -> list[tuple[int, int]]:
    """Ranges start <= k < end of frames that are neither scene only."""
    found = []
    flat = np.flatnonzero(spread < _LOW)
    if len(flat) == 0:
        return []
    for run in np.split(flat, np.flatnonzero(np.diff(flat) > 1) + 1):
        if spread[run].min() >= _FLAT:
            continue
        first, last = int(run[0]), int(run[-1])
        low, high = np.searchsorted(times_s, [times_s[first] - _REACH_S, times_s[last] + _REACH_S])
        left = _ramp(spread[low:first][::-1])
        right = _ramp(spread[last + 1 : high])
        if left is None or right is None or max(left, right) < _LEAST_RAMP:
            continue
        if min(left, right) < _LEAST_RAMP and len(run) < _LEAST_FLAT:
            continue
        start, end = first - left, last + 1 + right
        if min(cover[max(0, start - 1) : first].max(), cover[last + 1 : end + 1].max()) < _COVERED:
            continue  # a thing that leaves a part of a plain picture, and returns, is no fade
        if not found or start >= found[-1][1]:
            found.append((start, end))
    return found


def _ramp(away: np.ndarray) -> int | None:
    """How many frames it takes from the flat picture (exclusive) to the scene; None where there is no scene.

    away: spreads from the flat picture outwards.
    """
    if len(away) < 3:
        return None
    jumps = np.flatnonzero(np.abs(np.diff(away)) > _JUMP * away.max())
    away = away[: jumps[0] + 1] if len(jumps) else away  # beyond a cut is another scene
    ahead = np.lib.stride_tricks.sliding_window_view(np.pad(away, (0, _PLATEAU), "edge"), _PLATEAU + 1).max(axis=1)
    scene = float(away[(away >= _RISEN * ahead).argmax()])
    if scene < _SCENE:
        return None
    quarter, most = int((away >= 0.25 * scene).argmax()), int((away >= 0.75 * scene).argmax())
    return min(len(away), round(most + max(0, most - quarter) / 2))
