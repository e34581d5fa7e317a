"""Near duplicates on pixels: what a copy goes through is seen through, other clips are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import SpecError
from filters.dedup.candidates import MOST_MET, bits_apart, find_candidates, key_frames
from filters.dedup.perceptual import PerceptualParams, find_matches
from filters.dedup.prints import Prints, read_prints
from tests.filters.dedup.clips import FPS, hashed, resized, shape, table, take
from tests.filters.pictures import coded
from worlds.shapes.vocabulary import COLOURS, OUTLINES, Look

ORIGINAL = take(1)
OTHERS = [hashed(f"other-{seed}", take(seed)) for seed in range(20, 26)]


def _found(one, two, mirror=False, one_fps=FPS, two_fps=FPS):
    rows = [hashed("one", one, one_fps), hashed("two", two, two_fps), *OTHERS]
    matches = find_matches(read_prints(table(*rows)), PerceptualParams(mirror=mirror))
    assert all({match.one, match.two} == {0, 1} for match in matches)
    return matches[0] if matches else None


def _tone(frames, gain, lift):
    return np.clip(frames.astype(np.float32) * gain + lift, 0, 255).astype(np.uint8)


def _gray(frames):
    return np.stack([np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) for frame in frames])


def _logo(frames):
    out = frames.copy()
    for frame in out:
        cv2.circle(frame, (140, 16), 11, (235, 40, 40), -1)
    return out


COPIES = {
    "itself": lambda f: f,
    "smaller": lambda f: resized(f, 96, 72),
    "larger": lambda f: resized(f, 240, 180),
    "squeezed": lambda f: resized(f, 160, 90),
    "cropped": lambda f: f[:, 6:-6, 8:-8],
    "cropped far": lambda f: f[:, 16:-16, 22:-22],
    "letterboxed": lambda f: np.pad(f, ((0, 0), (14, 14), (0, 0), (0, 0))),
    "brighter": lambda f: _tone(f, 1.0, 35),
    "flatter": lambda f: _tone(f, 0.6, 40),
    "gray": _gray,
    "with a logo": _logo,
    "without its head": lambda f: f[5:],
    "without its tail": lambda f: f[:15],
    "half the rate": lambda f: f[::2],
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(name):
    match = _found(ORIGINAL, COPIES[name](ORIGINAL), two_fps=FPS / 2 if name == "half the rate" else FPS)
    assert match is not None
    assert match.share >= 0.6


@pytest.mark.parametrize("speed", [0.8, 0.95, 1.05, 1.25])
def test_faster_and_slower_copies_are_found(speed):
    assert _found(ORIGINAL, ORIGINAL, two_fps=FPS * speed) is not None


@pytest.mark.parametrize("crf", [28, 38])
def test_copies_are_found_after_coding(crf, tmp_path):
    assert _found(ORIGINAL, coded(ORIGINAL, FPS, crf, tmp_path)) is not None


def test_backwards_is_another_clip():
    assert _found(ORIGINAL, ORIGINAL[::-1]) is None


def test_a_mirrored_copy_counts_only_if_asked():
    mirrored = np.ascontiguousarray(ORIGINAL[:, :, ::-1])
    assert _found(ORIGINAL, mirrored) is None
    assert _found(ORIGINAL, mirrored, mirror=True) is not None
    assert _found(ORIGINAL, mirrored[:, 6:-6, 8:-8], mirror=True) is not None


def test_other_colours_are_another_clip():
    assert _found(ORIGINAL, np.ascontiguousarray(255 - ORIGINAL[..., ::-1])) is None
    swapped = ORIGINAL[..., [2, 0, 1]]
    assert _found(ORIGINAL, np.ascontiguousarray(swapped)) is None


def test_an_image_is_no_copy_of_a_video_that_shows_it():
    assert _found(ORIGINAL[:1], ORIGINAL) is None
    assert _found(ORIGINAL[:1], resized(ORIGINAL[:1], 96, 72)) is not None


LOOK = Look("red", "circle", "left", "slow", "large", "slate")


@pytest.mark.parametrize("color", [color for color in COLOURS if color != LOOK.color])
def test_shapes_that_differ_in_colour_are_apart(color):
    assert _found(shape(LOOK, 3), shape(Look(color, *_rest(LOOK)), 3)) is None


def test_all_pairs_of_colours_are_apart():
    for background in ("black", "gray", "slate", "brown"):
        rows = [hashed(c, shape(Look(c, "star", "up", "fast", "small", background), 5)) for c in COLOURS]
        assert find_matches(read_prints(table(*rows)), PerceptualParams(mirror=True)) == []


def test_all_pairs_of_shapes_are_apart():
    for background in ("black", "slate"):
        rows = [hashed(s, shape(Look("white", s, "right", "slow", "large", background), 6)) for s in OUTLINES]
        assert find_matches(read_prints(table(*rows)), PerceptualParams()) == []


def test_other_directions_and_backgrounds_are_apart():
    frames = shape(LOOK, 4)
    assert _found(frames, frames[::-1]) is None
    assert _found(frames, shape(Look("red", "circle", "left", "slow", "large", "brown"), 4)) is None


@pytest.mark.parametrize("crf", [24, 34])
def test_a_reencoded_shape_is_found(crf, tmp_path):
    frames = shape(LOOK, 7)
    assert _found(frames, coded(frames, FPS, crf, tmp_path)) is not None
    assert _found(frames, resized(frames, 64, 64)) is not None


def _rest(look):
    return look.shape, look.direction, look.speed, look.size, look.background


def test_flat_clips_match_by_colour_only():
    levels = [(0, 0, 0), (200, 0, 0), (0, 0, 200), (1, 1, 0)]
    rows = [hashed(str(n), np.full((16, 90, 160, 3), level, np.uint8)) for n, level in enumerate(levels)]
    matches = find_matches(read_prints(table(*rows)), PerceptualParams())
    assert [(match.one, match.two) for match in matches] == [(0, 3)]


def test_missing_and_damaged_columns_are_refused():
    good = table(hashed("a", ORIGINAL))
    with pytest.raises(SpecError, match=r"phash\.thumbs"):
        read_prints(good.drop_columns(["phash.thumbs"]))
    with pytest.raises(SpecError, match="holds 3 bytes"):
        read_prints(table(hashed("a", ORIGINAL) | {"phash.hashes": b"abc"}))


def test_a_clip_that_could_not_be_hashed_matches_nothing():
    empty = {"phash.count": None, "phash.hashes": None, "phash.thumbs": None, "phash.score": None}
    rows = [hashed("a", ORIGINAL), hashed("b", ORIGINAL) | empty, hashed("c", ORIGINAL), hashed("d", ORIGINAL) | empty]
    matches = find_matches(read_prints(table(*rows)), PerceptualParams())
    assert [(match.one, match.two) for match in matches] == [(0, 2)]


def _synthetic(clips, frames, seed, flips, crowd=0):
    """Random hashes of `clips` clips; every tenth is a copy of the one before with a share of its bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, (clips, frames, 4, 4), dtype=np.uint64)
    for clip in range(1, clips, 10):
        noise = rng.random((frames, 4, 64)) < flips
        mask = (noise << np.arange(64, dtype=np.uint64)).sum(axis=-1, dtype=np.uint64)
        hashes[clip, :, 0] = hashes[clip - 1, :, 0] ^ mask
    if crowd:
        hashes[:crowd] = hashes[0]
    first = np.arange(0, clips * frames + 1, frames)
    thumbs = np.zeros((clips * frames, 384), np.uint8)
    return Prints(first, hashes.reshape(-1, 4, 4), thumbs, np.ones(len(thumbs), bool), np.zeros(len(thumbs), bool))


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 1000))
def test_the_index_finds_what_comparing_all_finds(seed):
    prints = _synthetic(300, 8, seed, 0.12)
    frames, clips = key_frames(prints)
    found = {(c.one, c.two) for c in find_candidates(prints, 72, False) if c.view == 0}
    whole = prints.hashes[frames, 0]
    near = [(clips[i], clips[j]) for i in range(len(frames)) for j in np.flatnonzero(bits_apart(whole[i], whole) <= 72)]
    expected = {(int(min(pair)), int(max(pair))) for pair in near if pair[0] != pair[1]}
    assert found <= expected
    assert len(expected) == 30
    assert len(found) >= 28


def test_a_crowd_of_equal_clips_stays_one_group_and_cheap(caplog):
    crowd = MOST_MET + 100
    prints = _synthetic(crowd + 50, 2, 1, 0.0, crowd=crowd)
    candidates = find_candidates(prints, 72, False)
    group = {0}
    for one, two, *_ in candidates:
        if one in group or two in group:
            group |= {one, two}
    assert set(range(crowd)) <= group
    assert "even choice" in caplog.text
