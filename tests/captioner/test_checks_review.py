"""Captions of a review: good ones that were flagged, faulty ones that were not, and bounds of the planted benchmark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._caption_faults import FAULTS
from benchmarks._caption_held_out import HELD_OUT
from benchmarks.caption_checks import BAR, measured
from captioner.checks import Evidence, check
from filters._colours import NAMES


@pytest.mark.parametrize(("code", "kind", "text", "evidence"), HELD_OUT)
def test_each_caption_of_the_review_is_judged_as_a_person_would(code, kind, text, evidence):
    found = check(text, kind, evidence, language="en", prompt="Describe the video in one sentence.")
    assert code in found if code else found == ()


def test_planted_faults_are_found_and_good_captions_left_alone():
    rows = measured(4, 40)
    assert set(rows) == set(FAULTS)
    assert sum(row["recall"] for row in rows.values()) / len(rows) >= BAR
    assert min(row["precision"] for row in rows.values()) >= BAR


@given(st.sampled_from(["The cat sleeps", "Two boats drift past a pier", "A boy she looks at", "He laughs. They wave"]))
def test_a_final_stop_is_not_what_makes_a_caption(text):
    for kind in ("short", "dense"):
        assert check(text, kind) == check(f"{text}.", kind) == ()


@given(
    st.sampled_from(["a", "the", "and", "of the", "his", "because", "or", "than"]), st.sampled_from(["", ". He waves"])
)
def test_a_word_that_something_must_follow_is_an_end_of_none(word, more):
    for kind in ("short", "dense"):
        assert check(f"A man walks{more} {word}", kind) == ("truncated",)


@given(st.sampled_from(NAMES), st.floats(0.01, 1.0))
def test_a_colour_that_is_there_is_never_wrong(colour, share):
    assert check(f"A {colour} kite hangs in a tree.", "short", Evidence(colours={colour: share}), language="en") == ()


@given(st.integers(2, 12), st.integers(0, 12))
def test_fewer_than_were_seen_at_once_contradict_and_more_only_without_a_sequence(said, seen):
    evidence = Evidence(counts={"dog": seen})
    still = check(f"{said} dogs lie on a rug.", "short", evidence, language="en")
    moving = check(f"{said} dogs jump over a log one after another.", "short", evidence, language="en")
    assert still == (() if said == seen else ("wrong_count",))
    assert moving == (("wrong_count",) if said < seen else ())


@pytest.mark.parametrize("kind", ["short", "dense"])
def test_every_text_survives_utf8_but_not_a_reading_of_its_bytes_as_windows(kind):
    for text in ("Das Kino in München", "Un café à Paris", "It\u2019s raining", "Ein Fluß", "Señor García", "«Été»"):
        assert "not_utf8" not in check(text, kind)
        assert "not_utf8" in check(text.encode().decode("cp1252", errors="replace"), kind)
