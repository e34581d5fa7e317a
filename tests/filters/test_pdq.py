"""PDQ against Meta's own code, and what it must keep by itself where that is not installed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters._pdq import BYTES, COSINES, LEAST_QUALITY, MAX_DISTANCE, SIDE, hash_points, pdq, pdq_of_rgb, points
from tests.conftest import SHARED, needs_shared
from tests.filters.pictures import coded, texture


def _apart(one, two):
    return int(np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(two, np.uint8)).sum())


def _compared(pictures):
    """Bits and points of quality between this code and Meta's, (N, 2)."""
    pdqhash = pytest.importorskip("pdqhash", reason="needs the package pdqhash, which is built from source")
    rows = []
    for picture in pictures:
        vector, quality = pdqhash.compute(np.ascontiguousarray(picture))
        mine, my_quality = pdq_of_rgb(picture)
        rows.append((_apart(mine, np.packbits(vector.astype(np.uint8)).tobytes()), abs(my_quality - quality)))
    return np.array(rows)


def _sizes(count, least, most, seed):
    return np.random.default_rng(seed).integers(least, most, (count, 2))


def test_textures_of_any_size_have_metas_bits():
    sizes = [*_sizes(60, 16, 500, 1), (64, 64), (64, 300), (127, 128), (128, 129), (1080, 1920), (721, 1279)]
    rows = _compared(texture(seed, *size) for seed, size in enumerate(sizes))
    assert np.median(rows[:, 0]) == 0
    assert rows[:, 0].max() <= 2
    assert rows[:, 1].max() <= 1


def test_noise_and_drawings_have_metas_bits():
    rng = np.random.default_rng(2)
    pictures = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in _sizes(20, 16, 300, 3)]
    for _ in range(20):
        drawing = np.full((240, 320, 3), 30, np.uint8)
        for _ in range(8):
            centre, radius = [int(v) for v in rng.integers(0, 320, 2)], int(rng.integers(10, 90))
            cv2.circle(drawing, centre, radius, [int(v) for v in rng.integers(0, 256, 3)], -1, cv2.LINE_AA)
        pictures.append(drawing)
    rows = _compared(pictures)
    assert np.median(rows[:, 0]) == 0
    assert rows[:, 0].max() <= 4
    assert rows[:, 1].max() <= 1


def test_tiny_and_narrow_pictures_stay_near():
    rows = _compared(texture(seed, *size)[: size[0], : size[1]] for seed, size in enumerate(_sizes(40, 5, 16, 4)))
    assert np.median(rows[:, 0]) <= 2
    assert rows[:, 1].max() <= 1


@needs_shared
def test_decoded_footage_has_metas_bits():
    import av

    frames = []
    for path in sorted((SHARED / "data" / "clips").glob("*.mp4"))[::4]:
        with av.open(str(path)) as container:
            frames.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    rows = _compared(frames)
    # A black first frame has no frequencies but rounding: its bits mean nothing, and its quality says so.
    told = np.array([pdq_of_rgb(frame)[1] >= LEAST_QUALITY for frame in frames])
    assert told.sum() >= 15
    assert rows[told, 0].max() <= 2
    assert rows[:, 1].max() <= 1


def test_what_is_published_of_the_hash():
    # From the paper: half of the bits are set, since they are compared with the median.
    hashes, quality = pdq(np.stack([texture(seed)[..., 1] for seed in range(20)]))
    assert hashes.shape == (20, BYTES)
    assert hashes.dtype == quality.dtype == np.uint8
    assert (np.bitwise_count(hashes).sum(axis=1) == 128).all()
    assert quality.min() >= LEAST_QUALITY


def test_the_hex_text_begins_with_the_highest_frequencies():
    wave = np.zeros((1, SIDE, SIDE), np.float32)
    wave[0] = 100 * COSINES[0][:, None] * COSINES[0][None]  # the lowest frequency of both directions alone
    bits = np.unpackbits(hash_points(wave)[0][0])
    assert bits[-1] == 1
    assert pdq_of_rgb(np.zeros((64, 64, 3), np.uint8))[0].hex() == "0" * 64


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(16, 200), st.integers(16, 200))
def test_many_at_once_are_each_alone(seed, height, width):
    gray = np.stack([texture(seed + n, height, width)[..., 1] for n in range(3)])
    hashes, quality = pdq(gray)
    for one, of_one, frame in zip(hashes, quality, gray, strict=True):
        alone, its_quality = pdq(frame[None])
        assert _apart(one.tobytes(), alone.tobytes()) <= 2  # a product of other shapes rounds otherwise
        assert abs(int(of_one) - int(its_quality[0])) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0.5, 1.0), st.floats(0, 40))
def test_brightness_and_contrast_are_no_bits(seed, gain, offset):
    gray = texture(seed, 120, 160)[..., 1].astype(np.float32)
    one, two = pdq(np.stack([gray, gain * gray + offset]))[0]
    assert _apart(one.tobytes(), two.tobytes()) <= 4


def test_the_blur_averages():
    level = np.full((1, 200, 300), 77, np.uint8)
    np.testing.assert_allclose(points(level), 77.0, rtol=1e-5)


def test_copies_stay_within_the_limit_and_others_beyond(tmp_path):
    pictures = np.stack([texture(seed, 180, 320) for seed in range(12)])
    first = [pdq_of_rgb(picture)[0] for picture in pictures]
    copies = [pdq_of_rgb(picture)[0] for picture in coded(pictures, 5.0, 32, tmp_path)]
    small = [pdq_of_rgb(cv2.resize(p, (200, 112), interpolation=cv2.INTER_AREA))[0] for p in pictures]
    for some in (copies, small):
        assert max(_apart(a, b) for a, b in zip(first, some, strict=True)) <= MAX_DISTANCE
    others = [_apart(a, b) for n, a in enumerate(first) for b in first[:n]]
    assert min(others) > 2 * MAX_DISTANCE


@pytest.mark.parametrize("shape", [(2, 4, 90), (3, 90, 4)])
def test_what_is_too_small_has_no_quality(shape):
    hashes, quality = pdq(np.full(shape, 9, np.uint8))
    assert not hashes.any()
    assert quality.tolist() == [0] * shape[0]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_picture_has_no_quality(level):
    assert pdq_of_rgb(np.full((90, 160, 3), level, np.uint8))[1] == 0
