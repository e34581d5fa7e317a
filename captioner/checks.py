"""Checks of a caption before it may train anything: codes for what is wrong, none for a good one.

CODES says each in a line. Those of refusals and openers know English; the others hold for text in any language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VERSION = 2  # part of the keys of stored checks: raise it when a verdict changes

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


# What is wrong, in the order in which it is told; what is done about it at first; and when no prompt is left to try.
# `accept` uses the caption all the same, `fall_back` takes the short one instead, `quarantine` leaves it out.
CODES: dict[str, tuple[str, str, str]] = {
    "empty": ("no letter or digit", "ask_again", "quarantine"),
    "too_long": ("a model that did not stop", "ask_again", "fall_back"),
    "repeated": ("a loop: words, phrases or characters again and again", "ask_again", "fall_back"),
    "not_utf8": ("characters that no text has", "ask_again", "quarantine"),
    "truncated": ("cut off at the limit of tokens", "ask_again", "fall_back"),
    "refusal": ("the model declines, or speaks of itself", "ask_again", "quarantine"),
    "boilerplate": ("opens with words about the video instead of what it shows", "ask_again", "accept"),
    "prompt_leak": ("repeats its instructions or the marks of a chat", "ask_again", "quarantine"),
    "wrong_schema": ("no answer of the form that was asked for", "ask_again", "quarantine"),
    "other_clip": ("the answer to another question", "ask_again", "quarantine"),
}
_SEVERITY = ("accept", "ask_again", "fall_back", "quarantine")

# A captioner that declines says so at the beginning, of itself. People in pictures refuse things too: they are no "I".
_REFUSAL = re.compile(
    r"\W*(?:(?:i['\u2019]?m|i am|we are)\s+(?:really |very |so )?(?:sorry|unable|not able)\b"
    r"|sorry,? (?:but )?i\b|i apologi[sz]e|my apologies|unfortunately,? i\b"
    r"|i (?:can(?:no|['\u2019])?t|could(?: not|n['\u2019]t)|do(?: not|n['\u2019]t)|won['\u2019]t|will not) "
    r"(?:help|assist|provide|describe|view|see|watch|access|process|comply|generate|have|fulfil|analy[sz]e|identify)"
    r"|as an? (?:ai|artificial|(?:large )?language|vision)\b)",
    re.IGNORECASE,
)
_WORK = r"(?:short |brief )?(?:video|clip|footage|image|picture|photo|frames?|scene|sequence|screenshot)s?"
_VERB = r"(?:shows?|depicts?|features?|displays?|captures?|presents?|portrays?|contains?|begins?|starts?|opens?|is|are)"
_BOILERPLATE = re.compile(
    rf"\W*(?:(?:the|this|these|in this|in the)\s+(?:provided |given |following )?{_WORK}(?:\s+clip)?\s*,?\s*"
    rf"(?:(?:{_VERB})\b|(?:we|you|there)\b|one (?:can|sees))"
    r"|here(?: is|['\u2019]s) (?:a|the|your)\b|(?:sure|certainly|of course|okay)\s*[!,.:]"
    r"|(?:caption|description|answer|summary)\s*:)",
    re.IGNORECASE,
)
_CHAT_MARKS = re.compile(
    r"<\|?/?(?:im_start|im_end|image|video|system|user|assistant|endoftext|s|eot_id|end_of_utterance)\b[^>]{0,20}>"
    r"|\[/?INST\]|```|^\s*(?:user|assistant|system)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
LEAKED_WORDS = 8  # in a row that a caption shares with its prompt: no description has so many by chance
_LOOKED_AT = 1 << 16  # characters


@dataclass(frozen=True)
class Evidence:
    """What was measured of the clip; None where nobody looked."""

    texts: Sequence[str] | None = None
    colours: Mapping[str, float] | None = None
    counts: Mapping[str, int] | None = None
    camera: str | None = None


def action(codes: Sequence[str], overrides: Mapping[str, str] | None = None) -> str:
    """What becomes of a caption with these faults in the end: the severest of accept, fall_back and quarantine."""
    return _severest([(overrides or {}).get(code, CODES[code][2]) for code in codes])


def first_action(codes: Sequence[str]) -> str:
    """What is done about these faults while there is another prompt to try: accept or ask_again, as a rule."""
    return _severest([CODES[code][1] for code in codes])


def _severest(actions: Sequence[str]) -> str:
    return max(actions, key=_SEVERITY.index, default="accept")


def check(
    text: str | None, kind: str, evidence: Evidence = Evidence(), *, prompt: str = "", truncated: bool = False
) -> tuple[str, ...]:
    """Return the codes of what is wrong with a caption of this kind (`short`, `dense`, ...), in the order of CODES.

    prompt: what was asked. truncated: whether the model was stopped at its limit. Captions that came with the footage
    (`original`) are people's: they are held to what holds for any text.
    """
    text = text or ""
    found = set()
    if not any(character.isalnum() for character in text):
        found.add("empty")
    limit = MOST_CHARACTERS.get(kind, MOST_CHARACTERS_OTHERWISE)
    if len(text) > limit:
        found.add("too_long")
    # Loops show at the beginning of a long text as well as at its end, and looking stays cheap.
    if _repeats(text[: 2 * limit]):
        found.add("repeated")
    if not _is_clean(text):
        found.add("not_utf8")
    if kind != "original":
        found |= _of_models(text[:_LOOKED_AT], prompt, truncated)
    return tuple(code for code in CODES if code in found)


def _of_models(text: str, prompt: str, truncated: bool) -> set[str]:
    """Faults that only models have."""
    tests = {
        "truncated": truncated,
        "refusal": _REFUSAL.match(text) is not None,
        "boilerplate": _BOILERPLATE.match(text) is not None,
        "prompt_leak": _CHAT_MARKS.search(text) is not None or _shares_words(text, prompt),
    }
    return {code for code, found in tests.items() if found}


def _shares_words(text: str, prompt: str) -> bool:
    """Whether a run of LEAKED_WORDS words of the text stands in the prompt."""
    said, asked = (re.sub(r"[^\w\s]", " ", t.casefold()).split() for t in (text, prompt))
    runs = {tuple(asked[i : i + LEAKED_WORDS]) for i in range(len(asked) - LEAKED_WORDS + 1)}
    return any(tuple(said[i : i + LEAKED_WORDS]) in runs for i in range(len(said) - LEAKED_WORDS + 1))


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
