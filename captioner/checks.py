"""Checks of a caption before it may train anything: codes for what is wrong, none for a good one.

Those of form hold for text in any language; what a model says instead of a caption and what contradicts the evidence is
looked for in English. When in doubt they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from captioner import _camera_words, _colour_words, _count_words, _language, _screen_text
from captioner._boilerplate import has_boilerplate
from captioner._form import CHARACTER_TIMES, LONGEST_LOOP, PHRASE_TIMES, WORD_TIMES, is_clean, repeats, stops_early
from captioner._injections import injects
from captioner._prompt_leaks import leaks
from captioner._reading import Reading
from captioner._refusals import refuses

__all__ = [
    "ACTIONS", "CHARACTER_TIMES", "CODES", "LONGEST_LOOP", "MOST_CHARACTERS", "MOST_CHARACTERS_OTHERWISE", "ORDER",
    "PHRASE_TIMES", "VERSION", "WORD_TIMES", "Evidence", "action", "actions", "check",
]  # fmt: skip

VERSION = 4  # part of the keys of stored checks: raise it when a verdict changes

# Characters. Text encoders of video models take 226 to 512 tokens of about 4 characters; what is longer is a model
# that did not stop. A short caption is one sentence.
MOST_CHARACTERS = {"short": 400}
MOST_CHARACTERS_OTHERWISE = 2500

# In the order in which check() returns them.
CODES: dict[str, str] = {
    "empty": "no letter and no digit",
    "too_long": "longer than a text encoder reads: the model did not stop",
    "repeated": "words, phrases or characters again and again",
    "not_utf8": "characters that cannot be stored, or traces of bytes that were no UTF-8",
    "truncated": "stops in the middle: at the token limit, or at a word or sign that something must follow",
    "refusal": "the model declines, or says that it was given nothing to describe",
    "wrong_language": "surely in another language than the one asked for",
    "boilerplate": 'opens with words that fit any clip ("The video shows", "Sure! Here is"), or closes as a chat does',
    "prompt_leak": "holds instructions of the prompt or marks of a chat template",
    "injected": "gives orders in its own voice, as text in a picture may have told the model to",
    "unseen_text": "claims on-screen text that OCR did not read",
    "wrong_colour": "names a colour of which there are no pixels",
    "wrong_count": "says another number than was seen",
    "wrong_camera": "says another camera motion than was measured",
    "wrong_schema": "is no answer of the form that was asked for",
    "other_clip": "is the answer to another question",
}

# What captions that came with the footage (`original`) are held to: people wrote them, in any language and manner.
OF_ANY_TEXT = ("empty", "too_long", "repeated", "not_utf8")

# What becomes of a caption: asked for again with another prompt; the short caption in its place; not used at all.
ORDER = ("accept", "ask_again", "fall_back", "quarantine")
# First, and last, when there is nothing more to ask. A short caption that stands in was checked itself.
ACTIONS: dict[str, tuple[str, str]] = {
    "empty": ("ask_again", "quarantine"),  # there is nothing
    "too_long": ("ask_again", "fall_back"),  # long answers run on, short ones rarely do
    "repeated": ("ask_again", "fall_back"),  # loops come with length as well
    "not_utf8": ("ask_again", "quarantine"),  # what the bytes were nobody knows; a fault of the server, not of the clip
    "truncated": ("ask_again", "fall_back"),  # half a caption lies by omission; the short one is whole
    "refusal": ("ask_again", "fall_back"),  # models decline details more often than the subject
    "wrong_language": ("ask_again", "fall_back"),  # the text encoder may not know the language
    "boilerplate": ("ask_again", "accept"),  # it costs tokens and says nothing false
    "prompt_leak": ("ask_again", "quarantine"),  # training would teach the model our instructions
    "injected": ("ask_again", "quarantine"),  # the picture spoke through the model: nothing that it said is trusted
    "unseen_text": ("ask_again", "fall_back"),  # false, in one detail that a short caption leaves out
    "wrong_colour": ("ask_again", "fall_back"),  # the same
    "wrong_count": ("ask_again", "fall_back"),  # the same
    "wrong_camera": ("ask_again", "fall_back"),  # the same
    "wrong_schema": ("ask_again", "quarantine"),  # nobody can say which words are the caption
    "other_clip": ("ask_again", "quarantine"),  # it describes something else
}
UNKNOWN = ("ask_again", "quarantine")  # a fault that kept a caption from being written at all


@dataclass(frozen=True)
class Evidence:
    """What was measured of the clip. None: nobody looked, so nothing is contradicted.

    texts: strings that OCR read. colours: share of the pixels, 0..1, per word of filters/_colours.py; a word that is
    not there has none. counts: how many were seen at once at most, per noun in the singular. camera: a name of
    filters/_camera_names.py.
    """

    texts: Sequence[str] | None = None
    colours: Mapping[str, float] | None = None
    counts: Mapping[str, int] | None = None
    camera: str | None = None


NOTHING = Evidence()


def check(
    text: str | None, kind: str, evidence: Evidence = NOTHING, *, language: str | None = None, prompt: str = "",
    truncated: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """Codes of what is wrong with a caption of this kind (`short`, `dense`, ...), in the order of CODES.

    language: the one asked for (ISO 639-1). prompt: what the model was asked. truncated: it stopped at its token limit.
    """
    text = text or ""
    limit = MOST_CHARACTERS.get(kind, MOST_CHARACTERS_OTHERWISE)
    reading = Reading(text)
    english = language is None or language.casefold().startswith("en")
    empty = not any(character.isalnum() for character in text)
    found = {
        "empty": empty,
        "too_long": len(text) > limit,
        # Loops show at the beginning of a long text as well as at its end, and looking stays cheap.
        "repeated": repeats(text[: 2 * limit], Reading(text[: 2 * limit]).own),
        "not_utf8": not is_clean(text),
        "truncated": truncated or (not empty and stops_early(text, kind)),
        "refusal": refuses(reading),
        "wrong_language": language is not None and _language.is_other(reading.own, language),
        "boilerplate": has_boilerplate(reading),
        "prompt_leak": leaks(reading, prompt),
        "injected": injects(reading, evidence.texts),
        "unseen_text": evidence.texts is not None and _screen_text.is_unseen(reading, evidence.texts),
        "wrong_colour": english
        and evidence.colours is not None
        and _colour_words.contradicts(reading, evidence.colours),
        "wrong_count": english
        and evidence.counts is not None
        and _count_words.contradicts(reading, evidence.counts, evidence.camera),
        "wrong_camera": english and _camera_words.contradicts(reading, evidence.camera),
    }
    asked = OF_ANY_TEXT if kind == "original" else CODES
    return tuple(code for code in CODES if found.get(code) and code in asked)


def actions(codes: Iterable[str], overrides: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The severest of what the codes ask for: first, and when nothing more is to be asked.

    overrides: code -> last action in place of its own; `accept` asks no second time either.
    """
    wanted = [_of(code, overrides or {}) for code in codes]
    first = max((first for first, _ in wanted), key=ORDER.index, default="accept")
    return first, max((last for _, last in wanted), key=ORDER.index, default="accept")


def action(codes: Iterable[str], overrides: Mapping[str, str] | None = None) -> str:
    """What becomes of a caption with these codes when nothing more is to be asked."""
    return actions(codes, overrides)[1]


def _of(code: str, overrides: Mapping[str, str]) -> tuple[str, str]:
    first, last = ACTIONS.get(code, UNKNOWN)
    given = overrides.get(code, last)
    return ("accept" if given == "accept" and code in overrides else first), given
