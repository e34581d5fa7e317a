"""The reader: spans give the frames of a sequential decode, and bad input ends in one typed outcome."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputRejected
from curate.media.facts import Fit, Job
from curate.media.grid import Grid
from curate.media.reader import Reader
from curate.stage import Frames
from tests.conftest import scene, write_clip


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


def _b_frames(path: Path, frames: np.ndarray, rate: int = 24) -> Path:
    """An mp4 with B-frames and few key frames: what seeking gets wrong first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"bf": "3", "g": "250", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def _frames(reader: Reader, path: Path, start: int | None = None, end: int | None = None) -> list[tuple[int, bytes]]:
    job = Job("full", start, end, digest=True, fit=Fit(1000, 1))
    return [(f.pts, f.digest + f.fitted.tobytes()) for f in reader.frames(str(path), job)]


@pytest.mark.parametrize(
    "make", [lambda p: write_clip(p, (1, 2), frames=20), lambda p: _b_frames(p, scene(3, frames=40))]
)
def test_a_span_gives_the_frames_of_a_sequential_decode(reader, tmp_path, make):
    path = make(tmp_path / "clip.mp4")
    whole = _frames(reader, path)
    for start, end in ((0, 5), (7, 19), (13, len(whole)), (len(whole) - 1, len(whole))):
        stop = whole[end][0] if end < len(whole) else None
        assert _frames(reader, path, whole[start][0], stop) == whole[start:end]


def test_full_pictures_are_those_of_libav(reader, tmp_path):
    path = _b_frames(tmp_path / "a.mp4", scene(3, frames=12))
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    got = [frame.fitted for frame in reader.frames(str(path), Job("full", fit=Fit(1000, 1)))]
    assert len(got) == 12
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "source:empty"),
        (b"just a text file\n" * 100, "decode:not_media"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "decode:"),
    ],
)
def test_what_is_no_media_is_rejected(reader, tmp_path, content, reason):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputRejected) as caught:
        list(reader.frames(str(path), Job()))
    assert caught.value.reason.startswith(reason)


def test_a_missing_file_is_rejected(reader, tmp_path):
    with pytest.raises(InputRejected) as caught:
        reader.probe(str(tmp_path / "nothing.mp4"))
    assert caught.value.reason == "source:missing"


def test_a_playlist_in_a_video_name_reads_nothing_else(reader, tmp_path):
    write_clip(tmp_path / "secret.mp4", (1,))
    for text in (
        f"ffconcat version 1.0\nfile {tmp_path / 'secret.mp4'}\n",
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.mp4'}\n",
    ):
        lure = tmp_path / "lure.mp4"
        lure.write_text(text)
        with pytest.raises(InputRejected) as caught:
            list(reader.frames(str(lure), Job()))
        assert caught.value.reason == "decode:not_media"


def test_a_file_of_another_file_system_gives_the_same_frames(reader, tmp_path):
    """Its bytes are read outside of the sandbox, which gets no name and no descriptor."""
    import fsspec

    path = write_clip(tmp_path / "a.mp4", (1, 2), frames=20)
    with fsspec.open("memory://bucket/a.mp4", "wb") as file:
        file.write(path.read_bytes())
    job = Job(digest=True)
    here = [f.digest for f in reader.frames(str(path), job)]
    assert [f.digest for f in reader.frames("memory://bucket/a.mp4", job)] == here
    assert reader.probe("memory://bucket/a.mp4") == reader.probe(str(path))


@given(
    lengths=st.lists(st.integers(1, 240), min_size=1, max_size=80),  # of frames, in ticks of 1/120 s: rates vary
    grid=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
)
def test_the_grid_takes_the_frame_that_is_shown_at_each_point(lengths, grid):
    chosen = Grid(Frames(grid, 64))
    edges = [Fraction(t, 120) for t in itertools.accumulate(lengths, initial=0)]
    shown = list(itertools.pairwise(edges))
    taken = [i for i, (start, end) in enumerate(shown) if chosen.takes(float(start), float(end))]
    step = 1 / Fraction(grid)
    points = [step * k for k in range(int(edges[-1] / step) + 1)]
    assert taken == [i for i, (start, end) in enumerate(shown) if any(start <= point < end for point in points)]
    for i, (start, end) in enumerate(shown):  # the law that screening rests on
        assert i in taken or end - start < step


def test_scaling_never_enlarges_and_keeps_the_aspect(reader, tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1,), size=(48, 96))
    views = (Frames(100, 24, "rgb"), Frames(100, 500, "gray"), Frames(0, 12, "rgb"))
    frame = next(iter(list(reader.frames(str(path), Job(views=views)))))
    assert [frame.views[view].shape for view in views] == [(24, 48, 3), (48, 96, 1), (12, 24, 3)]
