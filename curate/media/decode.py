"""Runs a decoding job on an open file, in this process: what the sandbox's worker does, and the yardstick of its cost.

Nothing here opens a file, and nothing else touches a decoder.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from curate.media.backends import BackEnd, Decoded, Opened, SeekMissed
from curate.media.facts import Job, Limits, Probe
from curate.media.frames import Frames
from curate.media.grid import Grid
from curate.media.sniff import HEAD, demuxer


@dataclass(frozen=True)
class Frame:
    """One frame as a job asked for it.

    index counts frames from the source's beginning where the job has no start_pts. time_s is in seconds from the first
    frame of the job, duration in ticks (0: the stream does not say), size is width and height as shown. views holds a
    picture (H, W, C) for each of the job's views whose grid takes the frame. crop says what `fitted` shows.
    """

    index: int
    pts: int
    duration: int
    time_s: float
    size: tuple[int, int]
    corrupt: bool = False
    interlaced: bool = False
    digest: bytes | None = None
    views: dict[Frames, np.ndarray] = field(default_factory=dict)
    fitted: np.ndarray | None = None
    crop: list[int] = field(default_factory=list)


def probe(back_end: BackEnd, file: BinaryIO, limits: Limits) -> Probe:
    """The facts of a source. Raises InputRejected."""
    with back_end.open(file, sniffed(file), "analysis", limits) as opened:
        return opened.facts()


def frames(
    back_end: BackEnd, file: BinaryIO, job: Job, limits: Limits, told: Callable[[Probe], None] | None = None
) -> Iterator[Frame]:
    """The frames of a job in presentation order; `told` hears the facts before the first. Raises InputRejected."""
    kind = sniffed(file)
    try:
        with back_end.open(file, kind, job.quality, limits) as opened:
            if told is not None:
                told(opened.facts())
            yield from _pictured(opened, job, seek=job.start_pts is not None)
    except SeekMissed:
        file.seek(0)
        with back_end.open(file, kind, job.quality, limits) as opened:
            yield from _pictured(opened, job, seek=False)


def sniffed(file: BinaryIO) -> str:
    """The demuxer for a file, which stands at its first byte afterwards. Raises InputRejected."""
    file.seek(0)
    kind = demuxer(file.read(HEAD))
    file.seek(0)
    return kind


def _pictured(opened: Opened, job: Job, *, seek: bool) -> Iterator[Frame]:
    """Frames one behind the decoder: how long a frame is shown tells the next one."""
    grids = [(view, Grid(view)) for view in job.views]
    tick = opened.time_base
    first_pts: int | None = None
    held: Decoded | None = None
    for decoded in itertools.islice(opened.frames(job.start_pts, job.end_pts, seek=seek), job.most):
        first_pts = decoded.pts if first_pts is None else first_pts
        if held is not None:
            yield _frame(held, (held.pts - first_pts) * tick, (decoded.pts - first_pts) * tick, job, grids)
        held = decoded
    if held is not None and first_pts is not None:
        end = held.pts + max(1, held.duration)
        yield _frame(held, (held.pts - first_pts) * tick, (end - first_pts) * tick, job, grids)


def _frame(decoded: Decoded, start: Fraction, end: Fraction, job: Job, grids: list[tuple[Frames, Grid]]) -> Frame:
    """A frame shown from `start` until `end`, seconds from the first one, with the views that want it."""
    wanted = [view for view, grid in grids if grid.takes(float(start), float(end))]
    views = {}
    if wanted:
        viewer = decoded.picture.viewer()
        views = {view: viewer.view(view) for view in wanted}
    fitted, crop = decoded.picture.fitted(job.fit) if job.fit is not None else (None, [])
    return Frame(
        decoded.index, decoded.pts, decoded.duration, float(start), decoded.size, decoded.corrupt, decoded.interlaced,
        decoded.picture.digest() if job.digest else None, views, fitted, crop,
    )  # fmt: skip
