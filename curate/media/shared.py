"""Frames through shared memory: two buffers that a worker fills in turn, and the messages that say what is in them.

A message holds plain JSON: numbers of each frame, and where its pictures lie. No pickle, no names, no pointers.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from curate.media.decode import Frame
from curate.media.frames import Frames

_FIRST_SIZE = 8 * 1024 * 1024  # of one buffer: seconds of small views, one 1080p picture
LARGEST = 1024 * 1024 * 1024  # bytes of the file, whatever a worker asks for


class Buffers:
    """A memory file seen as two buffers of `size` bytes. Either side may open it; only the worker makes it grow."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None
        self.size = 0
        self.resize(max(_FIRST_SIZE, os.fstat(fd).st_size // 2))

    def resize(self, size: int) -> None:
        """See the file as two buffers of this size; it grows to hold them, and never shrinks."""
        if 2 * size > LARGEST:
            raise MemoryError(f"a frame needs {size} bytes of shared memory")
        if os.fstat(self.fd).st_size < 2 * size:
            os.ftruncate(self.fd, 2 * size)
        self._unmap()
        self._map = mmap.mmap(self.fd, 2 * size)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self.size = size

    def array(self, half: int, offset: int, shape: Sequence[int]) -> np.ndarray:
        """The array at a place of a buffer, as a view of the memory; ValueError when it does not lie within."""
        length = math.prod(shape)
        if half not in (0, 1) or offset < 0 or min(shape) < 0 or offset + length > self.size:
            raise ValueError(f"{shape} at {offset} of buffer {half} lies outside of it")
        start = half * self.size + offset
        return self._bytes[start : start + length].reshape(shape)

    def close(self) -> None:
        """Give the memory back."""
        self._unmap()
        os.close(self.fd)

    def _unmap(self) -> None:
        self._bytes = np.empty(0, np.uint8)  # a map that arrays look at cannot be closed
        if self._map is not None:
            self._map.close()


class Packer:
    """Collects frames in one buffer; `message` is what the other side needs to find them."""

    def __init__(self, buffers: Buffers, views: Sequence[Frames]) -> None:
        self._buffers, self._views = buffers, views
        self.half = 0
        self.count = 0
        self._rows: list[list[Any]] = []
        self._used = 0

    def has_room(self, size: int) -> bool:
        """Whether pictures of this many bytes fit behind those that are there."""
        return self._used + size <= self._buffers.size

    def add(self, frame: Frame, size: int) -> None:
        """Copy a frame's pictures into the buffer, which grows for a frame that is larger than all of it."""
        if size > self._buffers.size:
            self._buffers.resize(size)
        places = [[self._views.index(view), *self._put(pixels)] for view, pixels in frame.views.items()]
        fitted = self._put(frame.fitted) if frame.fitted is not None else None
        self._rows.append([
            frame.index, frame.pts, frame.duration, frame.time_s, *frame.size, int(frame.corrupt),
            int(frame.interlaced), frame.digest.hex() if frame.digest is not None else None, places, fitted, frame.crop,
        ])  # fmt: skip
        self.count += 1

    def _put(self, pixels: np.ndarray) -> list[int]:
        offset = self._used
        self._buffers.array(self.half, offset, pixels.shape)[...] = pixels
        self._used += pixels.size
        return [offset, *pixels.shape]

    def message(self) -> dict[str, Any]:
        """What was collected; the next frames go into the other buffer."""
        message = {"frames": self._rows, "half": self.half, "size": self._buffers.size}
        self.half, self._rows, self._used, self.count = 1 - self.half, [], 0, 0
        return message


def size_of(frame: Frame) -> int:
    """Bytes of a frame's pictures."""
    return sum(view.size for view in frame.views.values()) + (frame.fitted.size if frame.fitted is not None else 0)


def unpacked(message: dict[str, Any], buffers: Buffers, views: Sequence[Frames]) -> list[Frame]:
    """The frames of a message, with pictures of their own: the buffer may be filled again after this."""
    if message["size"] != buffers.size:
        buffers.resize(int(message["size"]))
    half = message["half"]

    def copied(place: list[int]) -> np.ndarray:
        return buffers.array(half, place[0], place[1:]).copy()

    return [_unpacked(row, views, copied) for row in message["frames"]]


def _unpacked(row: list[Any], views: Sequence[Frames], copied: Callable[[list[int]], np.ndarray]) -> Frame:
    index, pts, duration, time_s, width, height, corrupt, interlaced, digest, places, fitted, crop = row
    return Frame(
        index, pts, duration, time_s, (width, height), bool(corrupt), bool(interlaced),
        None if digest is None else bytes.fromhex(digest), {views[place[0]]: copied(place[1:]) for place in places},
        None if fitted is None else copied(fitted), crop,
    )  # fmt: skip
