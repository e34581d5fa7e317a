"""Exact duplicates: clips whose decoded frames are identical, whatever container or encoder settings they came in."""

from __future__ import annotations

import pyarrow as pa


def same_content(content_hash: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Return pairs of row numbers with equal hashes: each later row with the first one. Null matches nothing."""
    first: dict[str, int] = {}
    pairs = []
    for row, value in enumerate(content_hash.to_pylist()):
        if value is not None and first.setdefault(value, row) != row:
            pairs.append((first[value], row))
    return pairs
