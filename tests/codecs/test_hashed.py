"""The hashed text encoder: fixed, trimmed, and nearer for words that share letters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.codecs import text_encoder
from curate.codecs.hashed import HashedTextEncoder
from curate.errors import SpecError


def test_numbers_are_fixed_for_ever():
    # Written down from the first version: a change here is a new VERSION and a new fingerprint.
    row = HashedTextEncoder(dim=64).encode(["red"])[0][0]
    assert np.allclose(row[:4], [-0.1978551, 0.1207559, -0.0251895, -0.0632057], atol=1e-6)


def test_a_row_a_word_and_equal_words_are_equal():
    encoded = HashedTextEncoder().encode(["A red circle, red!", "RED"])
    assert [len(rows) for rows in encoded] == [6, 1]
    assert np.array_equal(encoded[0][1], encoded[1][0])
    assert np.array_equal(encoded[0][1], encoded[0][4])
    assert all(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5) for rows in encoded)


def test_the_empty_text_has_one_row_of_its_own():
    encoder = HashedTextEncoder()
    empty, blank, word = encoder.encode(["", "  \n", "empty"])
    assert empty.shape == (1, 64)
    assert np.array_equal(empty, blank)
    assert abs(float(empty[0] @ word[0])) < 0.6
    assert not np.array_equal(empty, encoder.encode(["<empty>"])[0][:1])


def test_words_that_share_letters_lie_nearer():
    encoder = HashedTextEncoder(dim=1024)
    moving, moves, circle = (rows[0] for rows in encoder.encode(["moving", "movings", "circle"]))
    assert moving @ moves > 0.09 > abs(moving @ circle)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_finite_unit_rows(text):
    rows = HashedTextEncoder().encode([text])[0]
    assert rows.shape[0] >= 1
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_long_texts_are_cut_and_parameters_are_in_the_fingerprint():
    assert len(HashedTextEncoder(max_words=3).encode(["a b c d e"])[0]) == 3
    assert text_encoder("hashed").fingerprint != text_encoder("hashed", dim=32).fingerprint
    assert text_encoder("hashed", dim=200).encode(["x"])[0].shape == (1, 200)
    with pytest.raises(SpecError, match="nearest are: hashed"):
        text_encoder("hash")
    with pytest.raises(SpecError, match="dim"):
        text_encoder("hashed", dim=0)
