"""Terms: every term in every disguise, every exemption, and nothing inside of other words."""

from __future__ import annotations

import re
import unicodedata

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import SpecError
from filters._terms import SHIPPED, load_lists
from filters.terms import Terms

FILES = sorted(SHIPPED.glob("*.yaml"))
LISTS = load_lists([path.stem for path in FILES])
ENTRIES = [(path.stem, entry) for path in FILES for entry in yaml.safe_load(path.read_text())["entries"]]
TERMS = [(name, str(entry["term"])) for name, entry in ENTRIES]
CYRILLIC = dict(zip("aeopcyxi", "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456", strict=True))
SIGNS = {"a": "@", "e": "3", "i": "1", "o": "0", "s": "$", "l": "1", "t": "7"}


def _wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _leet(text):
    """All letters of each word but its first as signs: a word of signs alone is a number."""
    return re.sub(r"(?<=\w)[a-z]", lambda c: SIGNS.get(c.group(), c.group()), text)


def _apart(separator):
    return lambda text: " ".join(separator.join(word) if len(word) > 2 else word for word in re.split(r"[\W_]+", text))


TRANSFORMS = {
    "as it is": str,
    "upper case": str.upper,
    "title case": str.title,
    "swapped case": lambda text: "".join(c.upper() if i % 2 else c for i, c in enumerate(text)),
    "full width": _wide,
    "accents": lambda text: "".join(c + "\u0301" if c.isalpha() else c for c in text),
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "invisible": lambda text: "\u200b".join(text),
    "soft hyphens": lambda text: "\u00ad".join(text),
    "look-alikes": lambda text: "".join(CYRILLIC.get(c, c) for c in text),
    "signs": _leet,
    "dots": _apart("."),
    "dashes": _apart("-"),
    "spaces": _apart(" "),
    "underscores": lambda text: re.sub(r"[\s-]+", "_", text),
    "quotes": lambda text: f"\u201c{text}\u201d",
    "brackets": lambda text: f"({text})!",
    "possessive": lambda text: f"{text}\u2019s",
    "new lines": lambda text: re.sub(r"[\s-]+", "\n", text),
}


def _hits(text):
    return {(hit.list, hit.term) for hit in LISTS.hits(text)}


def _mergeable(term):
    """Single letters beside each other would be read as one word, in a spaced reading."""
    return len(re.split(r"[\W_]+", term)) == 1


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_term_is_found_in_every_disguise(transform):
    missed = []
    for name, term in TERMS:
        if transform in ("dots", "dashes", "spaces") and not _mergeable(term):
            continue  # letters of two words that stand apart are one run: nobody can tell where a word ends
        if transform in ("dots", "dashes", "spaces") and len(term) < 3:
            continue
        if transform == "accents" and not term.isascii():
            continue
        if (name, term) not in _hits(f"see {TRANSFORMS[transform](term)} here"):
            missed.append(term)
    assert missed == []


@given(st.sampled_from(TERMS), st.lists(st.sampled_from(sorted(TRANSFORMS)), min_size=2, max_size=2, unique=True))
def test_two_disguises_at_once(entry, names):
    name, term = entry
    if {"dots", "dashes", "spaces"} & set(names) or (not term.isascii() and "accents" in names):
        return
    if (
        {"signs", "look-alikes"} <= set(names)
        or {"signs", "invisible"} <= set(names)
        or {"signs", "accents"} <= set(names)
    ):
        names = [n for n in names if n != "signs"]
    text = term
    for transform in names:
        text = TRANSFORMS[transform](text)
    assert (name, term) in _hits(f"see {text} here"), text


def test_every_plural_is_found():
    for name, entry in ENTRIES:
        plural, term = entry.get("plural", True), str(entry["term"])
        forms = plural if isinstance(plural, list) else [f"{term}s"] if plural and not term[-1].isdigit() else []
        for form in forms:
            assert (name, term) in _hits(f"see {form} here"), form


def test_every_exemption_shields_and_nothing_else():
    for name, entry in ENTRIES:
        for phrase in entry.get("exempt", ()):
            term = str(entry["term"])
            assert (name, term) not in _hits(f"see a {phrase} here"), phrase
            assert (name, term) not in _hits(phrase.upper()), phrase
            assert (name, term) in _hits(f"{phrase} and {term}"), "an exemption shields its own words only"


@given(st.sampled_from([t for t in TERMS if t[1].isascii()]), st.text("bcdfgkmnpqrtvwz", min_size=2, max_size=5))
def test_a_term_inside_of_a_word_is_none(entry, letters):
    name, term = entry
    assert (name, term) not in _hits(f"{letters}{term}")
    assert (name, term) not in _hits(f"{term}{letters}")


@pytest.mark.parametrize(
    "text",
    ["Scunthorpe", "a class about analysis", "the assassin's cocktail", "shot on film", "kill the lights", "1488a",
     "A boy band's bassist", "Therapist", "they sell 2 for 14 at 88 Main St", "a knife in the kitchen", "", "!!!", "l"],
)  # fmt: skip
def test_ordinary_texts_hold_nothing_severe(text):
    assert {hit.category for hit in LISTS.hits(text)} <= {"minors"}


def test_a_term_without_boundary_is_found_inside(tmp_path):
    raw = {"name": "own", "source": "me", "language": "ja", "category": "hate",
           "entries": [{"term": "\u65e5\u672c", "boundary": False}]}  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert [hit.list for hit in load_lists([str(path)]).hits("\u6771\u65e5\u672c\u6d77")] == ["own"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("[", "not valid YAML"), ("{name: x}", "needs name, source"),
     ("{name: x, source: x, language: x, category: x, entries: [{}]}", "an entry is `term"),
     ("{name: x, source: x, language: x, category: x, entries: [{term: a, plurl: 1}]}", "unknown key 'plurl'")],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(text, says, tmp_path):
    path = tmp_path / "l.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=says):
        load_lists([str(path)])
    with pytest.raises(SpecError, match="nearest: hate"):
        load_lists(["hte"])


def test_the_screen_speaks_for_its_categories_alone():
    screen = Terms(("hate", "minors"))
    found = screen.judge({"caption": "a child near a swastika", "title": "a massacre"})
    assert {name: [hit.term for hit in hits] for name, hits in found.items()} == {
        "hate": ["swastika"],
        "minors": ["child"],
    }
    assert screen.identity() != Terms(("hate",)).identity()
    with pytest.raises(ValueError, match="no list has a term for weapons"):
        Terms(("weapons",))
