"""Content ids and fingerprints: sha256, first 32 hex digits. File names never enter an id."""

from __future__ import annotations

import hashlib
import json
from typing import Any, BinaryIO

ID_LENGTH = 32
_BLOCK = 1 << 20


def fingerprint(value: Any) -> str:
    """Hash any JSON value; equal values give equal fingerprints whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def source_id(stream: BinaryIO) -> str:
    """Hash the bytes of a file, read in blocks."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()[:ID_LENGTH]


def clip_id(source: str, stream_index: int, start_pts: int, end_pts: int, time_base: str) -> str:
    """Id of the half-open span [start_pts, end_pts) of one stream of a source."""
    return fingerprint([source, stream_index, start_pts, end_pts, time_base])


def text_id(text: str) -> str:
    """Id of a text: the hash of its UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:ID_LENGTH]
