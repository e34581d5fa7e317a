"""Symbols: a planted sign is found whatever was done to it; its parts and other signs are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.stage import Clip, measure_row
from filters.symbols import Symbols
from tests.filters.pictures import texture

HEIGHT, WIDTH, SIDE = 256, 456, 200
SURE = 0.5  # the threshold that the screen suggests


def _wheel(ink, spokes=3, rim=True):
    """A rim with spokes of one length from its middle."""
    if rim:
        cv2.circle(ink, (100, 100), 80, 255, 18)
    for k in range(spokes):
        turn = 2 * np.pi * k / 3
        cv2.line(ink, (100, 100), (round(100 + 52 * np.cos(turn)), round(100 + 52 * np.sin(turn))), 255, 18)
    return ink


def _gate(ink, sill=True):
    """Two posts, a lintel that sticks out, and a loose sill."""
    for ends in (((60, 30), (60, 140)), ((140, 30), (140, 140)), ((20, 40), (180, 40))):
        cv2.line(ink, *ends, 255, 18)
    if sill:
        cv2.line(ink, (40, 172), (160, 172), 255, 18)
    return ink


def _square(ink):
    """A frame around a plus: another sign."""
    cv2.rectangle(ink, (25, 25), (175, 175), 255, 18)
    cv2.line(ink, (70, 100), (130, 100), 255, 18)
    cv2.line(ink, (100, 70), (100, 130), 255, 18)
    return ink


def _blank():
    return np.zeros((SIDE, SIDE), np.uint8)


def _write(folder, name, ink, colour=(0, 205, 225)):
    picture = (ink[..., None] / 255 * np.array(colour)[::-1]).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), picture)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two references, one of them in a subfolder."""
    made = tmp_path_factory.mktemp("references")
    _write(made, "wheel.png", _wheel(_blank()))
    _write(made / "more", "gate.webp", _gate(_blank()))
    return made


@pytest.fixture(scope="module")
def screen(folder):
    return Symbols(("hate",), references=str(folder))


def _scene(seed=3):
    return cv2.GaussianBlur(texture(seed, HEIGHT, WIDTH), (0, 0), 2)


def _plant(frame, drawing, share=0.3, turn=0.0, tilt=0.0, ink=(0, 205, 225), plate=(0, 0, 0), at=(230, 130)):
    """The frame with a drawing on a plate (None: on the frame itself), as a JPEG shows it. Angles in degrees."""
    spin = cv2.Rodrigues(np.array([0, 0, np.radians(turn)]))[0]
    lean = cv2.Rodrigues(np.array([0.6, 0.8, 0]) * np.radians(tilt))[0]
    corners = np.array([[x, y, 0] for x in (-0.5, 0.5) for y in (-0.5, 0.5)]) * share @ (lean @ spin).T + [0, 0, 1]
    seen = corners[:, :2] / corners[:, 2:] * HEIGHT + at
    source = np.array([[x, y] for x in (0, SIDE) for y in (0, SIDE)], np.float32)
    matrix = np.diag([4.0, 4.0, 1.0]) @ cv2.getPerspectiveTransform(source, seen.astype(np.float32))
    spread = [
        cv2.warpPerspective(image, matrix, (4 * WIDTH, 4 * HEIGHT)) for image in (np.full_like(drawing, 255), drawing)
    ]
    under, over = (
        cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[..., None] / 255 for image in spread
    )
    whole = frame.astype(np.float64)
    if plate is not None:
        whole += (np.array(plate) - whole) * under
    whole += (np.array(ink) - whole) * over
    data = cv2.imencode(".jpg", whole.round().astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def _row(screen, *frames):
    times = tuple(np.arange(len(frames)) / 2)
    return measure_row(screen, np.stack(frames), Clip("c", WIDTH, HEIGHT, len(frames), 1.0, times))


@pytest.mark.parametrize("drawing", [_wheel, _gate])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"turn": 77},
        {"turn": 200, "ink": (200, 40, 60), "plate": (60, 160, 70)},
        {"turn": 130, "ink": (25, 25, 30), "plate": (230, 230, 215)},
        {"turn": 31, "ink": (255, 255, 20), "plate": None},
        {"turn": 290, "tilt": 30},
        {"turn": 15, "tilt": 28, "share": 0.8, "ink": (240, 120, 10), "plate": (20, 20, 90), "at": (225, 128)},
    ],
    ids=["plain", "turned", "recoloured", "inverted", "ink alone", "slanted", "large"],
)
def test_a_planted_sign_is_found(screen, drawing, change):
    found = _row(screen, _plant(_scene(), drawing(_blank()), **change))
    name = drawing.__name__[1:]
    assert found["hate"] >= SURE
    assert found["found"][0] == name
    assert found["confidence"] == sorted(found["confidence"], reverse=True)
    assert all(sure < SURE for sure in found["confidence"][1:])
    left, top, right, bottom = found["box"]
    x, y = change.get("at", (230, 130))
    assert left * WIDTH < x < right * WIDTH
    assert top * HEIGHT < y < bottom * HEIGHT
    assert 0.6 * change.get("share", 0.3) < bottom - top < 1.5 * change.get("share", 0.3)


@pytest.mark.parametrize(
    "drawn",
    [
        _wheel(_blank(), spokes=0), _wheel(_blank(), rim=False), _wheel(_blank(), spokes=2),
        _gate(_blank(), sill=False), _square(_blank()),
    ],
    ids=["rim", "spokes", "a spoke less", "no sill", "another sign"],
)  # fmt: skip
@pytest.mark.parametrize("change", [{}, {"turn": 40, "tilt": 20, "share": 0.6}])
def test_a_part_or_another_sign_is_not(screen, drawn, change):
    assert _row(screen, _plant(_scene(), drawn, **change))["hate"] < SURE


@pytest.mark.parametrize("seed", range(4))
def test_pictures_without_a_sign_have_none(screen, seed):
    found = _row(screen, _scene(seed), texture(seed, HEIGHT, WIDTH))
    assert found["hate"] < 0.3


@pytest.mark.parametrize("frame", [np.zeros((256, 456, 3), np.uint8), np.full((40, 30, 3), 200, np.uint8)])
def test_an_empty_picture_has_none(screen, frame):
    found = _row(screen, frame)
    assert (found["hate"], found["found"], found["confidence"], found["box"]) == (0.0, [], [], [])


def test_the_value_of_each_frame_points_at_those_that_show_it(screen):
    plain, shown = _scene(), _plant(_scene(), _gate(_blank()), turn=100)
    found = _row(screen, plain, shown, plain)
    assert [level >= SURE for level in found["hate_by_frame"]] == [False, True, False]
    assert found["hate"] == max(found["hate_by_frame"])
    assert found["times_s"] == [0.0, 0.5, 1.0]


def test_a_small_frame_is_enlarged(screen):
    small = cv2.resize(
        _plant(_scene(), _wheel(_blank()), share=0.6), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
    )
    assert _row(screen, small)["found"][0] == "wheel"


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turn=st.floats(0, 360), tilt=st.floats(0, 30), share=st.floats(0.3, 0.7), dark=st.booleans())
def test_law_any_turn_tilt_and_size_will_do(screen, turn, tilt, share, dark):
    ink, plate = ((30, 40, 35), (220, 200, 230)) if dark else ((230, 220, 90), (60, 20, 40))
    frame = _plant(_scene(1), _wheel(_blank()), share, turn, tilt, ink, plate, (228, 128))
    assert _row(screen, frame)["hate"] >= SURE


def test_it_says_which_symbols_it_covers(screen, folder):
    assert set(screen.covers("hate")) == {"wheel", "gate"}
    assert Symbols(("hate",), references=str(folder / "wheel.png")).covers("hate") == ["wheel"]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=st.integers(100, 254))
def test_law_identity_follows_the_bytes_of_every_reference(tmp_path, level):
    _write(tmp_path, "wheel.png", _wheel(_blank()), (255, 255, 255))
    _write(tmp_path, "gate.png", _gate(_blank()))
    first = Symbols(("hate",), references=str(tmp_path)).identity()
    _write(tmp_path, "wheel.png", _wheel(_blank()), (255, 255, level))
    second = Symbols(("hate",), references=str(tmp_path)).identity()
    assert second["references"]["wheel"] != first["references"]["wheel"]
    assert second["references"]["gate"] == first["references"]["gate"]


def _line(angle):
    end = np.array([np.cos(angle), np.sin(angle)]) * 80
    centre = np.array([100, 100])
    start, stop = ((centre + sign * end).round().astype(int).tolist() for sign in (-1, 1))
    return cv2.line(_blank(), start, stop, 255, 16)


@pytest.mark.parametrize(
    "ink",
    [_blank(), np.full((SIDE, SIDE), 200, np.uint8), _line(0.0), _line(0.7),
     cv2.circle(_blank(), (100, 100), 60, 255, -1),
     cv2.resize(_wheel(_blank()), (16, 16)), np.pad(np.full((100, 100), 255, np.uint8), 50),
     cv2.circle(_blank(), (100, 100), 60, 255, 15), cv2.GaussianBlur(_wheel(_blank()), (0, 0), 25)],
    ids=["black", "flat", "line", "slanted line", "disc", "small", "square", "ring", "haze"],
)  # fmt: skip
def test_a_reference_with_too_little_to_recognise_is_refused(tmp_path, ink):
    _write(tmp_path, "poor.png", ink)
    with pytest.raises(ValueError, match=r"poor\.png .*too (little|small)"):
        Symbols(("hate",), references=str(tmp_path))


def test_what_is_no_reference_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no image and no folder with images"):
        Symbols(("hate",), references=str(tmp_path))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png cannot be read"):
        Symbols(("hate",), references=str(tmp_path))


def test_two_references_of_one_name_are_refused(tmp_path):
    _write(tmp_path / "a", "wheel.png", _wheel(_blank()))
    _write(tmp_path / "b", "wheel.png", _gate(_blank()))
    with pytest.raises(ValueError, match="named wheel"):
        Symbols(("hate",), references=str(tmp_path))


def test_a_photograph_is_found_by_its_texture(tmp_path):
    photo = texture(9, SIDE, SIDE)
    cv2.imwrite(str(tmp_path / "poster.png"), photo[..., ::-1])
    screen = Symbols(("hate",), references=str(tmp_path))
    frame = _scene()
    turn = cv2.getRotationMatrix2D((100, 100), 35, 0.7) + np.array([[0, 0, 120], [0, 0, 20]])
    cv2.warpAffine(photo, turn, (WIDTH, HEIGHT), frame, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT)
    found = _row(screen, frame, _scene(4))
    assert [level >= SURE for level in found["hate_by_frame"]] == [True, False]


@pytest.mark.parametrize("kind", ["jpg", "alpha", "grey", "dark on light", "deep"])
def test_any_kind_of_image_will_do(tmp_path, kind):
    ink = _gate(_blank())
    if kind == "alpha":
        cv2.imwrite(str(tmp_path / "gate.png"), np.dstack([np.full((SIDE, SIDE, 3), 70, np.uint8), ink]))
    elif kind == "deep":
        cv2.imwrite(str(tmp_path / "gate.png"), ink.astype(np.uint16) * 257)
    else:
        picture = 255 - ink if kind == "dark on light" else ink
        cv2.imwrite(str(tmp_path / ("gate.jpg" if kind == "jpg" else "gate.png")), picture)
    screen = Symbols(("hate",), references=str(tmp_path))
    assert _row(screen, _plant(_scene(), ink, turn=50))["hate"] >= SURE


def test_a_subfolder_named_as_a_category_counts_for_it_alone(tmp_path):
    references = tmp_path / "hate" / "refs"  # what lies above the references names nothing
    for category, name, drawing in (("hate", "wheel", _wheel), ("violence", "gate", _gate)):
        _write(references / category, f"{name}.png", drawing(_blank()))
    screen = Symbols(("hate", "violence"), references=str(references))
    assert (screen.covers("hate"), screen.covers("violence")) == (["wheel"], ["gate"])
    row = _row(screen, _plant(_scene(), _wheel(_blank())))
    assert row["hate"] >= SURE > row["violence"]
    with pytest.raises(ValueError, match="has no image for explicit"):
        Symbols(("hate", "violence", "explicit"), references=str(references))
