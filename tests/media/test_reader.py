"""The reader: spans give the frames of a sequential decode, and bad input ends in one typed outcome."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputRejected
from curate.media import reader
from curate.stage import Frames
from tests.conftest import scene, write_clip


def _b_frames(path: Path, frames: np.ndarray, rate: int = 24) -> Path:
    """An mp4 with B-frames and few key frames: what seeking gets wrong first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"bf": "3", "g": "250", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def _all(path: Path) -> list[tuple[int, bytes]]:
    return [(f.pts, f.image.to_ndarray().tobytes()) for f in reader.read(str(path))]


@pytest.mark.parametrize(
    "make", [lambda p: write_clip(p, (1, 2), frames=20), lambda p: _b_frames(p, scene(3, frames=40))]
)
def test_a_span_gives_the_frames_of_a_sequential_decode(tmp_path, make):
    path = make(tmp_path / "clip.mp4")
    whole = _all(path)
    for start, end in ((0, 5), (7, 19), (13, len(whole)), (len(whole) - 1, len(whole))):
        stop = whole[end][0] if end < len(whole) else None
        span = [(f.pts, f.image.to_ndarray().tobytes()) for f in reader.read(str(path), whole[start][0], stop)]
        assert span == whole[start:end]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "source:empty"),
        (b"just a text file\n" * 100, "decode:error"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "decode:"),
    ],
)
def test_what_is_no_media_is_rejected(tmp_path, content, reason):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputRejected) as caught:
        list(reader.read(str(path)))
    assert caught.value.reason.startswith(reason)


def test_a_missing_file_is_rejected(tmp_path):
    with pytest.raises(InputRejected) as caught:
        reader.probe(str(tmp_path / "nothing.mp4"))
    assert caught.value.reason == "source:missing"


def test_a_playlist_in_a_video_name_reads_nothing_else(tmp_path):
    write_clip(tmp_path / "secret.mp4", (1,))
    for text in (
        f"ffconcat version 1.0\nfile {tmp_path / 'secret.mp4'}\n",
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.mp4'}\n",
    ):
        lure = tmp_path / "lure.mp4"
        lure.write_text(text)
        with pytest.raises(InputRejected):
            list(reader.read(str(lure)))


@given(
    fps=st.integers(1, 60),
    grid=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
    count=st.integers(1, 200),
)
def test_the_grid_takes_the_first_frame_at_or_after_each_point(fps, grid, count):
    chosen = reader.Grid(Frames(grid, 64))
    times = [Fraction(i, fps) for i in range(count)]
    taken = [i for i, time in enumerate(times) if chosen.takes(float(time))]
    step = 1 / Fraction(grid)
    expected, point = [], Fraction(0)
    for i, time in enumerate(times):
        if time >= point:
            expected.append(i)
            point = (time // step + 1) * step
    assert taken == expected


def test_scaling_never_enlarges_and_keeps_the_aspect(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1,), size=(48, 96))
    frame = next(reader.read(str(path)))
    assert reader.scaled(frame.image, 24, "rgb").shape == (24, 48, 3)
    assert reader.scaled(frame.image, 500, "gray").shape == (48, 96, 1)
