"""Caption work: one row a clip with every kind. What is asked, checked and written down is in captioner/caption.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from curate import proxies
from curate.captioning import Asking, Pictures, box_of
from curate.plan import Plan
from curate.stage import Left, fault_columns
from curate.stages import ClipWork
from curate.store import Store

Row = dict[str, Any]


class CaptionWork(ClipWork):
    """Runs the captioner of the spec. A row names, beside the columns that it reads, the part of its proxies."""

    stage = "caption"

    def __init__(self, plan: Plan, store: Store) -> None:
        super().__init__(plan)
        self.store, self.captioner = store, plan.captioner
        self.batch_rows = self.captioner.batch_rows

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row] | Left]:
        """Describe a batch of clips, in whatever order they come out."""
        from captioner.caption import Subject, describe

        found = self._proxies(rows) if self.captioner.reads_frames else {}
        subjects = []
        for row in rows:
            stored = found.get(row["id"])
            if stored is not None and stored["outcome"] != "ok":  # no frames, for a reason that was written down
                yield "caption", {"clip_id": row["id"], **fault_columns(stored["reason"], stored["detail"])}
            else:
                pictures = None if stored is None else pictures_of(stored, row)
                subjects.append(Subject(row["id"], row, pictures))
        for result in describe(self.captioner, asking_of(self.plan), subjects, alive):
            yield result if isinstance(result, Left) else ("caption", result)

    def _proxies(self, rows: Sequence[Row]) -> dict[str, Row]:
        """The stored frames of the clips; each part is read once."""
        by_part: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            by_part[row["part"]].add(row["id"])
        return {row["clip_id"]: row for part, clips in by_part.items() for row in proxies.rows(self.store, part, clips)}


def asking_of(plan: Plan) -> Asking:
    """How the spec wants clips to be asked about."""
    spec = plan.stages.caption
    assert spec is not None
    return Asking(spec.kinds, spec.ask_again, spec.window_s, spec.max_frames, spec.facts)


def pictures_of(stored: Row, row: Row) -> Pictures:
    """A clip's stored frames, and the picture within the bars that were found."""
    return Pictures(tuple(stored["jpeg"]), tuple(stored["times_s"]), box_of(row))
