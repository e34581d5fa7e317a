"""Cut work: a kept clip as an mp4 of its own, its packets copied where that gives exactly its frames, else encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from curate.errors import InputRejected
from curate.media.cutting import encoded
from curate.media.facts import Fit, Job
from curate.media.reader import reader_for
from curate.plan import Plan
from curate.stages import ClipWork

Row = dict[str, Any]
_WHOLE = Fit(short_side=1 << 30, multiple=2)  # no scaling; yuv420p needs even sides


class CutWork(ClipWork):
    """Row: {"id": clip_id, "url", span and stream columns}."""

    stage = "mp4"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.reader = reader_for(plan.spec)

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Cut one clip."""
        row = rows[0]
        data = self.reader.copy(row["url"], row["start_pts"], row["end_pts"], row["num_frames"])
        how = "copied"
        if data is None:
            how = "encoded"
            data = encoded(self._frames(row, alive), Fraction(row["time_base"]))
        digest = hashlib.sha256(data).hexdigest()
        yield "mp4", {"clip_id": row["id"], "data": data, "how": how, "bytes": len(data), "sha256": digest}

    def _frames(self, row: Row, alive: Callable[[], None]) -> Iterator[tuple[int, np.ndarray]]:
        seen = 0
        for frame in self.reader.frames(row["url"], Job("full", row["start_pts"], row["end_pts"], fit=_WHOLE)):
            alive()
            assert frame.fitted is not None
            seen += 1
            yield frame.pts - row["start_pts"], frame.fitted
        if seen != row["num_frames"]:
            raise InputRejected("decode:span", f"the span gave {seen} frames, its split counted {row['num_frames']}")
