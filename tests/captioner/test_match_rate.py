"""Laws of the match rate, and of the sample that it is taken on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.matching import Pairs, measured, neighbours, order
from curate.errors import CaptionsMismatched
from curate.spec_captions import Match
from curate.stages.match import refusal

SIZES, COUNTS, SEEDS = st.integers(2, 30), st.integers(1, 6), st.integers(0, 99)


def _pairs(clips, texts, said=None):
    names = [f"clip {i}" for i in range(len(clips))]
    return Pairs(names, said or [f"text {i}" for i in range(len(clips))], np.asarray(clips), np.asarray(texts))


def _unit(rng, *shape):
    found = rng.normal(size=shape)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@given(SIZES, COUNTS)
def test_texts_that_fit_their_own_clips_alone_match_always(size, count):
    figures = measured(_pairs(np.eye(size), np.eye(size)), count)
    assert figures["match_rate"] == 1.0
    assert figures["comparisons"] == size * min(count, size - 1)
    assert (figures["worst"], figures["clip_score"]) == ([], 100.0)


@given(SIZES, COUNTS)
def test_all_ties_are_a_half(size, count):
    figures = measured(_pairs(np.ones((size, 1)), np.ones((size, 1))), count)
    assert (figures["match_rate"], figures["match_rate_95"]) == (0.5, [0.5, 0.5])


@given(st.integers(3, 30), COUNTS)
def test_texts_that_moved_on_by_one_never_win(size, count):
    """Their own clip has cosine 0, and so have all others but one, which has 1."""
    moved = np.roll(np.eye(size), 1, axis=0)
    figures = measured(_pairs(np.eye(size), moved), count)
    assert figures["match_rate"] <= 0.5
    assert measured(_pairs(np.eye(size), moved), size)["match_rate"] == pytest.approx((size - 2) / (size - 1) / 2)


@given(SIZES, COUNTS, SEEDS)
def test_texts_that_say_the_opposite_lose_what_they_won(size, count, seed):
    rng = np.random.default_rng(seed)
    clips, texts = _unit(rng, size, 5), _unit(rng, size, 5)
    here, there = (measured(_pairs(clips, said), count) for said in (texts, -texts))
    assert here["match_rate"] + there["match_rate"] == pytest.approx(1)
    assert here["clip_score"] == pytest.approx(-there["clip_score"])


@given(SIZES, COUNTS, SEEDS)
def test_figures_are_those_of_a_plain_count(size, count, seed):
    rng = np.random.default_rng(seed)
    clips, texts = _unit(rng, size, 3), _unit(rng, size, 3)
    said = [f"text {number}" for number in rng.integers(0, 4, size)]
    figures = measured(_pairs(clips, texts, said), count)
    shares = []
    for i in range(size):
        ring = [(i + step) % size for step in range(1, size)]
        near = [j for j in ring if said[j] != said[i]][:count]
        if near:
            shares.append(sum(clips[i] @ texts[i] > clips[j] @ texts[i] for j in near) / len(near))
    assert figures["match_rate"] == (pytest.approx(np.mean(shares)) if shares else None)
    own = [100 * float(clip @ text) for clip, text in zip(clips, texts, strict=True)]
    assert figures["clip_score"] == pytest.approx(np.mean(own))
    assert [entry["won"] for entry in figures["worst"]] == pytest.approx(sorted(s for s in shares if s < 1)[:5])


@given(st.lists(st.sampled_from(["a", "A ", "b", "c"]), max_size=12), COUNTS)
def test_neighbours_are_other_clips_with_other_texts(texts, count):
    for own, near in enumerate(neighbours(texts, count)):
        assert len(set(near)) == len(near) <= count
        assert all(texts[place].strip().lower() != texts[own].strip().lower() for place in near)
        others = sum(text.strip().lower() != texts[own].strip().lower() for text in texts)
        assert len(near) == min(count, others)


@given(st.sets(st.text("0123456789abcdef", min_size=4, max_size=4), min_size=3), SEEDS)
def test_a_sample_stays_when_clips_come_and_go(ids, seed):
    whole = order(ids, seed)
    assert sorted(whole) == sorted(ids)
    assert whole == order(reversed(sorted(ids)), seed)
    gone = whole[1]
    assert order(ids - {gone}, seed) == [name for name in whole if name != gone]


def test_nothing_to_compare_is_no_rate():
    alone = measured(_pairs(np.eye(1), np.eye(1)), 4)
    assert (alone["match_rate"], alone["n"], alone["clip_score"]) == (None, 1, 100.0)
    same = measured(_pairs(np.eye(3), np.eye(3), ["One text."] * 3), 4)
    assert (same["match_rate"], same["match_rate_95"], same["comparisons"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("rate", "n", "lost", "says"),
    [
        (0.7, 9, 0, None),
        (0.69, 9, 0, "fit their own clips better than others in 69.0% of 8 comparisons"),
        (None, 1, 0, "there are 1 of them, and two are needed"),  # one clip has nobody to be taken for
        (None, 0, 0, "there are 0 of them, and two are needed"),
        (None, 0, 1, "there are 1 of them, and two are needed"),
        (None, 2, 0, "all of them say the same"),
        (None, 1, 1, "1 of them have no readable frames"),
    ],
)
def test_who_is_refused(rate, n, lost, says):
    row = {"match_rate": rate, "n": n, "lost": lost, "comparisons": 8, "worst": [{"clip": "f" * 32, "won": 0.0}]}
    found = refusal({"captions": {"short": row}}, Match(model="x", min_rate=0.7))
    assert (found is None) == (says is None)
    if found is not None:
        assert isinstance(found, CaptionsMismatched)
        assert says in str(found)
