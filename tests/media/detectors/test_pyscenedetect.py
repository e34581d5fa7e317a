"""The cuts of PySceneDetect's detectors are those that the library's own classes give for the same frames."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scenedetect
from scenedetect import FrameTimecode
from scenedetect.common import Timecode

from curate.media.detectors.fixed import Fixed
from curate.registry import resolve
from tests.media.detectors.footage import FPS, run, scene

PAIRS = [
    ("adaptive", {}, scenedetect.AdaptiveDetector(adaptive_threshold=3.5, window_width=3, min_scene_len=0.6)),
    (
        "adaptive",
        {"window": 1},
        scenedetect.AdaptiveDetector(adaptive_threshold=3.5, window_width=1, min_scene_len=0.6),
    ),
    ("content", {}, scenedetect.ContentDetector(threshold=27.0, min_scene_len=0.6)),
    ("content", {"min_scene_s": 0}, scenedetect.ContentDetector(threshold=27.0, min_scene_len=0.0)),
    ("histogram", {}, scenedetect.HistogramDetector(threshold=0.2, bins=128, min_scene_len=0.6)),
    ("histogram", {"bins": 16}, scenedetect.HistogramDetector(threshold=0.2, bins=16, min_scene_len=0.6)),
]


@pytest.mark.parametrize(("name", "params", "theirs"), PAIRS)
def test_the_same_cuts(name, params, theirs):
    frames = np.concatenate([scene(seed, length) for seed, length in enumerate([40, 5, 30, 8, 8, 50, 20, 3])])
    expected = []
    for index, frame in enumerate(frames):
        moment = FrameTimecode(Timecode(round(index * 1e6 / FPS), Fraction(1, 1_000_000)), fps=FPS)
        expected += theirs.process_frame(moment, np.ascontiguousarray(frame[..., ::-1]))
    expected += theirs.post_process(moment)
    found = run(resolve("detector", name)(**params), frames, batches=(7, 64, 1))
    assert [b.start for b in found] == [round(cut.seconds * FPS) for cut in expected]
    assert len(found) >= 2
    assert all(b.start == b.end and b.confidence == 1 for b in found)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("adaptive", {"threshold": 0}), ("adaptive", {"window": 0}), ("adaptive", {"window": 1.5}),
        ("adaptive", {"min_content": -1}), ("adaptive", {"min_scene_s": "1"}), ("content", {"threshold": 0}),
        ("content", {"threshold": 256}), ("content", {"min_scene_s": float("inf")}), ("histogram", {"threshold": 1.1}),
        ("histogram", {"bins": 1}), ("histogram", {"bins": True}),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(name, params):
    with pytest.raises((TypeError, ValueError), match=next(iter(params))):
        resolve("detector", name)(**params)


@pytest.mark.parametrize("name", ["adaptive", "content", "histogram"])
def test_nothing_and_one_frame(name):
    assert run(resolve("detector", name)(), scene(1, 0)) == []
    assert run(resolve("detector", name)(), scene(1, 1)) == []


def test_fixed_finds_nothing():
    assert run(Fixed(), np.concatenate([scene(1, 30), scene(2, 30)])) == []
