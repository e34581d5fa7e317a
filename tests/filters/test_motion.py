"""Motion: frozen is 0 through any codec, slow is not, and speed reads as speed."""

from __future__ import annotations

import numpy as np
import pytest

from filters.motion import Motion
from tests.filters.pictures import coded, disc, row, shifted, texture


def _score(frames, fps=None):
    return row(Motion(), frames, fps)["score"]


@pytest.mark.parametrize("crf", [18, 30])
def test_frozen_shots_have_none_after_coding(crf, tmp_path):
    frames = coded(np.stack([texture(1, 128, 224)] * 24), 8.0, crf, tmp_path)
    assert _score(frames) < 0.0005


def test_sensor_noise_is_no_motion(tmp_path):
    rng = np.random.default_rng(0)
    picture = texture(2, 128, 224).astype(np.int16)
    noisy = np.stack([np.clip(picture + rng.normal(0, 5, picture.shape), 0, 255) for _ in range(16)]).astype(np.uint8)
    assert _score(coded(noisy, 8.0, 23, tmp_path)) < 0.001


@pytest.mark.parametrize(("speed", "least"), [(0.1, 0.5), (0.2, 0.75), (0.4, 0.75)])
@pytest.mark.parametrize("angle", [0.0, 1.2])
def test_a_pan_reads_as_its_speed(speed, least, angle):
    # Slow ones read low: where a pixel changed by less than noise does, no motion is claimed.
    frames = shifted(texture(3), speed, 12, 8.0, angle)
    assert least < _score(frames) / speed < 1.2


def test_slower_is_less_and_slow_is_not_nothing():
    speeds = [_score(shifted(texture(4), speed, 12, 8.0)) for speed in (0.0, 0.03, 0.06, 0.15, 0.5)]
    assert speeds == sorted(speeds)
    assert speeds[0] == 0.0
    assert speeds[1] > 0.002


def test_speed_does_not_depend_on_size_or_rate():
    small = _score(shifted(texture(5, 90, 160), 0.2, 12, 8.0))
    large = _score(shifted(texture(5, 360, 640), 0.2, 12, 8.0))
    seldom = _score(shifted(texture(5), 0.2, 6, 4.0), fps=4.0)
    assert large == pytest.approx(small, rel=0.3)
    assert seldom == pytest.approx(small, rel=0.3)


@pytest.mark.parametrize("colour", [(45, 80, 235), (225, 40, 40), (245, 245, 245)])
def test_a_small_thing_moves_even_if_it_is_as_bright_as_the_wall(colour):
    still = np.stack([disc((88, 88, 88), colour, (40, 48))] * 8)
    moving = np.stack([disc((88, 88, 88), colour, (30 + 1.4 * t, 48)) for t in range(8)])
    assert _score(still) == 0.0
    assert _score(moving) > 0.004


def test_an_image_has_no_pairs():
    assert row(Motion(), texture(6)[None])["pairs"] == 0
