"""What the media benchmarks compare with: plain decoding, the pass in this process, the pass without any shortcut."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from curate.engines.supervisor import ONE_THREAD
from curate.media import decode
from curate.media.backends import BackEnd, Decoded
from curate.media.backends.pyav import OpenedPyAV, PyAV
from curate.media.facts import Geometry, Job, Limits, Probe
from curate.media.views import small_size, upright
from curate.stage import Frames


def single_threaded() -> None:
    """Start this benchmark again with one thread in every library, as the engines start what they run.

    Idle threads of NumPy's pool spin after each product, and would count as CPU seconds of the pass.
    """
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        name = sys.modules["__main__"].__spec__.name
        os.execve(sys.executable, [sys.executable, "-m", name, *sys.argv[1:]], {**os.environ, **ONE_THREAD})


def cpu_seconds() -> float:
    """CPU time of this process and of its children, those that still run among them (to a hundredth of a second)."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(part.ru_utime + part.ru_stime for part in used)
    ticks = os.sysconf("SC_CLK_TCK")
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def plain_decode(paths: list[Path]) -> tuple[float, float]:
    """CPU seconds of PyAV's own decode of these files (one thread, default flags), and how long they play."""
    begun, played = cpu_seconds(), 0.0
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            last = 0.0
            for frame in container.decode(stream):
                last = float(frame.time or 0.0)
            played += last
    return cpu_seconds() - begun, played


class InProcess:
    """A reader without a sandbox."""

    def __init__(self, back_end: BackEnd | None = None) -> None:
        self._back_end = back_end or PyAV()

    def probe(self, url: str) -> Probe:
        """As `Reader.probe`."""
        with open(url, "rb") as file:
            return decode.probe(self._back_end, file, Limits())

    def frames(self, url: str, job: Job, told: Any = None) -> Iterator[decode.Frame]:
        """As `Reader.frames`."""
        with open(url, "rb") as file:
            yield from decode.frames(self._back_end, file, job, Limits(), told)

    def close(self) -> None:
        """Nothing is open."""


class Careful(PyAV):
    """Every shortcut off: the loop filter runs, and swscale converts and scales whole frames by area."""

    @contextmanager
    def open(self, file: BinaryIO, demuxer: str, quality: Any, limits: Limits) -> Iterator[Any]:
        """As `PyAV.open`."""
        with super().open(file, demuxer, "full", limits) as opened:
            yield _Careful(opened)


class _Careful:
    def __init__(self, opened: OpenedPyAV) -> None:
        self._opened, self.time_base, self.facts = opened, opened.time_base, opened.facts

    def frames(self, start_pts: int | None, end_pts: int | None, *, seek: bool) -> Iterator[Decoded]:
        for decoded in self._opened.frames(start_pts, end_pts, seek=seek):
            yield replace(decoded, picture=_Swscaled(decoded.picture))


class _Swscaled:
    def __init__(self, picture: Any) -> None:
        self._image: VideoFrame = picture._image
        self._geometry: Geometry = picture.geometry
        self.digest = picture.digest

    def viewer(self) -> _Swscaled:
        return self

    def view(self, request: Frames) -> np.ndarray:
        shown = self._geometry.shown(self._image.width, self._image.height)
        width, height = small_size(*shown, request.short_side)
        size = (height, width) if self._geometry.rotation % 180 else (width, height)
        kind = {"rgb": "rgb24", "gray": "gray"}[request.colour]
        pixels = self._image.reformat(*size, format=kind, interpolation=Interpolation.AREA).to_ndarray()
        return upright(pixels if pixels.ndim == 3 else pixels[..., None], self._geometry)
