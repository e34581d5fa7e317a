"""Bad input: one clear sentence and the right exit code, nothing lost, and the next run goes on."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import REPO, rushes, spec_dict, write_clip, write_spec


def _ended(done, code, *says):
    """One sentence on stderr, after the lines of progress."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for text in says:
        assert text in last, last


def _spec(tmp_path, path, **changes):
    raw = spec_dict(path, tmp_path / "out", **changes)
    raw["stages"] = raw["stages"][:3]
    return write_spec(tmp_path / "s.yaml", raw)


def test_missing_empty_and_text_folders(tmp_path):
    _ended(rushes("run", _spec(tmp_path, tmp_path / "nowhere")), 2, "does not exist")
    (tmp_path / "texts").mkdir()
    _ended(rushes("run", _spec(tmp_path, tmp_path / "texts")), 2, "holds no video or image file")
    (tmp_path / "texts" / "a.txt").write_text("x")
    _ended(rushes("run", _spec(tmp_path, tmp_path / "texts")), 2, "1 other files there, such as a.txt")
    write_clip(tmp_path / "texts" / "a.mp4", (1,))
    assert rushes("run", _spec(tmp_path, tmp_path / "texts"), "--until", "dedup").returncode == 0


def test_a_truncated_mp4_is_one_quarantined_row(tmp_path):
    good, bad = write_clip(tmp_path / "f" / "good.mp4", (1,)), write_clip(tmp_path / "f" / "bad.mp4", (2,))
    bad.write_bytes(bad.read_bytes()[:2000])
    (tmp_path / "f" / "text.mp4").write_text("hello\n" * 50)
    done = rushes("run", _spec(tmp_path, good.parent), "--until", "dedup", "--json")
    assert done.returncode == 0
    counts = {(row["outcome"], row["reason"]): row["rows"] for row in json.loads(done.stdout)["funnel"]}
    assert counts == {("kept", ""): 1, ("quarantined", "decode:error"): 1, ("quarantined", "decode:not_media"): 1}
    strict = _spec(tmp_path, good.parent, quarantine={"max_share": 0.5})
    assert rushes("run", strict, "--until", "dedup").returncode == 3


def test_a_typo_an_unknown_filter_and_a_foreign_folder(tmp_path, footage):
    spec = _spec(tmp_path, footage)
    typo = tmp_path / "typo.yaml"
    typo.write_text(spec.read_text().replace("max_s", "maxs"))
    _ended(rushes("run", typo), 2, "unknown key 'maxs'; nearest: max_s")
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text(spec.read_text().replace("- motion", "- motino"))
    _ended(rushes("run", unknown), 2, "unknown score 'motino'; nearest: motion")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("not ours")
    _ended(rushes("run", spec), 2, "holds files that no run of ours wrote")
    assert not (tmp_path / "out" / "manifest").exists()
    _ended(rushes("run", tmp_path / "none.yaml"), 2, "cannot read spec")


def test_nothing_kept_says_so(tmp_path, footage):
    raw = spec_dict(footage, tmp_path / "out")
    raw["stages"][2] = {"keep": {"license": {"allow": ["cc0"]}}}
    _ended(rushes("run", write_spec(tmp_path / "s.yaml", raw)), 2, "nothing was kept")
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_stops_cleanly_and_the_next_run_goes_on(tmp_path, footage):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        raw = spec_dict(footage, disk / "out")
        spec = write_spec(tmp_path / "s.yaml", raw)
        _ended(rushes("run", spec, "--until", "export"), 74, "no space left", "run again")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert rushes("run", spec, "--until", "export").returncode == 0
        elsewhere = write_spec(tmp_path / "t.yaml", spec_dict(footage, tmp_path / "out"))
        assert rushes("run", elsewhere, "--until", "export").returncode == 0
        digests = [rushes("verify", out, "--digest").stdout for out in (disk / "out", tmp_path / "out")]
        assert digests[0] == digests[1] != ""
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _small_files_only():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))


def test_a_file_size_limit_is_a_storage_error_too(tmp_path, footage):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage, tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-m", "curate.cli", "run", str(spec), "--until", "export"], capture_output=True, text=True,
        cwd=REPO, check=False,
        preexec_fn=_small_files_only,
    )  # fmt: skip
    _ended(done, 74, "no space left")
    assert rushes("run", spec, "--until", "export").returncode == 0


def test_ctrl_c_ends_with_130_leaves_no_process_and_goes_on(tmp_path):
    for seed in range(40):
        write_clip(tmp_path / "f" / f"{seed}.mp4", (seed,), frames=40)
    # Small shards: the first commit comes when nearly everything is still to be done, however fast the machine is.
    spec = _spec(tmp_path, tmp_path / "f", engine={"workers": 2, "shard_rows": 1})
    process = subprocess.Popen(
        [sys.executable, "-m", "curate.cli", "run", str(spec), "--until", "dedup"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
        # Started from a background job, the tests and all their children would ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    while not (tmp_path / "out" / "manifest" / "0000000000.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    workers = children.stdout.split()
    assert workers
    process.send_signal(signal.SIGINT)
    with process.stderr as stream:
        rest = stream.read()
    assert process.wait(timeout=30) == 130, rest
    assert "run again to go on" in rest
    assert "Traceback" not in rest
    time.sleep(0.5)
    assert [pid for pid in workers if os.path.exists(f"/proc/{pid}")] == []
    done = rushes("run", spec, "--until", "dedup", "--json")
    assert 0 < json.loads(done.stdout)["computed"]["split"] < 40


def test_try_answers_for_what_is_no_file_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    done = rushes("try", "motion", tmp_path / "pipe.mp4", tmp_path, tmp_path / "nothing.mp4", "--json", timeout=60)
    assert done.returncode == 0
    reasons = [result["reason"] for result in json.loads(done.stdout)["results"]]
    assert reasons == ["source:not_a_file", "source:not_a_file", "source:missing"]
