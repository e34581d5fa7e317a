"""Mannerisms: figures of small sets by hand, and laws that hold for any set of texts."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.mannerisms import FEWEST, MOST_NGRAMS, OPENERS, SHARES, compared, gaps, mannerisms, words

PLAIN = st.sampled_from(["A dog runs.", "the dog", "a Dog runs."])
TEXTS = st.lists(st.one_of(st.text(max_size=40), PLAIN), min_size=1)
HINDI, IN = "\u0939\u093f\u0928\u094d\u0926\u0940", "\u092e\u0947\u0902"
CAT, SITS = "\u0627\u0644\u0642\u0637\u0629", "\u062a\u062c\u0644\u0633"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't stop: a wide-angle, 3.5 m_high!", ["don't", "stop", "a", "wide-angle", "3.5", "m", "high"]),
        ("Don\u2019t", ["don't"]),
        ("Ein Stra\u00dfencaf\u00e9 \u2013 cafe\u0301", ["ein", "strassencaf\u00e9", "caf\u00e9"]),
        (f"{HINDI} {IN}", [HINDI, IN]),
        ("\u732b\u304c2\u5339\u3002", ["\u732b", "\u304c", "2", "\u5339"]),
        ("\ud55c\uad6d\uc5b4 \ubb38\uc7a5", ["\ud55c\uad6d\uc5b4", "\ubb38\uc7a5"]),
        (f"{CAT} {SITS}\u061f", [CAT, SITS]),
        ("-- ... \U0001f600 '", []),
    ],
)  # fmt: skip
def test_words_of_any_script(text, found):
    assert words(text) == found


def test_a_small_set_by_hand():
    found = mannerisms(["A dog runs.", "a dog sleeps", "A dog runs.", 'The cat says "no."', "12 Men!", ""])
    assert (found.count, found.upper, found.lower) == (6, 3 / 6, 1 / 6)
    assert found.ended == 4 / 6, "a full stop within quotes ends a sentence too"
    assert found.article == 4 / 6
    assert found.repeated == pytest.approx(1 / 6)
    assert (found.mean, found.p5, found.p50, found.p95) == (15 / 6, 0, 3, 4)
    assert found.openers[1] == (("a", 3 / 6), ("12", 1 / 6), ("the", 1 / 6))
    assert found.openers[3] == (("a dog runs", 2 / 6), ("a dog sleeps", 1 / 6), ("the cat says", 1 / 6))
    assert found.sampled == {1: 15, 2: 10, 3: 5, 4: 1}
    assert found.distinct == {1: 10 / 15, 2: 7 / 10, 3: 4 / 5}
    assert found.phrases == 1.0


def test_a_set_without_texts_has_no_manner():
    with pytest.raises(ValueError, match="without texts"):
        mannerisms([])
    assert compared({"original": []}) == {}
    assert set(compared({"original": [], "short": ["one"]})) == {"short"}


def test_sets_of_different_size_are_compared_in_samples_of_one_size():
    rng = random.Random(1)
    many = [" ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=40)) for _ in range(2000)]
    found = compared({"few": many[:100], "many": many})
    assert found["few"].sampled == found["many"].sampled == {1: 4000, 2: 3900, 3: 3800, 4: 3700}
    for n in (1, 2, 3):
        assert found["few"].distinct[n] == pytest.approx(found["many"].distinct[n], rel=0.05)
    assert mannerisms(many).distinct[2] < found["many"].distinct[2] / 4, "whole sets are not to be compared"
    assert mannerisms(many).sampled[1] == MOST_NGRAMS


def test_a_captioner_that_starts_with_a_is_found_out():
    plain = [f"{name} runs {i} times" for i in range(30) for name in ("Dog", "the cat")]
    own = mannerisms(plain)
    forced = mannerisms([f"A {text}" for text in plain])
    assert (own.article, forced.article) == (0.5, 1.0)
    assert "article" in gaps(forced, own)
    assert gaps(own, own) == ()
    few = plain[: FEWEST - 1]
    assert gaps(mannerisms([f"A {text}" for text in few]), mannerisms(few)) == ()


@given(TEXTS)
def test_shares_are_shares(texts):
    found = mannerisms(texts)
    assert found.count == len(texts)
    assert all(0 <= getattr(found, name) <= 1 for name in SHARES)
    assert found.upper + found.lower <= 1
    assert found.p5 <= found.p50 <= found.p95
    assert found.mean * found.count == pytest.approx(found.sampled[1]), "every word is a 1-gram"
    assert found.repeated * found.count == pytest.approx(found.count - len(set(texts)))
    for n, openers in found.openers.items():
        shares = [share for _, share in openers]
        assert len(shares) <= OPENERS
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= sum(len(words(text)) >= n for text in texts) / len(texts) + 1e-9
    for n, part in found.distinct.items():
        assert (part is None) == (found.sampled[n] == 0)
        assert part is None or 1 / found.sampled[n] <= part <= 1
    assert (found.phrases is None) == (found.sampled[4] == 0)
    assert found.phrases is None or 0 < found.phrases <= 1


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_texts_plays_no_part(texts, rng):
    shuffled = list(texts)
    rng.shuffle(shuffled)
    assert compared({"a": shuffled, "b": texts[:1]}) == compared({"a": texts, "b": texts[:1]})


@given(TEXTS)
def test_twice_the_set_has_the_same_shares(texts):
    once, twice = mannerisms(texts), mannerisms(texts * 2)
    assert all(getattr(once, n) == pytest.approx(getattr(twice, n)) for n in SHARES if n != "repeated")
    assert twice.repeated == pytest.approx((1 + once.repeated) / 2)
    assert (once.p50, once.p95) == (twice.p50, twice.p95)


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_has_the_same_words_beside_another_script(text):
    assert words(f"{text} \u00e9") == [*words(text), "\u00e9"]


@given(st.text())
def test_a_text_has_words_where_it_has_letters_or_digits(text):
    assert bool(words(text)) == any(c.isalnum() for c in unicodedata.normalize("NFC", text))
