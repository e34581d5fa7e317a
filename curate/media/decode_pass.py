"""The one pass: a source is decoded once, and scenes, scores, hashes and proxies are taken from the stream.

The pass yields rows as soon as a scene closes: first every clip's measurements, at the end the source's split row.
Measurements see only the frames of their own clip, sampled on the source's grid, so it never matters what else rides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from curate.errors import InputRejected, Unreachable
from curate.media.decode import Frame
from curate.media.facts import Job, Probe
from curate.media.sampled import Ends, Sampled, stored
from curate.media.scenes import Scene
from curate.media.spool import Spool
from curate.stage import PROXY, Boundary, Clip, Detector, Frames, Score, fault_columns, scored

VERSION = 4
_BATCH = 64  # frames that a detector is given at once: calls cost as much as small pictures

Row = dict[str, Any]


class Gate(Protocol):
    """Looks at sampled frames as they come, before anything is made of them."""

    frames: Frames

    def look(self, frame_HWC: np.ndarray, time_s: float) -> None:
        """Raise KnownMaterial when the source must not be read any further."""


class ReadsSources(Protocol):
    """What the pass needs of `curate.media.reader.Reader`."""

    def frames(self, url: str, job: Job, told: Callable[[Probe], None] | None = None) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class PassRequest:
    """What one source lacks.

    scores maps a stage name to its score and to the clips that lack it (None: every clip). `detector` makes a fresh
    detector, since it keeps state. `spans` is given when the source is split already; then nothing is detected. `have`
    are clips that a stage measured for an earlier split: they are not measured again. Lengths are in seconds.
    keep_truncated: a source whose end is missing is labelled and used.
    """

    source_id: str
    url: str
    detector: Callable[[], Detector] | None
    min_s: float
    max_s: float
    scores: Mapping[str, Score] = field(default_factory=dict)
    wanted: Mapping[str, set[str] | None] = field(default_factory=dict)
    proxies: set[str] | None = frozenset()  # type: ignore[assignment]
    content: set[str] | None = frozenset()  # type: ignore[assignment]
    edges: set[str] | None = frozenset()  # type: ignore[assignment]
    spans: Sequence[Row] | None = None
    have: Mapping[str, set[str]] = field(default_factory=dict)
    keep_truncated: bool = False
    gate: Gate | None = None


def _wants(which: set[str] | None, clip: str) -> bool:
    return which is None or clip in which


class DecodePass:
    """Runs one request; `run` yields (stage, row) pairs. `facts` are the source's, once its decoder has told them."""

    scene: Scene  # made when the facts are told, before the first frame

    def __init__(self, request: PassRequest, reader: ReadsSources, alive: Callable[[], None] = lambda: None) -> None:
        self.request = request
        self.reader = reader
        self._alive = alive
        self.facts: Probe | None = None
        grids = {score.frames for score in request.scores.values()}
        if any(which is None or which for which in (request.proxies, request.edges)):
            grids.add(PROXY)
        if request.gate is not None:
            grids.add(request.gate.frames)
        self.spools = {grid: Spool() for grid in sorted(grids, key=repr)}
        self._hash_content = request.content is None or bool(request.content)
        self._clips: list[Row] = []
        self._boundaries: list[Row] = []
        self._opened_by = 1.0  # confidence of the boundary before the open scene; the file's beginning is sure
        self._corrupt = self._interlaced = 0
        self._ends = Ends(self)

    # -- the stream --------------------------------------------------------------------------------------------

    def run(self) -> Iterator[tuple[str, Row]]:
        """Decode the source and yield rows as (stage name, row).

        Raises:
            InputRejected: the source cannot be decoded to its end; no split row was yielded then.
        """
        try:
            if self.request.spans is None:
                yield from self._detect()
            else:
                yield from self._follow(self.request.spans)
        finally:
            for spool in self.spools.values():
                spool.close()

    def _told(self, facts: Probe) -> None:
        self.facts = facts
        self.scene = Scene(self.request.source_id, facts, self.request.min_s, self.request.max_s)

    def _stream(self, *views: Frames) -> Iterator[Frame]:
        """Every frame once; the scene and the spools hear each of them."""
        job = Job(views=tuple(sorted({*self.spools, *views}, key=repr)), digest=self._hash_content)
        for frame in self.reader.frames(self.request.url, job, self._told):
            self.scene.add(frame)
            self._corrupt += frame.corrupt
            self._interlaced += frame.interlaced
            for grid, spool in self.spools.items():
                if grid in frame.views:
                    if self.request.gate is not None and grid == self.request.gate.frames:
                        self.request.gate.look(frame.views[grid], frame.time_s)
                    spool.append(frame.index, frame.time_s, frame.views[grid])
            self._alive()
            yield frame
        assert self.facts is not None  # a source without a frame ended in an InputRejected
        missing_s, declared_s = self.scene.missing_s(), self.facts.duration_s
        # A stream says its own length; a container's may be that of a sound track that goes on.
        allowed_s = 0.05 * declared_s + 0.1 if self.facts.duration_of == "stream" else 0.2 * declared_s + 1.0
        if missing_s > allowed_s and not self.request.keep_truncated:
            raise InputRejected("decode:truncated", f"the last {missing_s:.1f} of {declared_s:.1f} s are missing")

    def _detect(self) -> Iterator[tuple[str, Row]]:
        assert self.request.detector is not None
        detector = self.request.detector()
        batch: list[Frame] = []
        size = None
        for frame in self._stream(*([detector.frames] if detector.frames else [])):
            if size not in (None, frame.size):
                # Pictures of another size are another scene, whatever they show; detectors see one size only.
                yield from self._close([*_pushed(detector, batch), *detector.finish()])
                yield from self._close([Boundary(frame.index, frame.index)])
                detector, batch = self.request.detector(), []
            size = frame.size
            batch.append(frame)
            if len(batch) == _BATCH:
                yield from self._close(_pushed(detector, batch))
                batch = []
        yield from self._close([*_pushed(detector, batch), *detector.finish()])
        yield from self._close_scene(self.scene.count, 1.0)
        yield "split", self._split_row(detector.name)

    def _split_row(self, detector: str) -> Row:
        return {
            "source_id": self.request.source_id,
            "num_frames": self.scene.count,
            "first_pts": self.scene.first_pts,
            "detector": detector,
            "clips": self._clips,
            "boundaries": self._boundaries,
            "missing_s": self.scene.missing_s(),
            "corrupt_frames": self._corrupt,
            "interlaced_frames": self._interlaced,
        }

    # -- scenes ------------------------------------------------------------------------------------------------

    def _close(self, boundaries: Sequence[Boundary]) -> Iterator[tuple[str, Row]]:
        """Each boundary closes a scene, and takes the frames of its transition out of both neighbours."""
        for boundary in boundaries:
            scene = self.scene
            start, end = max(boundary.start, scene.start), min(max(boundary.end, scene.start), scene.count)
            self._boundaries.append(
                {"start_s": scene.seconds(scene.pts(start)), "end_s": scene.seconds(scene.pts(end)),
                 "confidence": float(boundary.confidence)}
            )  # fmt: skip
            yield from self._close_scene(start, float(boundary.confidence))
            self._forget(end)
            self._opened_by = float(boundary.confidence)

    def _close_scene(self, end: int, confidence: float) -> Iterator[tuple[str, Row]]:
        """The open scene ends before frame `end`: cut it into clips, measure them, forget its frames.

        A clip is as sure as the less sure of the boundaries at its scene's ends; ends of the file are sure.
        """
        for piece in self.scene.pieces(end, min(confidence, self._opened_by)):
            self._clips.append(piece.row)
            if not piece.row["too_short"] and not piece.row["corrupt_frames"]:
                yield from self._measure(piece.row, piece.first, piece.end)
        self._forget(end)

    def _forget(self, end: int) -> None:
        self.scene.forget(end)
        for spool in self.spools.values():
            spool.drop_before(end)

    def _follow(self, spans: Sequence[Row]) -> Iterator[tuple[str, Row]]:
        """Measure clips whose spans are known; between them lie transitions."""
        waiting = list(spans)
        first: int | None = None  # number of the first frame of the next clip
        for frame in self._stream():
            if first is not None and frame.pts >= waiting[0]["end_pts"]:
                yield from self._known(waiting.pop(0), first, frame.index)
                first = None
            if first is None and waiting and frame.pts >= waiting[0]["start_pts"]:
                first = frame.index
                self._forget(first)
        if first is not None:
            yield from self._known(waiting.pop(0), first, self.scene.count)

    def _known(self, clip: Row, first: int, end: int) -> Iterator[tuple[str, Row]]:
        if not clip["too_short"] and not clip["corrupt_frames"]:
            yield from self._measure(clip, first, end)

    # -- measurements ------------------------------------------------------------------------------------------

    def _measure(self, clip: Row, first: int, end: int) -> Iterator[tuple[str, Row]]:
        name = clip["clip_id"]
        have = {stage for stage, clips in self.request.have.items() if name in clips}
        sampled = Sampled(self, clip, first, end)
        if "content" not in have and _wants(self.request.content, name) and self._hash_content:
            yield "content", {"clip_id": name, "hash": self.scene.content_hash(first, end)}
        if "frames" not in have and _wants(self.request.proxies, name):
            yield "frames", self._proxies(clip, sampled)
        if "edges" not in have and _wants(self.request.edges, name):
            yield "edges", self._edges(clip, first, end)
        for stage, score in self.request.scores.items():
            if stage not in have and _wants(self.request.wanted.get(stage), name):
                yield stage, self._score(score, clip, sampled)

    def _proxies(self, clip: Row, sampled: Sampled) -> Row:
        try:
            pixels_THWC, times = sampled.frames(PROXY)
        except Unreachable:
            raise
        except InputRejected as error:
            return {"clip_id": clip["clip_id"], **fault_columns(error.reason, error.detail)}
        return {"clip_id": clip["clip_id"], **stored(pixels_THWC, times)}

    def _edges(self, clip: Row, first: int, end: int) -> Row:
        """The clip's first and last frame as proxies, where the grid did not take them."""
        on_grid = self.spools[PROXY].indices(first, end)
        try:
            found = [(n, self._ends.frame(n)) for n in sorted({first, end - 1} - on_grid)]
        except Unreachable:
            raise
        except InputRejected as error:
            return {"clip_id": clip["clip_id"], **fault_columns(error.reason, error.detail)}
        times = [self.scene.seconds(self.scene.pts(n)) - clip["start_s"] for n, _ in found]
        pixels_THWC = np.stack([frame_HWC for _, frame_HWC in found]) if found else np.empty((0, 1, 1, 3), np.uint8)
        return {"clip_id": clip["clip_id"], **stored(pixels_THWC, times)}

    def _score(self, score: Score, clip: Row, sampled: Sampled) -> Row:
        try:
            pixels_THWC, times = sampled.frames(score.frames)
        except Unreachable:
            raise
        except InputRejected as error:
            return {"clip_id": clip["clip_id"], **fault_columns(error.reason, error.detail)}
        info = Clip(
            clip_id=clip["clip_id"],
            width=self.scene.facts.width,
            height=self.scene.facts.height,
            num_frames=clip["num_frames"],
            duration_s=clip["end_s"] - clip["start_s"],
            times_s=tuple(times),
        )
        return {"clip_id": clip["clip_id"], **scored(score, pixels_THWC, info)}


def _pushed(detector: Detector, batch: Sequence[Frame]) -> list[Boundary]:
    if not batch or detector.frames is None:
        return []
    pixels_THWC = np.stack([frame.views[detector.frames] for frame in batch])
    return detector.push(pixels_THWC, [frame.time_s for frame in batch], batch[0].index)
