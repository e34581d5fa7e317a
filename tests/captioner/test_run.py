"""Captions in a whole run: from the stored frames to the ledger, with a server that fails, and after a stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from benchmarks.chat_server import ChatServer
from curate.media.writer import write_mp4
from curate.plan import Plan
from curate.run import Run
from curate.spec_file import load_spec, parse
from curate.worklist import clip_rows
from tests.conftest import rushes, spec_dict, write_clip, write_spec

COUNTS = {"dog": "motion.score"}
SCREENED = {"explicit": [], "violence": [], "hate": ["terms"]}


@pytest.fixture
def footage(tmp_path):
    """Twenty files of one level each; noise makes them differ, so that none is a duplicate."""
    folder = tmp_path / "footage"
    folder.mkdir()
    for number in range(20):
        rng = np.random.default_rng(number)
        frames = np.full((16, 64, 64, 3), 40 + 8 * number, np.int16) + rng.integers(-8, 9, (16, 64, 64, 3))
        write_mp4(folder / f"{40 + 8 * number}.mp4", frames.clip(0, 255).astype(np.uint8), 8.0)
    return folder


def _spec(tmp_path, footage, url, **engine):
    raw = spec_dict(footage, tmp_path / "out")
    captions = {"with": "server", "model": "tiny", "url": url, "in_flight": 4, "tries": 2, "timeout_s": 5}
    raw["stages"] = [
        {"split": {"detector": "fixed", "min_s": 0.5}}, {"screen": SCREENED}, {"caption": captions}, {"check": {}},
    ]  # fmt: skip
    raw["engine"] = {"workers": 1, "shard_rows": 4, **engine}
    raw.pop("train", None)
    raw.pop("sample", None)
    return write_spec(tmp_path / "s.yaml", raw)


def _rows(tmp_path):
    return pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()


def _check_levels(rows):
    for row in rows:
        level = int(row["url"].rsplit("/", 1)[1].removesuffix(".mp4"))
        for kind in ("short", "dense"):
            assert abs(int(row[f"caption.{kind}"].split()[-1].rstrip(".")) - level) <= 3


def test_captions_reach_the_ledger_on_their_own_clips(tmp_path, footage):
    with ChatServer(latency_s=(0.0, 0.02)) as server:
        done = rushes("run", _spec(tmp_path, footage, server.url), "--until", "caption", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["computed"]["caption"] == 20
        again = rushes("run", _spec(tmp_path, footage, server.url, workers=2), "--until", "caption", "--json")
        assert json.loads(again.stdout)["computed"] == {}
    rows = _rows(tmp_path)
    assert {row["outcome"] for row in rows} == {"kept"}
    _check_levels(rows)
    assert server.requests.total() == 40, "scheduling is no reason to ask again"


def test_what_nobody_answered_for_waits_and_is_asked_about_by_the_next_run(tmp_path, footage):
    with ChatServer(faults={"503": 0.4}, worst=10**6) as server:
        done = rushes("run", _spec(tmp_path, footage, server.url), "--until", "caption", "--json")
        assert done.returncode == 0, done.stderr
    waiting = [row for row in _rows(tmp_path) if row["outcome"] == "pending"]
    assert 0 < len(waiting) < 20
    with ChatServer() as server:
        done = rushes("run", _spec(tmp_path, footage, server.url), "--until", "caption", "--json")
        assert json.loads(done.stdout)["computed"]["caption"] == len(waiting)
    assert {row["outcome"] for row in _rows(tmp_path)} == {"kept"}
    _check_levels(_rows(tmp_path))


def test_a_killed_run_goes_on_where_it_was(tmp_path, footage):
    with ChatServer(latency_s=(0.1, 0.1)) as server:
        spec = _spec(tmp_path, footage, server.url)
        spec.write_text(spec.read_text().replace("in_flight: 4", "in_flight: 1"))
        command = [sys.executable, "-m", "curate.cli", "run", str(spec), "--until", "caption"]
        running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        manifest = tmp_path / "out" / "manifest"
        while not any("caption-" in path.read_text() for path in manifest.glob("*.json")):
            assert time.monotonic() < deadline, "no shard of captions was committed"
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        running.wait()
        done = rushes("run", spec, "--until", "caption", "--json")
        assert done.returncode == 0, done.stderr
        present = 20 - json.loads(done.stdout)["computed"]["caption"]
    rows = _rows(tmp_path)
    assert len(rows) == 20
    assert {row["outcome"] for row in rows} == {"kept"}
    _check_levels(rows)
    assert present >= 8, "a shard that was committed is not asked about again"
    assert server.requests.total() < 80, "and the first run was stopped before its end"
    parts = [path for path in (tmp_path / "out" / "stages").glob("caption-*/*.parquet")]
    assert sum(pq.read_metadata(path).num_rows for path in parts) <= 28
    assert rushes("verify", tmp_path / "out").returncode == 0


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("url: http://127.0.0.1:1/v1", "url: null", "one of them, not both"),
        ("shard_rows: 4", "resources: {caption: {serve: vllm}}", "one of them, not both"),
        ("shard_rows: 4", "resources: {media: {serve: vllm}}", "only `caption` can `serve`"),
    ],
)
def test_a_server_is_there_or_started_and_not_both(before, after, says, tmp_path, footage):
    spec = _spec(tmp_path, footage, "http://127.0.0.1:1/v1")
    spec.write_text(spec.read_text().replace(before, after))
    done = rushes("plan", spec)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_what_captions_are_checked_against_is_no_reason_to_write_them_again(tmp_path, footage):
    spec = parse(yaml.safe_load(_spec(tmp_path, footage, "http://127.0.0.1:1/v1").read_text()))
    seen = spec.model_copy(update={"stages": spec.stages.model_copy(update={"score": {"gist": {}, "camera": {}}})})
    assert Plan(spec).tables["caption"] == Plan(seen).tables["caption"]
    assert Plan(spec).tables["check"] != Plan(seen).tables["check"]
    bars = spec.model_copy(update={"stages": spec.stages.model_copy(update={"score": {"borders": {}}})})
    assert Plan(spec).tables["caption"] != Plan(bars).tables["caption"], "other pixels are shown"


def test_a_check_on_its_own_reads_the_windows_from_their_parts(tmp_path):
    write_clip(tmp_path / "footage" / "a.mp4", (1,))
    with ChatServer() as server:
        path = _spec(tmp_path, tmp_path / "footage", server.url)
        raw = yaml.safe_load(path.read_text())
        raw["stages"][2]["caption"]["window_s"] = 1.0
        raw["stages"].insert(1, {"score": {"motion": {}}})
        raw["stages"][-1] = {"check": {}}
        done = Run(load_spec(write_spec(path, raw))).go("caption")
    other = Run(load_spec(write_spec(path, {**raw, "stages": [*raw["stages"][:-1], {"check": {"counts": COUNTS}}]})))
    (row,) = clip_rows(other.plan, other.store, other.ledger())
    assert (done.computed["check"], row["need"]) == (1, ["check"])
    assert len(row["caption.windows"]) > 1
    assert " ".join(window["text"] for window in row["caption.windows"]).count("surface") == len(row["caption.windows"])


def test_clips_without_a_screen_leave_no_host(tmp_path, footage):
    spec = _spec(tmp_path, footage, "http://203.0.113.1/v1")
    spec.write_text(spec.read_text().replace("in_flight: 4", "allow_remote: true"))
    done = rushes("run", spec, "--until", "caption")
    assert done.returncode == 2
    assert "nothing screens for explicit" in done.stderr
