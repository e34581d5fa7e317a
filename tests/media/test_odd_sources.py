"""Exact spans and upright pictures of sources that are coded oddly: turned, anamorphic, deep, interlaced, open GOPs,
variable rate, edit lists, clocks that start again, missing key frames."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.detectors.fixed import Fixed
from curate.media.facts import Fit, Job
from curate.media.reader import Reader
from curate.stage import Frames
from tests.conftest import scene


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


def _write(path: Path, frames: np.ndarray, *, pts=None, pixel_format="yuv420p", options=None, change=None) -> Path:
    """Encode frames (T, H, W, 3); `change(stream)` sets what a test is about."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=24, options={"crf": "8", **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if change is not None:
            change(stream)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = Fraction(1, 24)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def _spans_are_exact(reader: Reader, path: Path) -> None:
    """Every span that the pass makes gives the frames of PyAV's own decode from the beginning."""
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base
        expected = [(frame.pts * tick, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    rows = list(DecodePass(PassRequest("s", str(path), Fixed, 0.0, 0.4), reader).run())
    clips = rows[-1][1]["clips"]
    assert sum(clip["num_frames"] for clip in clips) == len(expected)
    place = 0
    for clip in clips:
        got = list(reader.frames(str(path), Job("full", clip["start_pts"], clip["end_pts"], fit=Fit(10_000, 1))))
        assert len(got) == clip["num_frames"]
        for frame in got:
            assert np.array_equal(frame.fitted, expected[place][1])
            place += 1


def test_variable_rate(reader, tmp_path):
    pts = np.cumsum([1 + n * 7 % 5 for n in range(40)]).tolist()
    _spans_are_exact(reader, _write(tmp_path / "a.mp4", scene(1, frames=40), pts=pts))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_b_frames_and_open_gops(reader, tmp_path, suffix):
    options = {"bf": "3" if suffix != "avi" else "0", "g": "12", "x264-params": "open-gop=1"}
    _spans_are_exact(reader, _write(tmp_path / f"a.{suffix}", scene(1, frames=50), options=options))


def test_a_late_start(reader, tmp_path):
    path = _write(tmp_path / "a.mp4", scene(1, frames=30), pts=list(range(2400, 2430)))
    _spans_are_exact(reader, path)
    assert reader.probe(str(path)).start_s == pytest.approx(100.0)


def test_deep_pixels_are_as_bright_as_shallow_ones(reader, tmp_path):
    frames = scene(3, frames=4)
    views = (Frames(0, 27), Frames(100, 32), Frames(100, 32, "gray"))
    plain, deep = (
        next(
            iter(
                list(reader.frames(str(_write(tmp_path / f"{kind}.mp4", frames, pixel_format=kind)), Job(views=views)))
            )
        )
        for kind in ("yuv420p", "yuv420p10le")
    )
    for view in views:
        assert np.abs(plain.views[view].astype(int) - deep.views[view]).mean() < 2.0
    assert reader.probe(str(tmp_path / "yuv420p10le.mp4")).bit_depth == 10


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_pictures_are_upright_everywhere(reader, tmp_path, turn):
    """The camera was turned: the coded picture lies on its side, and a player turns it back."""
    upright = scene(3, frames=8)
    coded = np.ascontiguousarray(np.rot90(upright, turn // 90, axes=(1, 2)))
    plain = _write(tmp_path / "plain.mp4", coded)
    path = tmp_path / "turned.mp4"
    with av.open(str(plain)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(-turn)  # anticlockwise, as libav counts
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    facts = reader.probe(str(path))
    assert (facts.width, facts.height) == (upright.shape[2], upright.shape[1])
    assert (facts.coded_width, facts.coded_height) == (coded.shape[2], coded.shape[1])
    frame = next(iter(list(reader.frames(str(path), Job("full", fit=Fit(10_000, 1), views=(Frames(0, 24),))))))
    assert np.abs(frame.fitted.astype(int) - upright[0]).mean() < 4.0
    assert frame.views[Frames(0, 24)].shape[:2] == (24, round(24 * upright.shape[2] / upright.shape[1]))


def test_anamorphic_pixels_become_square(reader, tmp_path):
    def widen(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = _write(tmp_path / "a.mp4", scene(1, frames=8, size=(96, 96)), change=widen)
    facts = reader.probe(str(path))
    assert (facts.width, facts.height, facts.sample_aspect) == (128, 96, "4/3")
    frame = next(iter(list(reader.frames(str(path), Job("full", fit=Fit(48, 1), views=(Frames(100, 24),))))))
    assert frame.fitted.shape == (48, 64, 3)
    assert frame.views[Frames(100, 24)].shape == (24, 32, 3)
    assert frame.crop == [0, 0, 128, 96]


def test_interlaced_frames_are_told(reader, tmp_path):
    path = _write(tmp_path / "a.mp4", scene(1, frames=12), options={"x264-params": "interlaced=1:tff=1"})
    (row,) = [row for stage, row in DecodePass(PassRequest("s", str(path), Fixed, 0.0, 9.0), reader).run()]
    assert row["interlaced_frames"] == 12
    assert reader.probe(str(path)).field_order in ("tt", "tb")


def test_a_clock_that_starts_again_goes_on(reader, tmp_path):
    whole = _write(tmp_path / "a.ts", scene(1, frames=24)).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(whole * 2)
    frames = list(reader.frames(str(path), Job(digest=True)))
    assert len(frames) == 48
    times = [frame.time_s for frame in frames]
    assert np.allclose(np.diff(times), 1 / 24, atol=1e-3)
    (row,) = [row for stage, row in DecodePass(PassRequest("s", str(path), Fixed, 0.0, 0.5), reader).run()]
    for clip in row["clips"]:
        span = reader.frames(str(path), Job("analysis", clip["start_pts"], clip["end_pts"], digest=True))
        assert len(list(span)) == clip["num_frames"]


def test_a_recording_that_begins_between_key_frames(reader, tmp_path):
    data = _write(tmp_path / "a.ts", scene(1, frames=48), options={"g": "16", "bf": "0"}).read_bytes()
    path = tmp_path / "joined_late.ts"
    path.write_bytes(data[: 188 * 3] + data[len(data) // 4 // 188 * 188 :])
    frames = list(reader.frames(str(path), Job(digest=True)))
    assert 16 <= len(frames) < 48
    assert not any(frame.corrupt for frame in frames)


def test_a_missing_tail_is_labelled(reader, tmp_path):
    sink = io.BytesIO()
    whole = _write(tmp_path / "a.mp4", scene(1, frames=96), options={"g": "12"})
    with av.open(str(whole)) as given, av.open(sink, "w", format="matroska") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    data = sink.getvalue()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: len(data) * 6 // 10])
    request = PassRequest("s", str(path), Fixed, 0.0, 9.0, keep_truncated=True)
    (row,) = [row for stage, row in DecodePass(request, reader).run()]
    assert row["num_frames"] < 96
    assert row["missing_s"] == pytest.approx((96 - row["num_frames"]) / 24, abs=0.06)
