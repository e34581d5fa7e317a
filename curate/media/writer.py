"""Writes H.264 mp4 files and still images with PyAV. Frames are uint8 RGB.

Files are byte-reproducible: one thread and no B-frames (x264 with B-frames is not, at small sizes), bitexact
muxing (no clock, no version strings). yuv420p halves the chroma, so widths and heights must be even.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import InputRejected

# Rates such as 30000/1001 survive; libav stores them as 32-bit fractions.
_LARGEST_DENOMINATOR = 100_000


def write_mp4(
    path: Path, frames_THWC: np.ndarray, fps: float, *, crf: int = 18, metadata: dict[str, Any] | None = None
) -> None:
    """Write frames (T, H, W, 3), uint8 RGB, at `fps` frames a second; `metadata` goes as JSON into `comment`.

    The file appears whole or not at all. Raises InputRejected on odd sizes, no frames or a rate that is not positive.
    """
    import av
    from av.video.frame import VideoFrame

    _check(frames_THWC, fps)
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with av.open(str(unfinished), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            if metadata is not None:
                container.metadata["comment"] = json.dumps(metadata, sort_keys=True)
            rate = Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR)
            stream = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = frames_THWC.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            # Macroblock-tree lookahead gave other bytes in 11 of 480 encodes of equal frames, 0 of 480 without it.
            x264 = "no-mbtree=1"
            stream.options = {"crf": str(crf), "bf": "0", "threads": "1", "flags": "+bitexact", "x264-params": x264}
            for frame_HWC in frames_THWC:
                frame = VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_image(path: Path, frame_HWC: np.ndarray, *, metadata: dict[str, Any] | None = None) -> None:
    """Write one frame (H, W, 3), uint8 RGB; the suffix says the format (.png, .jpg).

    `metadata` goes as JSON into the text chunk `Comment` of a PNG, the only format here that has a place for it.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    _check(frame_HWC[None], 1.0, even=False)
    if metadata is None:
        Image.fromarray(frame_HWC).save(path)
        return
    if path.suffix != ".png":
        raise InputRejected("write:image", f"{path}: only a PNG carries metadata")
    text = PngInfo()
    text.add_text("Comment", json.dumps(metadata, sort_keys=True))
    Image.fromarray(frame_HWC).save(path, pnginfo=text)


def _check(frames_THWC: np.ndarray, fps: float, *, even: bool = True) -> None:
    if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or 0 in frames_THWC.shape:
        raise InputRejected("write:frames", f"{frames_THWC.dtype} {frames_THWC.shape} is not uint8 (T, H, W, 3)")
    height, width = frames_THWC.shape[1:3]
    if even and (height % 2 or width % 2):
        raise InputRejected("write:odd_size", f"{width}x{height}: yuv420p needs an even width and height")
    if not fps > 0:
        raise InputRejected("write:fps", f"{fps} frames a second")
