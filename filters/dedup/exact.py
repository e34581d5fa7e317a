"""Exact duplicates: clips whose decoded frames are identical, whatever container or encoder settings they came in."""

from __future__ import annotations

import pyarrow as pa


def same_content(content_hash: pa.ChunkedArray) -> list[list[int]]:
    """Return groups of two and more row numbers with equal hashes, each in order. Null matches nothing."""
    groups: dict[str, list[int]] = {}
    for row, value in enumerate(content_hash.to_pylist()):
        if value is not None:
            groups.setdefault(value, []).append(row)
    return [group for group in groups.values() if len(group) > 1]
