"""Proxied work: scores and screens of stored proxies, for what costs more than decoding and must not decode again.

Row: {"id": clip_id, "part": of its proxies, "ends": part of its first and last frame (screens look at them too, None
where the plan has no screen), "lacks": [stage], and "width", "height", "num_frames", "duration_s"}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from curate import proxies
from curate.plan import Plan
from curate.stage import Clip, Fault, Screen, fault_columns, scored
from curate.store import Store

Row = dict[str, Any]


class ProxiedWork:
    """Measures one clip at a time; the rows of one part come one after the other."""

    batch_rows = 1
    passes_on = False

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._held: dict[str, tuple[str, dict[str, Row]]] = {}

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Measure what a clip lacks; a clip without proxies lacks it for the same reason."""
        row = rows[0]
        found = self._found("frames", row["part"], row["id"])
        ends = self._found("edges", row["ends"], row["id"]) if row.get("ends") else None
        for bad in (found, ends or found):
            if bad["outcome"] != "ok":
                yield from self._faults(row, fault_columns(bad["reason"], bad["detail"]))
                return
        shape = row["width"], row["height"], row["num_frames"], row["duration_s"]
        grid = _decoded(row["id"], found), Clip(row["id"], *shape, tuple(found["times_s"]))
        screened = any(isinstance(self.plan.proxied[stage], Screen) for stage in row["lacks"])
        whole = _with_ends(*grid, ends) if screened else grid
        for stage in row["lacks"]:
            alive()
            score = self.plan.proxied[stage]
            yield stage, {"clip_id": row["id"], **scored(score, *(whole if isinstance(score, Screen) else grid))}

    def _found(self, stage: str, part: str, clip: str) -> Row:
        """The stored row of a clip. A part is read once for all its clips: what it weighs is bounded."""
        if self._held.get(stage, ("", {}))[0] != part:
            self._held[stage] = part, {row["clip_id"]: row for row in proxies.rows(self.store, part)}
        return self._held[stage][1][clip]

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """A quarantined row of every stage that the clip lacks."""
        yield from self._faults(row, fault_columns(fault.reason, fault.detail))

    def _faults(self, row: Row, columns: Row) -> Iterator[tuple[str, Row]]:
        for stage in row["lacks"]:
            yield stage, {"clip_id": row["id"], **columns}


def _decoded(clip: str, found: Row) -> np.ndarray:
    """The pictures of a stored row, (T, H, W, 3) uint8; several scores are given the same array."""
    pixels_THWC = np.stack([proxies.decoded(clip, jpeg) for jpeg in found["jpeg"]])
    pixels_THWC.flags.writeable = False
    return pixels_THWC


def _with_ends(pixels_THWC: np.ndarray, clip: Clip, ends: Row | None) -> tuple[np.ndarray, Clip]:
    """The sampled frames with the clip's first and last one, in the order of their times."""
    if ends is None or not ends["jpeg"]:
        return pixels_THWC, clip
    height, width = pixels_THWC.shape[1:3]
    beside = [cv2.resize(frame, (width, height)) for frame in _decoded(clip.clip_id, ends)]  # no-op at the same size
    times = (*clip.times_s, *ends["times_s"])
    order = np.argsort(times, kind="stable")
    both_THWC = np.concatenate([pixels_THWC, np.stack(beside)])[order]
    both_THWC.flags.writeable = False
    return both_THWC, replace(clip, times_s=tuple(times[i] for i in order))
