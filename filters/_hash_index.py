"""The nearest of many 256-bit hashes to any of a few: each is compared with each, exactly.

N known hashes, R rows that are asked for, both (N or R, 32) uint8; inside they are four words of 64 bits. A frame has
4 to 8 rows with content. What a frame costs prints `benchmarks.known_hashes`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BYTES = 32
_CHUNK, _ROWS = 1 << 13, 4  # hashes and rows compared at once: 256 kB of differences, which stay in the cache


class Near(NamedTuple):
    """The bits between a row and a known hash, and the numbers of both."""

    distance: int
    row: int
    known: int


class HashIndex:
    """Known hashes, ready to be compared."""

    def __init__(self, hashes: np.ndarray) -> None:
        """Take (N, 32) uint8."""
        self._words = np.ascontiguousarray(_as_words(hashes).T)

    def __len__(self) -> int:
        return self._words.shape[1]

    def nearest(self, rows: np.ndarray, limit: int) -> Near | None:
        """The nearest of all to any of the rows, of equals that with the first row; None beyond `limit` bits."""
        asked = _as_words(rows)
        best: Near | None = None
        for start in range(0, len(self), _CHUNK):
            words = self._words[:, start : start + _CHUNK]
            for first in range(0, len(asked), _ROWS):
                apart = _apart(asked[first : first + _ROWS], words)
                distance = int(apart.min())
                if distance <= limit and (best is None or distance <= best.distance):
                    row, known = (int(number) for number in np.unravel_index(apart.argmin(), apart.shape))
                    near = Near(distance, first + row, start + known)
                    best = near if best is None else min(best, near)
        return best


def _apart(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Bits between rows (R, 4) and hashes (4, N), (R, N) uint8; 256, which a byte cannot hold, is told as 255."""
    differ = np.empty((len(rows), words.shape[1]), np.uint64)
    total, count = (np.empty(differ.shape, np.uint8) for _ in range(2))
    np.bitwise_count(np.bitwise_xor(rows[:, 0, None], words[0], out=differ), out=total)
    for word in (1, 2, 3):
        np.bitwise_count(np.bitwise_xor(rows[:, word, None], words[word], out=differ), out=count)
        if word == 3:
            np.minimum(count, 63, out=count, where=total == 192)
        total += count
    return total


def _as_words(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, BYTES // 8)
