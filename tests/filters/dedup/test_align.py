"""Alignment: the longest common subsequence against a plain reference, and its direction in time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from filters.dedup.align import is_backwards, match_in_order


def _reference(near):
    """Textbook dynamic programming, cell by cell."""
    rows, columns = near.shape
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows):
        for j in range(columns):
            best[i + 1][j + 1] = best[i][j] + 1 if near[i, j] else max(best[i][j + 1], best[i + 1][j])
    return best[rows][columns]


@settings(deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_it_is_longest_and_in_order(near):
    pairs = match_in_order(near)
    assert len(pairs) == _reference(near)
    assert all(near[pair] for pair in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))


@settings(deadline=None)
@given(st.integers(4, 20), st.integers(0, 2**31))
def test_a_copy_played_backwards_is_told_from_one_played_forwards(length, seed):
    rng = np.random.default_rng(seed)
    # A drifting scene: frames differ the more the further apart they are.
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length))) * 6.0
    distance = apart + rng.uniform(0, 2, apart.shape)
    near = distance <= 200
    forwards, backwards = match_in_order(near), match_in_order(near[:, ::-1])
    assert not is_backwards(distance, near, forwards)
    assert is_backwards(distance[:, ::-1], near[:, ::-1], backwards)


def test_a_still_scene_has_no_direction():
    distance = np.random.default_rng(0).uniform(0, 6, (12, 12))
    near = distance < 72
    assert not is_backwards(distance, near, match_in_order(near))
