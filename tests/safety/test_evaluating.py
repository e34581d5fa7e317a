"""`rushes screen eval`: figures of labelled files, and what they are good for in a spec."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest

from filters._hash_lists import Entry, write_list
from tests.conftest import rushes, spec_dict, write_clip, write_spec
from tests.safety.test_gate import _glowing

LABELS = "path,explicit,hate,original_caption\n"


def _labelled(gate, count=31):
    """Files of which every other one glows; one glowing file is labelled clean and one dark file is labelled bad."""
    rows = []
    for number in range(2 * count):
        name = f"{number}.mp4"
        if number % 2:
            _glowing(gate.folder / name, 1.0, seed=number)
        else:
            write_clip(gate.folder / name, (number,))
        truth = "true" if number % 2 else "false"
        truth = {0: "true", 1: "false"}.get(number, truth)
        rows.append(f"{name},{truth},{'false' if number == 4 else ''},{'a swastika' if number == 4 else ''}")
    path = gate.folder / "labelled.csv"
    path.write_text(LABELS + "\n".join(rows) + "\n")
    return path


def _eval(gate, labelled, screen, *more, code=0):
    path = write_spec(gate.folder / "policy.yaml", gate.policy)
    raw = spec_dict(gate.folder / "footage", gate.folder / "out")
    raw["stages"] = [{"screen": {"policy": str(path), "explicit": [], "violence": [], "hate": [], **screen}}]
    spec = write_spec(gate.folder / "eval.yaml", raw)
    done = rushes("screen", "eval", labelled, "--spec", spec, "--json", *more, env=gate.env, cwd=gate.folder)
    assert done.returncode == code, done.stderr
    return done.stderr if code else json.loads(done.stdout)


def test_figures_are_those_of_the_labels_and_calibrate_a_spec(gate):
    labelled = _labelled(gate)
    out = gate.folder / "evaluation.json"
    screens = {"explicit": ["glow"], "hate": ["terms"]}
    found = _eval(gate, labelled, screens, "--out", out)
    figures = found["categories"]["explicit"]["all"]
    assert (figures["positives"], figures["negatives"]) == (31, 31)
    assert (figures["misses"], figures["false_alarms"]) == (1, 1)
    assert figures["recall"] == figures["precision"] == pytest.approx(30 / 31)
    assert figures["recall_95"][0] < 0.9 < figures["recall_95"][1]
    assert found["categories"]["hate"]["screens"]["terms"]["false_alarms"] == 1
    write_clip(gate.footage / "a.mp4", (1,))
    train = {"steps": 1, "allow_unscreened": ["violence"], "allow_uncalibrated": ["hate"]}
    asked = {**screens, "evaluation": str(out)}
    gate.run(asked, until="export", train=train)
    receipt = json.loads((gate.out / "dataset" / "receipt.json").read_text())
    assert receipt["calibrated"] == {"explicit": True, "hate": False}, "one negative says nothing about hate"
    assert receipt["calibration"]["explicit"]["all"]["misses"] == 1
    assert "nobody has calibrated glow" in gate.run(screens, until="train", code=2, train=train)["said"]
    said = gate.run({**asked, "profile": "strict"}, code=2)["said"]
    assert "other screens, weights, lists or thresholds for explicit" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [("path\na.mp4\n", "labels nothing"), (LABELS + "a.mp4,perhaps,,\n", "the label explicit is true or false"),
     ("explicit\ntrue\n", "no column 'path'")],
)  # fmt: skip
def test_a_file_that_labels_nothing_is_refused(text, says, gate):
    write_clip(gate.folder / "a.mp4", (1,))
    path = gate.folder / "labelled.csv"
    path.write_text(text)
    assert says in _eval(gate, path, {"explicit": ["glow"]}, code=2)


def test_what_cannot_be_read_is_stopped(gate):
    write_clip(gate.folder / "a.mp4", (1,))
    (gate.folder / "b.mp4").write_bytes(b"no video")
    path = gate.folder / "labelled.csv"
    path.write_text("path,explicit\na.mp4,false\nb.mp4,true\n")
    found = _eval(gate, path, {"explicit": ["glow"]})["categories"]["explicit"]
    assert (found["unreadable"], found["all"]["misses"], found["all"]["false_alarms"]) == (1, 0, 0)


def test_coverage_says_some_not_all(gate):
    raw = spec_dict(gate.footage, gate.out)
    raw["stages"] = [{"screen": {"explicit": [], "violence": [], "hate": ["terms"]}}]
    spec = write_spec(gate.folder / "s.yaml", raw)
    said = rushes("screen", "coverage", "--spec", spec).stdout
    assert "hate: terms covers some, not all:" in said
    assert "swastika" in said


def test_listed_material_is_stopped_and_nothing_is_handed_over(gate):
    """And an evaluation that the spec names already is not asked: it may be the one that is to be replaced."""
    _glowing(gate.folder / "a.mp4", 1.0)
    digest = hashlib.sha256((gate.folder / "a.mp4").read_bytes()).hexdigest()
    known, told = gate.folder / "known.list", gate.folder / "told"
    write_list(known, "known", [Entry("sha256", digest)], datetime.now(UTC).date())
    (gate.folder / "labelled.csv").write_text("path,explicit\na.mp4,true\n")
    sealed = {"policy": ["touch", str(told)], "contact": "safety@example.org"}
    screen = {
        "explicit": ["glow"],
        "evaluation": str(gate.folder / "none"),
        "known_hashes": [str(known)],
        "sealed": sealed,
    }
    found = _eval(gate, gate.folder / "labelled.csv", screen)
    assert (found["sealed"], found["categories"]["explicit"]["all"]["misses"]) == (1, 0)
    assert not told.exists()
