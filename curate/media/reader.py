"""The reader: the facts of a source, and its frames, decoded in a sandbox.

Times are presentation timestamps (pts) in the stream's time base; spans are half-open [start_pts, end_pts). Every
frame is decoded and made small by fixed rules: `VERSION` names them, and is part of every key that depends on pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from curate.errors import InputRejected, Unreachable
from curate.files import open_url
from curate.media.decode import Frame
from curate.media.facts import Job, Limits, Probe
from curate.media.sandbox import Sandbox
from curate.spec import Spec

VERSION = 2


class Reader:
    """Reads sources by url, each stream of frames in a worker process. Close it, or they end with this process.

    One worker is enough, unless frames of one source are asked for while those of another are still coming.
    """

    def __init__(self, limits: Limits | None = None, back_end: str = "pyav") -> None:
        self._limits, self._back_end = limits or Limits(), back_end
        self._idle: list[Sandbox] = []

    @contextmanager
    def _sandbox(self) -> Iterator[Sandbox]:
        sandbox = self._idle.pop() if self._idle else Sandbox(self._limits, self._back_end)
        try:
            yield sandbox
        finally:
            self._idle.append(sandbox)

    def probe(self, url: str) -> Probe:
        """The facts of a source: those of its container and of its first frame.

        Raises:
            InputRejected: not a media file, no video stream, dimensions that cannot be, no frame.
        """
        with opened(url) as file, self._sandbox() as sandbox:
            return sandbox.probe(file)

    def frames(self, url: str, job: Job, told: Callable[[Probe], None] | None = None) -> Iterator[Frame]:
        """The frames of a job, in presentation order; a span gives the frames that a decode of the whole file gives.

        `told` hears the facts before the first frame, for the cost of neither a second opening nor a second decoding.

        Raises:
            InputRejected: the source cannot be opened or decoded to the end, or a frame carries no time.
        """
        with opened(url) as file, self._sandbox() as sandbox:
            yield from sandbox.frames(file, job, told)

    def copy(self, url: str, start_pts: int, end_pts: int, num_frames: int) -> bytes | None:
        """A span's packets as an mp4 of its own, None where they do not make exactly its frames.

        Raises:
            InputRejected: the source cannot be read.
        """
        with opened(url) as file, self._sandbox() as sandbox:
            return sandbox.copy(file, start_pts, end_pts, num_frames)

    def close(self) -> None:
        """End the worker processes."""
        for sandbox in self._idle:
            sandbox.close()


def reader_for(spec: Spec) -> Reader:
    """A reader with the back end and the limits of a spec."""
    limits = spec.engine.limits
    return Reader(
        Limits(
            seconds=limits.decode_seconds, total_seconds=limits.row_seconds, memory_gib=limits.decode_memory_gib,
            pixels=limits.max_pixels, frames=limits.max_frames, streams=limits.max_streams,
        ),
        spec.media.backend,
    )  # fmt: skip


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """A source's file; one that was there when it was hashed and is not now, or cannot be read, is Unreachable."""
    try:
        file = open_url(url)
    except InputRejected as error:
        raise Unreachable(error.reason, error.detail) from error
    with file:
        yield file
