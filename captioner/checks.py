"""Checks of a caption before it may train anything: codes for what is wrong, none for a good one.

Codes: ``empty``, ``too_long``, ``repeated``, ``not_utf8``. They hold for text in any language.
"""

from __future__ import annotations

import re
import unicodedata

VERSION = 1  # part of the keys of stored checks: raise it when a verdict changes

# Characters. Text encoders of video models take 226 to 512 tokens of about 4 characters; what is longer is a model
# that did not stop. A short caption is one sentence.
MOST_CHARACTERS = {"short": 400}
MOST_CHARACTERS_OTHERWISE = 2500

# A language model that loops says one to LONGEST_LOOP words again and again. Twice happens in good English ("very,
# very"), three times in a row hardly, and not with phrases of two words and more; one word needs one more.
LONGEST_LOOP = 24
WORD_TIMES, PHRASE_TIMES = 4, 3
# Scripts without spaces: the same run of 1 to 24 characters, this often in a row, over at least so many characters.
CHARACTER_TIMES, LEAST_CHARACTERS = 6, 18
_CHARACTER_LOOP = re.compile(rf"(\S.{{0,23}}?)\1{{{CHARACTER_TIMES - 1},}}", re.DOTALL)
# Of the groups of three words, the share that must be different, once there are enough to judge.
LEAST_DISTINCT, ENOUGH_GROUPS = 0.5, 24


def check(text: str | None, kind: str) -> tuple[str, ...]:
    """Return the codes of what is wrong with a caption of this kind (`short`, `dense`, ...), in a fixed order."""
    text = text or ""
    found = []
    if not any(character.isalnum() for character in text):
        found.append("empty")
    limit = MOST_CHARACTERS.get(kind, MOST_CHARACTERS_OTHERWISE)
    if len(text) > limit:
        found.append("too_long")
    # Loops show at the beginning of a long text as well as at its end, and looking stays cheap.
    if _repeats(text[: 2 * limit]):
        found.append("repeated")
    if not _is_clean(text):
        found.append("not_utf8")
    return tuple(found)


def _is_clean(text: str) -> bool:
    """Whether text can be written as UTF-8 and shows no trace of bytes that could not be read as it.

    Lone surrogates cannot be written; U+FFFD stands where a decoder gave up; control characters are no text.
    """
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs" or character == "\ufffd" or (category == "Cc" and character not in "\n\t\r"):
            return False
    return True


def _repeats(text: str) -> bool:
    """Whether words, phrases or characters come again and again in a row, or few are new."""
    words = re.sub(r"[^\w\s]", " ", text.casefold()).split()
    if _word_loop(words):
        return True
    groups = list(zip(words, words[1:], words[2:], strict=False))
    if len(groups) >= ENOUGH_GROUPS and len(set(groups)) < LEAST_DISTINCT * len(groups):
        return True
    for loop in _CHARACTER_LOOP.finditer(text):
        # A row of dots or dashes is punctuation, and the zeros of a number are no loop.
        if any(c.isalpha() for c in loop.group(1)) and len(loop.group()) >= LEAST_CHARACTERS:
            return True
    return False


def _word_loop(words: list[str]) -> bool:
    """Whether one to LONGEST_LOOP words come again right after themselves, often enough."""
    for size in range(1, min(LONGEST_LOOP, len(words) // 2) + 1):
        times = WORD_TIMES if size == 1 else PHRASE_TIMES
        run = 0
        for here in range(size, len(words)):
            run = run + 1 if words[here] == words[here - size] else 0
            if run >= size * (times - 1):
                return True
    return False
