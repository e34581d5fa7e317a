"""What holds for every score: found by name, declared in full, images as one-frame videos, odd sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import filters
from curate.registry import resolve
from tests.filters.pictures import row, texture

SCORES = ("motion", "sharpness", "exposure", "borders", "gist")
LONGEST_FILE = 60  # lines: adding a score stays a small thing


@pytest.fixture(params=SCORES)
def score(request):
    return resolve("score", request.param)()


def test_declares_units_and_meanings(score):
    assert score.fields[0].name == ("vector" if score.name == "gist" else "score")
    for field in score.fields:
        assert field.metadata[b"unit"]
        assert field.metadata[b"meaning"]


def test_a_row_fits_its_schema(score):
    found = row(score, np.stack([texture(1), texture(2)]))
    pa.Table.from_pylist([found], schema=pa.schema(list(score.fields)))


def test_an_image_is_a_video_of_one_frame(score):
    picture = texture(3)
    image, video = row(score, picture[None]), row(score, np.stack([picture] * 5))
    assert image.pop("pairs", 0) == 0
    video.pop("pairs", None)
    for name, value in image.items():
        if isinstance(value, float):
            assert video[name] == pytest.approx(value, abs=1e-6)
        elif name != "colours":
            assert video[name] == pytest.approx(value, abs=1e-5)
        else:
            assert video[name] == value


@pytest.mark.parametrize("size", [(2, 2), (9, 300), (300, 9), (17, 31)])
def test_odd_sizes_are_measured(score, size):
    frames = np.stack([texture(seed, *size) for seed in range(3)])
    values = row(score, frames)
    numbers = np.hstack([value for value in values.values() if not isinstance(value, list)] + [0.0])
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_frames_are_measured(score, level):
    values = row(score, np.full((3, 90, 160, 3), level, np.uint8))
    assert np.isfinite(np.hstack([value for name, value in values.items() if name != "colours"])).all()


def test_each_is_one_short_file():
    folder = Path(filters.__file__).parent
    for name in SCORES:
        assert len((folder / f"{name}.py").read_text().splitlines()) < LONGEST_FILE
