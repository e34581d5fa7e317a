"""Proxied work: scores of stored proxies, for what costs more than decoding and must not decode again.

Row: {"id": clip_id, "part": of its proxies, "lacks": [stage], and "width", "height", "num_frames", "duration_s"}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from curate import proxies
from curate.plan import Plan
from curate.stage import Clip, Fault, fault_columns, scored
from curate.store import Store

Row = dict[str, Any]


class ProxiedWork:
    """Measures one clip at a time; the rows of one part come one after the other."""

    batch_rows = 1
    passes_on = False

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._part = ""
        self._rows: dict[str, Row] = {}

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Measure what a clip lacks; a clip without proxies lacks it for the same reason."""
        row = rows[0]
        found = self._found(row["part"], row["id"])
        if found["outcome"] != "ok":
            yield from self._faults(row, fault_columns(found["reason"], found["detail"]))
            return
        pixels_THWC = np.stack([proxies.decoded(row["id"], jpeg) for jpeg in found["jpeg"]])
        pixels_THWC.flags.writeable = False  # several scores are given the same array
        clip = Clip(
            row["id"], row["width"], row["height"], row["num_frames"], row["duration_s"], tuple(found["times_s"])
        )
        for stage in row["lacks"]:
            alive()
            yield stage, {"clip_id": row["id"], **scored(self.plan.proxied[stage], pixels_THWC, clip)}

    def _found(self, part: str, clip: str) -> Row:
        """The stored row of a clip. A part is read once for all its clips: what it weighs is bounded."""
        if part != self._part:
            self._rows = {row["clip_id"]: row for row in proxies.rows(self.store, part)}
            self._part = part
        return self._rows[clip]

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """A quarantined row of every stage that the clip lacks."""
        yield from self._faults(row, fault_columns(fault.reason, fault.detail))

    def _faults(self, row: Row, columns: Row) -> Iterator[tuple[str, Row]]:
        for stage in row["lacks"]:
            yield stage, {"clip_id": row["id"], **columns}
