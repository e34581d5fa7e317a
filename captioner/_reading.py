"""How the checks read a caption: one spelling of it, its sentences, its words, and what stands in quotation marks.

Captions are hostile text. Everything here takes time in proportion to what it reads, and no more than
LOOKED_AT is read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

# Characters of the beginning and of the end that are read for what a caption says. What is longer is faulty as it is.
LOOKED_AT = 1 << 13
LONGEST_QUOTE = 400

_QUOTES = str.maketrans(
    dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f\u301d\u301e\uff02\u2033", '"')
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4", "'")
)
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
# Capitals in the middle of a sentence, before words in lower case: a sentence begins that nothing ended.
_COMMAND = re.compile(
    "(?<=[a-z0-9'\")\\]]) (?=(?:Do not|Don't|Never|Avoid|Describe|Respond|Reply|Return|Write|Answer|Say|Output|"
    "Please|You|Your|"
    "Ignore|Disregard|Forget|Mark|Label|Visit|Keep|Be|Use|Treat|Set|Tell|Give|Stop|Pretend|Act|From now|Only|Note|"
    "Include) [a-z])"
)
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]*]*(?:\s+|$)|[\u3002\uff01\uff1f\n]+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SINGLE = re.compile(r"(?<![\w'])'(?=[^\s\d'])((?:[^'\n\"]|(?<=\w)'(?=\w)){1,200})'(?![\w'])")
# Letters of other scripts that look like Latin ones, as they are used to get past filters.
_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u04bb\u03bf\u03b1\u03b9\u03c1\u03bd\u0131",
    "aeopcyxijsdlhoaipvi",
)


@dataclass(frozen=True)
class Quote:
    """A text in quotation marks, and where it stands, its marks included."""

    text: str
    start: int
    end: int


class Reading:
    """A caption as the checks read it. `plain` has compatibility forms undone and all quotation marks straight."""

    def __init__(self, text: str) -> None:
        if len(text) > 2 * LOOKED_AT:
            text = f"{text[:LOOKED_AT]}\n{text[-LOOKED_AT:]}"
        self.plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text.translate(_QUOTES)))[: 4 * LOOKED_AT]

    @cached_property
    def quotes(self) -> list[Quote]:
        """What stands in quotation marks, in order."""
        found, opened = [], -1
        for mark in re.finditer('"', self.plain):
            at = mark.start()
            if opened < 0:
                # The inches of a 5" screen open nothing.
                opened = -1 if at and self.plain[at - 1].isdigit() else at
            else:
                found.append(Quote(self.plain[opened + 1 : at].strip(), opened, at + 1))
                opened = -1
        spans = list(found)
        rest = _blanked(self.plain, spans)
        found += [Quote(one.group(1).strip(), one.start(), one.end()) for one in _SINGLE.finditer(rest)]
        return sorted((q for q in found if len(q.text) <= LONGEST_QUOTE), key=lambda quote: quote.start)

    @cached_property
    def own(self) -> str:
        """The caption's own words: every quotation is spaces."""
        return _blanked(self.plain, self.quotes)

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences of its own words, in lower case."""
        return [s for s in (part.strip().casefold() for part in _SENTENCE_END.split(self.own)) if s]

    @cached_property
    def clauses(self) -> str:
        """Its own words in lower case, with a line of its own for every command that lacks a full stop before it."""
        return commands_apart(self.own)

    def without(self, quotes: Sequence[Quote]) -> str:
        """The caption in lower case and Latin letters where others only look like them, without these quotations."""
        return commands_apart(_blanked(self.plain, quotes)).translate(_LOOKALIKES)


def commands_apart(text: str) -> str:
    """A text in lower case with single spaces, and a line break before each command in its middle."""
    return re.sub(r"[^\S\n]+", " ", _COMMAND.sub("\n", text)).casefold()


def words(text: str) -> list[str]:
    """The words of a text; an apostrophe within a word is part of it."""
    return _WORD.findall(text)


def _blanked(text: str, quotes: Sequence[Quote]) -> str:
    parts, last = [], 0
    for quote in sorted(quotes, key=lambda quote: quote.start):
        parts += [text[last : quote.start], " " * (quote.end - quote.start)]
        last = max(last, quote.end)
    return "".join([*parts, text[last:]])
