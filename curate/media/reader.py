"""The reader: probes a source, and yields its frames in presentation order.

A source is opened through a file object and never by name, so libav cannot follow playlists or side files of its own
choice. Times are presentation timestamps (pts) in the stream's time base; spans are half-open [start_pts, end_pts).
Frames are numpy uint8, (H, W, 3) RGB or (H, W, 1) gray. Every frame of a source is decoded with the same flags and
scaled by the same path, whoever asks: `VERSION` names that policy and is part of every key that depends on pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from curate.errors import InputRejected, RushesError, Unreachable
from curate.files import is_local, open_url
from curate.stage import Frames

VERSION = 1

# What we demux. Playlists (hls, dash, concat), image sequences and devices are left out on purpose.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,ogg,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,mpeg,flv,asf,gif"
_IMAGE_FORMATS = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe"})
# Formats whose index says where key frames are. In the others (mpeg, mpegts, flv) a seek is a guess, and frames after
# it come without a time or out of order: there a span is reached by decoding from the beginning.
_INDEXED_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_MAX_PIXELS = 16384 * 8704  # a little over 16k x 8k: beyond it a frame alone is a gigabyte


@dataclass(frozen=True)
class Probe:
    """Facts of a source's first video stream, as its container declares them (nothing is decoded)."""

    kind: str  # "video" or "image"
    container: str
    codec: str
    width: int
    height: int
    fps: float
    duration_s: float
    num_frames_declared: int
    stream_index: int
    time_base: str

    def as_row(self) -> dict[str, Any]:
        """The facts as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class TimedFrame:
    """One decoded frame with its pts, its end (pts of the next one, as far as the stream says) and its number."""

    index: int
    pts: int
    duration: int
    image: VideoFrame


class _Nameless:
    """A file without its name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def _open(url: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a source; every libav error becomes an InputRejected, every lost file an Unreachable."""
    try:
        file = open_url(url)
    except InputRejected as error:  # it was there when it was hashed
        raise Unreachable(error.reason, error.detail) from error
    try:
        with file:
            if not file.read(1):
                raise InputRejected("source:empty", "the file has no bytes")
            file.seek(0)
            # Only these bytes can be read: libav gets no protocol, and no name whose ending it could believe.
            options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
            with av.open(_Nameless(file), mode="r", options=options, metadata_errors="replace") as container:
                if not container.streams.video:
                    raise InputRejected("decode:no_video", "no video stream")
                yield container, container.streams.video[0]
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise InputRejected("decode:error", f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise Unreachable("source:unreadable", str(error)) from error
    except RushesError:
        raise
    except Exception as error:
        if is_local(url):
            raise
        # The client libraries of object stores raise trees of their own, out of a read in the middle of a file.
        raise Unreachable("source:unreadable", f"{type(error).__name__}: {error}") from error


def probe(url: str) -> Probe:
    """Read the facts of a source without decoding it.

    Raises:
        InputRejected: not a media file, no video stream, or dimensions that cannot be.
    """
    with _open(url) as (container, stream):
        return _facts(container, stream)


def _facts(container: InputContainer, stream: VideoStream) -> Probe:
    width, height = stream.width, stream.height
    if width <= 0 or height <= 0 or width * height > _MAX_PIXELS:
        raise InputRejected("decode:size", f"{width}x{height} pixels")
    is_image = container.format.name in _IMAGE_FORMATS
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    time_base = stream.time_base or Fraction(1, 90000)
    if stream.duration is not None:
        duration_s = float(stream.duration * time_base)
    else:
        duration_s = float(container.duration or 0) / av.time_base
    return Probe(
        kind="image" if is_image else "video",
        container=container.format.name,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        fps=0.0 if is_image else float(rate),
        duration_s=0.0 if is_image else duration_s,
        num_frames_declared=1 if is_image else int(stream.frames),
        stream_index=stream.index,
        time_base=f"{time_base.numerator}/{time_base.denominator}",
    )


def read(url: str, start_pts: int | None = None, end_pts: int | None = None) -> Iterator[TimedFrame]:
    """Yield the frames with start_pts <= pts < end_pts (all of them by default), in presentation order.

    With a start the reader seeks to the key frame before it; when the container's index leads past the start, it
    decodes from the beginning instead, so a span gives the frames that a sequential decode gives.

    Raises:
        InputRejected: the source cannot be opened or decoded to the end, or a frame carries no time.
    """
    with _open(url) as (container, stream):
        _facts(container, stream)
        stream.thread_type = "NONE"  # one core per worker; workers are what runs side by side
        if start_pts is None or container.format.name not in _INDEXED_FORMATS:
            yield from _decode(container, stream, start_pts, end_pts)
            return
        container.seek(start_pts, stream=stream, backward=True, any_frame=False)
        found = _decode(container, stream, start_pts, end_pts)
        first = next(found, None)
        if first is not None and first.pts == start_pts:
            yield first
            yield from found
            return
    # The index led past the span's first frame: decode the file from its beginning.
    with _open(url) as (container, stream):
        stream.thread_type = "NONE"
        yield from _decode(container, stream, start_pts, end_pts)


def _decode(
    container: InputContainer, stream: VideoStream, start_pts: int | None, end_pts: int | None
) -> Iterator[TimedFrame]:
    last = None
    for number, image in enumerate(container.decode(stream)):
        pts = image.pts if image.pts is not None else (0 if number == 0 else None)
        if pts is None:
            raise InputRejected("decode:no_pts", f"frame {number} has no presentation time")
        if last is not None and pts <= last:
            raise InputRejected("decode:pts_order", f"frame {number} at {pts} after {last}")
        last = pts
        if end_pts is not None and pts >= end_pts:
            return
        if start_pts is None or pts >= start_pts:
            yield TimedFrame(number, pts, int(image.duration or 0), image)


def scaled(image: VideoFrame, short_side: int, colour: str) -> np.ndarray:
    """Scale a frame so that its shorter side has `short_side` pixels (never enlarged); (H, W, C) uint8."""
    width, height = image.width, image.height
    scale = min(1.0, short_side / min(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return resized(image, *size, colour)


def resized(image: VideoFrame, width: int, height: int, colour: str = "rgb") -> np.ndarray:
    """Scale a frame to exactly width x height by area averaging; (H, W, C) uint8."""
    pixel_format = {"rgb": "rgb24", "gray": "gray"}[colour]
    plain = image.reformat(width, height, format=pixel_format, interpolation=Interpolation.AREA)
    array = plain.to_ndarray()
    return array[..., None] if array.ndim == 2 else array


class Grid:
    """Decides which frames lie on the grid of a `Frames` request: the first frame at or after each k/fps.

    A frame is taken once, however many grid points fall on it (a source slower than the grid).
    """

    def __init__(self, request: Frames) -> None:
        self.request = request
        self._last = -1

    def takes(self, time_s: float) -> bool:
        """Tell whether the frame at `time_s` (seconds from the source's first frame) is on the grid."""
        # A microsecond of slack: pts are rationals, k/fps is not, and 0.4999999 must count as 0.5.
        point = int(np.floor(time_s * self.request.fps + 1e-6 * self.request.fps))
        if point <= self._last:
            return False
        self._last = point
        return True
