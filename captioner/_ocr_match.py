"""Whether OCR read a text: OCR errs by a letter or two, joins words, parts lines and reads them in its own order.

A text counts as read if most of its characters are found in one string, in several joined, or word by word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

# Of the characters of a claim, the share that may be wrong, and for claims of several words the share that must be
# found word by word. OCR errs, more on signs in
# the picture than on overlays.
MOST_WRONG = 0.25
LEAST_FOUND, LEAST_FOUND_LONG = 0.75, 0.6
LONG = 4  # words of a claim of which some may be beyond OCR
FUZZY_FROM = 4  # characters of a word that may have one wrong
MOST_READ = 8000  # characters of OCR that are compared
MOST_STEPS = 200_000  # characters of OCR that are compared with claims, 0.3 s; what is left then counts as read

# Letters that OCR takes for each other, as one.
_SAME = str.maketrans("0158|!$9q6ij", "olsbllsggbll")
_NUMBER = re.compile(r"\d+")
_APART = re.compile(r"[\s\u2010-\u2015\u2212:/|-]+")


class Screen:
    """What OCR read, ready to be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        strings = [str(text) for text in texts][:MOST_READ]
        self.joined = "".join(map(_folded, strings))[:MOST_READ]
        parts = [part for text in strings for part in map(_folded, text.split()) if part][: MOST_READ // 4]
        self.parts = set(parts) | {a + b for a, b in pairwise(parts)}
        self._steps = MOST_STEPS
        self._known: dict[str, bool] = {}

    def shows(self, claim: str) -> bool:
        """Whether the claim was read, give or take the errors of OCR."""
        wanted = _folded(claim)
        if not wanted:
            return True
        found = [part for part in map(_folded, claim.split()) if part]
        if not all(_folded(number) in self.joined for number in _NUMBER.findall(claim)):
            return False  # one digit makes another bus, year or score
        if self._has(wanted):
            return True
        least = LEAST_FOUND_LONG if len(found) >= LONG else LEAST_FOUND
        if sum(len(part) for part in found if self._has(part)) >= least * len(wanted):
            return True
        # A score of 3-2 may be read as two numbers, far from each other.
        apart = [_folded(part) for part in _APART.split(claim)] if _APART.search(claim.strip()) else []
        return sum(len(part) for part in apart if part in self.parts) >= least * len(wanted) if apart else False

    def _has(self, wanted: str) -> bool:
        if wanted not in self._known:
            self._known[wanted] = self._finds(wanted)
        return self._known[wanted]

    def _finds(self, wanted: str) -> bool:
        if wanted in self.parts:
            return True
        if len(wanted) < FUZZY_FROM:
            return len(wanted) == FUZZY_FROM - 1 and any(wanted in part for part in self.parts)
        if wanted in self.joined:
            return True
        if len(wanted) >= 2 * FUZZY_FROM:
            return self._apart(wanted, self.joined) <= MOST_WRONG * len(wanted)
        # A short word is nearly found in any long text: compare it with words, not with the text.
        most = 1 if len(wanted) < 7 else 2
        near = (part for part in self.parts if abs(len(part) - len(wanted)) <= most)
        return any(self._apart(wanted, part, whole=True) <= most for part in near)

    def _apart(self, wanted: str, text: str, *, whole: bool = False) -> int:
        self._steps -= len(text)
        return distance(wanted, text, whole=whole) if self._steps >= 0 else 0


def _folded(text: str) -> str:
    """Letters and digits alone, without case, accents and what OCR mixes up."""
    text = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in text if c.isalnum()).translate(_SAME).replace("rn", "m").replace("vv", "w")


def distance(wanted: str, text: str, *, whole: bool = False) -> int:
    """Fewest edits that make `wanted` a part of text, or all of it. Bit-parallel: Myers, J. ACM 46 (1999)."""
    size = len(wanted)
    if not size:
        return len(text) if whole else 0
    rows: dict[str, int] = {}
    for at, character in enumerate(wanted):
        rows[character] = rows.get(character, 0) | 1 << at
    full, last = (1 << size) - 1, 1 << size - 1
    up, down, score = full, 0, size
    best = score
    for character in text:
        equal = rows.get(character, 0)
        vertical = equal | down
        equal |= ((equal & up) + up) ^ up
        right, left = down | ~(equal | up) & full, up & equal
        score += bool(right & last) - bool(left & last)
        right = (right << 1 | whole) & full
        left = left << 1 & full
        up, down = left | ~(vertical | right) & full, right & vertical
        best = min(best, score)
    return score if whole else best
