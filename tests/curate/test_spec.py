"""Spec files: what is wrong is named with file, line, key and the nearest valid one."""

from __future__ import annotations

import pytest
import yaml

from curate.errors import SpecError, UnscreenedData
from curate.plan import Plan
from curate.spec_file import absolute, dump, load_spec, parse
from tests.conftest import spec_dict, write_spec

GOOD = """\
name: web
sources:
  - {path: x/, source_class: public.crawl}
output: runs/web
stages:
  - split: {min_s: 2, max_s: 20}
  - score: [motion, sharpness]
  - keep: {motion: {min: 0.3}}
"""


def _load(tmp_path, text, *overrides):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return load_spec(path, list(overrides))


def test_a_spec_survives_its_own_dump(tmp_path, footage):
    for raw in (spec_dict(footage, tmp_path), {"name": "a", "sources": [{"path": "x"}], "output": "y"}):
        spec = parse(raw)
        assert parse(dump(spec)) == spec


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("min_s: 2", "min_s: two", r"spec.yaml:6: stages.split.min_s: .*number"),
        ("output: runs/web", "ouput: runs/web", r"unknown key 'ouput'; nearest: output"),
        ("motion: {min: 0.3}", "motion: {mn: 0.3}", r"spec.yaml:8: stages.keep.motion: unknown key 'mn'; nearest: min"),
        (
            "source_class: public.crawl",
            "source_class: crawl",
            r"spec.yaml:3: .*unknown source_class 'crawl'; nearest: public.crawl",
        ),
        ("motion: {min: 0.3}", "motion: {}", r"a rule needs one of"),
        (
            "  - score: [motion, sharpness]\n",
            "  - caption: {with: template}\n  - score: [motion]\n",
            r"stages run in this order",
        ),
        ("name: web", "name: [", r"spec.yaml:\d: not valid YAML"),
        ("name: web", "name: 'a b'", r"name: .*pattern"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(SpecError, match=says):
        _load(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[motion, sharpness]", "[motoin]", r"unknown score 'motoin'; nearest: motion"),
        ("motion: {min: 0.3}", "motion: {max: 0.3}", r"`max` alone on a score where higher is better"),
        ("motion: {min: 0.3}", "exposure: {min: 0.3}", r"no score of that name is in the spec"),
        ("motion: {min: 0.3}", "license: {min: 1}", r"a text takes allow and deny"),
        ("[motion, sharpness]", "[{motion: {speed: 3}}]", r"score motion: unknown key 'speed'"),
        ("{min_s: 2, max_s: 20}", "{detector: adaptif}", r"unknown detector 'adaptif'; nearest: adaptive"),
        ("{min_s: 2, max_s: 20}", "{min_s: 5, max_s: 2}", r"max_s is below min_s"),
    ],
)
def test_what_a_plan_refuses(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(SpecError, match=says):
        Plan(_load(tmp_path, GOOD.replace(old, new)))


def test_set_changes_one_value(tmp_path):
    spec = _load(
        tmp_path, GOOD, "stages.keep.motion.min=0.5", "sources.0.path=b", "stages.split.max_s=9", "engine.workers=3"
    )
    assert spec.stages.keep["motion"].min == 0.5
    assert (spec.sources[0].path, spec.stages.split.max_s, spec.engine.workers) == ("b", 9.0, 3)
    for wrong in ("nokey", "sources.7.path=x", "stages.nothing.a=1", "name.deeper=1"):
        with pytest.raises(SpecError, match="--set"):
            _load(tmp_path, GOOD, wrong)


def test_rules_and_scheduling_are_in_no_key_and_parameters_are(tmp_path, footage):
    raw = spec_dict(footage, tmp_path)
    keys = {stage: table.key for stage, table in Plan(parse(raw)).tables.items()}
    other = spec_dict(footage, tmp_path, engine={"workers": 7}, seed=3)
    other["stages"][2] = {"keep": {"motion": {"min": 0.9}}}
    assert {stage: table.key for stage, table in Plan(parse(other)).tables.items()} == keys
    changed = spec_dict(footage, tmp_path)
    changed["stages"][0] = {"split": {"detector": "adaptive", "min_s": 0.5, "max_s": 3}}
    after = {stage: table.key for stage, table in Plan(parse(changed)).tables.items()}
    assert {stage for stage in keys if keys[stage] != after[stage]} == {"split"}


def test_training_on_unscreened_data_is_refused_before_anything_runs(tmp_path, footage):
    from curate.run import Run

    raw = spec_dict(footage, tmp_path / "out", train={"steps": 1, "allow_unscreened": ["explicit", "hate"]})
    with pytest.raises(UnscreenedData, match="violence is not screened"):
        Run(parse(raw)).go()
    assert not (tmp_path / "out").exists()


def test_a_spec_file_round_trips_through_yaml(tmp_path, footage):
    path = write_spec(tmp_path / "s.yaml", spec_dict(footage, tmp_path))
    assert load_spec(path) == parse(spec_dict(footage, tmp_path))


def test_an_absolute_spec_means_the_same_from_any_folder(tmp_path, monkeypatch):
    paths = ["a/b", "raw/**/*.mp4", "/data/x.jsonl", "file:///data/y", "s3://bucket/k", "~/z", "../up"]
    raw = {"name": "a", "sources": [{"path": p} for p in paths] + [{"generate": {"world": "shapes"}}], "output": "o"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    spec = absolute(parse(raw))
    monkeypatch.chdir("/")
    here = str(tmp_path)
    assert [source.path for source in spec.sources] == [
        f"{here}/a/b", f"{here}/raw/**/*.mp4", "/data/x.jsonl", "/data/y", "s3://bucket/k", "/home/ann/z",
        f"{here}/../up", None,
    ]  # fmt: skip
    assert spec.output == f"{here}/o"
    assert absolute(spec) == spec == parse(dump(spec))


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": [{"path": "x", "columns": {"source_class": None, "license": "licence"}}]},
        {"sources": [{"generate": {"world": "shapes", "files": None, "deep": [None, {"a": None}]}}]},
        {"stages": [{"split": {"window": None}}, {"score": {"motion": {"fps": None}}}]},
        {"stages": [{"caption": {"with": "template", "a": None}}, {"keep": {"fps": {"min": 1}}}][::-1]},
        {"stages": [{"encode": {"latents": {"channels": None}}}, {"export": {}}], "train": {}, "sample": {"shift": 2}},
    ],
)
def test_nulls_that_say_something_survive_the_dump(changes):
    spec = parse({"name": "a", "sources": [{"path": "x"}], "output": "y", **changes})
    assert parse(dump(spec)) == spec
    assert parse(yaml.safe_load(yaml.safe_dump(dump(spec)))) == spec
