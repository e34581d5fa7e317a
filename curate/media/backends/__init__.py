"""Decoders behind the reader, one file each: `pyav` (default) and `decord`. See `BackEnd`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, ClassVar, Protocol

import numpy as np

from curate.media.facts import Fit, Limits, Probe, Quality
from curate.media.views import Viewer


@dataclass(frozen=True)
class Decoded:
    """One frame: its number in the source (or in the span, after a seek), its pts and duration in ticks, its pictures.

    corrupt: the decoder says that it concealed damage.
    """

    index: int
    pts: int
    duration: int
    corrupt: bool
    interlaced: bool
    size: tuple[int, int]  # width and height as shown
    picture: Picture


class SeekMissed(Exception):
    """A container's index led past the frame that was looked for: the file has to be decoded from its beginning."""


class Picture(Protocol):
    """What can be had of a frame."""

    def viewer(self) -> Viewer:
        """Its small views."""
        ...

    def digest(self) -> bytes:
        """16 bytes that hash its samples."""
        ...

    def fitted(self, fit: Fit) -> tuple[np.ndarray, list[int]]:
        """(H, W, 3) RGB, and [x, y, width, height] of what it shows in pixels of the shown picture."""
        ...


class Opened(Protocol):
    """A source that a back end has open; `time_base` is seconds per tick."""

    time_base: Fraction

    def facts(self) -> Probe:
        """What is declared; asked before `frames`, or not at all."""
        ...

    def frames(self, start_pts: int | None, end_pts: int | None, *, seek: bool) -> Iterator[Decoded]:
        """Frames with start_pts <= pts < end_pts in presentation order; SeekMissed when `seek` led past the first."""
        ...


class BackEnd(Protocol):
    """Opens files; `version` is part of every key that depends on pixels, `libraries` its packages."""

    name: ClassVar[str]
    version: ClassVar[int]
    libraries: ClassVar[tuple[str, ...]]

    def open(self, file: BinaryIO, demuxer: str, quality: Quality, limits: Limits) -> AbstractContextManager[Opened]:
        """Open a file that stands at its first byte; faults of the file are InputRejected, then and later."""
        ...
