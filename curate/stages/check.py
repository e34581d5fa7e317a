"""Check work: the faults of each caption, as codes. What they mean for the clip is decided in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from curate.stages import ClipWork

Row = dict[str, Any]


class CheckWork(ClipWork):
    """Runs captioner.checks on every kind of caption that was written."""

    stage = "check"
    batch_rows = 64

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Check a batch of captions."""
        from captioner.checks import check

        assert self.plan.stages.caption is not None
        for row in rows:
            faults = {kind: list(check(row.get(f"caption.{kind}"), kind)) for kind in self.plan.stages.caption.kinds}
            yield "check", {"clip_id": row["id"], **faults}
