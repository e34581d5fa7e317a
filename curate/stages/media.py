"""Source-level work: probe, and the one decode pass for whatever a source lacks.

Input row: {"id": source_id, "url", "need": ["media"], "probe": bool, "split": bool, "clips": {stage: [clip_id]},
"have": {stage: [clip_id]}, "spans"}. `spans` are the clips of a source that is split already, and `clips` what each
stage lacks of them. Otherwise it is None, and every stage (or those in "riding", if it is there) runs for every clip
that is not in `have`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from curate import sealing
from curate.errors import InputRejected, KnownMaterial, Unreachable
from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.reader import reader_for
from curate.plan import KNOWN_STAGE, Plan
from curate.stage import Fault, fault_columns

Row = dict[str, Any]


class MediaWork:
    """Runs one source at a time: a source is the unit of decoding, and so of blame."""

    batch_rows = 1
    passes_on = False  # its rows are sources, the next work's are clips: the driver stands between them

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.reader = reader_for(plan.spec)

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Probe and pass over one source."""
        row = rows[0]
        if self.plan.known is None or row.get("cleared"):
            yield from self._read(row, alive, None)
            return
        try:
            if (match := self.plan.known.matches_file(row["id"])) is not None:
                raise KnownMaterial(match)
            # What was measured is held back until the last frame has passed the gate.
            results = list(self._read(row, alive, KnownGate(self.plan)))
        except KnownMaterial as found:
            yield "sealed", sealing.matched(self.plan, row["id"], found.match)
            return
        yield from results

    def _read(self, row: Row, alive: Callable[[], None], gate: KnownGate | None) -> Iterator[tuple[str, Row]]:
        if row["split"] or row["clips"]:
            yield from self._pass(row, alive, gate)
            return
        try:
            facts = self.reader.probe(row["url"])
        except Unreachable:
            raise  # it says nothing about the source: the next run has its turn
        except InputRejected as error:
            yield "probe", {"source_id": row["id"], **fault_columns(error.reason, error.detail)}
            return
        yield "probe", {"source_id": row["id"], **facts.as_row()}

    def _pass(self, row: Row, alive: Callable[[], None], gate: KnownGate | None) -> Iterator[tuple[str, Row]]:
        """The pass, which learns the facts on its way; a source that gives none has a probe row that says why."""
        decoding = DecodePass(replace(self._request(row), gate=gate), self.reader, alive)
        untold = row["probe"]
        try:
            for result in decoding.run():
                if untold:
                    untold = False
                    yield self._told(row, decoding)
                yield result
        except Unreachable:
            raise
        except InputRejected as error:
            if untold and decoding.facts is None:
                yield "probe", {"source_id": row["id"], **fault_columns(error.reason, error.detail)}
                return
            if untold:
                yield self._told(row, decoding)
            raise

    def _told(self, row: Row, decoding: DecodePass) -> tuple[str, Row]:
        assert decoding.facts is not None
        return "probe", {"source_id": row["id"], **decoding.facts.as_row()}

    def _request(self, row: Row) -> PassRequest:
        split = self.plan.stages.split
        everything = row["spans"] is None
        wanted = {stage: set(clips) for stage, clips in row["clips"].items()}
        riding = set(row.get("riding", self.plan.pass_stages())) if everything else set(wanted)
        return PassRequest(
            source_id=row["id"],
            url=row["url"],
            detector=self.plan.detector if everything else None,
            min_s=split.min_s,
            max_s=split.max_s,
            keep_truncated=split.truncated == "keep",
            scores={stage: score for stage, score in self.plan.riding.items() if stage in riding},
            wanted={} if everything else wanted,
            proxies=_clips_of("frames", riding, wanted),
            content=_clips_of("content", riding, wanted),
            edges=_clips_of("edges", riding, wanted),
            spans=row["spans"],
            have={stage: set(clips) for stage, clips in row["have"].items()},
        )

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """The source has no split, or, where it had one, the clips do not get what they lacked."""
        columns = fault_columns(fault.reason, fault.detail)
        if row["split"]:
            yield "split", {"source_id": row["id"], **columns}
        for stage, clips in row["clips"].items():
            for clip in clips:
                yield stage, {"clip_id": clip, **columns}


class KnownGate:
    """Holds the frames of one source against the lists of known material."""

    def __init__(self, plan: Plan) -> None:
        self._known = plan.known
        self.frames = plan.scores[KNOWN_STAGE].frames

    def look(self, frame_HWC: np.ndarray, time_s: float) -> None:
        """Raise KnownMaterial when a frame matches."""
        from filters.known_hashes import frame_hashes

        match = self._known.matches_frames(frame_hashes(frame_HWC[None], (time_s,)))
        if match is not None:
            raise KnownMaterial(match)


def _clips_of(stage: str, riding: set[str], wanted: dict[str, set[str]]) -> set[str] | None:
    """The clips for which a stage rides: None for all of them."""
    return wanted.get(stage) if stage in riding else set()
