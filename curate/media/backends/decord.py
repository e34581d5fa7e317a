"""decord: another decoder on the same bytes, for those whose trainer reads with it. RGB frames only.

decord 0.6 is not maintained. It holds the whole file in memory, shows frames that an edit list hides, lands on wrong
frames in containers without an index, and gives pictures a few pixels wide in the wrong shape. So times come from the
container, frame by frame, and a file that is one of these, or about whose times decord disagrees, is refused. It
never skips the loop filter: both qualities are full. It scales pictures whose size changes to the first size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO, ClassVar

import cv2
import decord
import numpy as np
import xxhash

from curate.errors import InputRejected
from curate.media.backends import Decoded
from curate.media.backends.pyav import INDEXED_FORMATS, PyAV, no_frames
from curate.media.facts import Fit, Geometry, Limits, Probe, Quality
from curate.media.fitting import fitting
from curate.media.views import Viewer

# Its seek lands behind leading pictures of open GOPs, which HEVC has by default: others are decoded from the beginning.
_SEEKABLE = frozenset({"h264", "vp8", "vp9", "mpeg4"})
_SAME_S = 1e-3  # decord's times are float32 of seconds


class Decord:
    """The back end of that name; the extra `decord`."""

    name = "decord"
    version = 1
    libraries: ClassVar[tuple[str, ...]] = ("av",)

    @contextmanager
    def open(self, file: BinaryIO, demuxer: str, quality: Quality, limits: Limits) -> Iterator[OpenedDecord]:
        """Open a file at its first byte; facts and times are read by libav's demuxer."""
        with PyAV().open(file, demuxer, quality, limits) as opened:
            facts = opened.facts()
        if facts.container not in INDEXED_FORMATS:
            raise _refused(f"it lands on wrong frames in {facts.container}")
        file.seek(0)
        times = _times(file, demuxer, limits)
        file.seek(0)
        try:
            reader = decord.VideoReader(file, ctx=decord.cpu(0), num_threads=1)
            yield OpenedDecord(reader, facts, _aligned(reader, times, facts))
        except decord.DECORDError as error:
            raise InputRejected("decode:error", f"DECORDError: {str(error).strip().splitlines()[-1]}") from error


def _times(file: BinaryIO, demuxer: str, limits: Limits) -> list[tuple[int, int]]:
    """(pts, duration) of every shown packet, in order of presentation."""
    with PyAV().open(file, demuxer, "full", limits) as opened:
        packets = [p for p in opened.container.demux(opened.stream) if p.size and p.pts is not None]
    if not packets:
        raise no_frames()
    if any(packet.is_discard for packet in packets):
        raise _refused("it shows frames that the edit list hides")
    if not packets[0].is_keyframe:
        raise _refused("it shows frames before the first key frame, which cannot be decoded")
    return sorted((int(packet.pts or 0), int(packet.duration or 0)) for packet in packets)


def _refused(why: str) -> InputRejected:
    return InputRejected("decode:backend", f"decord cannot be trusted with this file: {why}; use pyav")


def _aligned(reader: decord.VideoReader, times: list[tuple[int, int]], facts: Probe) -> list[tuple[int, int, int]]:
    """(decord's number, pts, duration) of every shown frame.

    Raises:
        InputRejected: decord has other frames, or has them at other times.
    """
    tick = Fraction(facts.time_base)
    starts = reader.get_frame_timestamp(list(range(len(reader))))[:, 0]
    shown = np.flatnonzero(starts > -_SAME_S)
    seconds = np.array([float((pts - times[0][0]) * tick) for pts, _ in times])
    if len(shown) != len(times) or np.abs(starts[shown] - seconds).max() > _SAME_S * (1 + seconds.max() / 60):
        raise _refused(f"it tells {len(shown)} frames, the container {len(times)}, or other times")
    return [(int(number), pts, length) for number, (pts, length) in zip(shown, times, strict=True)]


class OpenedDecord:
    """An open file."""

    def __init__(self, reader: decord.VideoReader, facts: Probe, frames: list[tuple[int, int, int]]) -> None:
        self._reader, self._facts, self._frames = reader, facts, frames
        self.time_base = Fraction(facts.time_base)

    def facts(self) -> Probe:
        """As the container says."""
        return self._facts

    def frames(self, start_pts: int | None, end_pts: int | None, *, seek: bool) -> Iterator[Decoded]:
        """Frames with start_pts <= pts < end_pts, found by number."""
        wanted = [
            (index, *frame)
            for index, frame in enumerate(self._frames)
            if (start_pts is None or frame[1] >= start_pts) and (end_pts is None or frame[1] < end_pts)
        ]
        aspect = Geometry(float(Fraction(self._facts.sample_aspect)) ** (-1 if self._facts.rotation % 180 else 1))
        if wanted and self._facts.codec in _SEEKABLE:
            self._reader.seek_accurate(wanted[0][1])
        elif wanted and wanted[0][1] > 0:
            self._reader.skip_frames(wanted[0][1])
        for place, (index, _, pts, length) in enumerate(wanted):
            picture = _Picture(self._checked(self._reader.next().asnumpy()), aspect)
            number = index if start_pts is None else place
            yield Decoded(number, pts, length, False, False, picture.size, picture)

    def _checked(self, pixels_HWC: np.ndarray) -> np.ndarray:
        shape = (self._facts.coded_height, self._facts.coded_width, 3)
        if pixels_HWC.shape not in (shape, (shape[1], shape[0], 3)):
            raise _refused(f"it gives a picture of shape {pixels_HWC.shape} for {shape}")
        return pixels_HWC


class _Picture:
    """An RGB frame, turned upright by decord, its pixels not yet square."""

    def __init__(self, pixels_HWC: np.ndarray, geometry: Geometry) -> None:
        self._pixels, self._geometry = pixels_HWC, geometry
        self.size = geometry.shown(pixels_HWC.shape[1], pixels_HWC.shape[0])

    def viewer(self) -> Viewer:
        return Viewer.of_rgb(self._pixels, self._geometry)

    def digest(self) -> bytes:
        height, width = self._pixels.shape[:2]
        digest = xxhash.xxh3_128(f"{width}x{height}:rgb24".encode())
        digest.update(np.ascontiguousarray(self._pixels).data)
        return digest.digest()

    def fitted(self, fit: Fit) -> tuple[np.ndarray, list[int]]:
        where = fitting(*self.size, fit)
        scaled = cv2.resize(self._pixels, (where.width, where.height), interpolation=cv2.INTER_AREA)
        return scaled[where.y : where.y + where.out_height, where.x : where.x + where.out_width], where.crop


decord.logging.set_level(decord.logging.QUIET)
