"""Camera motion: planted moves are named as a person would, and the laws of mirrors and time hold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stage import Clip, measure_row
from filters._camera_names import NAMES
from filters.camera import Camera

FPS, WIDTH, HEIGHT = 8.0, 112, 64


def _texture(seed: int) -> np.ndarray:
    """A picture with detail of many sizes, larger than the window."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.integers(0, 256, (n, n, 3)).astype(np.float32), (400, 400)) for n in (6, 20, 60)]
    return (sum(layers) / 3).astype(np.uint8)


def _move(seed: int = 1, count: int = 17, *, pan=0.0, tilt=0.0, zoom=0.0, roll=0.0) -> np.ndarray:
    """Frames (T, H, W, 3) seen by a camera that pans right, tilts up, zooms in and rolls clockwise at these rates."""
    picture, frames = _texture(seed), []
    for n in range(count):
        t = n / FPS - count / FPS / 2
        scale, turn = np.exp(-zoom * t), np.deg2rad(roll) * t
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        centre = np.array([200 + pan * HEIGHT * t, 200 - tilt * HEIGHT * t])
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        matrix[:, 2] = centre - matrix[:, :2] @ np.array([WIDTH / 2, HEIGHT / 2])
        frames.append(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return np.stack(frames)


def _row(frames: np.ndarray) -> dict:
    times = tuple(n / FPS for n in range(len(frames)))
    return measure_row(Camera(), np.ascontiguousarray(frames), Clip("c", WIDTH, HEIGHT, len(frames), times[-1], times))


@pytest.mark.parametrize(
    ("move", "name", "column", "rate"),
    [
        ({"pan": 0.2}, "pan_right", "pan", 0.2),
        ({"pan": -0.4}, "pan_left", "pan", -0.4),
        ({"tilt": 0.3}, "tilt_up", "tilt", 0.3),
        ({"tilt": -0.1}, "tilt_down", "tilt", -0.1),
        ({"zoom": 0.3}, "zoom_in", "zoom", 0.3),
        ({"zoom": -0.2}, "zoom_out", "zoom", -0.2),
        ({"roll": 15.0}, "roll_cw", "roll", 15.0),
        ({"roll": -15.0}, "roll_ccw", "roll", -15.0),
        ({}, "static", "pan", 0.0),
    ],
)
def test_planted_moves_are_named_and_measured(move, name, column, rate):
    row = _row(_move(**move))
    assert row["motion"] == name
    assert row[column] == pytest.approx(rate, rel=0.2, abs=0.01)


def test_a_shaking_camera_is_shaky():
    rng = np.random.default_rng(0)
    picture = _texture(2)
    frames = [picture[y : y + HEIGHT, x : x + WIDTH] for y, x in rng.integers(150, 156, (20, 2))]
    assert _row(np.stack(frames))["motion"] == "shaky"


def test_a_thing_that_moves_before_a_still_camera_is_no_camera_motion():
    textured, plain = _move(count=16), np.full((16, HEIGHT, WIDTH, 3), 90, np.uint8)
    for frames in (textured, plain):
        for n, frame in enumerate(frames):
            cv2.circle(frame, (10 + 5 * n, 32), 12, (250, 40, 40), -1)
            cv2.circle(frame, (10 + 5 * n, 32), 5, (40, 40, 250), -1)
        assert _row(frames)["motion"] == "static"


def test_bars_and_a_logo_do_not_hold_the_camera():
    frames = _move(pan=0.3)
    frames[:, :8] = frames[:, -8:] = 0
    cv2.putText(frames[0], "TV", (80, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    frames[:, 10:26, 78:104] = frames[0, 10:26, 78:104]
    assert _row(frames)["motion"] == "pan_right"


@pytest.mark.parametrize("frames", [np.zeros((1, 64, 112, 3), np.uint8), np.full((9, 64, 64, 3), 130, np.uint8)])
def test_one_frame_and_a_plain_wall_are_static(frames):
    row = _row(frames)
    assert row["motion"] == "static"
    assert row["pan"] == row["tilt"] == row["zoom"] == row["roll"] == 0.0


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), pan=st.sampled_from([-0.3, 0.15, 0.3]), zoom=st.sampled_from([0.0, 0.15]))
def test_mirrors_and_time(seed, pan, zoom):
    frames = _move(seed, pan=pan, zoom=zoom)
    row, mirrored, reversed_ = _row(frames), _row(frames[:, :, ::-1]), _row(frames[::-1])
    assert row["motion"] in NAMES
    assert mirrored["pan"] == pytest.approx(-row["pan"], abs=0.04)
    assert mirrored["zoom"] == pytest.approx(row["zoom"], abs=0.06)
    assert reversed_["pan"] == pytest.approx(-row["pan"], abs=0.04)
    assert reversed_["zoom"] == pytest.approx(-row["zoom"], abs=0.06)
