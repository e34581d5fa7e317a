"""Clips as files: copied packets give exactly the span's frames, others are encoded with exact times."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curate.media.cutting import encoded
from curate.media.facts import Fit, Job
from curate.media.reader import Reader
from tests.conftest import scene
from tests.media.test_odd_sources import _write


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


def _decoded(data: bytes) -> list[tuple[float, np.ndarray]]:
    with av.open(io.BytesIO(data)) as container:
        tick = container.streams.video[0].time_base
        return [(float(frame.pts * tick), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def _cut(reader: Reader, path: Path, first: int, end: int) -> tuple[bytes | None, list]:
    frames = list(reader.frames(str(path), Job("full", fit=Fit(10_000, 1))))
    stop = frames[end].pts if end < len(frames) else frames[-1].pts + frames[-1].duration
    return reader.copy(str(path), frames[first].pts, stop, end - first), frames[first:end]


@pytest.mark.parametrize(("first", "end"), [(0, 48), (12, 24), (24, 48), (0, 12), (12, 20)])
def test_a_span_from_a_key_frame_is_copied_bit_for_bit(reader, tmp_path, first, end):
    options = {"g": "12", "bf": "0", "sc_threshold": "0"}
    data, own = _cut(reader, _write(tmp_path / "a.mp4", scene(1, frames=48), options=options), first, end)
    assert data is not None
    got = _decoded(data)
    assert len(got) == end - first
    assert all(np.array_equal(a, b.fitted) for (_, a), b in zip(got, own, strict=True))
    assert [time for time, _ in got] == pytest.approx([n / 24 for n in range(end - first)], abs=1e-3)


def test_spans_that_packets_cannot_make_are_not_copied(reader, tmp_path):
    closed = _write(tmp_path / "a.mp4", scene(1, frames=48), options={"g": "12", "bf": "2", "sc_threshold": "0"})
    assert _cut(reader, closed, 5, 20)[0] is None  # no key frame at its start
    opened = {"g": "12", "bf": "3", "sc_threshold": "0", "x264-params": "open-gop=1"}
    path = _write(tmp_path / "b.mp4", scene(1, frames=48), options=opened)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        keys = sorted(packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.size)
    pts = [frame.pts for frame in reader.frames(str(path), Job("full"))]
    for start, stop in zip(keys, [*keys[1:], None], strict=True):
        count = sum(start <= p < (stop or pts[-1] + 1) for p in pts)
        data = reader.copy(str(path), start, stop or pts[-1] + 1, count)
        if data is not None:  # then it must be right
            assert len(_decoded(data)) == count


def test_what_is_encoded_keeps_every_frame_and_its_time():
    frames, pts = scene(2, frames=10, size=(64, 96)), [0, 1, 3, 4, 8, 9, 10, 20, 21, 30]
    data = encoded(iter(zip(pts, frames, strict=True)), Fraction(1, 30))
    got = _decoded(data)
    assert [time for time, _ in got] == pytest.approx([p / 30 for p in pts], abs=1e-3)
    assert max(np.abs(a.astype(int) - b).mean() for (_, a), b in zip(got, frames, strict=True)) < 4.0
    assert encoded(iter(zip(pts, frames, strict=True)), Fraction(1, 30)) == data
