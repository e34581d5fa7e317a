"""Near duplicates: clips whose frames resemble each other in order of time.

Candidates come from an index over key frames (`candidates`), matches from aligning all frames (`align`); clips with
nothing to see are compared by their small pictures alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from curate.spec_base import Model
from filters.dedup.align import FRAMES_COMPARED, is_backwards, match_in_order, same_look
from filters.dedup.candidates import Candidate, bits_apart, find_candidates, mirror_mask
from filters.dedup.phash import CROPS
from filters.dedup.prints import Prints

FEWEST_FRAMES = 3  # of a match, unless the shorter clip has fewer
# Grey levels by which no cell of two flat clips may differ: a re-encoded colour stays within 2, while different
# scenes in the dark differ by 7, less than their own re-encodes do, so those are left to the brightness rule.
FLAT_LEVELS = 3.0


class PerceptualParams(Model):
    """When two clips are near duplicates."""

    max_distance: int = Field(72, ge=0, le=110, description="bits of 256 by which matching frames may differ")
    min_share: float = Field(0.6, gt=0.0, le=1.0, description="of the shorter clip's frames that must match in order")
    mirror: bool = Field(False, description="whether a mirrored copy is a duplicate too")


class Match(NamedTuple):
    """Two clips (row numbers, one < two), the mean distance of matched frames in bits, and the share that matched."""

    one: int
    two: int
    distance: float
    share: float


def find_matches(prints: Prints, params: PerceptualParams) -> list[Match]:
    """All pairs of clips that match, each once with its best view, sorted by clip numbers."""
    best: dict[tuple[int, int], Match] = {}
    for candidate in find_candidates(prints, params.max_distance, params.mirror):
        match = _compare(prints, candidate, params)
        if match is None:
            continue
        known = best.get((match.one, match.two))
        if known is None or (-match.share, match.distance) < (-known.share, known.distance):
            best[match.one, match.two] = match
    matches = [*best.values(), *_flat_matches(prints)]
    return sorted(matches)


def _compare(prints: Prints, candidate: Candidate, params: PerceptualParams) -> Match | None:
    """Align a view of one clip with the whole picture of another."""
    one, two, view, mirrored = candidate
    # A still image is no copy of a video that shows it, nor the other way round.
    if (prints.first[one + 1] - prints.first[one] == 1) != (prints.first[two + 1] - prints.first[two] == 1):
        return None
    frames_one, frames_two = prints.frames(one), prints.frames(two)
    hashes = prints.hashes[frames_one, view] ^ (mirror_mask() if mirrored else np.uint64(0))
    distance = bits_apart(hashes[:, None], prints.hashes[frames_two, 0][None])
    near = distance <= prints.allowed(frames_one[:, None], frames_two[None], params.max_distance)
    shorter = min(near.shape)
    least = max(min(FEWEST_FRAMES, shorter), int(np.ceil(params.min_share * shorter)))
    if min(near.any(axis=1).sum(), near.any(axis=0).sum()) < least:
        return None
    pairs = match_in_order(near)
    if len(pairs) < least or is_backwards(distance, near, pairs):
        return None
    chosen = np.unique(np.linspace(0, len(pairs) - 1, FRAMES_COMPARED).round().astype(int))
    i, j = np.array([pairs[k] for k in chosen]).T
    shown_one, shown_two = frames_one[i], frames_two[j]
    plain = bool((prints.plain[shown_one] & prints.plain[shown_two]).any())
    if not same_look(prints.thumbs[shown_one], prints.thumbs[shown_two], CROPS[view], mirrored, plain):
        return None
    mean = float(np.mean([distance[i, j] for i, j in pairs]))
    return Match(min(one, two), max(one, two), mean, len(pairs) / shorter)


def _flat_matches(prints: Prints) -> list[Match]:
    """Flat clips that agree in every cell, at the beginning, in the middle and at the end: each with the first such."""
    leaders: list[int] = []
    looks: list[np.ndarray] = []
    matches = []
    for clip in np.flatnonzero(prints.is_flat()):
        thumbs = prints.thumbs[prints.first[clip] : prints.first[clip + 1]].astype(np.float32)
        third = max(1, round(len(thumbs) / 3))
        look = np.stack([part.mean(axis=0) for part in (thumbs[:third], thumbs, thumbs[-third:])])
        if looks:
            apart = np.abs(np.stack(looks) - look).max(axis=(1, 2))
            nearest = int(apart.argmin())
            if apart[nearest] <= FLAT_LEVELS:
                matches.append(Match(leaders[nearest], int(clip), 0.0, 1.0))
                continue
        leaders.append(int(clip))
        looks.append(look)
    return matches
