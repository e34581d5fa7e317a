"""Gist: a unit vector that brings copies together and scenes apart, and true words for colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from filters.gist import Gist
from tests.filters.pictures import disc, row, texture


def _vector(picture):
    return np.array(row(Gist(), picture[None])["vector"])


def test_copies_are_near_and_other_scenes_are_far():
    pictures = [texture(seed) for seed in range(6)]
    copies = [cv2.GaussianBlur(cv2.resize(p, (240, 135), interpolation=cv2.INTER_AREA), (0, 0), 1.0) for p in pictures]
    one, two = np.stack([_vector(p) for p in pictures]), np.stack([_vector(c) for c in copies])
    assert one.shape == (6, 176)
    assert np.linalg.norm(one, axis=1) == pytest.approx(np.ones(6))
    alike = one @ two.T
    assert alike.diagonal().min() > 0.99
    assert alike[~np.eye(6, dtype=bool)].max() < 0.95


@pytest.mark.parametrize(
    ("colour", "word"),
    [
        ((225, 40, 40), "red"),
        ((40, 185, 60), "green"),
        ((45, 80, 235), "blue"),
        ((240, 220, 40), "yellow"),
        ((245, 245, 245), "white"),
        ((220, 50, 205), "pink"),
        ((250, 140, 20), "orange"),
        ((110, 60, 20), "brown"),
        ((130, 60, 200), "purple"),
    ],
)
def test_colours_have_their_names(colour, word):
    found = row(Gist(), disc((14, 14, 16), colour, (48, 48))[None])
    assert found["colours"][:2] == ["black", word]
    assert found["shares"][1] == pytest.approx(np.pi * 14**2 / 96**2, abs=0.01)


def test_a_cast_is_still_gray():
    assert row(Gist(), np.full((1, 64, 64, 3), (120, 126, 132), np.uint8))["colours"] == ["gray"]
