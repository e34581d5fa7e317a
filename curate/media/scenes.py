"""The open scene of a pass: its frames' times, and the clips that it becomes when a boundary closes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from curate import ids
from curate.media.decode import Frame
from curate.media.facts import Probe

Row = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """A clip to be: frames first <= n < end of the source."""

    first: int
    end: int
    row: Row


class Scene:
    """Frames since the last boundary. It forgets those of scenes that are closed, so memory is that of one scene."""

    def __init__(self, source_id: str, facts: Probe, min_s: float, max_s: float) -> None:
        self._source_id, self.facts, self._min_s, self._max_s = source_id, facts, min_s, max_s
        self._time_base = Fraction(facts.time_base)
        self.start = 0  # number of its first frame
        self._pts: list[int] = []
        self._digests: list[bytes] = []
        self._corrupt: list[bool] = []
        self.first_pts = 0  # of the source
        self.end_pts = 0  # behind the last frame so far
        self.count = 0  # frames of the source so far

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        if not self.count:
            self.first_pts = frame.pts
        self._pts.append(frame.pts)
        self._corrupt.append(frame.corrupt)
        if frame.digest is not None:
            self._digests.append(frame.digest)
        self.end_pts = frame.pts + max(1, frame.duration or self._usual_step())
        self.count += 1

    def _usual_step(self) -> int:
        """Ticks of one frame, from the declared rate: the length of a last frame that does not say it."""
        return round(1 / (self.facts.fps * self._time_base)) if self.facts.fps > 0 else 1

    def pts(self, number: int) -> int:
        """Presentation time of a frame; behind the last one, the end of it."""
        return self._pts[number - self.start] if number < self.count else self.end_pts

    def seconds(self, pts: int) -> float:
        """Seconds from the source's first frame."""
        return float((pts - self.first_pts) * self._time_base)

    def missing_s(self) -> float:
        """Seconds between the end of the last frame and the declared end; 0 for an image."""
        if self.facts.kind == "image" or not self.facts.duration_s:
            return 0.0
        return max(0.0, self.facts.start_s + self.facts.duration_s - float(self.end_pts * self._time_base))

    def content_hash(self, first: int, end: int) -> str:
        """Hash of the decoded frames first <= n < end, 32 hex digits."""
        own = self._digests[first - self.start : end - self.start]
        return hashlib.sha256(b"".join(own)).hexdigest()[:32]

    def forget(self, number: int) -> None:
        """The next scene begins with this frame."""
        done = number - self.start
        self._pts, self._digests, self._corrupt = self._pts[done:], self._digests[done:], self._corrupt[done:]
        self.start = number

    def pieces(self, end: int, confidence: float) -> Iterator[Piece]:
        """The scene up to frame `end`, as equal clips of at most max_s seconds."""
        end_pts = self.pts(end)
        pts = self._pts[: end - self.start]
        if not pts:
            return
        length_s = float((end_pts - pts[0]) * self._time_base)
        # A hair of slack, so that a scene of exactly max_s is not cut in two by rounding.
        count = max(1, int(np.ceil(length_s / self._max_s - 1e-6)))
        edges = [pts[0] + (end_pts - pts[0]) * k / count for k in range(count)]
        starts = sorted({int(np.searchsorted(pts, edge)) for edge in edges} - {len(pts)})
        for start, stop in zip(starts, [*starts[1:], len(pts)], strict=True):
            stop_pts = pts[stop] if stop < len(pts) else end_pts
            first, last = self.start + start, self.start + stop
            yield Piece(first, last, self._clip(first, last, stop_pts, confidence))

    def _clip(self, first: int, end: int, end_pts: int, confidence: float) -> Row:
        start_pts = self.pts(first)
        start_s, end_s = self.seconds(start_pts), self.seconds(end_pts)
        facts = self.facts
        name = ids.clip_id(self._source_id, facts.stream_index, start_pts, end_pts, facts.time_base)
        return {
            "clip_id": name,
            "start_pts": start_pts,
            "end_pts": end_pts,
            "start_s": start_s,
            "end_s": end_s,
            "num_frames": end - first,
            "corrupt_frames": sum(self._corrupt[first - self.start : end - self.start]),
            "confidence": confidence,
            "too_short": facts.kind != "image" and end_s - start_s < self._min_s - 1e-6,
        }
