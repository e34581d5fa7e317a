"""Borders: bars of any side are found to the pixel; dark scenes, fades and passing things are no bars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.borders import Borders
from tests.filters.pictures import coded, disc, row, shifted, texture

BRIGHT = texture(1, 120, 200) // 2 + 60


def _row(frames):
    return row(Borders(), np.asarray(frames, np.uint8))


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40), st.integers(0, 40), st.integers(0, 16))
def test_bars_are_found_to_the_pixel(top, bottom, left, right, level):
    barred = np.full((120, 200, 3), level, np.uint8)
    barred[top : 120 - bottom, left : 200 - right] = BRIGHT[top : 120 - bottom, left : 200 - right]
    found = _row([barred])
    assert found["score"] == pytest.approx(1 - (120 - top - bottom) * (200 - left - right) / 24000, abs=0.005)
    box = [left / 200, top / 120, 1 - right / 200, 1 - bottom / 120]
    assert [found[side] for side in ("left", "top", "right", "bottom")] == pytest.approx(
        box, abs=0.25 / 120
    )  # a quarter of a line


@pytest.mark.parametrize("crf", [18, 32])
def test_bars_are_found_after_coding(crf, tmp_path):
    barred = BRIGHT.copy()
    barred[:16], barred[-16:] = 0, 0
    assert _row(coded(np.stack([barred] * 3), 2.0, crf, tmp_path))["score"] == pytest.approx(32 / 120, abs=0.02)


def test_a_logo_on_a_bar_hides_it_not():
    barred = BRIGHT.copy()
    barred[:20], barred[-20:] = 0, 0
    barred[6:14, 170:190] = 230
    found = _row([barred])
    assert [found["top"], found["bottom"]] == pytest.approx([20 / 120, 100 / 120], abs=0.003)


def test_a_bar_beside_dark_content_is_found_by_its_partner():
    barred = BRIGHT.copy()
    barred[:60, :140] = 3  # the scene is dark along most of its upper edge
    barred[:20], barred[-20:] = 0, 0
    assert _row([barred])["top"] == pytest.approx(20 / 120, abs=0.003)
    barred[-20:] = BRIGHT[-20:]  # without a partner it may be the scene
    assert _row([barred])["top"] == 0.0


def test_a_patterned_frame_that_stands_still_is_found():
    frames = np.stack([texture(seed, 120, 200) for seed in (1, 2, 3, 4)])
    frames[:, :, :30], frames[:, :, -26:] = texture(9, 120, 200)[:, :30], texture(9, 120, 200)[:, -26:]
    found = _row(frames)
    assert [found["left"], found["right"]] == pytest.approx([30 / 200, 174 / 200], abs=0.006)
    assert [found["top"], found["bottom"]] == [0.0, 1.0]


def test_a_still_camera_has_no_frame():
    frames = np.stack([texture(1, 120, 200)] * 4)
    assert _row(frames)["score"] == 0.0
    for number, frame in enumerate(frames):  # somebody passes before the wall
        frame[40:110, 60 + 10 * number : 110 + 10 * number] = 200
    assert _row(frames)["score"] == 0.0


def test_one_dark_frame_makes_no_bar_and_hides_none():
    barred = BRIGHT.copy()
    barred[:20] = 0
    fade = [np.zeros_like(BRIGHT), BRIGHT, BRIGHT]
    assert _row(fade)["score"] == 0.0
    assert _row([np.zeros_like(BRIGHT), barred, barred])["top"] == pytest.approx(20 / 120, abs=0.1 / 120)


@pytest.mark.parametrize("level", [0, 14, 22])
def test_a_dark_scene_has_no_bars(level):
    assert _row(np.full((4, 120, 200, 3), level, np.uint8))["score"] == 0.0
    still = disc((level,) * 3, (245, 245, 245), (48, 48))
    assert _row([still])["score"] == 0.0


def test_a_thing_that_passes_before_the_dark_makes_none():
    frames = [np.full((96, 96, 3), 14, np.uint8) for _ in range(8)]
    for t, frame in enumerate(frames):
        frame[40:64, 9 * t : 9 * t + 24] = 200
    assert _row(frames)["score"] == 0.0


def test_a_ground_in_darkness_with_a_bright_sky_is_no_bar():
    horizon = np.full((120, 200, 3), 6, np.uint8)
    for x in range(200):
        horizon[: 60 + int(20 * np.sin(x / 15)), x] = 180
    assert _row(shifted(horizon, 0.1, 4, 2.0))["score"] == 0.0
