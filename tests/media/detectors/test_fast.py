"""`fast`: cuts to the frame, transitions with their extent, nothing at flashes, strobes, pans and freezes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.media.detectors.fast import Fast
from tests.media.detectors.footage import dissolve, run, scene


@pytest.mark.parametrize("fps", [15.0, 25.0, 50.0, 60.0, 120.0])
@pytest.mark.parametrize("at", [97, 98, 300])
def test_a_hard_cut_is_exact_to_the_frame(fps, at):
    frames = np.concatenate([scene(1, at), scene(2, 500 - at)])
    assert [(b.start, b.end) for b in run(Fast(), frames, fps)] == [(at, at)]


@pytest.mark.parametrize("size", [(48, 27), (27, 27), (1, 1), (27, 300)])
def test_any_aspect(size):
    frames = np.concatenate([np.full((60, *size, 3), 30, np.uint8), np.full((60, *size, 3), 220, np.uint8)])
    assert [b.start for b in run(Fast(), frames)] == [60]


@pytest.mark.parametrize("length", [8, 15, 30])
def test_a_dissolve_has_its_extent(length):
    old, new = scene(1, 100 + length), scene(2, 100 + length)
    frames = np.concatenate([old[:100], dissolve(old[100:], new[:length]), new[length:]])
    (found,) = run(Fast(), frames)
    assert abs(found.start - 100) <= 2
    assert abs(found.end - (100 + length)) <= 2
    assert 0 < found.confidence <= 1


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("hold", [3, 10])
def test_a_fade_is_one_boundary(level, hold):
    flat = np.full((hold, 27, 48, 3), level, np.uint8)
    old, new, wall = scene(1, 100), scene(2, 100), np.full((10, 27, 48, 3), level, np.uint8)
    frames = np.concatenate([old[:90], dissolve(old[90:], wall), flat, dissolve(wall, new[:10]), new[10:]])
    (found,) = run(Fast(), frames)
    assert abs(found.start - 90) <= 2
    assert abs(found.end - (110 + hold)) <= 2


def _disc(background, colour, frames, radius=5):
    """A disc that crosses a plain picture, and leaves one quarter after the other flat."""
    pictures = np.full((frames, 27, 27, 3), background, np.uint8)
    for number, picture in enumerate(pictures):
        cv2.circle(picture, (5 + round(17 * number / frames), 13), radius, colour, -1)
    return pictures


@pytest.mark.parametrize("fps", [8.0, 12.0, 24.0])
@pytest.mark.parametrize("dark", [20, 90])
def test_things_before_a_plain_wall_are_neither_fades_nor_transitions(fps, dark):
    shots = [((dark, 40, 50), (200, 30, 30)), ((180, 180, 170), (20, 60, 200)), ((30, 120, 60), (240, 240, 240))]
    frames = np.concatenate([_disc(*shot, round(2 * fps)) for shot in shots])
    cuts = [round(2 * fps), round(4 * fps)]
    assert [(b.start, b.end) for b in run(Fast(), frames, fps)] == [(cut, cut) for cut in cuts]


def _flash(frames: np.ndarray) -> None:
    frames[100:102] = 230 + frames[100:102] // 10


def _strobe(frames: np.ndarray) -> None:
    for start in range(100, 124, 6):
        frames[start : start + 3] = np.clip(frames[start : start + 3] * 1.7, 0, 255)
        frames[start + 3 : start + 6] = frames[start + 3 : start + 6] * 0.35


def _freeze(frames: np.ndarray) -> None:
    frames[100:130] = frames[100]


@pytest.mark.parametrize("trap", [_flash, _strobe, _freeze])
def test_a_trap_is_no_boundary(trap):
    frames = scene(3, 240)
    trap(frames)
    assert run(Fast(), frames) == []


@pytest.mark.parametrize(("way", "length"), [(60, 30), (100, 15), (100, 60), (200, 60), (400, 60)])
@pytest.mark.parametrize("grain", [12, 30, 60])
def test_a_fast_pan_is_no_boundary(way, length, grain):
    coarse = np.random.default_rng(4).integers(0, 256, (6, grain, 3)).astype(np.float32)
    wide = np.clip(cv2.resize(coarse, (480, 27), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    there = np.linspace(0, way, length)
    left = np.concatenate([np.zeros(60), there, there[::-1], np.zeros(60)]).astype(int)
    assert run(Fast(), np.stack([wide[:, x : x + 48] for x in left])) == []


@pytest.mark.parametrize("kind", ["wipe", "push"])
def test_a_wipe_and_a_push_have_their_extent(kind):
    old, new = scene(1, 116), scene(2, 116)
    mixed = []
    for k in range(16):
        edge = round(48 * (k + 1) / 17)
        kept = old[100 + k][:, edge:] if kind == "wipe" else old[100 + k][:, : 48 - edge]
        shown = new[k][:, :edge] if kind == "wipe" else new[k][:, 48 - edge :]
        mixed.append(np.concatenate([shown, kept], axis=1))
    (found,) = run(Fast(), np.concatenate([old[:100], mixed, new[16:]]))
    assert abs(found.start - 100) <= 3
    assert abs(found.end - 116) <= 3


def test_black_bars_dilute_nothing():
    frames = np.concatenate([scene(1, 100), scene(2, 100)])
    frames[:, :, :16] = frames[:, :, 32:] = 0
    assert [b.start for b in run(Fast(), frames)] == [100]


def test_pictures_may_change_their_size():
    detector = Fast()
    small, large = scene(1, 100), scene(1, 100, (48, 27))
    found = detector.push(small, [i / 25 for i in range(100)], 0)
    found += detector.push(large, [i / 25 for i in range(100, 200)], 100)
    for boundary in found + detector.finish():
        assert 98 <= boundary.start <= 102


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_hardly_any_frames(count):
    assert run(Fast(), scene(1, count)) == []


FOOTAGE = np.concatenate([
    scene(1, 90), dissolve(scene(1, 12), scene(2, 12)), scene(2, 25), scene(3, 200), scene(4, 130), scene(5, 60),
])  # fmt: skip
WHOLE = {fps: run(Fast(), FOOTAGE, fps, (len(FOOTAGE),)) for fps in (25.0, 60.0)}


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.sampled_from([25.0, 60.0]))
@settings(max_examples=15, deadline=None)
def test_batches_change_nothing(batches, fps):
    assert run(Fast(), FOOTAGE, fps, batches) == WHOLE[fps]
    assert len(WHOLE[fps]) == 4


def test_what_it_holds_is_bounded():
    detector = Fast()
    for index in range(0, 3000, 100):
        detector.push(scene(1, 100), [(index + i) / 25 for i in range(100)], index)
    assert len(detector._windows._all) < 400


def test_a_broken_clock_piles_up_nothing():
    detector = Fast()
    for index in range(0, 6000, 100):
        detector.push(scene(1, 100), [0.0] * 100, index)
    assert len(detector._windows._all) <= 400 * 16
    assert detector.finish() == []
