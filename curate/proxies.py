"""Stored proxies: sampled small frames of every clip, JPEG in the table `frames`; read instead of decoding again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate import schema
from curate.errors import StorageError
from curate.plan import Plan
from curate.store import Store, read_columns

Row = dict[str, Any]


def places(plan: Plan, store: Store, stage: str = "frames") -> dict[str, str]:
    """The part that holds the proxies (or `edges`) of each clip: the first commit that nobody has withdrawn."""
    found: dict[str, str] = {}
    for part in store.parts(plan.tables[stage].name):
        for clip in store.standing(part, _columns(store, part.path, ["clip_id"]), "clip_id")["clip_id"].to_pylist():
            found.setdefault(clip, part.path)
    return found


def rows(store: Store, path: str, wanted: set[str] | None = None, columns: list[str] | None = None) -> Iterator[Row]:
    """Rows of one part, those of the wanted clips; one that holds none of them is not read beyond its ids.

    Raises:
        StorageError: the part is damaged.
    """
    if wanted is not None and wanted.isdisjoint(_columns(store, path, ["clip_id"])["clip_id"].to_pylist()):
        return
    table = _columns(store, path, columns or schema.FRAMES.names)
    for batch in table.to_batches(max_chunksize=16):
        for row in batch.to_pylist():
            if wanted is None or row["clip_id"] in wanted:
                yield row


def _columns(store: Store, path: str, columns: list[str]) -> pa.Table:
    try:
        return read_columns(store.out / path, columns)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"part {path} cannot be read ({error}); see: rushes verify") from error


def decoded(clip: str, jpeg: bytes) -> np.ndarray:
    """One proxy, (H, W, 3) uint8 RGB.

    Raises:
        StorageError: it is damaged.
    """
    picture = rgb_of(jpeg)
    if picture is None:
        raise StorageError(f"a proxy of clip {clip} is not a JPEG; see: rushes verify")
    return picture


def rgb_of(jpeg: bytes) -> np.ndarray | None:
    """The picture in a JPEG file, (H, W, 3) uint8 RGB; None where there is none."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
