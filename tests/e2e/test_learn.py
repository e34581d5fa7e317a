"""From a folder to a sampled clip and a report, in one command; interrupted, it goes on."""

from __future__ import annotations

import json
import re

import av

from tests.conftest import rushes, spec_dict, write_spec

ALLOW = ["explicit", "violence", "hate"]


def test_train_sample_and_report(footage, tmp_path):
    raw = spec_dict(footage, tmp_path / "out")
    raw["train"] = {"steps": 4, "batch": 4, "captions": {"short": 1.0}, "allow_unscreened": ALLOW, "threads": 1}
    raw["sample"] = {"prompts": ["a clip", {"prompt": "another", "seed": 7}], "steps": 2, "threads": 1}
    spec = write_spec(tmp_path / "s.yaml", raw)
    done = rushes("run", spec, "--json")
    assert done.returncode == 0, done.stderr
    computed = json.loads(done.stdout)["computed"]
    assert {"split", "encode", "export", "train", "sample"} <= computed.keys()
    out = tmp_path / "out"
    lines = [json.loads(line) for line in (out / "samples" / "prompts.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines] == ["a clip", "another"]
    assert lines[1]["seed"] == 7
    for line in lines:
        with av.open(str(out / "samples" / line["path"])) as container:
            provenance = json.loads(container.metadata["comment"])
            assert sum(1 for _ in container.decode(video=0)) == line["num_frames"]
        receipt = json.loads((out / "dataset" / "receipt.json").read_bytes())
        assert receipt["digest"] in json.dumps(provenance)
    assert receipt["categories"] == dict.fromkeys(ALLOW, "unscreened")
    page = (out / "report.html").read_text()
    assert "unscreened" in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)
    again = rushes("run", spec, "--json")
    assert json.loads(again.stdout)["computed"] == {}
    assert (out / "report.html").read_text() == page
    raw["sample"]["prompts"].append("a third")
    more = rushes("run", write_spec(spec, raw), "--json")
    assert json.loads(more.stdout)["computed"] == {"sample": 1}
    assert len(list((out / "samples").iterdir())) == 4
    fewer = rushes("run", write_spec(spec, {**raw, "sample": {**raw["sample"], "prompts": ["only"]}}), "--json")
    assert json.loads(fewer.stdout)["computed"] == {"sample": 1}
    assert sorted(path.name for path in (out / "samples").iterdir()) == ["000.mp4", "prompts.jsonl"]
    assert "Made earlier" not in (out / "report.html").read_text()
    longer = write_spec(spec, {**raw, "train": {**raw["train"], "steps": 5}})
    assert rushes("run", longer, "--until", "export").returncode == 0
    assert rushes("report", out).returncode == 0
    assert "Model, samples below: made before" in (out / "report.html").read_text()
    wide = rushes("plan", write_spec(spec, {**raw, "sample": {**raw["sample"], "width": 40}}))
    assert wide.returncode == 2
    assert "width 40 is not a multiple of 16" in wide.stderr
    gone = {"prompt": "x", "task": "i2v", "image": "nowhere.png"}
    lost = rushes("run", write_spec(spec, {**raw, "sample": {**raw["sample"], "prompts": [gone]}}))
    assert lost.returncode == 2
    assert "nowhere.png" in lost.stderr.splitlines()[-1]
    refused = rushes("run", write_spec(spec, {**raw, "train": {**raw["train"], "allow_unscreened": ["hate"]}}))
    assert refused.returncode == 2
    assert "not screened" in refused.stderr
