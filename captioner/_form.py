"""Faults of a caption's form: characters that are no text, loops, and a text that stops in the middle."""

from __future__ import annotations

import re

# A language model that loops says one to LONGEST_LOOP words again and again. Good English has "ha ha ha ha" and
# "round and round and round" beside other words: short phrases need more times, or fewer where they are half of
# the text.
LONGEST_LOOP = 24
WORD_TIMES, SHORT_PHRASE_TIMES, PHRASE_TIMES = 6, 5, 3
WORD_TIMES_ALONE, LEAST_SHARE = 4, 0.5
LONG_PHRASE = 4  # words
LONGER_QUOTED = 2
# Scripts without spaces: the same run of 1 to 24 characters, this often in a row, over at least so many characters.
CHARACTER_TIMES, LEAST_CHARACTERS = 6, 18
_CHARACTER_LOOP = re.compile(rf"(\S.{{0,23}}?)\1{{{CHARACTER_TIMES - 1},}}", re.DOTALL)
# Of the groups of three words, the share that must be different, once there are enough to judge.
LEAST_DISTINCT, ENOUGH_GROUPS = 0.5, 24

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
# UTF-8 that was read as Windows-1252: what its bytes 0x80..0xbf become, behind the first bytes that are no letters of a
# word before such signs. After a capital, a closing quotation mark may follow these letters.
_REST = (
    "[\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c\u201d\u2022\u2013"
    "\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178\u00a0-\u00bf]"
)
_MISREAD = re.compile(
    f"(?<![A-Z\u00c0-\u00de])[\u00c2\u00c3]{_REST}|[\u00c2\u00c3][\u00a1-\u00ba\u00bc-\u00bf]|\u00e2\u20ac|"
    f"\u00f0\u0178|(?:[\u00d0\u00d1\u00ce\u00cf]{_REST}){{2}}|"
    f"(?:[\u00e3-\u00e9]{_REST}{{2}}){{2}}"
)

_LAST = 400  # characters of the end that are looked at for open brackets and quotation marks
_WORD = re.compile(r"[\w'\u2019]+")
_STOPPED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4][\"'\u201d\u2019\u00bb\u300d\u300f)\]*_`~\s]*$")
_OPEN_END = re.compile(r"[,;:\u2013\u2014\-/&+=([{<\u3001\uff0c\u201c\u2018\u00ab\u300c]$")
# Nothing ends in these, not even a fragment.
_NEVER = frozenset(
    "a an the and or nor but because although though whereas unless than if whose their his its my our your very every "
    "de del des et und y e o der das le les el una un une eine einen mit avec".split()
)
# These end a relative clause ("the bench she sits on"), an infinitive ("a ball to play with") or a passive ("is looked
# at"), and little else. In short captions, which are full of such clauses, only the first ones count.
_SELDOM_SHORT = frozenset("of is are was were".split())
_SELDOM = _SELDOM_SHORT | frozenset(
    "with from into onto for at to between among amongst against during towards toward upon until since as which "
    "wearing holding including featuring containing carrying showing surrounding".split()
)
_AFTER_PARTICIPLE = re.compile(
    r"\b(?:dressed|clad|covered|based|situated|located|seated|mounted|focus\w*|surrounded|followed|accompanied|flanked|"
    r"framed|illuminated|held|perched|parked|placed|lying|lies|resting|rests|leaning|leans|sitting|sits|stands|"
    r"standing)"
    r" (?:on|in the middle|by)$|\b(?:dressed|clad|covered|situated|located|seated|parked|placed) in$"
)
_SUBJECT = (
    "(?:(?:it|he|she|they|we|you|i|one|someone|somebody|everyone|everybody|nobody|people|others)(?:'\\w+)?|"
    "(?:the|a|an|his|her|their|its|no|my|each|another) \\w+(?: \\w+){0,2}?)"
)
# What lets a sentence end in one of _SELDOM.
_STRANDED = re.compile("|".join((
    r"\b(?:that|who|whom|which|what|where|whatever|how|wherever|whoever) (?:[\w'-]+ ){1,9}$",
    r"\bto (?:[\w'-]+ ){1,6}$", r"\bworth (?:[\w'-]+ ){1,4}$",
    r"\b(?:\w+thing|\w+body|\w+where|no one|(?:some|any|every)one) (?:[\w'-]+ ){1,4}$",
    r"\b(?:is|are|was|were|be|been|being|gets?|getting|got) (?:\w+ly )?\w+(?:ed|en|t) (?:\w+ )?$",
    r"\b(?!(?:and|or|but|then|while|as|when|because|if|so|in|on|at|by|of|to|with|from|for|into|onto|toward|towards|"
    r"over|under|behind|beside|near|through|across|along|around|past|is|are|was|were|\w+ing)\b)[\w'-]+ "
    rf"{_SUBJECT} (?:[\w'-]+ ){{1,4}}$",
)))  # fmt: skip
# "Asks to come in but is not allowed to."
_WISHED = re.compile(
    r"\b(?:allowed|wants?|wanted|used|love|like|supposed|meant|needs?|able|going|tr(?:y|ies)|asked|told|how|hopes?|"
    r"permitted|refuses?|ha(?:s|ve|d)|ought|about) to$"
)
# "Wearing a red": an article and an adjective want a noun.
_NO_NOUN = re.compile(
    r"\b(?:(?:an?|his|her|their|its) (?:\w+ly )?(?:black|white|gr[ea]y|red|green|blue|yellow|brown|pink|purple|large|"
    r"small|big|old|elderly|tall|long|short|wooden|bright|dark|calm|narrow|busy|beautiful|modern|dimly|brightly|lush|"
    r"vibrant|colou?rful|rocky|sandy|snowy|grassy|sunny)|an? young|the (?:large|small|big|tall|long|wooden|bright|calm|"
    r"narrow|busy|modern|rocky|sandy|snowy|lush|vibrant))$"
)
_PAINTED = re.compile(
    r"\b(?:turns?|turned|turning|paint\w*|glow\w*|is|are|dyed|colou?red|fades? to|goes) (?:an?) (?:\w+ly )?\w+$"
)
_A_WHILE = re.compile(r"\b(?:(?:for|after|once in) a (?:\w+ )?|all the )while$")
_WHO = re.compile(r", (?:who|which|where|whom)$")
_CLAUSE_END = re.compile(r"[.!?;:,\n]+\s")
_ELLIPSIS = re.compile(r"\s*(?:\.\.+|\u2026)$")


def is_clean(text: str) -> bool:
    """Whether text can be written as UTF-8 and shows no trace of bytes that could not be read as it.

    Lone surrogates cannot be written; U+FFFD stands where a decoder gave up; control characters are no text.
    """
    return _NO_TEXT.search(text) is None and _MISREAD.search(text) is None


def repeats(text: str, own: str | None = None) -> bool:
    """Whether words, phrases or characters come again and again in a row, or few are new.

    own: the text without what it quotes. A crowd may chant in quotation marks, though not without end.
    """
    own = text if own is None else own
    if _word_loop(_words(own)) or (own != text and _word_loop(_words(text), patience=LONGER_QUOTED)):
        return True
    words = _words(text)
    groups = list(zip(words, words[1:], words[2:], strict=False))
    if len(groups) >= ENOUGH_GROUPS and len(set(groups)) < LEAST_DISTINCT * len(groups):
        return True
    for loop in _CHARACTER_LOOP.finditer(text):
        # A row of dots or dashes is punctuation, and the zeros of a number are no loop; words were counted above.
        unit = loop.group(1)
        if any(c.isalpha() for c in unit) and len(loop.group()) >= LEAST_CHARACTERS and not re.search(r"\s", unit):
            return True
    return False


def _words(text: str) -> list[str]:
    return re.sub(r"[^\w\s]", " ", text.casefold()).split()


def _word_loop(words: list[str], patience: int = 1) -> bool:
    """Whether one to LONGEST_LOOP words come again right after themselves, often enough.

    Less often is enough of what is half of the text. patience: how many times as often it takes.
    """
    for size in range(1, min(LONGEST_LOOP, len(words) // 2) + 1):
        surely = patience * (WORD_TIMES if size == 1 else SHORT_PHRASE_TIMES if size < LONG_PHRASE else PHRASE_TIMES)
        alone = WORD_TIMES_ALONE if size == 1 else PHRASE_TIMES
        mostly = alone if patience == 1 else surely
        # Nobody says "the the the the".
        needed = [WORD_TIMES_ALONE if size == 1 and word in _SELDOM | _NEVER else surely for word in words]
        run = 0
        for here in range(size, len(words)):
            run = run + 1 if words[here] == words[here - size] else 0
            if run >= size * (needed[here] - 1):
                return True
            if run >= size * (mostly - 1) and run + size >= LEAST_SHARE * len(words):
                return True
    return False


def stops_early(text: str, kind: str) -> bool:
    """Whether a caption ends in the middle of a sentence.

    Many good captions have no full stop, of one sentence or of several. One is cut if it ends in a word or a sign that
    something must follow, or within brackets or quotation marks.
    """
    end = text[-_LAST:].rstrip(" \t\r\n*_")
    if not end:
        return False
    cut = _ELLIPSIS.sub("", end)
    if cut == end and _STOPPED.search(end):
        return False
    if _OPEN_END.search(cut) or _dangles(cut, kind):
        return True
    if cut != end:
        return False
    return _is_open(end) or (len(text) <= _LAST and end.count('"') % 2 == 1 and not re.search(r'\d"', end))


def _dangles(text: str, kind: str) -> bool:
    """Whether the last word is one that something must follow. Capitals are letters of a sign: "exit A"."""
    if not text[-1:].isalnum():
        return False
    last = _WORD.findall(text)[-1]
    if len(text) == len(last):
        return False
    end = _CLAUSE_END.split(text[-160:].casefold().replace("\u2019", "'"))[-1]
    if _WHO.search(text[-12:]) or last in _NEVER or (last == "while" and not _A_WHILE.search(end)):
        return True
    if _NO_NOUN.search(end) and not _PAINTED.search(end):
        return True
    if last in (_SELDOM_SHORT if kind == "short" else _SELDOM) or (kind != "short" and _AFTER_PARTICIPLE.search(end)):
        return not _WISHED.search(end) and not _STRANDED.search(end[: len(end) - len(last)])
    return False


def _is_open(text: str) -> bool:
    return any(text.rfind(left) > text.rfind(right) for left, right in ("()", "[]", "\u201c\u201d", "\u00ab\u00bb"))
