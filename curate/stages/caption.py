"""Caption work: one row a clip with every kind; joined by clip id, never by position."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from curate.plan import Plan
from curate.stages import ClipWork

Row = dict[str, Any]


class CaptionWork(ClipWork):
    """Runs the captioner of the spec."""

    stage = "caption"
    batch_rows = 16

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        assert plan.stages.caption is not None
        self.captioner = plan.captioner
        self.kinds = plan.stages.caption.kinds

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Describe a batch of clips."""
        captions = {
            caption.clip_id: caption
            for caption in self.captioner.describe([{"clip_id": row["id"], **row} for row in rows])
        }
        alive()
        if captions.keys() != {row["id"] for row in rows}:
            raise ValueError(f"{self.captioner.name} answered for other clips than it was asked about")
        for row in rows:
            caption = captions[row["id"]]
            texts = {kind: caption.texts[kind] for kind in self.kinds}
            yield "caption", {"clip_id": row["id"], **texts, "model": caption.model}
