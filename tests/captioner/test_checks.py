"""Caption checks: every code found, good captions left alone, and laws that hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.checks import (
    CHARACTER_TIMES,
    CODES,
    LONGEST_LOOP,
    MOST_CHARACTERS,
    PHRASE_TIMES,
    WORD_TIMES,
    check,
)

WORDS = st.lists(st.text("abcdefghijklmnop", min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (None, ("empty",)),
        ("", ("empty",)),
        (" ...\n", ("empty",)),
        ("\ufffd\ufffd", ("empty", "not_utf8")),
        ("a red \ud800 circle", ("not_utf8",)),
        ("a red\x00circle", ("not_utf8",)),
        ("a red circle moving left, a red circle moving left, a red circle moving left", ("repeated",)),
        ("no no no no", ("repeated",)),
        ("\u597d\u7684" * 12, ("repeated",)),
        ("x" * (MOST_CHARACTERS["short"] + 1), ("too_long", "repeated")),
    ],
)
def test_what_is_wrong_is_named(text, codes):
    assert check(text, "short") == codes


@pytest.mark.parametrize(
    "text",
    [
        "a red circle moving up and left",
        "A red circle, a red square and a red star: all of them red, all of them standing still.",
        "very, very good",
        "It costs 1000000000000000000000 yen ...........................",
        "Un caf\u00e9 \u00e0 Paris.\n\u732b\u304c\u7a93\u8fba\u3067\u5bdd\u3066\u3044\u308b\u3002",
        "We see the sea. We see the sea and the sky.",
    ],
)
def test_good_captions_pass(text):
    assert check(text, "short") == ()


@settings(deadline=None)
@given(st.text() | st.none(), st.sampled_from(["short", "dense", "original"]))
def test_codes_are_known_ordered_and_unique(text, kind):
    found = check(text, kind)
    assert found == tuple(code for code in CODES if code in found)


@settings(deadline=None)
@given(st.text())
def test_clean_text_can_be_stored_as_utf8(text):
    if "not_utf8" not in check(text, "dense"):
        assert text.encode("utf-8").decode("utf-8") == text


@settings(deadline=None)
@given(st.binary(min_size=1))
def test_bytes_that_are_not_utf8_are_found_after_decoding(data):
    text = data.decode("utf-8", errors="replace")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        assert "not_utf8" in check(text, "dense")


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(0, 4))
def test_a_phrase_said_again_and_again_is_found_wherever_it_stands(before, phrase, more):
    assert len(phrase) <= LONGEST_LOOP
    text = " ".join([*before, *phrase * (max(WORD_TIMES, PHRASE_TIMES) + more)])
    assert "repeated" in check(text, "dense")


@settings(deadline=None)
@given(st.text("abcdefgh", min_size=3, max_size=20), st.integers(0, 5))
def test_a_run_of_characters_is_found_without_spaces(unit, more):
    assert "repeated" in check(unit * (CHARACTER_TIMES + more), "dense")


@settings(deadline=None)
@given(st.lists(st.text("abcdefghijklmnop", min_size=2, max_size=6), min_size=1, max_size=40, unique=True))
def test_words_that_are_all_different_are_no_loop(words):
    assert "repeated" not in check(" ".join(words), "dense") or any(len(set(word)) == 1 for word in words)


def test_a_short_caption_may_be_less_long_than_a_dense_one():
    text = " ".join(f"word{number}" for number in range(80))
    assert check(text, "short") == ("too_long",)
    assert check(text, "dense") == ()
