"""NudeNet: what its own detector finds, frame by frame and crop by crop, and nothing more."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from nudenet import NudeDetector

from curate.stage import Clip, measure_row
from filters._nudenet import CLASSES, EXPLICIT, SUGGESTIVE, scores, weights
from filters.nudenet import NudeNet
from tests.conftest import SHARED, needs_shared
from tests.filters.pictures import texture

CLIP = Clip("c", 160, 96, 3, 1.0, (0.0, 0.5, 1.0))


OWN = NudeDetector()  # as the package makes it, on every core


def _own(picture_HWC):
    """What the package says of a picture, BGR as it reads files."""
    return OWN.detect(np.ascontiguousarray(picture_HWC[..., ::-1]))


def _same(picture_HWC):
    """Whether our scores are the package's; how many of our classes it found."""
    expected = dict.fromkeys(CLASSES, 0.0)
    for detection in _own(picture_HWC):
        if detection["class"] in expected:
            expected[detection["class"]] = max(expected[detection["class"]], detection["score"])
    assert scores(picture_HWC) == expected
    return sum(value > 0 for value in expected.values())


def test_scores_are_those_of_the_package():
    for picture in (texture(1, 200, 300), np.zeros((64, 64, 3), np.uint8), np.full((300, 100, 3), 200, np.uint8)):
        _same(picture)


@needs_shared
def test_scores_on_real_frames_are_those_of_the_package():
    found = 0
    for path in sorted((SHARED / "data" / "clips").glob("*.mp4"))[::2]:
        video = cv2.VideoCapture(str(path))
        video.set(cv2.CAP_PROP_POS_FRAMES, video.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
        good, frame = video.read()
        video.release()
        if good:
            found += _same(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    assert found, "no body was seen at all: this compares nothing"


def test_the_categories_are_the_worst_of_their_classes():
    frames = np.stack([texture(2, 96, 160), texture(3, 96, 160), texture(4, 96, 160)])
    row = measure_row(NudeNet(("explicit", "suggestive")), frames, CLIP)
    assert row["explicit"] == pytest.approx(max(row[name.lower()] for name in EXPLICIT))
    assert row["suggestive"] == pytest.approx(max(row[name.lower()] for name in SUGGESTIVE))
    assert len(row["explicit_by_frame"]) == 3
    with pytest.raises(ValueError, match="says nothing about hate"):
        NudeNet(("hate",))


def test_rows_depend_on_the_weights():
    digest = hashlib.sha256(weights().read_bytes()).hexdigest()
    assert NudeNet(("explicit",)).identity() == {"weights": digest}
    assert NudeNet(("explicit",)).calibration() is None
