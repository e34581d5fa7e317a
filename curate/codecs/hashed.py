"""Weight-free text encoder: one fixed unit vector a word, hashed from the word and its letter n-grams.

A text of L words gives features_LD, float32, D = `dim`, trimmed (no padding). A row is the word's own hashed
unit vector plus a share of the sum of its letter 3-grams' vectors, normalised again: equal words have equal
rows on every machine, words that share letters lie nearer than words that do not. Order is not in a row; the
trainer's refiner knows positions. The empty text is one row of its own. numpy only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

import numpy as np

from curate.errors import SpecError

VERSION = 1
# Letter n-grams relate spellings (move, moves, moving); with half the weight of the word itself, two words
# that share no 3-gram stay nearly orthogonal, and "up" and "cup" are not taken for one another.
NGRAM_SHARE = 0.5
NGRAM_LETTERS = 3
# A word in angle brackets cannot come out of the tokeniser, so no text but "" has this row.
EMPTY_TOKEN = "<empty>"
_WORD = re.compile(r"\w+|[^\w\s]")


class HashedTextEncoder:
    """The encoder of this module. Texts longer than `max_words` are cut there (part of the fingerprint).

    Raises SpecError when `dim` or `max_words` is not positive. Source: DESIGN section 8, Q46.
    """

    aside: ClassVar[tuple[str, ...]] = ()

    def __init__(self, dim: int = 64, max_words: int = 256) -> None:
        if dim < 8 or max_words < 1:
            raise SpecError(f"hashed: dim is {dim} and max_words {max_words}; at least 8 and 1 are needed")
        self.dim = dim
        self.max_words = max_words
        described = json.dumps(["hashed", VERSION, dim, max_words, NGRAM_SHARE, NGRAM_LETTERS, _WORD.pattern])
        self.fingerprint = "hashed-" + hashlib.sha256(described.encode()).hexdigest()[:24]

    def encode(self, texts: list[str], alive: Callable[[], None] | None = None) -> list[np.ndarray]:
        """Return one features_LD (float32, unit rows) for each text; L is its number of words, at least 1."""
        return [self._encode_text(text) for text in texts]

    def _encode_text(self, text: str) -> np.ndarray:
        words = _WORD.findall(text.lower())[: self.max_words] or [EMPTY_TOKEN]
        return np.stack([word_vector(word, self.dim) for word in words])


@lru_cache(maxsize=65536)
def word_vector(word: str, dim: int) -> np.ndarray:
    """Return the unit vector (dim,) of a word, float32, read-only."""
    vector = token_vector("word:" + word, dim)
    edged = f"^{word}$"
    grams = [edged[i : i + NGRAM_LETTERS] for i in range(len(edged) - NGRAM_LETTERS + 1)]
    if grams and word != EMPTY_TOKEN:
        # The sum of n nearly orthogonal unit vectors has length sqrt(n): a long word counts its letters no more.
        total = np.sum([token_vector("gram:" + gram, dim) for gram in grams], axis=0)
        vector = vector + NGRAM_SHARE * total / np.sqrt(len(grams))
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    unit.setflags(write=False)
    return unit


def token_vector(token: str, dim: int) -> np.ndarray:
    """Return a token's unit vector (dim,), float64: the bytes of blake2b(token, counter), centred.

    Bytes are used as uniform numbers; only integer arithmetic precedes the norm, so every platform agrees.
    """
    raw = token.encode("utf-8", "surrogatepass")
    salts = [counter.to_bytes(8, "little") for counter in range((dim + 63) // 64)]
    data = b"".join(hashlib.blake2b(raw, digest_size=64, salt=salt).digest() for salt in salts)
    centred = np.frombuffer(data[:dim], np.uint8).astype(np.float64) - 127.5
    return centred / np.linalg.norm(centred)
