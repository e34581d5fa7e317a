"""Text overlay: planted texts are found where they are and read; pictures without text have none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from filters.text_overlay import TextOverlay
from tests.filters.pictures import row, texture

HEIGHT, WIDTH = 256, 456


def _scene(frames=8):
    """A textured picture that moves under whatever is drawn upon it."""
    wide = cv2.GaussianBlur(texture(5, HEIGHT, WIDTH + 8 * frames), (0, 0), 3)
    return np.stack([wide[:, 8 * k : 8 * k + WIDTH] for k in range(frames)])


def _draw(frame_HWC, text, x, y, size=0.9):
    """Draw white text on a dark plate with its baseline at (x, y); the plate's share of the picture."""
    (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
    cv2.rectangle(frame_HWC, (x - 2, y - high - 2), (x + wide + 2, y + below), (20, 20, 20), -1)
    cv2.putText(frame_HWC, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
    return wide * high / (HEIGHT * WIDTH)


def test_a_scene_without_text_has_none():
    found = row(TextOverlay(), _scene(2))
    assert found == {"score": 0.0, "fixed": 0.0, "persistence": 0.0, "place": "", "strings": []}


@pytest.mark.parametrize(
    ("x", "y", "place"), [(20, 40, "top left"), (150, 240, "bottom centre"), (300, 140, "middle right")]
)
def test_a_planted_text_is_read_and_placed(x, y, place):
    frames = _scene()
    share = max(_draw(frame, "HARBOR 42", x, y) for frame in frames)
    found = row(TextOverlay(), frames)
    assert "HARBOR 42" in found["strings"] or "HARBOR42" in found["strings"]
    assert found["place"] == place
    assert found["persistence"] == 1.0
    assert found["fixed"] == pytest.approx(found["score"], rel=0.2)
    assert 0.8 * share < found["score"] < 2.5 * share  # boxes have a margin around the letters


def test_a_text_that_comes_late_is_shown_by_its_persistence():
    frames = _scene()
    for frame in frames[6:]:
        _draw(frame, "THE END", 150, 140)
    found = row(TextOverlay(), frames)
    assert found["persistence"] == 0.25  # one of the four samples
    assert found["fixed"] == 0.0
    assert found["score"] > 0.0


def test_an_image_is_one_sample():
    frames = _scene(1)
    _draw(frames[0], "SALE TODAY", 100, 140)
    assert row(TextOverlay(), frames)["persistence"] == 1.0
