"""Exposure: pixels that hold no picture are counted, dark scenes and bars are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest

from filters.exposure import Exposure
from tests.filters.pictures import row, texture


def _row(picture):
    return row(Exposure(), np.asarray(picture, np.uint8)[None])


def test_a_good_picture_has_none():
    found = _row(texture(1) // 2 + 60)
    assert found["score"] == 0.0
    assert 0.4 < found["brightness"] < 0.55


@pytest.mark.parametrize(("level", "side"), [(0, "dark"), (255, "bright")])
def test_the_share_of_clipped_pixels_is_counted(level, side):
    picture = texture(2) // 2 + 60
    picture[20:110, 40:200] = level
    found = _row(picture)
    assert found[side] == pytest.approx(90 * 160 / (180 * 320), abs=0.01)
    assert found["score"] == pytest.approx(found["dark"] + found["bright"])


def test_a_night_sky_is_dark_but_not_clipped():
    picture = np.full((180, 320, 3), 14, np.uint8)
    picture[60:120, 100:160] = 180
    found = _row(picture)
    assert found["score"] == 0.0
    assert found["brightness"] < 0.15


def test_bars_are_left_to_the_borders():
    picture = texture(3) // 2 + 60
    barred = picture.copy()
    barred[:30], barred[-30:] = 0, 0
    assert _row(barred)["dark"] == 0.0
    assert _row(barred)["brightness"] == pytest.approx(_row(picture)["brightness"], abs=0.05)
