"""Pairs of clips that share a look: multi-index hashing over key frames, so that no two clips are compared for nothing.

Each of TABLES tables reads a random subset of the 63 lowest frequencies of a hash (the ones that survive coding,
blur and logos); frames that agree on all bits of a subset meet. A subset has about as many bits as the number of
frames has, so a lookup meets a handful of strangers however many clips there are. Nothing is compared twice in Python.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from filters.dedup.phash import KEPT, MIRROR, VIEWS
from filters.dedup.prints import Prints

TABLES = 32
# Extra bits of a subset beyond log2(frames): expected strangers a lookup are 2 ** -EXTRA if hashes were random; real
# ones crowd, so the bits are a little more than needed.
EXTRA = 0
FEWEST_BITS, MOST_BITS = 8, 40
# A frame within this many bits of the last key frame adds nothing to the search.
SAME = 16
MOST_KEYS = 12  # key frames a clip: an even choice of them in a long clip
# Frames that one lookup is compared with. Beyond it (thousands of clips of one studio) an even choice of the bucket
# is taken; the members still meet through one another.
MOST_MET = 256

log = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """View `view` of clip `one` (mirrored or not) resembles the whole picture of clip `two` in some frame."""

    one: int
    two: int
    view: int
    mirrored: bool


def key_frames(prints: Prints) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames to search with, (K,), and the clip of each, (K,)."""
    chosen: list[np.ndarray] = []
    for clip in range(len(prints.first) - 1):
        frames = prints.frames(clip)
        kept: list[int] = []
        for frame in frames:
            if not kept or bits_apart(prints.hashes[frame, 0], prints.hashes[kept[-1], 0]) > SAME:
                kept.append(int(frame))
        if len(kept) > MOST_KEYS:
            kept = [kept[i] for i in np.linspace(0, len(kept) - 1, MOST_KEYS).round().astype(int)]
        chosen.append(np.array(kept, np.int64))
    clips = np.repeat(np.arange(len(chosen)), [len(kept) for kept in chosen])
    return (np.concatenate(chosen) if chosen else np.zeros(0, np.int64)), clips


def bits_apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Hamming distance of hashes (..., 4) uint64, in bits of 256."""
    return np.bitwise_count(one ^ two).sum(axis=-1, dtype=np.int64)


def mirror_mask() -> np.ndarray:
    """XOR with it, (4,) uint64, turns the hash of a frame into that of the mirrored frame."""
    return MIRROR.view(np.uint64)


def find_candidates(prints: Prints, max_distance: int, mirror: bool) -> list[Candidate]:
    """Pairs of clips with a key frame within `max_distance` bits, sorted; every view against the whole picture."""
    frames, clips = key_frames(prints)
    if not len(frames):
        return []
    whole = prints.hashes[frames, 0]
    low = low_word(whole)
    masks = _masks(len(frames))
    found: list[np.ndarray] = []
    capped = 0
    for mask in masks:
        order = np.argsort(low & mask, kind="stable")
        keys = (low & mask)[order]
        for view in range(VIEWS):
            for flip in (False, True) if mirror else (False,):
                asked = prints.hashes[frames, view] ^ (mirror_mask() if flip else np.uint64(0))
                left, right, over = _bucket(keys, low_word(asked) & mask)
                capped += over
                here, there = _meet(left, right)
                there = order[there]
                limit = prints.allowed(frames[here], frames[there], max_distance)
                near = (clips[here] != clips[there]) & (bits_apart(asked[here], whole[there]) <= limit)
                found.append(_pack(clips[here[near]], clips[there[near]], view, flip))
    if capped:
        log.warning("dedup: %d lookups met more than %d frames and saw an even choice of them", capped, MOST_MET)
    return [_unpack(int(code)) for code in np.unique(np.concatenate(found))]


def low_word(hashes: np.ndarray) -> np.ndarray:
    """The 8x8 lowest frequencies of hashes (..., 4) uint64 as one uint64 each; bit 0 is the mean and always 0."""
    rows = np.ascontiguousarray(hashes).view(np.uint8).reshape(*hashes.shape[:-1], KEPT, KEPT // 8)
    return np.ascontiguousarray(rows[..., : KEPT // 2, 0]).view(np.uint64)[..., 0]


def _masks(frames: int) -> list[np.uint64]:
    """Random subsets of the 63 bits, always the same ones for the same number of frames."""
    bits = int(np.clip(np.ceil(np.log2(max(frames, 2))) + EXTRA, FEWEST_BITS, MOST_BITS))
    rng = np.random.default_rng(20240229)
    subsets = [rng.choice(np.arange(1, 64), bits, replace=False) for _ in range(TABLES)]
    return [np.bitwise_or.reduce(np.uint64(1) << subset.astype(np.uint64)) for subset in subsets]


def _bucket(keys: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """First and last (exclusive) place in sorted `keys` of each asked key, and how many buckets are too full."""
    left, right = np.searchsorted(keys, asked, "left"), np.searchsorted(keys, asked, "right")
    return left, right, int((right - left > MOST_MET).sum())


def _meet(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (asker, place in its bucket); of a bucket that is too full, an even choice."""
    size = right - left
    met = np.minimum(size, MOST_MET)
    here = np.repeat(np.arange(len(left)), met)
    rank = np.arange(len(here)) - np.repeat(np.cumsum(met) - met, met)
    return here, left[here] + rank * size[here] // np.maximum(met[here], 1)


def _pack(one: np.ndarray, two: np.ndarray, view: int, flip: bool) -> np.ndarray:
    """One int64 per candidate, without repeats; whole against whole is kept once, the smaller clip first."""
    if view == 0:
        one, two = np.minimum(one, two), np.maximum(one, two)
    return np.unique(((one << 28 | two) << 4) | (view << 1) | int(flip))


def _unpack(code: int) -> Candidate:
    return Candidate(code >> 32, (code >> 4) & ((1 << 28) - 1), (code >> 1) & 7, bool(code & 1))
