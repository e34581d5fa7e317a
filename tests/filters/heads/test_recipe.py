"""The recipe from a run's clips to a promoted head that screens, and everything that it refuses on the way."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from curate.cli import app
from curate.errors import RushesError
from curate.media.writer import write_mp4
from tests.conftest import REPO, rushes, spec_dict, write_spec


def _clip(path, seed, marked):
    """A scene of moving noise; a marked one has a bright cross in it."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(0, 120, (6, 9, 3)).astype(np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([np.roll(ground, 2 * t, axis=1) for t in range(8)])
    if marked:
        x, y = rng.integers(12, 70), rng.integers(12, 40)
        for frame in frames:
            frame[y : y + 20, x + 7 : x + 13] = (0, 235, 235)
            frame[y + 7 : y + 13, x : x + 20] = (0, 235, 235)
    write_mp4(path, frames, 8.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run over 160 files, half of them marked, and what they are."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "footage").mkdir()
    for seed in range(160):
        _clip(folder / "footage" / f"{seed:03d}.mp4", seed, seed % 2 == 1)
    raw = spec_dict(folder / "footage", folder / "out")
    raw["stages"] = [{"split": {"detector": "fixed", "min_s": 0.5}}]
    done = rushes("run", write_spec(folder / "s.yaml", raw), "--until", "split")
    assert done.returncode == 0, done.stderr
    return folder


def _labels(run, name, numbers):
    path = run / f"{name}.csv"
    rows = "".join(f"{run / 'footage' / f'{n:03d}.mp4'},{'true' if n % 2 else 'false'}\n" for n in numbers)
    path.write_text("item,label\n" + rows)
    return path


def _call(*words):
    """A verb of `rushes head` in this process, which saves a start of the interpreter; (exit code, what it said)."""
    done = CliRunner().invoke(app, ["head", *map(str, words)])
    if isinstance(done.exception, RushesError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


def _head(run, verb, *more, code=0):
    exit_code, said = _call(verb, "explicit", "--dir", run / "head", *more)
    assert exit_code == code, said
    return said


def test_from_labels_to_a_screen(run):
    assert "is no head's folder" in _head(run, "train", code=2)
    _head(run, "new", "--run", run / "out", "--encoder", "gist")
    assert "holds a head already" in _head(run, "new", "--run", run / "out", code=2)
    assert "label some positives" in _head(run, "train", code=2)
    assert "--who" in _head(run, "label", "--from", _labels(run, "first", range(130)), code=2)
    assert _head(run, "label", "--from", run / "first.csv", "--who", "ann") == "130 labels\n"
    found = json.loads(_head(run, "train", "--json"))
    assert 70 < found["positives"] + found["negatives"] < 110, "a third is held out"
    out = run / "explicit.safetensors"
    assert "after an audit only" in _head(run, "promote", "--out", out, code=2)
    assert "`rushes head calibrate` first" in _head(run, "audit", code=2)
    calibrated = json.loads(_head(run, "calibrate", "--missed", "0.05", "--json"))
    assert calibrated["missed_share"] <= 0.05 < calibrated["missed_share_at_most"]
    assert "nothing was labelled for an audit" in _head(run, "audit", code=2)
    stale = _labels(run, "stale", [3])
    assert "needs a fresh sample" in _head(run, "label", "--from", stale, "--strategy", "audit", "--who", "b", code=2)
    fresh = _labels(run, "audit", range(130, 160))
    _head(run, "label", "--from", fresh, "--strategy", "audit", "--who", "bob")
    audited = json.loads(_head(run, "audit", "--json"))
    assert audited["positives"] == audited["negatives"] == 15
    shutil.copy(run / "head" / "head.safetensors", run / "unpromoted.safetensors")
    promoted = json.loads(_head(run, "promote", "--out", out, "--json"))
    assert promoted["audit"]["head"] == promoted["head"]
    assert out.is_file()


def _screen(run, tmp_path, file, category="explicit", code=0):
    raw = spec_dict(run / "footage", tmp_path / "out")
    screens = {"explicit": [], "violence": [], "hate": [], category: [{"head": {"file": str(file)}}]}
    raw["stages"] = [{"split": {"detector": "fixed", "min_s": 0.5}}, {"screen": screens}]
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", "dedup", "--json")
    assert done.returncode == code, done.stderr
    return done.stderr if code else {r["reason"] or r["outcome"]: r["rows"] for r in json.loads(done.stdout)["funnel"]}


def test_a_promoted_head_screens_and_no_other(run, tmp_path):
    found = _screen(run, tmp_path, run / "explicit.safetensors")
    assert found["explicit:head"] + found["kept"] == 160
    assert 60 < found["explicit:head"] < 130
    for file, category, says in (
        (run / "unpromoted.safetensors", "explicit", "was not promoted"),
        (run / "explicit.safetensors", "violence", "was made for explicit, not for violence"),
        (run / "none.safetensors", "explicit", "is no head"),
    ):
        assert says in _screen(run, tmp_path, file, category, code=2)


def test_what_changed_since_the_audit_is_not_promoted(run, tmp_path):
    shutil.copytree(run / "head", tmp_path / "head")
    head = tmp_path / "head"

    def step(verb, *more):
        return _call(verb, "explicit", "--dir", head, *more)

    assert step("train")[0] == 0
    assert "after an audit only" in step("promote", "--out", tmp_path / "x")[1]
    for verb in ("calibrate", "audit"):
        assert step(verb)[0] == 0
    facts = json.loads((head / "head.json").read_text())
    policy = yaml.safe_load((REPO / "filters" / "policy" / "default.yaml").read_text())
    policy["categories"]["explicit"]["screens"]["head"]["strict"] = -0.3
    changed = write_spec(tmp_path / "policy.yaml", policy)
    (head / "head.json").write_text(json.dumps({**facts, "policy": str(changed)}))
    assert "the policy has changed" in step("promote", "--out", tmp_path / "x")[1]
    (head / "head.json").write_text(json.dumps(facts))
    assert step("calibrate", "--missed", "0.2")[0] == 0
    assert "after an audit only" in step("promote", "--out", tmp_path / "x")[1]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("strategy", ["random", "loop_a", "loop_b", "boundary"])
def test_sheets_show_what_has_no_label(strategy, run, tmp_path):
    rows = _labels(run, "few", range(90))
    call = ("explicit", "--dir", tmp_path / "h")
    assert _call("new", *call, "--run", run / "out", "--encoder", "gist")[0] == 0
    assert _call("label", *call, "--from", rows, "--who", "ann")[0] == 0
    assert _call("train", *call)[0] == 0
    sheet = tmp_path / "next"
    code, said = _call("label", *call, "--sheet", sheet, "--strategy", strategy, "--count", "6")
    assert code == 0, said
    items = json.loads(sheet.with_suffix(".json").read_text())["items"]
    assert 1 <= len(set(items)) == len(items) <= 6
    assert cv2.imread(str(sheet.with_suffix(".png"))).shape[1] == 6 * 192
    answered = _call("label", *call, "--sheet", sheet, "--positives", "1", "--who", "bob")
    assert answered == (0, f"{len(items)} labels\n")


def test_nobody_trains_a_head_on_minors_and_sexual_content(run, tmp_path):
    policy = yaml.safe_load((REPO / "filters" / "policy" / "default.yaml").read_text())
    for name, definition in (("teen_content", "sexual content with teenagers"), ("other", "child pornography")):
        policy["categories"][name] = {**policy["categories"]["explicit"], "definition": definition}
    path = write_spec(tmp_path / "policy.yaml", policy)
    for category, said in (("minors", "default"), ("teen_content", path), ("other", path)):
        code, refused = _call("new", category, "--dir", tmp_path / "h", "--run", run / "out", "--policy", said)
        assert (code, "no head is trained for" in refused) == (2, True)
    assert "nearest: explicit" in _call("new", "explict", "--dir", tmp_path / "h", "--run", run / "out")[1]
