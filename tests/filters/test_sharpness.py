"""Sharpness: blur lowers it, in order; size, contrast and brightness hardly move it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from filters.sharpness import Sharpness
from tests.filters.pictures import coded, disc, row, texture


def _score(picture):
    return row(Sharpness(), picture[None])["score"]


def _blurred(picture, share):
    return cv2.GaussianBlur(picture, (0, 0), share * min(picture.shape[:2]))


def _edges(seed=0, height=180, width=320):
    """A picture of crisp things: quantised texture, as photographs in focus have outlines."""
    return (texture(seed, height, width) // 64) * 64


def test_more_blur_is_less_sharp():
    scores = [_score(_edges()), *(_score(_blurred(_edges(), share)) for share in (0.01, 0.02, 0.04))]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 2 * scores[-1]


@pytest.mark.parametrize("scale", [0.75, 1.5, 3.0])
def test_size_hardly_moves_it(scale):
    picture = _edges(1, 360, 640)
    size = [round(side * scale) for side in picture.shape[1::-1]]
    other = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    assert _score(other) == pytest.approx(_score(picture), abs=0.05)


def test_contrast_and_brightness_hardly_move_it():
    picture = _edges(2)
    dull = (picture * 0.5 + 20).astype(np.uint8)
    assert _score(dull) == pytest.approx(_score(picture), abs=0.03)


@pytest.mark.parametrize("background", [(14, 14, 16), (88, 88, 88)])
@pytest.mark.parametrize("colour", [(45, 80, 235), (220, 50, 205), (240, 220, 40)])
def test_one_thing_on_a_plain_wall_is_enough_to_tell(background, colour, tmp_path):
    sharp = np.stack([disc(background, colour, (48, 48))] * 4)
    soft = np.stack([_blurred(frame, 0.05) for frame in sharp])
    sharp, soft = coded(sharp, 8.0, 18, tmp_path), coded(soft, 8.0, 18, tmp_path)
    assert _score(sharp[0]) > 0.19 > _score(soft[0])


def test_nothing_to_see_is_not_sharp():
    assert row(Sharpness(), np.full((1, 90, 160, 3), 90, np.uint8)) == {"score": 0.0, "edges": 0.0}
