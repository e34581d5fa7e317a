"""Hashes: against SciPy's transform and imagehash, mirrored by XOR, steady under what copies go through."""

from __future__ import annotations

import cv2
import imagehash
import numpy as np
import pytest
import scipy.fft
from PIL import Image

from curate.registry import resolve
from filters.dedup import phash
from filters.dedup.candidates import bits_apart, low_word, mirror_mask
from filters.dedup.phash import BYTES, COSINES, KEPT, SIDE, THUMB, VIEWS, Phash, hash_views, information, thumb
from tests.filters.dedup.clips import hashed, take
from tests.filters.pictures import texture


def _gray(seed):
    return cv2.cvtColor(texture(seed, SIDE, SIDE), cv2.COLOR_RGB2GRAY)


def _bits(gray):
    return np.unpackbits(_hash(gray), bitorder="little").astype(bool)


def test_it_is_found_by_its_name():
    assert resolve("hash", "phash") is Phash


def test_the_transform_is_the_orthonormal_dct():
    gray = _gray(1).astype(np.float32)
    expected = scipy.fft.dctn(gray, norm="ortho")[:KEPT, :KEPT]
    np.testing.assert_allclose(COSINES @ gray @ COSINES.T, expected, atol=1e-2)


def test_it_agrees_with_imagehash():
    # imagehash compares with the median of the same frequencies, which lies near our zero.
    agree = []
    for seed in range(20):
        gray = _gray(seed)
        theirs = imagehash.phash(Image.fromarray(gray), hash_size=KEPT, highfreq_factor=SIDE // KEPT).hash.ravel()
        agree.append((theirs == _bits(gray))[1:].mean())
    assert np.mean(agree) > 0.97
    assert min(agree) > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_the_mirrored_picture_is_an_xor_away(seed):
    gray = _gray(seed)
    mirrored = _hash(gray[:, ::-1])
    assert int(np.bitwise_count(mirrored ^ _hash(gray) ^ phash.MIRROR).sum()) <= 1
    one, two = (np.frombuffer(value.tobytes(), np.uint64) for value in (mirrored, _hash(gray)))
    assert bits_apart(one, two ^ mirror_mask()) <= 1


def test_the_low_word_is_the_8_by_8_corner():
    bits = np.zeros((KEPT, KEPT), bool)
    for row, column in ((0, 1), (3, 5), (7, 7), (8, 0), (0, 8)):
        bits[row, column] = True
    value = np.packbits(bits.ravel(), bitorder="little").view(np.uint64)[None]
    assert int(low_word(value)[0]) == sum(1 << (8 * row + column) for row, column in ((0, 1), (3, 5), (7, 7)))


def test_copies_stay_near_and_other_pictures_far():
    picture = texture(3, 240, 320)
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    first = _hash(gray)
    copies = [
        _hash(cv2.resize(gray, (160, 120), interpolation=cv2.INTER_AREA)),
        _hash(cv2.GaussianBlur(gray, (0, 0), 2.0)),
        _hash(np.clip(gray.astype(int) + 30, 0, 255).astype(np.uint8)),
        _hash((gray * 0.6).astype(np.uint8)),
    ]
    assert max(int(np.bitwise_count(first ^ copy).sum()) for copy in copies) < 24
    others = [_hash(cv2.cvtColor(texture(seed, 240, 320), cv2.COLOR_RGB2GRAY)) for seed in range(4, 20)]
    assert min(int(np.bitwise_count(first ^ other).sum()) for other in others) > 80


def _hash(gray):
    return hash_views(gray[None])[0, 0]


@pytest.mark.parametrize(("view", "share"), [(1, 0.05), (2, 0.1), (3, 0.145)])
def test_a_view_is_the_hash_of_the_cropped_picture(view, share):
    gray = cv2.cvtColor(texture(7, 240, 320), cv2.COLOR_RGB2GRAY)
    cut = gray[round(240 * share) : 240 - round(240 * share), round(320 * share) : 320 - round(320 * share)]
    apart = np.bitwise_count(hash_views(gray[None])[0, view] ^ _hash(cut)).sum()
    assert apart < 16


def test_columns_hold_every_frame_and_bars_are_cut_first():
    frames = take(1)
    row = hashed("a", frames)
    assert row["phash.count"] == 12
    assert len(row["phash.hashes"]) == 12 * VIEWS * BYTES
    assert len(row["phash.thumbs"]) == 12 * THUMB
    barred = np.pad(frames, ((0, 0), (15, 15), (0, 0), (0, 0)))
    hashes = [np.frombuffer(r["phash.hashes"], np.uint64).reshape(-1, VIEWS, 4) for r in (row, hashed("b", barred))]
    assert bits_apart(hashes[0][:, 0], hashes[1][:, 0]).mean() < 16


def test_information_tells_flat_from_textured():
    flat, rich = np.full((96, 96, 3), 120, np.uint8), texture(2, 96, 96)
    low, high = information(np.stack([thumb(flat), thumb(rich)]))
    assert low == 0.0
    assert high > 20.0
