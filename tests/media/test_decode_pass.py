"""The one pass: clips tile the source, what rides along changes nothing, an image equals a one-frame video."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from curate.errors import InputRejected
from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.detectors.adaptive import Adaptive
from curate.media.detectors.fixed import Fixed
from curate.media.reader import Reader
from curate.media.writer import write_image
from curate.registry import resolve
from tests.conftest import scene, write_clip

SCORES = ("motion", "sharpness", "exposure", "borders", "gist")


def _request(path: Path, **changes):
    scores = {name: resolve("score", name)() for name in changes.pop("scores", SCORES)}
    everything = {
        "source_id": "s" * 32, "url": str(path), "detector": Adaptive, "min_s": 0.5, "max_s": 10.0, "scores": scores,
        "proxies": None, "content": None,
    }  # fmt: skip
    return PassRequest(**{**everything, **changes})


def _run(request: PassRequest) -> dict[str, list[dict]]:
    rows: dict[str, list[dict]] = {}
    reader = Reader()
    for stage, row in DecodePass(request, reader).run():
        rows.setdefault(stage, []).append(row)
    reader.close()
    return rows


def test_hard_cuts_are_found_and_clips_tile_the_source(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1, 2, 3), frames=20)
    split = _run(_request(path))["split"][0]
    clips = split["clips"]
    assert [clip["num_frames"] for clip in clips] == [20, 20, 20]
    assert split["num_frames"] == 60
    assert all(a["end_pts"] == b["start_pts"] for a, b in itertools.pairwise(clips))


@pytest.mark.parametrize(("max_s", "pieces"), [(10.0, 1), (5.0, 1), (4.9, 2), (1.3, 4), (0.7, 8)])
def test_a_long_scene_is_cut_into_equal_pieces(tmp_path, max_s, pieces):
    path = write_clip(tmp_path / "a.mp4", (1,), frames=40)  # five seconds
    clips = _run(_request(path, detector=Fixed, max_s=max_s, min_s=0.0))["split"][0]["clips"]
    counts = [clip["num_frames"] for clip in clips]
    assert len(clips) == pieces
    assert sum(counts) == 40
    assert max(counts) - min(counts) <= 1


def test_short_scenes_are_recorded_and_not_scored(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1,), frames=4)
    rows = _run(_request(path, min_s=1.0))
    assert [clip["too_short"] for clip in rows["split"][0]["clips"]] == [True]
    assert "motion" not in rows


def test_who_rides_along_changes_no_value(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1, 2), frames=20)
    whole = _run(_request(path))
    for name in SCORES:
        assert _run(_request(path, scores=(name,), proxies=set(), content=set()))[name] == whole[name]


def test_known_spans_give_the_same_rows_as_detection(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1, 2, 3), frames=20)
    whole = _run(_request(path))
    spans = whole["split"][0]["clips"]
    again = _run(_request(path, detector=None, spans=spans, wanted=dict.fromkeys(SCORES)))
    assert again == {stage: rows for stage, rows in whole.items() if stage != "split"}


def test_an_image_gives_what_a_one_frame_video_gives(tmp_path):
    pixels = scene(5, frames=1)
    write_image(tmp_path / "still.png", pixels[0])
    image = _run(_request(tmp_path / "still.png", min_s=2.0))
    assert [clip["num_frames"] for clip in image["split"][0]["clips"]] == [1]
    for name in SCORES:
        score = resolve("score", name)()
        row = {k: v for k, v in image[name][0].items() if k != "clip_id"}
        assert row.keys() == {field.name for field in score.fields}


def test_a_clip_between_grid_points_gives_its_middle_frame(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1,), frames=24, fps=24.0)
    rows = _run(_request(path, detector=Fixed, min_s=0.0, max_s=0.25))
    assert len(rows["frames"]) == 4
    assert all(len(row["jpeg"]) == 1 for row in rows["frames"])
    middle = rows["frames"][1]
    assert 0.0 < middle["times_s"][0] < 0.25


def test_a_cut_tail_is_a_fault_not_a_short_clip(tmp_path):
    path = write_clip(tmp_path / "a.mp4", (1, 2, 3, 4), frames=40, fps=8.0)
    data = path.read_bytes()
    moov = data.index(b"moov")
    # the index stands behind the frames in our files: keep it, and damage the frames
    broken = bytearray(data)
    broken[moov // 2 : moov - 4] = bytes(len(broken[moov // 2 : moov - 4]))
    path.write_bytes(bytes(broken))
    with pytest.raises(InputRejected) as caught:
        _run(_request(path))
    assert caught.value.reason in ("decode:truncated", "decode:error")


def test_equal_pixels_have_equal_content_hashes_and_others_not(tmp_path):
    one = write_clip(tmp_path / "a.mp4", (1,))
    (tmp_path / "b.mkv").write_bytes(_remuxed(one))
    other = write_clip(tmp_path / "c.mp4", (2,))
    hashes = [_run(_request(path))["content"][0]["hash"] for path in (one, tmp_path / "b.mkv", other)]
    assert hashes[0] == hashes[1] != hashes[2]


def _remuxed(path: Path) -> bytes:
    import io

    import av

    sink = io.BytesIO()
    with av.open(str(path)) as given, av.open(sink, "w", format="matroska") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return sink.getvalue()


def test_scores_see_frames_of_their_own_clip_only(tmp_path):
    still, moving = scene(1, frames=24, moving=False), scene(2, frames=24, moving=True)
    from curate.media.writer import write_mp4

    write_mp4(tmp_path / "a.mp4", np.concatenate([still, moving]), 8.0)
    motion = [row["score"] for row in _run(_request(tmp_path / "a.mp4"))["motion"]]
    assert motion[0] < 0.2 * motion[1]
