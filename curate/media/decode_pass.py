"""The one pass: a source is decoded once, and scenes, scores, hashes and proxies are taken from the stream.

The pass yields rows as soon as a scene closes: first every clip's measurements, at the end the source's split row.
Measurements see only the frames of their own clip, sampled on the source's grid, so it never matters what else rides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import xxhash
from av.video.frame import VideoFrame

from curate import ids
from curate.errors import InputRejected, Unreachable
from curate.media import reader
from curate.media.spool import Spool
from curate.stage import Clip, Detector, Frames, Score, measure_row

VERSION = 1
PROXY = Frames(fps=2.0, short_side=256, colour="rgb")
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]  # Q90 keeps what a caption model or classifier reads at a tenth of the bytes

Row = dict[str, Any]


@dataclass(frozen=True)
class PassRequest:
    """What one source lacks.

    scores maps a stage name to its score and to the clips that lack it (None: every clip). `spans` is given when the
    source is split already; then nothing is detected. `have` are clips that a stage measured for an earlier split: they
    are not measured again. Lengths are in seconds.
    """

    source_id: str
    url: str
    detector: Detector | None
    min_s: float
    max_s: float
    scores: Mapping[str, Score] = field(default_factory=dict)
    wanted: Mapping[str, set[str] | None] = field(default_factory=dict)
    proxies: set[str] | None = frozenset()  # type: ignore[assignment]
    content: set[str] | None = frozenset()  # type: ignore[assignment]
    spans: Sequence[Row] | None = None
    have: Mapping[str, set[str]] = field(default_factory=dict)


def _wants(which: set[str] | None, clip: str) -> bool:
    return which is None or clip in which


class DecodePass:
    """Runs one request; `run` yields (stage, row) pairs."""

    def __init__(self, request: PassRequest, alive: Callable[[], None] = lambda: None) -> None:
        self.request = request
        self._alive = alive
        self.facts = reader.probe(request.url)
        self._time_base = Fraction(self.facts.time_base)
        grids = {score.frames for score in request.scores.values()}
        if request.proxies is None or request.proxies:
            grids.add(PROXY)
        self._spools = {grid: Spool(grid) for grid in sorted(grids, key=repr)}
        self._hash_content = request.content is None or bool(request.content)
        self._pts: list[int] = []  # of the open scene
        self._digests: list[bytes] = []  # of the open scene
        self._scene_start = 0  # frame number of the first entry of the two lists
        self._first_pts = 0
        self._end_pts = 0
        self._clips: list[Row] = []

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
            for spool in self._spools.values():
                spool.close()

    def _stream(self) -> Iterator[tuple[reader.TimedFrame, float]]:
        """Frames with their times; every listener hears each of them."""
        count = 0
        for frame in reader.read(self.request.url):
            if frame.index == 0:
                self._first_pts = frame.pts
            time_s = float((frame.pts - self._first_pts) * self._time_base)
            self._pts.append(frame.pts)
            if self._hash_content:
                self._digests.append(_frame_digest(frame.image))
            for spool in self._spools.values():
                spool.offer(frame, time_s)
            self._end_pts = frame.pts + max(1, frame.duration or self._usual_step())
            count += 1
            self._alive()
            yield frame, time_s
        declared = self.facts.num_frames_declared
        if count == 0:
            raise InputRejected("decode:no_frames", "the decoder ended without an error and without a frame")
        # A container may count frames that edit lists hide; a twentieth missing is a lost tail.
        if count < 0.95 * declared:
            raise InputRejected("decode:truncated", f"{count} of {declared} declared frames could be decoded")
        # Without a count there is the declared length. It may be that of a sound track that goes on: more is allowed.
        decoded_s, declared_s = float((self._end_pts - self._first_pts) * self._time_base), self.facts.duration_s
        if declared == 0 and decoded_s < 0.8 * declared_s - 1.0:
            raise InputRejected("decode:truncated", f"{decoded_s:.1f} of {declared_s:.1f} declared seconds")

    def _usual_step(self) -> int:
        """Ticks of one frame, from the declared rate: the length of a last frame that does not say it."""
        return round(1 / (self.facts.fps * self._time_base)) if self.facts.fps > 0 else 1

    def _detect(self) -> Iterator[tuple[str, Row]]:
        detector = self.request.detector
        assert detector is not None
        number = -1
        for frame, time_s in self._stream():
            number = frame.index
            if detector.frames is None:
                continue
            small_HWC = reader.scaled(frame.image, detector.frames.short_side, detector.frames.colour)
            for cut in detector.push(small_HWC, time_s, frame.index):
                yield from self._close_scene(cut, self._pts[cut - self._scene_start])
        for cut in detector.finish():
            yield from self._close_scene(cut, self._pts[cut - self._scene_start])
        yield from self._close_scene(number + 1, self._end_pts)
        yield "split", self._split_row(number + 1, detector.name)

    def _split_row(self, num_frames: int, detector: str) -> Row:
        return {
            "source_id": self.request.source_id,
            "num_frames": num_frames,
            "first_pts": self._first_pts,
            "detector": detector,
            "clips": self._clips,
        }

    # -- scenes ------------------------------------------------------------------------------------------------

    def _close_scene(self, end: int, end_pts: int) -> Iterator[tuple[str, Row]]:
        """The open scene ends before frame `end`: cut it into clips, measure them, forget its frames."""
        for first, last, stop_pts in self._pieces(end, end_pts):
            clip = self._clip(first, last, stop_pts)
            self._clips.append(clip)
            if not clip["too_short"]:
                yield from self._measure(clip, first, last)
        self._forget(end)

    def _forget(self, end: int) -> None:
        done = end - self._scene_start
        self._pts, self._digests, self._scene_start = self._pts[done:], self._digests[done:], end
        for spool in self._spools.values():
            spool.drop_before(end)

    def _pieces(self, end: int, end_pts: int) -> Iterator[tuple[int, int, int]]:
        """Equal pieces of at most max_s seconds, as (first frame, end frame, end pts)."""
        pts = self._pts[: end - self._scene_start]
        length_s = float((end_pts - pts[0]) * self._time_base)
        # A hair of slack, so that a scene of exactly max_s is not cut in two by rounding.
        count = max(1, int(np.ceil(length_s / self.request.max_s - 1e-6)))
        edges = [pts[0] + (end_pts - pts[0]) * k / count for k in range(count)]
        starts = sorted({int(np.searchsorted(pts, edge)) for edge in edges} - {len(pts)})
        for place, start in enumerate(starts):
            stop = starts[place + 1] if place + 1 < len(starts) else len(pts)
            stop_pts = pts[stop] if stop < len(pts) else end_pts
            yield self._scene_start + start, self._scene_start + stop, stop_pts

    def _clip(self, first: int, last: int, end_pts: int) -> Row:
        start_pts = self._pts[first - self._scene_start]
        start_s = float((start_pts - self._first_pts) * self._time_base)
        end_s = float((end_pts - self._first_pts) * self._time_base)
        is_image = self.facts.kind == "image"
        return {
            "clip_id": ids.clip_id(
                self.request.source_id, self.facts.stream_index, start_pts, end_pts, self.facts.time_base
            ),
            "start_pts": start_pts,
            "end_pts": end_pts,
            "start_s": start_s,
            "end_s": end_s,
            "num_frames": last - first,
            "too_short": not is_image and end_s - start_s < self.request.min_s - 1e-6,
        }

    def _follow(self, spans: Sequence[Row]) -> Iterator[tuple[str, Row]]:
        """Measure clips whose spans are known."""
        waiting = list(spans)
        first = 0
        end = 0
        for frame, _ in self._stream():
            end = frame.index + 1
            if waiting and frame.pts >= waiting[0]["end_pts"]:
                clip = waiting.pop(0)
                if not clip["too_short"]:
                    yield from self._measure(clip, first, frame.index)
                first = frame.index
                self._forget(first)
        for clip in waiting:  # the last one; there are more only if the file is not what it was
            if not clip["too_short"]:
                yield from self._measure(clip, first, end)
            first = end

    # -- measurements ------------------------------------------------------------------------------------------

    def _measure(self, clip: Row, first: int, end: int) -> Iterator[tuple[str, Row]]:
        name = clip["clip_id"]
        have = {stage for stage, clips in self.request.have.items() if name in clips}
        if "content" not in have and _wants(self.request.content, name) and self._hash_content:
            own = self._digests[first - self._scene_start : end - self._scene_start]
            yield "content", {"clip_id": name, "hash": hashlib.sha256(b"".join(own)).hexdigest()[:32]}
        if "frames" not in have and _wants(self.request.proxies, name):
            yield "frames", self._proxies(clip, first, end)
        for stage, score in self.request.scores.items():
            if stage not in have and _wants(self.request.wanted.get(stage), name):
                yield stage, self._score(score, clip, first, end)

    def _sampled(self, grid: Frames, clip: Row, first: int, end: int) -> tuple[np.ndarray, list[float]]:
        """The clip's frames on a grid; a clip without a grid frame gives its middle frame."""
        pixels, times = self._spools[grid].frames(first, end)
        if len(times) == 0:
            middle = self._pts[(first + end - 1) // 2 - self._scene_start]
            frame = next(reader.read(self.request.url, middle, middle + 1))
            pixels = reader.scaled(frame.image, grid.short_side, grid.colour)[None]
            times = [float((middle - self._first_pts) * self._time_base)]
        return pixels, [time - clip["start_s"] for time in times]

    def _proxies(self, clip: Row, first: int, end: int) -> Row:
        try:
            pixels_THWC, times = self._sampled(PROXY, clip, first, end)
        except Unreachable:
            raise
        except InputRejected as error:
            return {"clip_id": clip["clip_id"], **fault_columns(error.reason, error.detail)}
        jpegs = [cv2.imencode(".jpg", frame[..., ::-1], _JPEG)[1].tobytes() for frame in pixels_THWC]
        height, width = pixels_THWC.shape[1:3]
        return {"clip_id": clip["clip_id"], "jpeg": jpegs, "times_s": times, "width": width, "height": height}

    def _score(self, score: Score, clip: Row, first: int, end: int) -> Row:
        """One score of one clip; whatever it raises becomes that row's fault and nobody else's."""
        try:
            pixels_THWC, times = self._sampled(score.frames, clip, first, end)
            info = Clip(
                clip_id=clip["clip_id"],
                width=self.facts.width,
                height=self.facts.height,
                num_frames=clip["num_frames"],
                duration_s=clip["end_s"] - clip["start_s"],
                times_s=tuple(times),
            )
            return {"clip_id": clip["clip_id"], **measure_row(score, pixels_THWC, info)}
        except Unreachable:
            raise
        except InputRejected as error:
            return {"clip_id": clip["clip_id"], **fault_columns(error.reason, error.detail)}
        except MemoryError:
            return {"clip_id": clip["clip_id"], **fault_columns("limit:memory", f"{score.name} ran out of memory")}
        except Exception as error:  # noqa: BLE001 an extension may raise anything; it is recorded in its row
            detail = f"{score.name} raised {type(error).__name__}: {error}"
            return {"clip_id": clip["clip_id"], **fault_columns("score:error", detail)}


def fault_columns(reason: str, detail: str = "") -> Row:
    """The outcome columns of a row that has no result."""
    return {"outcome": "quarantined", "reason": reason, "detail": detail[:2000]}


def _frame_digest(image: VideoFrame) -> bytes:
    """Hash of a decoded frame's samples, without the padding that libav leaves between lines."""
    digest = xxhash.xxh3_128(f"{image.width}x{image.height}:{image.format.name}".encode())
    if image.format.name in ("yuv420p", "yuvj420p"):
        for plane in image.planes:
            padded = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[arg-type]
            digest.update(np.ascontiguousarray(padded[:, : plane.width]).data)
    else:  # numpy has no layout for many of the others, and swscale reads them all
        digest.update(np.ascontiguousarray(image.to_ndarray(format="rgb24")).data)
    return digest.digest()
