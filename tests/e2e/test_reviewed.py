"""Faults that a review found in the chain, each with the case that showed it."""

from __future__ import annotations

import json
import subprocess

import av
import pyarrow.parquet as pq
import pytest

from tests.conftest import rushes, scene, spec_dict, write_clip, write_spec


def _run(spec, *more):
    done = rushes("run", spec, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _counts(result):
    return {row["outcome"]: row["rows"] for row in result["funnel"]}


def _short(footage, out, **changes):
    raw = spec_dict(footage, out, **changes)
    raw["stages"] = raw["stages"][:3]
    return raw


def test_footage_that_is_away_for_a_while_is_not_quarantined_for_ever(tmp_path):
    """Hashed, then gone, then back: nothing was said about the clip in between."""
    path = write_clip(tmp_path / "f" / "a.mp4", (1,))
    spec = write_spec(tmp_path / "s.yaml", _short(tmp_path / "f", tmp_path / "out"))
    assert rushes("plan", spec).returncode == 0  # hashes it
    path.rename(tmp_path / "away.mp4")
    path.symlink_to("/proc/self/mem")  # a regular file that fails when it is read: an I/O error
    run = rushes("run", spec, "--until", "dedup", "--json")
    assert run.returncode == 0
    path.unlink()
    (tmp_path / "away.mp4").rename(path)
    assert _counts(_run(spec, "--until", "dedup")) == {"kept": 1}


def test_plan_before_the_first_run_does_not_spoil_it(tmp_path, footage):
    spec = write_spec(tmp_path / "s.yaml", _short(footage, tmp_path / "out"))
    assert rushes("plan", spec).returncode == 0
    assert "kept" in _counts(_run(spec, "--until", "dedup"))


def test_clips_of_an_mpeg_program_stream_are_encoded_whole(tmp_path):
    path = tmp_path / "f" / "a.mpg"
    path.parent.mkdir()
    with av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.bit_rate = 2_000_000
        for seed in (1, 2, 3):
            for pixels in scene(seed, frames=50):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    raw = spec_dict(tmp_path / "f", tmp_path / "out")
    raw["stages"][7]["encode"]["latents"]["max_frames"] = 65
    _run(write_spec(tmp_path / "s.yaml", raw), "--until", "export")
    ledger = [row for row in pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist() if row["clip_id"]]
    assert sum(row["num_frames"] for row in ledger) == 150
    frames = pq.read_table(tmp_path / "out" / "dataset" / "clips")["num_frames"].to_pylist()
    assert sorted(frames) == sorted(1 + (row["num_frames"] - 1) // 4 * 4 for row in ledger if row["outcome"] == "kept")
    assert all(row["outcome"] in ("kept", "duplicate") for row in ledger)


@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_camera_pixel_formats_are_read(tmp_path, pixel_format):
    path = tmp_path / f"{pixel_format}.jpg"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(1, frames=1)[0], format="rgb24")))
        container.mux(stream.encode())
    tried = json.loads(rushes("try", "exposure", path, "--json").stdout)
    assert tried["results"][0]["outcome"] == "ok"


def test_more_quarantine_than_allowed_ends_before_the_export(tmp_path, footage):
    import shutil

    shutil.copytree(footage, tmp_path / "f")
    for number in range(9):
        (tmp_path / "f" / f"bad{number}.mp4").write_text(f"no video {number}")
    raw = spec_dict(tmp_path / "f", tmp_path / "out", quarantine={"max_share": 0.3})
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw))
    assert done.returncode == 3
    assert "rushes quarantine" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "dataset").exists()
    assert (tmp_path / "out" / "report.html").exists()


def test_one_more_bad_file_does_not_train_again(tmp_path, footage):
    import shutil

    shutil.copytree(footage, tmp_path / "f")
    raw = spec_dict(tmp_path / "f", tmp_path / "out")
    raw["train"] = {"steps": 2, "batch": 2, "captions": {"short": 1.0}, "threads": 1}
    raw["train"]["allow_unscreened"] = ["explicit", "violence", "hate"]
    spec = write_spec(tmp_path / "s.yaml", raw)
    assert "train" in _run(spec)["computed"]
    (tmp_path / "f" / "bad.mp4").write_text("no video")
    assert "train" not in _run(spec)["computed"]
    snapshots = json.loads((tmp_path / "out" / "snapshots.json").read_text())
    del snapshots["train"]  # as if it had been killed before its end
    (tmp_path / "out" / "snapshots.json").write_text(json.dumps(snapshots))
    (tmp_path / "f" / "worse.mp4").write_text("no video either")
    assert _run(spec)["computed"]["train"] == 1


def test_the_digest_does_not_know_the_way(tmp_path, footage):
    """Long clips first and short ones later, or short ones at once: the same rows are live."""
    digests = []
    for name, lengths in (("detour", (10, 1.0)), ("straight", (1.0,))):
        raw = spec_dict(footage, tmp_path / name)
        for longest in lengths:
            raw["stages"][0]["split"]["max_s"] = longest
            _run(write_spec(tmp_path / f"{name}.yaml", raw), "--until", "encode")
        digests.append(rushes("verify", tmp_path / name, "--digest").stdout)
    assert digests[0] == digests[1] != ""


def test_another_length_measures_only_the_clips_that_it_changes(tmp_path, footage):
    raw = spec_dict(footage, tmp_path / "out")
    spec = write_spec(tmp_path / "s.yaml", raw)
    _run(spec, "--until", "dedup")
    raw["stages"][0]["split"]["max_s"] = 9  # no scene is that long: every clip stays what it was
    assert _run(write_spec(spec, raw), "--until", "dedup")["computed"]["split"] > 0
    rows = [
        name
        for path in (tmp_path / "out").glob("stages/motion-*/*")
        for name in pq.read_table(path)["clip_id"].to_pylist()
    ]
    assert len(rows) == len(set(rows)) > 0


def test_a_failed_job_has_a_failed_exit_code():
    """The shell line of a submitted job: its log ends with the code, and so does the job."""
    line = "false; code=$?; echo rushes-exit-code=$code; exit $code"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "rushes-exit-code=1\n")


def test_status_works_from_another_folder(tmp_path, footage):
    spec = write_spec(tmp_path / "s.yaml", _short(footage.name, "2024"))
    done = rushes("run", spec, "--until", "dedup", cwd=footage.parent)
    assert done.returncode == 0, done.stderr
    out = footage.parent / "2024"
    assert rushes("status", out, cwd=tmp_path).returncode == 0
    assert rushes("status", "2024", cwd=footage.parent).returncode == 0


@pytest.mark.parametrize(("name", "says"), [("snapshots.json", "remove it"), ("spec.yaml", "whose folder this is")])
def test_a_damaged_file_of_the_store_is_a_storage_error(tmp_path, footage, name, says):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage, tmp_path / "out"))
    _run(spec, "--until", "export")
    (tmp_path / "out" / name).write_text('{"export')
    done = rushes("run", spec, "--until", "export")
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert says in done.stderr.splitlines()[-1]


def test_a_mount_that_is_lost_costs_no_source_and_stops_before_the_dataset(tmp_path, footage):
    """Everything was hashed, then the footage went away, and came back."""
    import shutil

    from curate.errors import RushesError
    from curate.run import Run
    from curate.spec_file import load_spec

    shutil.copytree(footage, tmp_path / "f")
    spec = write_spec(tmp_path / "s.yaml", spec_dict(tmp_path / "f", tmp_path / "out"))
    job = Run(load_spec(spec))
    assert job.locations
    (tmp_path / "f").rename(tmp_path / "away")
    with pytest.raises(RushesError, match="wait for the next run"):
        job.go("export")
    assert not (tmp_path / "out" / "dataset").exists()
    (tmp_path / "away").rename(tmp_path / "f")
    assert _counts(_run(spec, "--until", "export")).keys() == {"kept", "duplicate"}


@pytest.mark.parametrize("stage", ["probe", "split", "motion", "latent"])
def test_a_repaired_part_of_any_stage_is_made_again(tmp_path, footage, stage):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage, tmp_path / "out"))
    before = _counts(_run(spec, "--until", "export"))
    for part in (tmp_path / "out").glob(f"stages/{stage}-*/*.parquet"):
        part.write_bytes(b"damaged")
    assert rushes("verify", tmp_path / "out").returncode == 74
    assert rushes("verify", tmp_path / "out", "--repair").returncode == 0
    assert _counts(_run(spec, "--until", "export")) == before
    assert rushes("verify", tmp_path / "out").returncode == 0


def test_latents_that_were_quarantined_and_tried_again_are_exported(tmp_path, footage):
    raw = spec_dict(footage, tmp_path / "out")
    raw["engine"]["limits"] = {"row_seconds": 0.0001, "attempts": 1}
    spec = write_spec(tmp_path / "s.yaml", raw)
    rushes("run", write_spec(tmp_path / "dedup.yaml", spec_dict(footage, tmp_path / "out")), "--until", "dedup")
    assert rushes("run", spec, "--until", "export").returncode != 0
    assert rushes("quarantine", tmp_path / "out", "--retry", "timeout").returncode == 0
    good = write_spec(spec, spec_dict(footage, tmp_path / "out"))
    assert "kept" in _counts(_run(good, "--until", "export"))
    assert rushes("verify", tmp_path / "out").returncode == 0


def test_a_lost_shard_is_exported_again(tmp_path, footage):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage, tmp_path / "out"))
    _run(spec, "--until", "export")
    next((tmp_path / "out" / "dataset" / "clips").glob("*.parquet")).unlink()
    assert rushes("verify", tmp_path / "out").returncode == 74
    assert _run(spec, "--until", "export")["computed"] == {"export": 1}
    assert rushes("verify", tmp_path / "out").returncode == 0


def test_timed_captions_of_a_csv_are_timed(tmp_path):
    write_clip(tmp_path / "f" / "a.mp4", (1, 2), frames=40)
    timed = json.dumps([{"start_s": 0, "end_s": 5, "text": "one"}, {"start_s": 5, "end_s": 10, "text": "two"}])
    cell = timed.replace('"', '""')
    (tmp_path / "f" / "m.csv").write_text(f'path,original_caption\na.mp4,"{cell}"\n')
    _run(write_spec(tmp_path / "s.yaml", _short(tmp_path / "f" / "m.csv", tmp_path / "out")), "--until", "dedup")
    rows = pq.read_table(tmp_path / "out" / "ledger.parquet").sort_by("start_s")
    assert rows["caption.original"].to_pylist() == ["one", "two"]


def test_what_became_of_the_clips_is_told_when_the_footage_is_archived(tmp_path, footage):
    import shutil

    shutil.copytree(footage, tmp_path / "f")
    spec = write_spec(tmp_path / "s.yaml", _short(tmp_path / "f", tmp_path / "out"))
    funnel = _run(spec, "--until", "dedup")["funnel"]
    clip = next(name for name in pq.read_table(tmp_path / "out" / "ledger.parquet")["clip_id"].to_pylist() if name)
    (tmp_path / "f").rename(tmp_path / "archive")
    done = rushes("status", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["funnel"] == funnel
    assert "the ledger of the last finished run" in done.stderr
    assert json.loads(rushes("explain", clip, tmp_path / "out", "--json").stdout)["clip_id"] == clip
    assert rushes("quarantine", tmp_path / "out").returncode == 0
    assert rushes("run", spec, "--until", "dedup").returncode == 2
