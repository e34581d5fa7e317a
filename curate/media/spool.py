"""Sampled frames of the open scene: in memory while they are few, then on temporary disk, so that a pass over a film of
three hours that is one scene holds no more than a pass over a short one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np

from curate.errors import InputRejected

# Below this a spool stays in memory: most scenes never touch the disk.
MEMORY_BYTES = 32 * 1024 * 1024


@dataclass
class _Entry:
    index: int  # frame number in the source
    time_s: float  # from the source's first frame
    shape: tuple[int, ...]
    pixels: np.ndarray | None  # None: they lie in the file
    offset: int = 0


class Spool:
    """The frames of one grid since the last scene was closed."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._bytes = 0  # in memory
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by close()

    def append(self, index: int, time_s: float, pixels_HWC: np.ndarray) -> None:
        """Take a picture of the frame with this number, `time_s` seconds from the source's first frame."""
        self._entries.append(_Entry(index, time_s, pixels_HWC.shape, pixels_HWC))
        self._bytes += pixels_HWC.size
        if self._bytes > MEMORY_BYTES:
            self._to_disk()

    def _to_disk(self) -> None:
        offset = self._file.seek(0, 2)
        for entry in self._entries:
            if entry.pixels is not None:
                entry.offset = offset
                offset += self._file.write(np.ascontiguousarray(entry.pixels).data)
                entry.pixels = None
        self._bytes = 0

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
            pixels[place] = entry.pixels if entry.pixels is not None else self._load(entry)
        return pixels, [entry.time_s for entry in chosen]

    def indices(self, start: int, end: int) -> set[int]:
        """Numbers of the frames start <= n < end that are here."""
        return {entry.index for entry in self._entries if start <= entry.index < end}

    def _load(self, entry: _Entry) -> np.ndarray:
        self._file.seek(entry.offset)
        return np.frombuffer(self._file.read(int(np.prod(entry.shape))), np.uint8).reshape(entry.shape)

    def drop_before(self, index: int) -> None:
        """Forget the frames numbered below `index` and give their space back."""
        kept = [entry for entry in self._entries if entry.index >= index]
        for entry in kept:
            if entry.pixels is None:
                entry.pixels = self._load(entry).copy()
        self._file.truncate(0)
        self._entries, self._bytes = kept, sum(int(np.prod(entry.shape)) for entry in kept)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
