"""The hashes and small pictures of many clips as flat arrays, clip after clip, read from the columns of `phash`.

N clips, F frames in all: `first` (N + 1,) int64 offsets into frames, `hashes` (F, views, 4) uint64,
`thumbs` (F, 384) uint8, `usable` (F,) bool: frames with enough in them to be told apart by a hash.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curate.errors import SpecError
from filters.dedup.phash import BYTES, LUMA_SIDE, THUMB, VIEWS, information

# Deviation of luma over the 16x16 cells, in grey levels, below which the signs of a hash are codec noise: a black or
# one-coloured frame stays below 1, sensor noise at 4 percent brightness below 3.
LEAST_INFORMATION = 4.0
# A frame is plain when this share of its cells lies within so many grey levels of their median: a title card, a
# logo, one thing on a backdrop. Few cells then carry all the difference between two of them.
PLAIN_SHARE, PLAIN_LEVELS = 0.7, 8.0
# Bits of 256 that two plain frames may differ by: another shape at the same place differs by 40 and more, a
# re-encoded or cropped one mostly by less than 20.
PLAIN_DISTANCE = 36


@dataclass(frozen=True)
class Prints:
    """Flat arrays over clips and their frames; see the module's text."""

    first: np.ndarray
    hashes: np.ndarray
    thumbs: np.ndarray
    usable: np.ndarray
    plain: np.ndarray

    def frames(self, clip: int) -> np.ndarray:
        """Numbers of the usable frames of a clip, in order of time."""
        start, end = self.first[clip], self.first[clip + 1]
        return start + np.flatnonzero(self.usable[start:end])

    def allowed(self, one: np.ndarray, two: np.ndarray, max_distance: int) -> np.ndarray:
        """Bits by which frames `one` and `two` (frame numbers, broadcast) may differ and still match."""
        plain = self.plain[one] & self.plain[two]
        return np.where(plain, min(PLAIN_DISTANCE, max_distance), max_distance)

    def is_flat(self) -> np.ndarray:
        """Clips (N,) bool that have frames, but none that a hash can tell apart."""
        count = np.diff(self.first)
        usable = np.add.reduceat(np.append(self.usable, False), self.first[:-1]) if len(count) else count
        return (count > 0) & (np.where(count > 0, usable, 0) == 0)


def read_prints(clips: pa.Table) -> Prints:
    """Read the columns `phash.count`, `phash.hashes`, `phash.thumbs`; a clip whose columns are null has no frames.

    Raises SpecError when a column is missing or its bytes do not fit the count.
    """
    missing = [name for name in ("phash.count", "phash.hashes", "phash.thumbs") if name not in clips.column_names]
    if missing:
        raise SpecError(f"perceptual duplicates need {', '.join(missing)}: let the score `phash` run before dedup")
    counts = np.array([count or 0 for count in clips["phash.count"].to_pylist()], np.int64)
    arrays = []
    for name, size in (("phash.hashes", VIEWS * BYTES), ("phash.thumbs", THUMB)):
        data = b"".join(value for value in clips[name].to_pylist() if value is not None)
        if len(data) != size * counts.sum():
            raise SpecError(f"{name} holds {len(data)} bytes, {counts.sum()} frames need {size * counts.sum()}")
        arrays.append(np.frombuffer(data, np.uint8).reshape(-1, size))
    hashes, thumbs = arrays
    luma = thumbs[:, : LUMA_SIDE**2]
    spread = np.abs(luma - np.median(luma, axis=1, keepdims=True)) if len(luma) else luma
    return Prints(
        first=np.concatenate([[0], np.cumsum(counts)]),
        hashes=np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, VIEWS, BYTES // 8),
        thumbs=thumbs,
        usable=information(thumbs) >= LEAST_INFORMATION,
        plain=(spread <= PLAIN_LEVELS).mean(axis=1) >= PLAIN_SHARE if len(luma) else np.zeros(0, bool),
    )
