"""Which frames of a clip are encoded: of variable rates too, against a table of what is shown when."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from curate.errors import InputRejected
from curate.media.facts import Fit
from curate.media.reader import reader_for
from curate.spec import Latents
from curate.spec_file import parse
from curate.stages.encode import _frames, expected_size, lawful

SIDE = 32


def write(path, times_ms: list[int], end_ms: int):
    """A clip whose frames, each of its own grey, are shown at these times; its row of a work list."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "gray"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE), grey(number), np.uint8), "gray")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    seconds = (end_ms - times_ms[0]) / 1000
    return {
        "url": str(path), "kind": "video", "fps": len(times_ms) / seconds, "num_frames": len(times_ms), "width": SIDE,
        "height": SIDE, "start_pts": times_ms[0], "end_pts": end_ms, "time_base": "1/1000",
    }  # fmt: skip


def grey(number: int) -> int:
    return 3 * number + 2


def greys(row, **latents) -> list[int]:
    spec = Latents(short_side=SIDE, **latents)
    reader = reader_for(parse({"name": "a", "sources": [{"path": "x"}], "output": "o"}))
    found, _ = _frames(row, spec, Fit(SIDE, 8), 4, reader, lambda: None)
    assert len(found) == expected_size(row, spec, 8, 4, (0.0, 0.0, 1.0, 1.0))[0]
    return [int(frame.mean().round()) for frame in found]


def shown(times_ms: list[int], end_ms: int, fps: float, most: int) -> list[int]:
    """At each k/fps after the clip's start, while it lasts, the last frame that has begun."""
    moments = [k * 1000 / fps for k in range(most) if k * 1000 / fps < end_ms - times_ms[0] - 1e-3]
    of = [max(n for n, time in enumerate(times_ms) if time - times_ms[0] <= m + 1e-3) for m in moments]
    return [grey(number) for number in of[: lawful(len(of), 4)]]


@pytest.mark.parametrize("seed", range(2))
def test_frames_of_a_variable_rate_are_those_shown_at_each_moment(tmp_path, seed):
    rng = np.random.default_rng(seed)
    # Steps of 20 ms, and holds of half a second: a screen's recording.
    steps = np.where(rng.random(59) < 0.2, 500, 20)
    times = (int(rng.integers(0, 300)) + np.concatenate([[0], np.cumsum(steps)])).tolist()
    row = write(tmp_path / "a.mkv", times, times[-1] + 40)
    for fps, most in ((8.0, 5), (8.0, 13), (2.5, 200), (1.0, 9)):
        assert greys(row, fps=fps, max_frames=most) == shown(times, row["end_pts"], fps, most)
    assert greys(row, max_frames=17) == [grey(number) for number in range(17)]


def test_a_long_frame_where_the_last_moments_lie_takes_no_clip_out(tmp_path):
    times = [0, 100, 200, 300, 400, 500, *range(2000, 3000, 100)]
    row = write(tmp_path / "a.mkv", times, 3100)
    assert greys(row, fps=5.0, max_frames=5) == [grey(number) for number in (0, 2, 4, 5, 5)]
    with pytest.raises(InputRejected, match="decode:span"):
        greys({**row, "num_frames": row["num_frames"] + 1}, max_frames=200)


def test_one_and_two_frames(tmp_path):
    for count in (1, 2):
        row = write(tmp_path / f"{count}.mkv", [0, 100][:count], 100 * count)
        for latents in ({}, {"fps": 5.0}, {"max_frames": 1}):
            assert greys(row, **latents) == [grey(0)]
