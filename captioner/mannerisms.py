"""How a set of captions is written: case, ends, length, openers and repetition, whatever it says (Q34).

A model trained on captions learns their manner with their content; DALL-E 3's authors warn of letter case, final
punctuation, length and captions that all start with "a". Read beside the captions that people wrote, a manner shows.

A word is a run of letters, digits and the marks on them (any script, NFC), with apostrophes, hyphens and points inside
it: `don't`, `wide-angle`, `3.5`. Chinese and Japanese are written without spaces, so each of their characters is a
word. Further scripts without spaces (Thai, Khmer) give a word for each run. Words are compared without regard to case.
"""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice

import numpy as np

SEED = 0
MOST_NGRAMS = 20_000  # of a sample: enough that a share is known to within 1 %, and soon counted
OPENER_WORDS = (1, 2, 3)
OPENERS = 5  # of each length that are named
PHRASE, PHRASES = 4, 10  # the share of n-grams that the commonest few make up: n, and how many
ARTICLES = frozenset(("a", "an", "the"))
# A share that differs by more is a manner of the captioner, and not chance: from 50 texts two standard errors are 0.2.
GAP, FEWEST = 0.25, 50

_ENDS = frozenset(".!?\u2026\u203d\u3002\uff01\uff1f\uff0e\uff61\u0964\u0965\u061f\u06d4\u0589\u1362\u17d4\u104b")
_CLOSERS = "\"'\u2019\u201d\u00bb\u203a)]}\u300d\u300f\uff09"
_JOINED = "['\u2010\u2011.-]"
_ALONE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_ASCII = re.compile("[a-z0-9]+(?:['.-][a-z0-9]+)*")


@dataclass(frozen=True)
class Mannerisms:
    """Of one set. Shares are 0..1 of the texts, lengths are in words.

    openers: by number of words, the commonest with their shares. distinct: by n, different n-grams over n-grams, of a
    sample of `sampled[n]` n-grams; phrases: share of the sampled 4-grams that the 10 commonest make up. These three
    depend on the size of the sample, so sets are to be compared by `compared`. None: the set has no n-gram of the kind.
    """

    count: int
    upper: float
    lower: float
    ended: float
    article: float
    mean: float
    p5: int
    p50: int
    p95: int
    repeated: float
    openers: Mapping[int, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    sampled: Mapping[int, int] = field(default_factory=dict)
    distinct: Mapping[int, float | None] = field(default_factory=dict)
    phrases: float | None = None


SHARES = ("upper", "lower", "ended", "article", "repeated")


def words(text: str) -> list[str]:
    """The words of a text in any script, case folded."""
    if text.isascii():  # nearly all of them, in a fifth of the time
        return _ASCII.findall(text.lower())
    text = _ALONE.sub(r" \g<0> ", unicodedata.normalize("NFC", text)).replace("_", " ").replace("\u2019", "'")
    return [found.casefold() for found in _word().findall(text)]


@cache
def _word() -> re.Pattern[str]:
    """Python's own \\w ends a word at a vowel sign of Hindi or Tamil: marks (category M) belong to it."""
    marks = "".join(c for c in map(chr, range(0x300, sys.maxunicode + 1)) if unicodedata.category(c)[0] == "M")
    one = f"\\w[\\w{marks}]*"
    return re.compile(f"{one}(?:{_JOINED}{one})*")


def mannerisms(texts: Sequence[str], seed: int = SEED) -> Mannerisms:
    """Measure one set; its order plays no part.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("mannerisms: a set without texts has none")
    return compared({"": texts}, seed)[""]


def compared(sets: Mapping[str, Sequence[str]], seed: int = SEED) -> dict[str, Mannerisms]:
    """Measure sets by their names, their n-grams in samples of one size; sets without texts are left out."""
    said = {name: [words(text) for text in texts] for name, texts in sets.items() if texts}
    sizes = {n: min([MOST_NGRAMS, *(_available(of, n) for of in said.values())]) for n in (1, 2, 3, PHRASE)}
    return {name: _measured(sets[name], of, sizes, seed) for name, of in said.items()}


def _measured(texts: Sequence[str], said: list[list[str]], sizes: Mapping[int, int], seed: int) -> Mannerisms:
    lengths = np.array([len(of) for of in said])
    low, middle, high = (int(v) for v in np.percentile(lengths, (5, 50, 95), method="inverted_cdf"))
    samples = {n: Counter(_sample(said, n, size, seed)) for n, size in sizes.items()}
    often = sum(count for _, count in samples[PHRASE].most_common(PHRASES))
    return Mannerisms(
        count=len(texts),
        upper=_share([_starts_upper(text) for text in texts]),
        lower=_share([_all_lower(text) for text in texts]),
        ended=_share([text.rstrip().rstrip(_CLOSERS)[-1:] in _ENDS for text in texts]),
        article=_share([bool(of) and of[0] in ARTICLES for of in said]),
        mean=float(lengths.mean()), p5=low, p50=middle, p95=high,
        repeated=1 - len(set(texts)) / len(texts),
        openers={n: _openers(said, n) for n in OPENER_WORDS},
        sampled=dict(sizes),
        distinct={n: len(samples[n]) / sizes[n] if sizes[n] else None for n in (1, 2, 3)},
        phrases=often / sizes[PHRASE] if sizes[PHRASE] else None,
    )  # fmt: skip


def gaps(synthetic: Mannerisms, original: Mannerisms) -> tuple[str, ...]:
    """Names of the shares in which synthetic captions differ from people's by more than chance."""
    if min(synthetic.count, original.count) < FEWEST:
        return ()
    return tuple(name for name in SHARES if abs(getattr(synthetic, name) - getattr(original, name)) > GAP)


def _available(said: Sequence[Sequence[str]], n: int) -> int:
    return sum(max(0, len(of) - n + 1) for of in said)


def _sample(said: Sequence[list[str]], n: int, size: int, seed: int) -> Iterator[tuple[str, ...]]:
    """The first `size` n-grams of the texts in an order that the seed and the set of texts decide."""
    order = sorted(said)
    random.Random(seed).shuffle(order)
    ngrams = (tuple(of[i : i + n]) for of in order for i in range(len(of) - n + 1))
    return islice(ngrams, size)


def _openers(said: Sequence[Sequence[str]], n: int) -> tuple[tuple[str, float], ...]:
    """The commonest beginnings of n words, then by alphabet; texts of fewer words have none."""
    counts = Counter(" ".join(of[:n]) for of in said if len(of) >= n)
    first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:OPENERS]
    return tuple((opener, count / len(said)) for opener, count in first)


def _starts_upper(text: str) -> bool:
    first = next((c for c in text if c.isalnum()), "")
    return first.isupper() or first.istitle()


def _all_lower(text: str) -> bool:
    return text.islower()  # it has a letter with case, and no capital


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)
