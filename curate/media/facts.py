"""What is told about a source before its frames are wanted, and what is asked of a decoder. Plain data, no libav.

Pictures are upright and have square pixels: `width` and `height` are those of the picture as a player shows it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from curate.media.frames import Frames

# `analysis` skips the loop filter and is for scores, scenes, hashes and proxies. `full` is the picture as the standard
# defines it, for whatever a model is trained on. Which one is used depends on who asks, never on who else listens.
Quality = Literal["analysis", "full"]


@dataclass(frozen=True)
class Probe:
    """Facts of a source's first video stream, as its container and its first frame declare them.

    rotation: quarter turns times 90, clockwise, that make the coded picture upright. sample_aspect: width of a pixel
    over its height. field_order: progressive, unknown, or the order of an interlaced picture's fields. transfer: the
    transfer function (H.273); `smpte2084` and `arib-std-b67` are HDR, which is recorded and not tone-mapped. start_s:
    presentation time at which the stream begins, as declared. duration_of: `stream`, or `container` when only that says
    a length, which may be that of another stream.
    """

    kind: str  # "video" or "image"
    container: str
    codec: str
    width: int
    height: int
    fps: float
    duration_s: float
    duration_of: str
    num_frames_declared: int
    start_s: float
    stream_index: int
    time_base: str
    coded_width: int
    coded_height: int
    sample_aspect: str
    rotation: int
    pixel_format: str
    bit_depth: int
    field_order: str
    transfer: str

    def as_row(self) -> dict[str, Any]:
        """The facts as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Geometry:
    """How a coded picture becomes the one that is shown: pixels widened by `sample_aspect`, then turned clockwise."""

    sample_aspect: float = 1.0
    rotation: int = 0

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a coded picture of this size as it is shown."""
        wide = max(1, round(width * self.sample_aspect))
        return (height, wide) if self.rotation % 180 else (wide, height)


@dataclass(frozen=True)
class Fit:
    """A full-quality picture for a codec: the box (left, top, right, bottom as shares of the shown picture) is cut out,
    scaled to the short side (never up), and its middle cropped to multiples."""

    short_side: int
    multiple: int
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Job:
    """What is asked of a decoder: frames with start_pts <= pts < end_pts (None: no bound), and for each the views.

    views: pictures on their time grids (`Frames.fps` 0: of every frame), the grid counted from the first frame.
    digest: a hash of every decoded frame's samples. fit: a full picture of every frame. most: end after so many.
    """

    quality: Quality = "analysis"
    start_pts: int | None = None
    end_pts: int | None = None
    views: tuple[Frames, ...] = ()
    digest: bool = False
    fit: Fit | None = None
    most: int | None = None


@dataclass(frozen=True)
class Limits:
    """What one file may take. seconds: between two signs of life of its decoder, total_seconds: in all (wall and CPU),
    pixels: of one picture, frames and streams: in the file, memory_gib: of the decoding process."""

    seconds: float = 60.0
    total_seconds: float = 21600.0
    memory_gib: float = 4.0
    pixels: int = 16384 * 8704  # a little over 16k x 8k: beyond it a frame alone is a gigabyte
    frames: int = 10_000_000  # 46 hours at 60 fps
    streams: int = 100
