"""Faults of a caption's form: characters that are no text, loops, and a text that stops in the middle."""

from __future__ import annotations

import re

# A language model that loops says one to LONGEST_LOOP words again and again. Twice happens in good English ("very,
# very"), three times in a row hardly, and not with phrases of two words and more; one word needs one more.
LONGEST_LOOP = 24
WORD_TIMES, PHRASE_TIMES = 4, 3
# Scripts without spaces: the same run of 1 to 24 characters, this often in a row, over at least so many characters.
CHARACTER_TIMES, LEAST_CHARACTERS = 6, 18
_CHARACTER_LOOP = re.compile(rf"(\S.{{0,23}}?)\1{{{CHARACTER_TIMES - 1},}}", re.DOTALL)
# Of the groups of three words, the share that must be different, once there are enough to judge.
LEAST_DISTINCT, ENOUGH_GROUPS = 0.5, 24

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")

# Words of a sentence after which people write a full stop; a phrase, as short captions are, needs none.
LONGEST_PHRASE = 32
# Words from which a text with a full stop inside but none at its end has lost it. A dense caption is made of sentences.
LEAST_WORDS = {"dense": 12}
LEAST_WORDS_OTHERWISE = 20
_LAST = 400  # characters of the end that are looked at for open brackets and quotation marks
_WORD = re.compile(r"[\w'\u2019]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_STOPPED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4][\"'\u201d\u2019\u00bb\u300d\u300f)\]*_`~\s]*$")
_INSIDE = re.compile(r"\w[\w,\"')\]]*[.!?]\s+[\"'(\[*]*[A-Z\u00c0-\u00de]|[\u3002\uff01\uff1f]\S")
_OPEN_END = re.compile(r"[,;:\u2013\u2014\-/&+=([{<\u3001\uff0c\u201c\u2018\u00ab\u300c]$")
# No caption ends in these, not even a fragment. "In", "on", "up" do end sentences; they are asked about below.
_DANGLING = frozenset(
    "a an the of and or nor but with from into onto for at to between among amongst against during towards toward upon "
    "while because although though whereas unless until since as than if which whose where when whom their his its my "
    "our your is are was were has have had be been being am very such both either every each these those what who "
    "wearing holding including featuring containing carrying showing surrounding "
    "de del du des et und y e o der das le les el una une un eine einen mit avec".split()
)
_AFTER_PARTICIPLE = re.compile(
    r"(?:^|\s)(?:stand|sit|ly|lean|plac|sat|seat|locat|park|rest|bas|set|situat|dress|cover|perch|kneel|hang|clad|"
    r"mount|focus|concentrat|depend|surround|follow|accompan|lit|driv|held|fram|flank|illuminat|carr|worn)\w*\s+"
    r"(?:in|on|by|over|under|beside|behind|near)$"
)
_SENTENCE = re.compile(r",|\b(?:the|of|and|with|is|a|in)\b|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", re.I)
# "Wearing a red": an article and an adjective want a noun.
_NO_NOUN = re.compile(
    r"\b(?:(?:an?|his|her|their|its) (?:\w+ly )?(?:black|white|gr[ea]y|red|green|blue|yellow|brown|pink|purple|large|"
    r"small|big|"
    r"young|old|elderly|tall|long|short|wooden|bright|dark|calm|narrow|busy|beautiful|modern|dimly|brightly|lush|"
    r"vibrant|"
    r"colou?rful|rocky|sandy|snowy|grassy|sunny)|the (?:large|small|big|tall|long|wooden|bright|calm|narrow|busy|"
    r"modern|rocky|"
    r"sandy|snowy|lush|vibrant))$"
)
_ELLIPSIS = re.compile(r"\s*(?:\.\.+|\u2026)$")


def is_clean(text: str) -> bool:
    """Whether text can be written as UTF-8 and shows no trace of bytes that could not be read as it.

    Lone surrogates cannot be written; U+FFFD stands where a decoder gave up; control characters are no text.
    """
    return _NO_TEXT.search(text) is None


def repeats(text: str) -> bool:
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


def stops_early(text: str, kind: str) -> bool:
    """Whether a caption ends in the middle of a sentence.

    A fragment without a full stop is a caption. It is none if it ends in a word or a sign that something must follow,
    or if it is so long, or has full stops elsewhere, that only its end can have been lost. Captions that came with the
    footage (`original`) often have no full stop anywhere.
    """
    end = text[-_LAST:].rstrip(" \t\r\n*_")
    if not end:
        return False
    cut = _ELLIPSIS.sub("", end)
    if cut != end or not _STOPPED.search(end):
        if _OPEN_END.search(cut) or _dangles(cut):
            return True
        if cut != end:
            return False
    else:
        return False
    if _is_open(end) or (len(text) <= _LAST and end.count('"') % 2 and not re.search(r'\d"', end)):
        return True
    if kind == "original" or not (end[-1].isalnum() or end[-1] in "\"')]\u201d\u2019"):
        return False
    head = text[: 1 << 14]
    length = len(_WORD.findall(head)) + len(_WIDE.findall(head)) // 2
    if length > LONGEST_PHRASE and _SENTENCE.search(head):  # a list of words is no sentence
        return True
    return length >= LEAST_WORDS.get(kind, LEAST_WORDS_OTHERWISE) and _INSIDE.search(head) is not None


def _dangles(text: str) -> bool:
    """Whether the last word is one that something must follow. Capitals are letters of a sign: "exit A"."""
    if not text[-1:].isalnum():
        return False
    last = _WORD.findall(text)[-1]
    if last in _DANGLING:
        return len(text) > len(last)
    end = text[-60:].casefold()
    return _AFTER_PARTICIPLE.search(end) is not None or _NO_NOUN.search(end) is not None


def _is_open(text: str) -> bool:
    return any(text.rfind(left) > text.rfind(right) for left, right in ("()", "[]", "\u201c\u201d", "\u00ab\u00bb"))
