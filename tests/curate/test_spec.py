"""Spec files: what is wrong is named with file, line, key and the nearest valid one."""

from __future__ import annotations

import json
import string
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from curate import cli, registry
from curate.errors import SpecError, UnscreenedData
from curate.plan import Plan
from curate.spec_file import absolute, dump, load_spec, parse
from curate.stages import learn
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


def test_models_are_found_from_any_folder(tmp_path, monkeypatch):
    """A worker on a cluster has another working folder than the driver, and a dataset's card outlives both."""
    monkeypatch.chdir(tmp_path)
    for name in ("wan", "umt5", "vlm", "tuned"):
        Path(name).mkdir()
    texts = [{"encoder": "transformers", "model": "umt5"}, {"encoder": "transformers", "name": "t", "model": "org/hub"}]
    caption = {"with": "vlm", "model": {"short": "vlm", "dense": "org/vlm"}, "adapter": "tuned"}
    raw = {"name": "a", "sources": [{"path": "x"}], "output": "o", "stages": [
        {"caption": caption}, {"encode": {"latents": {"codec": "vae", "model": "wan"}, "text": texts}}, {"export": {}},
    ]}  # fmt: skip
    stages, here = absolute(parse(raw)).stages, str(tmp_path)
    assert stages.encode.latents.params == {"model": f"{here}/wan"}
    assert [text.params["model"] for text in stages.encode.text] == [f"{here}/umt5", "org/hub"]
    said = {"model": {"short": f"{here}/vlm", "dense": "org/vlm"}, "adapter": f"{here}/tuned"}
    assert stages.caption.params == said
    raw["stages"][0] = {"caption": {"with": "server", "model": "vlm", "url": "http://localhost:1"}}
    assert absolute(parse(raw)).stages.caption.params["model"] == "vlm", "a server knows it by this name"


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
        ("motion: {min: 0.3}", "motion: {min: null}", r"spec.yaml:8: stages.keep.motion: a rule needs one of"),
        ("motion: {min: 0.3}", "motion: {min: .nan}", r"spec.yaml:8: stages.keep.motion.min: .*finite number"),
        ("motion: {min: 0.3}", "motion: {max: .inf}", r"spec.yaml:8: stages.keep.motion.max: .*finite number"),
        ("motion: {min: 0.3}", "motion: {min: 2, max: 1}", r"stages.keep.motion: min is above max"),
        ("motion: {min: 0.3}", "license: {allow: []}", r"stages.keep.license: `allow` is an empty list"),
        ("motion: {min: 0.3}", "license: {deny: []}", r"stages.keep.license: `deny` is an empty list"),
        ("[motion, sharpness]", "[{motion: {gain: -.inf}}]", r"spec.yaml:7: stages.score.motion: gain: .*finite"),
        ("[motion, sharpness]", "[{motion: {when: 2024-01-01}}]", r"stages.score.motion: when: .* is not a value"),
        (
            "[motion, sharpness]",
            "[{motion: true}]",
            r"spec.yaml:7: stages.score.motion: `true` says nothing here: leave the key out, or give it `{}`",
        ),
        ("[motion, sharpness]", "[{motion: 0}]", r"stages.score.motion: .*dictionary"),
        ("{min_s: 2, max_s: 20}", "{min_s: 2, threshold: .nan}", r"spec.yaml:6: stages.split: threshold: .*finite"),
        ("{min_s: 2, max_s: 20}", "false", r"spec.yaml:6: stages.split: `false` says nothing here"),
        ("output: runs/web", "output: s3://bucket/out", r"spec.yaml:4: output: must be a local folder; "),
        ("output: runs/web", "output: ''", r"spec.yaml:4: output: "),
        ("output: runs/web", "output: x\nseed: -1", r"spec.yaml:5: seed: "),
        (
            "output: runs/web",
            "output: x\nengine: {resources: {captoin: {gpus: 1}}}",
            r"spec.yaml:5: engine.resources: unknown key 'captoin'; nearest: caption",
        ),
        (
            "output: runs/web",
            "output: x\nengine: {resources: {caption: {workers: [3, 2]}}}",
            r"spec.yaml:5: engine.resources.caption.workers: .*1 <= fewest <= most, got \[3, 2\]",
        ),
        ("output: runs/web", "output: x\nengine: {resources: {text: {workers: [0, 2]}}}", r"1 <= fewest <= most"),
        ("output: runs/web", "output: x\ntrain:\n  steps: -1", r"spec.yaml:6: train.steps: [^\n]*greater than 0"),
        (
            "output: runs/web",
            "output: x\ntrain: {stepz: 3}",
            r"spec.yaml:5: train: unknown key 'stepz'; nearest: steps",
        ),
        (
            "output: runs/web",
            "output: x\ntrain: {stages: [{steps: 1, tier: [9]}]}",
            r"train.stages.0: unknown key 'tier'; nearest: tiers",
        ),
        (
            "output: runs/web",
            "output: x\ntrain: {model: dit-xxl}",
            r"train.model: unknown model 'dit-xxl'; nearest: dit-[^()]*$",
        ),
        (
            "output: runs/web",
            "output: x\ntrain: {model: {layer: 3}}",
            r"train.model: unknown key 'layer'; nearest: layers",
        ),
        ("output: runs/web", "output: x\ntrain: {shift: {base: 4}}", r"train.shift.base_tokens: Field required"),
        ("output: runs/web", "output: x\ntrain: {tasks: {loop: 1}}", r"train.tasks.loop: Input should be 't2v', "),
        (
            "output: runs/web",
            "output: x\nsample: {prompts: [a, {prompt: a, task: i2v}]}",
            r"sample.prompts: 1: i2v needs `image` or `video`",
        ),
        ("output: runs/web", "output: x\nsample: {prompts: [3]}", r"sample.prompts: 0: a text or a request with"),
        ("output: runs/web", "output: x\ntrain: {lr: .nan}", r"spec.yaml:5: train: lr: .*finite"),
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
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, threshold: high}",
            r"detector adaptive: threshold must be a number, got 'high'",
        ),
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, threshold: 0}",
            r"detector adaptive: threshold must be above 0",
        ),
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, threshold: true}",
            r"detector adaptive: threshold must be a number",
        ),
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, window: 2.5}",
            r"detector adaptive: window must be a whole number, got 2.5",
        ),
        ("{min_s: 2, max_s: 20}", "{detector: adaptive, window: 0}", r"detector adaptive: window must be at least 1"),
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, min_content: -1}",
            r"detector adaptive: min_content must be at least 0",
        ),
        (
            "{min_s: 2, max_s: 20}",
            "{detector: adaptive, min_scene_s: [1]}",
            r"detector adaptive: min_scene_s must be a number",
        ),
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


def test_training_on_unscreened_data_is_refused_before_anything_runs(tmp_path, footage, capsys):
    from curate.run import Run

    raw = spec_dict(footage, tmp_path / "out", train={"steps": 1, "allow_unscreened": ["explicit", "hate"]})
    with pytest.raises(UnscreenedData, match="violence is not screened"):
        Run(parse(raw)).go()
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnscreenedData, match="violence is not screened"):
        cli.plan(write_spec(tmp_path / "s.yaml", raw), as_json=True)
    assert "training" in json.loads(capsys.readouterr().out), "a plan is of use all the same"


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


@pytest.mark.parametrize("form", [list, dict])
def test_a_stage_that_says_nothing_has_its_defaults_and_one_that_is_false_is_refused(form):
    def stages(**named):
        return [{name: value} for name, value in named.items()] if form is list else named

    def spec(**named):
        return parse({"name": "a", "sources": [{"path": "x"}], "output": "y", "stages": stages(**named)})

    assert spec(encode=None, export=None) == spec(encode={}, export={})
    assert spec(encode=None, export=None).stages.export is not None
    for value in (True, False):
        for stage in ("split", "score", "keep", "screen", "dedup", "caption", "export"):
            with pytest.raises(SpecError, match=rf"stages.{stage}: `{str(value).lower()}` says nothing here"):
                spec(**{stage: value})
    with pytest.raises(SpecError, match=r"stages.export"):
        spec(encode={}, export=0)


def test_the_seed_of_the_spec_is_the_default_of_training_and_sampling():
    base = {"name": "a", "sources": [{"path": "x"}], "output": "y", "stages": [{"encode": {}}, {"export": {}}]}
    spec = parse({**base, "seed": 7, "train": {}, "sample": {"seed": 0}})
    assert (spec.seed, spec.train.seed, spec.sample.seed) == (7, 7, 0)
    spec = parse({**base, "seed": 7, "train": {"seed": 3}, "sample": {}})
    assert (spec.train.seed, spec.sample.seed) == (3, 7)
    assert (parse({**base, "train": {}}).train.seed, parse({**base, "seed": 7}).train) == (0, None)


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.text(string.ascii_letters, max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
PARAMS = st.dictionaries(st.sampled_from(["speed", "window", "level"]), VALUES, max_size=2)


@given(
    columns=st.dictionaries(st.sampled_from(["license", "source_class"]), st.none() | st.just("theirs")),
    generate=PARAMS, score=PARAMS, split=PARAMS, low=NUMBERS, high=NUMBERS, fps=st.none() | st.floats(0.1, 100),
)  # fmt: skip
def test_every_spec_survives_yaml(columns, generate, score, split, low, high, fps):
    rule = {"min": low, "max": high}
    assume(rule != {"min": None, "max": None} and (low is None or high is None or low <= high))
    stages = {
        "split": split, "score": {"motion": score}, "keep": {"fps": rule}, "encode": {"latents": {**split, "fps": fps}},
    }  # fmt: skip
    source = {"generate": {"world": "w", **generate}, "columns": columns}
    spec = parse({"name": "a", "sources": [source], "output": "y", "stages": stages})
    again = parse(yaml.safe_load(yaml.safe_dump(dump(spec), sort_keys=False)))
    assert again == spec
    assert again.stages.split.params == split


def test_a_module_that_cannot_be_imported_is_named_with_what_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "ill_filters").mkdir()
    (tmp_path / "ill_filters" / "one.py").write_text("import no_such_library\n")
    (tmp_path / "ill_filters" / "two.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.PACKAGES, "score", ("ill_filters",))
    registry.names.cache_clear()
    try:
        for name, lacks in (("one", "No module named 'no_such_library'"), ("two", "SyntaxError: invalid syntax")):
            with pytest.raises(SpecError, match=f"score '{name}': ill_filters.{name} cannot be imported: {lacks}"):
                registry.resolve("score", name)
    finally:
        registry.names.cache_clear()


@pytest.mark.parametrize(
    ("multiple", "trained", "says"), [(12, False, "8, the pixels of a block"), (8, True, "16, the")]
)
def test_sizes_that_no_codec_or_model_can_take_are_found_before_a_frame_is_read(tmp_path, multiple, trained, says):
    raw = spec_dict(tmp_path, tmp_path / "out")
    raw["stages"][7]["encode"]["latents"]["multiple"] = multiple
    if trained:
        raw["train"] = {"steps": 1}
    with pytest.raises(SpecError, match=rf"encode.latents.multiple: {multiple} is not a multiple of {says}"):
        Plan(parse(raw))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[motion, sharpness]", "[motoin]", r"spec.yaml:7: unknown score 'motoin'; nearest: motion"),
        ("keep: {motion", "keep: {motoin", r"spec.yaml:8: keep.motoin: no score of that name"),
        ("max_s: 20}", "max_s: 20, detector: adaptif}", r"spec.yaml:6: unknown detector 'adaptif'; nearest: adaptive"),
        (
            "  - keep: {motion: {min: 0.3}}\n",
            "  - dedup: {perceptual: {max_distanse: 3}}\n",
            r"spec.yaml:8: stages.dedup.perceptual: unknown key 'max_distanse'; nearest: max_distance",
        ),
    ],
)
def test_what_only_a_plan_finds_names_the_file_and_the_line_too(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(SpecError, match=says):
        _load(tmp_path, GOOD.replace(old, new))


def test_files_of_screens_are_the_same_from_any_folder(tmp_path, monkeypatch):
    from curate.spec_file import absolute

    monkeypatch.chdir(tmp_path)
    for name in ("refs", "more"):
        (tmp_path / name).mkdir()
    for name in ("p.yaml", "known.txt", "terms.yaml", "e.json"):
        (tmp_path / name).touch()
    screen = {
        "policy": "p.yaml", "explicit": [{"symbols": {"references": "refs"}}], "violence": ["nudenet"],
        "hate": [{"terms": {"lists": ["hate", "terms.yaml"]}}], "gore": [{"symbols": {"references": "more"}}],
        "known_hashes": "known.txt", "evaluation": "e.json", "sealed": {"policy": "hold", "contact": "a@b"},
    }  # fmt: skip
    raw = {"name": "x", "sources": [{"path": "."}], "output": "out", "stages": [{"screen": screen}]}
    found = absolute(parse(raw)).stages.screen
    here = str(tmp_path)
    assert found.policy == f"{here}/p.yaml"
    assert found.known_hashes == (f"{here}/known.txt",)
    assert found.evaluation == f"{here}/e.json"
    assert found.explicit == {"symbols": {"references": f"{here}/refs"}}
    assert found.categories["gore"] == {"symbols": {"references": f"{here}/more"}}
    assert found.hate == {"terms": {"lists": ["hate", f"{here}/terms.yaml"]}}
    assert found.violence == {"nudenet": {}}
    assert parse(dump(absolute(parse(raw)))) == absolute(parse(raw))


def test_first_weights_are_found_from_any_folder_and_must_be_there(tmp_path, footage, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = {"layers": 1, "coordinates": False}
    raw = spec_dict(footage, tmp_path / "out", train={"model": model, "init": "wan"})
    with pytest.raises(SpecError, match=r"train.init: wan holds no weights"):
        learn.refuse_missing_weights(Plan(parse(raw)))
    (tmp_path / "wan").mkdir()
    (tmp_path / "wan" / "a.safetensors").write_bytes(b"one")
    plan = Plan(absolute(parse(raw)))
    assert plan.spec.train.init == str(tmp_path / "wan")
    learn.refuse_missing_weights(plan)
    before = learn.train_key(plan, "data")
    assert before == learn.train_key(plan, "data")
    (tmp_path / "wan" / "a.safetensors").write_bytes(b"two")
    assert learn.train_key(plan, "data") != before


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"task": "extend", "given_frames": 4}, r"given_frames is 4, and must be 1 \+ 4k"),
        (
            {"task": "extend", "direction": "backward", "given_frames": 5},
            "5 frames are given at the end, and must be 4k",
        ),
        ({"task": "infill", "given_frames": 5, "given_last": 3}, "3 frames are given at the end, and must be 4k"),
        ({"task": "extend", "direction": "backward", "given_frames": 8}, None),
        ({"task": "infill", "given_frames": 5, "given_last": 4}, None),
    ],
)
def test_given_frames_must_fill_latent_frames(request_, sentence, tmp_path, footage):
    (tmp_path / "v.mp4").touch()
    asked = {"prompt": "a", "video": str(tmp_path / "v.mp4"), **request_}
    plan = Plan(parse(spec_dict(footage, tmp_path / "out", train={}, sample={"prompts": [asked]})))
    with pytest.raises(SpecError, match=sentence) if sentence else nullcontext():
        learn.refuse_unfit_requests(plan)


def test_what_training_could_not_show_is_refused_before_it(tmp_path, footage, monkeypatch):
    def plan(**train) -> Plan:
        return Plan(parse(spec_dict(footage, tmp_path / "out", train=train)))

    samples = {"every": 5, "prompts": ["a"]}
    learn.refuse_unwatchable(plan())
    learn.refuse_unwatchable(plan(samples=samples, tensorboard=True))
    with pytest.raises(SpecError, match=r"train\.samples 0: width 50 is not a multiple"):
        learn.refuse_unwatchable(plan(samples={**samples, "width": 50}))
    asked = {"prompt": "a", "task": "i2v", "image": "nowhere.png"}
    with pytest.raises(SpecError, match=r"train\.samples\.prompts\.0: image: there is no file .*nowhere\.png"):
        learn.refuse_unwatchable(plan(samples={**samples, "prompts": [asked]}))
    with pytest.raises(SpecError, match=r"train.*samples.*`prompts` is empty"):
        plan(samples={"every": 5})
    keys = [learn.train_key(plan(**train), "data") for train in ({}, {"samples": samples, "tensorboard": True})]
    assert keys[0] == keys[1]
    monkeypatch.setattr("curate.extras.find_spec", lambda name: None)  # as where it is not installed
    with pytest.raises(SpecError, match=r"pip install 'rushes\[tensorboard\]'"):
        learn.refuse_unwatchable(plan(tensorboard=True))
