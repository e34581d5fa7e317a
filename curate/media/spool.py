"""Sampled frames on temporary disk, so that a pass holds one clip in memory and never a whole film."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np

from curate.errors import InputRejected

# Below this a spool stays in memory: most scenes of small footage never touch the disk.
_MEMORY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class _Entry:
    index: int  # frame number in the source
    time_s: float  # from the source's first frame
    offset: int
    shape: tuple[int, int, int]


class Spool:
    """The frames of one grid since the last clip was closed."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 closed by close()

    def append(self, index: int, time_s: float, pixels_HWC: np.ndarray) -> None:
        """Take a picture of the frame with this number, `time_s` seconds from the source's first frame."""
        offset = self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(pixels_HWC).tobytes())
        height, width, channels = pixels_HWC.shape
        self._entries.append(_Entry(index, time_s, offset, (height, width, channels)))

    def frames(self, start: int, end: int) -> tuple[np.ndarray, list[float]]:
        """Frames numbered start <= n < end, (T, H, W, C) uint8 with T >= 0, and their times in seconds.

        Raises:
            InputRejected: the picture size changes within the span.
        """
        chosen = [entry for entry in self._entries if start <= entry.index < end]
        if len({entry.shape for entry in chosen}) > 1:
            raise InputRejected("decode:size_change", "the picture size changes within the clip")
        shape = chosen[0].shape if chosen else (1, 1, 1)
        pixels = np.empty((len(chosen), *shape), np.uint8)
        for place, entry in enumerate(chosen):
            pixels[place] = self._load(entry)
        return pixels, [entry.time_s for entry in chosen]

    def _load(self, entry: _Entry) -> np.ndarray:
        self._file.seek(entry.offset)
        return np.frombuffer(self._file.read(int(np.prod(entry.shape))), np.uint8).reshape(entry.shape)

    def drop_before(self, index: int) -> None:
        """Forget the frames numbered below `index` and give their space back."""
        kept = [(entry, self._load(entry).copy()) for entry in self._entries if entry.index >= index]
        self._file.seek(0)
        self._file.truncate()
        self._entries.clear()
        for entry, pixels in kept:
            self.append(entry.index, entry.time_s, pixels)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
