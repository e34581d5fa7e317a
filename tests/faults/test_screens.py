"""Screens fail closed: no verdict means not kept, and the neighbours keep their outcomes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from curate.media.writer import write_mp4
from tests.conftest import REPO, rushes, spec_dict, write_clip, write_spec

SCREEN = '''
"""A stand-in screen: the brightest moment of a clip; what it does to black clips is filled in."""
import ctypes
import pyarrow as pa
from curate.stage import Clip, Frames, Screen, column

class Glare(Screen):
    name = "glare"
    frames = Frames(2.0, 256, "rgb")
    fields = (column("score", pa.float64(), "share", "brightest moment"),)
    threshold = 0.95

    def measure(self, frames_THWC, clip: Clip):
        if frames_THWC.mean() < 5:
            {act}
        return {{"score": frames_THWC.mean(axis=(1, 2, 3)) / 255}}
'''
ACTS = {
    "raises": "raise RuntimeError('no model')",
    "nan": "return {'score': float('nan')}",
    "null": "return {'score': None}",
    "missing": "return {}",
    "type": "return {'score': 'clean'}",
    "crash": "ctypes.string_at(0)",
}


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


@pytest.mark.parametrize("act", ACTS)
def test_no_verdict_is_not_kept(act, clips, tmp_path):
    shutil.copytree(REPO / "filters", tmp_path / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "filters" / "glare.py").write_text(SCREEN.format(act=ACTS[act]))
    env = {"PYTHONPATH": str(tmp_path)}
    raw = spec_dict(clips, tmp_path / "out")
    screen = {"screen": {"explicit": ["glare"], "violence": [], "hate": []}}
    raw["stages"] = [{"split": {"detector": "fixed", "min_s": 0.5}}, {"score": ["motion"]}, screen]
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", "dedup", "--json", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    counts = {row["reason"] or row["outcome"]: row["rows"] for row in json.loads(done.stdout)["funnel"]}
    black = "crash:signal:SIGSEGV" if act == "crash" else "explicit:no_verdict"
    assert counts == {"kept": 3, "explicit:glare": 1, black: 1}


def test_a_screen_is_no_score_and_a_score_no_screen(clips, tmp_path):
    shutil.copytree(REPO / "filters", tmp_path / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "filters" / "glare.py").write_text(SCREEN.format(act="pass"))
    env = {"PYTHONPATH": str(tmp_path)}
    for stages, says in (
        ([{"score": ["glare"]}], "glare is a screen"),
        ([{"screen": {"explicit": ["motion"], "violence": [], "hate": []}}], "motion is a score and decides nothing"),
        (
            [{"keep": {"glare": {"max": 0.5}}}, {"screen": {"explicit": ["glare"], "violence": [], "hate": []}}],
            "keep.glare",
        ),
    ):
        raw = {**spec_dict(clips, tmp_path / "out"), "stages": stages}
        done = rushes("run", write_spec(tmp_path / "s.yaml", raw), env=env, cwd=tmp_path)
        assert done.returncode == 2
        assert says in done.stderr
