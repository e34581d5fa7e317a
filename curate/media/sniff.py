"""What a file is, told from its first bytes: the demuxer that libav is made to use, whatever the file is called.

libav guesses formats by trying all its demuxers, playlists among them, and by believing names. Here a file that does
not begin as one of the containers below is refused before libav sees a byte of it.
"""

from __future__ import annotations

from curate.errors import InputRejected

HEAD = 1024  # bytes that decide
_TS_PACKETS = (188, 192, 204)  # MPEG-TS: plain, with arrival times (Blu-ray), with error correction
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"})
_STARTS = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (b"\xff\xd8\xff", "jpeg_pipe"),
    (b"BM", "bmp_pipe"),
)


def demuxer(head: bytes) -> str:
    """The name of libav's demuxer for a file that begins so (its first `HEAD` bytes).

    Raises:
        InputRejected: `source:empty`, or `decode:not_media` for anything else that is none of them.
    """
    if not head:
        raise InputRejected("source:empty", "the file has no bytes")
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[4:8] in _MP4_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return "avi" if head[8:12] == b"AVI " else "webp_pipe"
    if _is_transport_stream(head):
        return "mpegts"
    raise InputRejected("decode:not_media", f"it begins with {head[:12]!r}, which no container that we read does")


def _is_transport_stream(head: bytes) -> bool:
    """Four sync bytes a packet apart, the first of them within the first packet (a recording may begin anywhere)."""
    for size in _TS_PACKETS:
        for start in range(min(size, len(head) - 3 * size)):
            if all(head[start + k * size] == 0x47 for k in range(4)):
                return True
    return False
