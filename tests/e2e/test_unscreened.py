"""Which specs need to say that nothing was screened: the one that is made for it, and no pipeline that ships."""

from __future__ import annotations

import json

import pytest

from curate.errors import UnscreenedData
from curate.plan import Plan
from curate.spec_file import load_spec
from curate.stages.learn import refuse_unscreened
from tests.conftest import REPO, rushes

SPEC = REPO / "tests" / "specs" / "unscreened.yaml"


@pytest.mark.parametrize("path", sorted((REPO / "pipelines").glob("*.yaml")), ids=lambda p: p.stem)
def test_no_pipeline_that_ships_is_unscreened(path, monkeypatch):
    monkeypatch.chdir(REPO)
    spec = load_spec(path)
    assert spec.train.allow_unscreened == []
    refuse_unscreened(Plan(spec))


def test_the_unscreened_spec_is_refused_without_saying_so(tmp_path):
    plan = Plan(load_spec(SPEC, ["train.allow_unscreened=[]"]))
    with pytest.raises(UnscreenedData, match="explicit is not screened"):
        refuse_unscreened(plan)
    out = f"output={tmp_path / 'out'}"
    refused = rushes("run", SPEC, "--set", out, "--set", "train.allow_unscreened=[explicit, hate]")
    assert refused.returncode == 2
    assert "allow_unscreened: [violence]" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_the_unscreened_spec_trains_when_it_says_so(tmp_path):
    done = rushes("run", SPEC, "--set", f"output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    run = json.loads(next((tmp_path / "out" / "train").glob("*/run.json")).read_text())
    assert run["unscreened"] == ["explicit", "violence", "hate"]
