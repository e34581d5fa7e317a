"""Scores of stored proxies: added to a spec later they decode nothing, and a clip without proxies says why."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from curate import proxies
from curate.errors import SpecError, StorageError
from curate.plan import Plan
from curate.schema import rows_to_table
from curate.spec_file import load_spec, parse
from curate.stage import PROXY, Clip, Frames, Score, measure_row
from curate.stages.proxied import ProxiedWork
from curate.store import Store
from filters.text_overlay import TextOverlay
from tests.conftest import rushes, spec_dict, write_mp4, write_spec


def _spec(footage, out, scores):
    raw = spec_dict(footage, out)
    raw["stages"] = [{"score": scores} if "score" in stage else stage for stage in raw["stages"][:2]]
    return raw


def _run(spec):
    done = rushes("run", spec, "--until", "dedup", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_score_that_is_added_reads_the_proxies_and_decodes_nothing(tmp_path):
    frames = np.full((16, 256, 448, 3), 90, np.uint8)
    for number, frame in enumerate(frames):
        cv2.putText(frame, "HARBOR 42", (40 + number, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3)
    (tmp_path / "f").mkdir()
    write_mp4(tmp_path / "f" / "a.mp4", frames, 8.0)
    out, path = tmp_path / "out", tmp_path / "s.yaml"
    _run(write_spec(path, _spec(tmp_path / "f", out, ["motion"])))
    write_spec(path, _spec(tmp_path / "f", out, ["motion", "text_overlay"]))
    planned = {row["stage"]: row["to_do"] for row in json.loads(rushes("plan", path, "--json").stdout)["stages"]}
    found = _run(path)
    assert planned["text_overlay"] == found["computed"]["measure"]
    assert found["computed"].keys() == {"measure"}
    assert _run(path)["computed"] == {}
    plan, store = Plan(load_spec(path)), Store(out)
    table = plan.tables["text_overlay"]
    rows = {row["clip_id"]: row for row in store.read(table.name, table.schema).to_pylist()}
    assert len(rows) == found["computed"]["measure"] > 0
    for part in store.parts(plan.tables["frames"].name):
        for row in proxies.rows(store, part.path):
            frames = np.stack([proxies.decoded(row["clip_id"], jpeg) for jpeg in row["jpeg"]])
            info = Clip(row["clip_id"], 0, 0, len(frames), 1.0, tuple(row["times_s"]))
            expected = measure_row(TextOverlay(), frames, info)
            got = rows[row["clip_id"]]
            assert got["strings"] == expected["strings"]
            assert "42" in got["strings"][0]
            assert got["score"] == pytest.approx(expected["score"])
            assert got["score"] > 0.0


def _work(tmp_path, frames_row):
    plan = Plan(parse(_spec(tmp_path, tmp_path / "out", ["text_overlay"]), "test"))
    store = Store(tmp_path / "out")
    table = plan.tables["frames"]
    whole = {"attempts": 1, "seconds": 0.0, "outcome": "ok", "reason": "", "detail": "", **frames_row}
    part = store.write_part(table.name, rows_to_table([whole], table.schema))
    row = {"id": "c", "part": part.path, "lacks": ["text_overlay"], "width": 8, "height": 8, "num_frames": 1}
    return ProxiedWork(plan, store), {**row, "duration_s": 1.0}


def test_a_clip_without_proxies_lacks_the_score_for_the_same_reason(tmp_path):
    fault = {"outcome": "quarantined", "reason": "decode:size_change", "detail": "of size"}
    work, row = _work(tmp_path, {"clip_id": "c", **fault})
    assert list(work.run([row], lambda: None)) == [("text_overlay", {"clip_id": "c", **fault})]


def test_a_damaged_proxy_is_a_fault_of_the_store(tmp_path):
    work, row = _work(tmp_path, {"clip_id": "c", "jpeg": [b"no picture"], "times_s": [0.0], "width": 8, "height": 8})
    with pytest.raises(StorageError, match="rushes verify"):
        list(work.run([row], lambda: None))


def test_a_score_that_raises_is_one_quarantined_row(tmp_path, monkeypatch):
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    work, row = _work(tmp_path, {"clip_id": "c", "jpeg": [jpeg], "times_s": [0.0], "width": 8, "height": 8})
    monkeypatch.setattr(TextOverlay, "measure", lambda *_: 1 / 0)
    ((stage, result),) = work.run([row], lambda: None)
    assert (stage, result["outcome"], result["reason"]) == ("text_overlay", "quarantined", "score:error")


def test_a_score_of_proxies_must_be_on_their_grid(tmp_path, monkeypatch):
    assert TextOverlay.frames == PROXY
    monkeypatch.setattr(TextOverlay, "frames", Frames(1.0, 64, "rgb"))
    assert issubclass(TextOverlay, Score)
    with pytest.raises(SpecError, match="PROXY"):
        Plan(parse(_spec(tmp_path, tmp_path / "out", ["text_overlay"]), "test"))
