"""PyAV: libav in this process, over a file object without a name and with the demuxer forced.

Only the bytes of the file object can be read: libav gets no protocol and no name whose ending it could believe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO, ClassVar

import av
import numpy as np
import xxhash
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from curate.errors import InputRejected
from curate.media.backends import Decoded, SeekMissed
from curate.media.facts import Fit, Geometry, Limits, Probe, Quality
from curate.media.fitting import fitting
from curate.media.views import Viewer, planes_of, upright

_IMAGE_FORMATS = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe"})
# Formats whose index says where key frames are. In the others (mpeg, mpegts, flv) a seek is a guess, and frames after
# it come without a time or out of order: there a span is reached by decoding from the beginning.
INDEXED_FORMATS = frozenset({"mov", "matroska", "avi"})
_FULL_NAMES = {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}
_MAX_ASPECT = 8.0  # of a pixel: anamorphic film has 2, and a forged 10000 would make pictures of gigabytes
_FIELD_ORDERS = ("unknown", "progressive", "tt", "bb", "tb", "bt")  # AVFieldOrder
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
# What libav's decoder leaves out: the loop filter (H.264, HEVC, VP9) of frames from which no other is predicted. That
# saves an eighth of decoding, and scaled pictures differ by a tenth of a grey level. Leaving it out of all frames would
# save another tenth, but the difference then grows from frame to frame, to 3 grey levels and more.
_SKIPPED = {"analysis": {"skip_loop_filter": "noref"}, "full": {}}


class _Nameless:
    """A file without its name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class PyAV:
    """The default back end."""

    name = "pyav"
    version = 2
    libraries: ClassVar[tuple[str, ...]] = ("av",)

    @contextmanager
    def open(self, file: BinaryIO, demuxer: str, quality: Quality, limits: Limits) -> Iterator[OpenedPyAV]:
        """Open a file at its first byte; every libav error, then and later, becomes an InputRejected."""
        options = {
            "format_whitelist": _FULL_NAMES.get(demuxer, demuxer),
            "protocol_whitelist": "none",
            "max_streams": str(limits.streams),
        }
        try:
            nameless = _Nameless(file)
            with av.open(nameless, mode="r", format=demuxer, options=options, metadata_errors="replace") as container:
                if not container.streams.video:
                    raise InputRejected("decode:no_video", "no video stream")
                if container.streams.video[0].codec_context is None:
                    raise InputRejected("decode:no_codec", "no decoder here knows the codec of the video stream")
                yield OpenedPyAV(container, container.streams.video[0], quality, limits)
        except (av.error.FFmpegError, ValueError, EOFError) as error:
            raise InputRejected("decode:error", f"{type(error).__name__}: {error}") from error


class OpenedPyAV:
    """An open container and its first video stream."""

    def __init__(self, container: InputContainer, stream: VideoStream, quality: Quality, limits: Limits) -> None:
        check_size(stream.width, stream.height, limits)
        self.container, self.stream, self._limits = container, stream, limits
        self.time_base = stream.time_base or Fraction(1, 90000)
        stream.thread_type = "NONE"  # one core per worker; workers are what runs side by side
        stream.codec_context.options = {"max_pixels": str(limits.pixels), **_SKIPPED[quality]}
        self._seen: list[VideoFrame] = []  # the first frame, when the facts asked for it
        aspect = float(stream.sample_aspect_ratio or 1)
        if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
            raise InputRejected("decode:size", f"a pixel {aspect:g} times as wide as high")
        self._aspect = aspect
        self._geometries: dict[int, Geometry] = {}  # by turn: made once, not for every frame
        self._images = self.container.decode(self.stream)

    # -- facts -------------------------------------------------------------------------------------------------

    def facts(self) -> Probe:
        """What the container says; and what stands on the first frame, which is decoded for it."""
        container, stream = self.container, self.stream
        first = next(self._images, None)
        if first is None:
            raise no_frames()
        self._seen = [first]
        is_image = container.format.name in _IMAGE_FORMATS
        if stream.duration is not None:
            duration_s = float(stream.duration * self.time_base)
        else:
            duration_s = float(container.duration or 0) / av.time_base
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = self._geometry(first).shown(first.width, first.height)
        order = int(stream.codec_context.field_order or 0)
        return Probe(
            kind="image" if is_image else "video",
            container=container.format.name,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            fps=0.0 if is_image else float(stream.average_rate or stream.guessed_rate or 0),
            duration_s=0.0 if is_image else duration_s,
            duration_of="container" if stream.duration is None else "stream",
            num_frames_declared=1 if is_image else int(stream.frames),
            start_s=float((stream.start_time or 0) * self.time_base),
            stream_index=stream.index,
            time_base=f"{self.time_base.numerator}/{self.time_base.denominator}",
            coded_width=first.width,
            coded_height=first.height,
            sample_aspect=f"{aspect.numerator}/{aspect.denominator}",
            rotation=self._geometry(first).rotation,
            pixel_format=first.format.name,
            bit_depth=max((part.bits for part in first.format.components), default=8),
            field_order=_FIELD_ORDERS[order] if 0 <= order < len(_FIELD_ORDERS) else "unknown",
            transfer=_TRANSFERS.get(int(first.color_trc), "unknown"),
        )

    def _geometry(self, image: VideoFrame) -> Geometry:
        # libav tells how far the picture lies turned anticlockwise; containers know quarter turns only.
        turn = round(-image.rotation / 90) * 90 % 360
        if turn not in self._geometries:
            self._geometries[turn] = Geometry(self._aspect, turn)
        return self._geometries[turn]

    # -- frames ------------------------------------------------------------------------------------------------

    def frames(self, start_pts: int | None, end_pts: int | None, *, seek: bool) -> Iterator[Decoded]:
        """Frames with start_pts <= pts < end_pts, in presentation order.

        With `seek` it begins at the key frame before start_pts, where the container has an index.

        Raises:
            SeekMissed: the index led past the span's first frame.
            InputRejected: the source cannot be decoded to the end, or its frames have no times.
        """
        if not seek or start_pts is None or self.container.format.name not in INDEXED_FORMATS:
            yield from self._decode(start_pts, end_pts)
            return
        self._seen = []
        self.container.seek(start_pts, stream=self.stream, backward=True, any_frame=False)
        self._images = self.container.decode(self.stream)
        found = self._decode(start_pts, end_pts)
        first = next(found, None)
        if first is None or first.pts != start_pts:
            raise SeekMissed
        yield first
        yield from found

    def _decode(self, start_pts: int | None, end_pts: int | None) -> Iterator[Decoded]:
        last: int | None = None
        shift = 0
        number = -1
        for image in self._every_image():
            number += 1
            if number >= self._limits.frames:
                raise InputRejected("limit:frames", f"more than {self._limits.frames} frames")
            if image.width * image.height > self._limits.pixels:
                check_size(image.width, image.height, self._limits)
            pts = image.pts if image.pts is not None else (0 if number == 0 else None)
            if pts is None:
                raise InputRejected("decode:no_pts", f"frame {number} has no presentation time")
            pts += shift
            if last is not None and pts <= last:
                # Transport streams start their clock again after 26 hours, or where recordings were joined.
                if self.container.format.name in INDEXED_FORMATS:
                    raise InputRejected("decode:pts_order", f"frame {number} at {pts} after {last}")
                step = max(1, int(image.duration or 0))
                shift, pts = shift + last + step - pts, last + step
            last = pts
            if end_pts is not None and pts >= end_pts:
                return
            if start_pts is None or pts >= start_pts:
                picture = _Picture(image, self._geometry(image))
                size = picture.geometry.shown(image.width, image.height)
                corrupt, interlaced = bool(image.is_corrupt), bool(image.interlaced_frame)
                yield Decoded(number, pts, int(image.duration or 0), corrupt, interlaced, size, picture)

    def _every_image(self) -> Iterator[VideoFrame]:
        yield from self._seen
        yield from self._images


class _Picture:
    """The pictures of one decoded frame."""

    def __init__(self, image: VideoFrame, geometry: Geometry) -> None:
        self._image, self.geometry = image, geometry
        self._planes = planes_of(image)

    def viewer(self) -> Viewer:
        if self._planes is None:
            return Viewer.of_rgb(self._image.to_ndarray(format="rgb24"), self.geometry)
        return Viewer(self._image, self._planes, self.geometry)

    def digest(self) -> bytes:
        image = self._image
        digest = xxhash.xxh3_128(f"{image.width}x{image.height}:{image.format.name}".encode())
        # numpy has no layout for many of the other formats, and swscale reads them all
        for plane in self._planes if self._planes is not None else [image.to_ndarray(format="rgb24")]:
            digest.update(np.ascontiguousarray(plane).data)
        return digest.digest()

    def fitted(self, fit: Fit) -> tuple[np.ndarray, list[int]]:
        where = fitting(*self.geometry.shown(self._image.width, self._image.height), fit)
        turned = self.geometry.rotation % 180 != 0
        size = (where.height, where.width) if turned else (where.width, where.height)
        plain = self._image.reformat(*size, format="rgb24", interpolation=Interpolation.AREA)
        shown = upright(plain.to_ndarray(), self.geometry)
        return shown[where.y : where.y + where.out_height, where.x : where.x + where.out_width], where.crop


def no_frames() -> InputRejected:
    """libav ends many damaged files without an error and without a frame."""
    return InputRejected("decode:no_frames", "the decoder ended without an error and without a frame")


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse dimensions that cannot be, or that make one frame a matter of gigabytes."""
    if width <= 0 or height <= 0:
        raise InputRejected("decode:size", f"{width}x{height} pixels")
    if width * height > limits.pixels:
        raise InputRejected("limit:pixels", f"{width}x{height} is more than {limits.pixels} pixels")
