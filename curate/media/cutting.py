"""A span as an mp4 of its own: its packets as they are, where they make exactly its frames; else its frames, encoded.

Copying loses nothing and costs nothing, but a span is a picture of its own only when it begins at a key frame and no
packet that its frames need, or that stands between them, shows a frame outside of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from curate.media.backends.pyav import INDEXED_FORMATS, OpenedPyAV

VERSION = 1  # part of the key of exported clips
_CRF = 16  # visually lossless at any size; exported clips are a source for other people's pipelines
# Codecs that mp4 holds, and whose muxing needs no encoder of ours (AV1 has none under its decoder's name).
_MP4_CODECS = frozenset({"h264", "hevc", "vp9", "mpeg4"})
_OPTIONS = {"fflags": "+bitexact"}  # no clock and no version in the file


def copied(opened: OpenedPyAV, start_pts: int, end_pts: int, num_frames: int) -> bytes | None:
    """The span's packets as an mp4 that begins at 0; None when they do not make exactly its `num_frames` frames."""
    facts = opened.facts()
    if facts.rotation or facts.codec not in _MP4_CODECS or facts.container not in INDEXED_FORMATS:
        return None
    packets = _packets(opened, start_pts, end_pts)
    times = [(packet.pts, packet.dts) for packet in packets if packet.pts is not None and packet.dts is not None]
    # Matroska does not store decoding times, and mp4 is made of them.
    if len(packets) != num_frames or len({pts for pts, _ in times}) != num_frames:
        return None
    sink = io.BytesIO()
    try:
        with av.open(sink, "w", format="mp4", options=_OPTIONS) as made:
            stream = made.add_stream_from_template(opened.stream)
            for packet, (pts, dts) in zip(packets, times, strict=True):
                packet.pts, packet.dts = pts - start_pts, dts - start_pts
                packet.stream = stream
                made.mux(packet)
    except av.error.FFmpegError:
        return None  # this container's packets do not fit into an mp4: the span is encoded, and its row says so
    return sink.getvalue()


def _packets(opened: OpenedPyAV, start_pts: int, end_pts: int) -> list[Packet]:
    """Packets from the span's key frame to its last one in decoding order; empty when a foreign one is among them."""
    opened.container.seek(start_pts, stream=opened.stream, backward=True, any_frame=False)
    found: list[Packet] = []
    beyond = False  # a packet of a later frame was passed
    for packet in opened.container.demux(opened.stream):
        if packet.pts is None or not packet.size:
            continue
        if not found and not (packet.is_keyframe and packet.pts == start_pts):
            if packet.pts >= start_pts:
                return []
            continue
        if packet.pts >= end_pts:
            if packet.is_keyframe:
                break
            beyond = True
        elif packet.pts < start_pts or packet.is_discard or beyond:
            return []  # of another span, hidden, or it needs what was passed
        else:
            found.append(packet)
    return found


def encoded(frames: Iterator[tuple[int, np.ndarray]], time_base: Fraction) -> bytes:
    """Frames as (pts from the span's start, (H, W, 3) RGB with even sides), as an mp4 with exactly these times."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4", options=_OPTIONS) as made:
        # The rate is nominal: every frame carries its own time.
        stream = made.add_stream("libx264", rate=30)
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        # One thread, no B-frames, no macroblock tree: what makes x264 write equal bytes for equal frames.
        stream.options = {"crf": str(_CRF), "bf": "0", "threads": "1", "x264-params": "no-mbtree=1"}
        stream.pix_fmt = "yuv420p"
        first = True
        for pts, pixels_HWC in frames:
            if first:
                stream.height, stream.width = pixels_HWC.shape[:2]
                first = False
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return sink.getvalue()
