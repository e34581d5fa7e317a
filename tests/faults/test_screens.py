"""Screens fail closed: no verdict means not kept, and the neighbours keep their outcomes."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest

from curate.media.writer import write_mp4
from curate.stage import Clip, scored
from tests.conftest import REPO, rushes, spec_dict, write_clip, write_spec

SCREEN = '''
"""A stand-in screen: the brightest moment of a clip; what it does to black clips is filled in."""
import ctypes
import time
from curate.stage import Clip, Screen

class Glare(Screen):
    name = "glare"

    def measure(self, frames_THWC, clip: Clip):
        if frames_THWC.mean() < 5:
            {act}
        return {{"explicit": frames_THWC.mean(axis=(1, 2, 3)) / 255}}
'''
# What happens to a black clip, and the reason that its row gives.
ACTS = {
    "raises": ("raise RuntimeError('no model')", "score:error"),
    "memory": ("raise MemoryError", "limit:memory"),
    "timeout": ("raise TimeoutError('the model took too long')", "timeout"),
    "hangs": ("time.sleep(60)", "timeout"),
    "nan": ("return {'explicit': frames_THWC[:, 0, 0, 0] * float('nan')}", "score:not_finite"),
    "infinity": ("return {'explicit': frames_THWC[:, 0, 0, 0] + float('inf')}", "score:not_finite"),
    "null": ("return {'explicit': None}", "score:wrong_type"),
    "missing": ("return {'violence': frames_THWC[:, 0, 0, 0]}", "score:missing_column"),
    "empty": ("return {}", "score:no_answer"),
    "none": ("return None", "score:no_answer"),
    "type": ("return {'explicit': ['clean'] * len(frames_THWC)}", "score:wrong_type"),
    "too few": ("return {'explicit': frames_THWC[1:, 0, 0, 0]}", "score:wrong_type"),
    "crash": ("ctypes.string_at(0)", "crash:signal:SIGSEGV"),
}
POLICY = {
    "name": "stand-ins",
    "profiles": ["standard"],
    "categories": {
        name: {
            "definition": "a stand-in", "includes": [], "excludes": [], "severity": "low", "action": "reject",
            "screens": {"glare": {"standard": 0.95}},
        }
        for name in ("explicit", "violence", "hate")
    },
}  # fmt: skip


def _glare(tmp_path, act="pass"):
    shutil.copytree(REPO / "filters", tmp_path / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "filters" / "glare.py").write_text(SCREEN.format(act=act))
    return str(write_spec(tmp_path / "policy.yaml", POLICY))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three good clips, a black one, and one with a single white moment."""
    folder = tmp_path_factory.mktemp("screened")
    for seed in (1, 2, 3):
        write_clip(folder / f"good{seed}.mp4", (seed,))
    write_mp4(folder / "black.mp4", np.zeros((16, 64, 96, 3), np.uint8), 8.0)
    flash = np.full((16, 64, 96, 3), 90, np.uint8)
    flash[4:8] = 255
    write_mp4(folder / "flash.mp4", flash, 8.0)
    return folder


FAST = ("raises", "hangs", "nan", "crash")  # the others are told apart below, without a run


@pytest.mark.parametrize("act", [pytest.param(act, marks=() if act in FAST else pytest.mark.slow) for act in ACTS])
def test_no_verdict_is_not_kept(act, clips, tmp_path):
    does, reason = ACTS[act]
    policy = _glare(tmp_path, does)
    env = {"PYTHONPATH": str(tmp_path)}
    raw = spec_dict(clips, tmp_path / "out")
    raw["engine"] |= {"shard_rows": 16, "limits": {"stall_seconds": 3.0 if act == "hangs" else 120.0, "attempts": 1}}
    screen = {"screen": {"policy": policy, "explicit": ["glare"], "violence": [], "hate": []}}
    raw["stages"] = [{"split": {"detector": "fixed", "min_s": 0.5}}, {"score": ["motion"]}, screen]
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", "dedup", "--json", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    counts = {row["reason"] or row["outcome"]: row["rows"] for row in json.loads(done.stdout)["funnel"]}
    assert counts == {"kept": 3, "explicit:glare": 1, f"explicit:no_verdict:{reason}": 1}


def test_a_screen_is_no_score_and_a_score_no_screen(clips, tmp_path):
    policy = _glare(tmp_path)
    env = {"PYTHONPATH": str(tmp_path)}
    for stages, says in (
        ([{"score": ["glare"]}], "glare is a screen"),
        ([{"screen": {"explicit": ["motion"], "violence": [], "hate": []}}], "motion is a score and decides nothing"),
        (
            [
                {"keep": {"glare": {"max": 0.5}}},
                {"screen": {"policy": policy, "explicit": ["glare"], "violence": [], "hate": []}},
            ],
            "keep.glare: glare is a screen",
        ),
        ([{"screen": {"explicit": ["glare"], "violence": [], "hate": []}}], "no decision rule for glare"),
    ):
        raw = {**spec_dict(clips, tmp_path / "out"), "stages": stages}
        done = rushes("run", write_spec(tmp_path / "s.yaml", raw), env=env, cwd=tmp_path)
        assert done.returncode == 2
        assert says in done.stderr


@pytest.mark.parametrize("act", sorted(set(ACTS) - {"hangs", "crash"}))
def test_every_fault_has_its_own_reason(act):
    """The row of the clip alone says it: what is raised or answered never leaves `scored`."""
    does, reason = ACTS[act]
    space: dict[str, Any] = {}
    exec(compile(SCREEN.format(act=does), "glare.py", "exec"), space)
    frames = np.zeros((3, 64, 96, 3), np.uint8)
    clip = Clip("c", 96, 64, 3, 1.0, (0.0, 0.5, 1.0))
    row = scored(space["Glare"](("explicit",)), frames, clip)
    assert (row["outcome"], row["reason"]) == ("quarantined", reason)
    assert scored(space["Glare"](("explicit",)), frames[:0], clip)["reason"] == "score:no_frames"
    assert scored(space["Glare"](("explicit",)), frames + 90, clip)["explicit"] == pytest.approx(90 / 255)
