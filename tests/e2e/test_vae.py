"""From a clip to a sampled clip through a video autoencoder: a tiny Wan, loaded as a hub's is."""

from __future__ import annotations

import json
import shutil

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import tiny_vaes
from curate.codecs import latent_codec
from curate.codecs.bf16 import decode_bf16
from curate.dataset.reader import Dataset
from curate.errors import SpecError
from curate.media.facts import Fit, Job
from curate.media.reader import reader_for
from curate.models import folder_sha256
from curate.plan import Plan
from curate.run import Run
from curate.spec_file import parse
from tests.conftest import write_clip
from trainer.config import SampleConfig
from trainer.sample import Run as TrainedRun
from trainer.sample import sample
from trainer.train import train

ALLOW = ["explicit", "violence", "hate"]


def spec_of(folder, model, **latents):
    encode = {"codec": "vae", "model": str(model), "short_side": 32, "max_frames": 9, **latents}
    return {
        "name": "vae", "output": str(folder / "out"),
        "sources": [
            {"path": str(folder / "footage"), "original_caption": "a square", "weight": 2, "loss_weight": 0.5}
        ],
        "stages": [
            {"split": {"detector": "fast", "min_s": 0.5, "max_s": 10}},
            {"screen": {"explicit": [], "violence": [], "hate": []}},
            {"encode": {"latents": encode}}, {"export": {}},
        ],
        "engine": {"workers": 1},
        "train": {
            "steps": 2, "batch": 1, "captions": {"original": 1.0}, "allow_unscreened": ALLOW, "threads": 1,
            "model": {"layers": 1, "heads": 1, "head_dim": 16, "ffn_dim": 16, "refiner_layers": 0, "refiner_dim": 16},
        },
    }  # fmt: skip


def test_a_clip_becomes_latents_a_model_and_a_clip(tmp_path):
    write_clip(tmp_path / "footage" / "one.mp4", (1,))
    model = tiny_vaes.wan(tmp_path / "wan")
    raw = spec_of(tmp_path, model)
    run = Run(parse(raw))
    run.go("export")
    dataset, run_dir = run.out / "dataset", tmp_path / "model"
    assert train(dataset, run_dir, run.spec.train).steps == 2
    card = json.loads((dataset / "dataset.json").read_bytes())
    codec = latent_codec("vae", model=str(model))
    assert card["codec"] == {
        "name": "vae", "params": {"model": str(model)}, "fingerprint": codec.fingerprint,
        "class": "AutoencoderKLWan", "posterior": "mean", "normalised": True, "dtype": "fp32",
        "causal": True,
    }  # fmt: skip
    row = pq.read_table(dataset / card["shards"]["clips"][0]["path"]).to_pylist()[0]
    assert (row["width"], row["height"], row["num_frames"], row["how"]) == (48, 32, 9, "whole, fp32")
    assert row["shape"] == [4, 3, 4, 6]
    assert (row["weight"], row["loss_weight"]) == (2.0, 0.5)
    (drawn,) = map(json.loads, (run_dir / "clips.jsonl").read_text().splitlines())
    assert drawn["draws_per_epoch"] == [2.0], "what the manifest says is what the trainer does"
    job = Job("full", row["start_pts"], row["end_pts"], fit=Fit(32, run.plan.multiple), most=9)
    frames = [f.fitted for f in reader_for(run.spec).frames(str(tmp_path / "footage" / "one.mp4"), job)]
    clip = np.stack(frames).astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1
    assert np.allclose(decode_bf16(row["latent"], (4, 3, 4, 6)), codec.encode(clip)[0], rtol=0.01, atol=1e-5)
    (line,) = sample(run_dir, ["a clip"], tmp_path / "samples", SampleConfig(steps=1, threads=1))
    with av.open(str(tmp_path / "samples" / line["path"])) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(48, 32)] * 9
    _moving_the_weights_encodes_nothing_again(tmp_path, raw, codec.fingerprint)
    _latents_of_another_codec_are_refused(dataset, run_dir, model)


def _moving_the_weights_encodes_nothing_again(tmp_path, raw, fingerprint):
    moved = shutil.copytree(tmp_path / "wan", tmp_path / "moved")
    raw["stages"][2]["encode"]["latents"]["model"] = str(moved)
    assert Run(parse(raw)).go("export").computed == {"export": 1}
    codec = json.loads((tmp_path / "out" / "dataset" / "dataset.json").read_bytes())["codec"]
    assert (codec["params"]["model"], codec["fingerprint"]) == (str(moved), fingerprint)


def _latents_of_another_codec_are_refused(dataset, run_dir, model):
    """By the trainer, where rows and card differ; by the sampler, where the weights are others than it trained on."""
    card = json.loads((dataset / "dataset.json").read_bytes())
    (dataset / "dataset.json").write_text(json.dumps({**card, "codec": {"fingerprint": "vae-other"}}))
    with pytest.raises(SpecError, match="and its card names vae-other"):
        Dataset(dataset)
    assert TrainedRun.open(run_dir).codec.channels == 4
    shutil.rmtree(model)
    tiny_vaes.wan(model, seed=1)
    folder_sha256.cache_clear()
    with pytest.raises(SpecError, match="was trained with the codec vae-"):
        TrainedRun.open(run_dir)


@pytest.mark.parametrize(
    ("kind", "patch", "multiple"),
    [("wan", None, 16), ("wan", 2, 16), ("ltx", None, 32), ("ltx", 1, 32), ("ltx", 2, 64)],
)
def test_sides_are_multiples_of_what_codec_and_patches_need(tmp_path, kind, patch, multiple):
    model = {"wan": tiny_vaes.wan, "ltx": tiny_vaes.ltx}[kind](tmp_path / kind)
    raw = spec_of(tmp_path, model)
    if patch is None:
        del raw["train"]
    else:
        raw["train"]["model"]["patch"] = [1, patch, patch]
    plan = Plan(parse(raw))
    assert plan.multiple == multiple
    raw["stages"][2]["encode"]["latents"]["multiple"] = multiple
    assert Plan(parse(raw)).tables["latent"] == plan.tables["latent"]  # said or found: the same latents
    raw["stages"][2]["encode"]["latents"]["multiple"] = multiple // 4
    with pytest.raises(SpecError, match=f"multiple: {multiple // 4} is not a multiple of"):
        Plan(parse(raw))


def test_what_makes_other_latents_makes_another_key(tmp_path):
    model = tiny_vaes.wan(tmp_path / "wan")
    keys = [
        Plan(parse(spec_of(tmp_path, model, **latents))).tables["latent"].key
        for latents in ({}, {"device": "cpu"}, {"memory_gb": 1}, {"dtype": "bf16"}, {"normalise": False}, {"fps": 4})
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == len(keys) - 1
    with pytest.raises(SpecError) as refused:
        Plan(parse(spec_of(tmp_path, tmp_path / "nowhere")))
    assert refused.value.key == ("stages", "encode")


def test_a_budget_above_what_a_worker_may_have_is_refused_before_anything_runs(tmp_path):
    raw = spec_of(tmp_path, tiny_vaes.wan(tmp_path / "wan"))
    limit = Plan(parse(raw)).spec.engine.limits.memory_gib
    assert 3 * Plan(parse(raw)).codec.budget_gb("encode") * 1e9 < limit * 2**30, "the default fits, kernels and all"
    raw = spec_of(tmp_path, tmp_path / "wan", memory_gb=9)
    ranks = {"resources": {"train": {"gpus": 1}}}  # theirs are no workers of the codec
    for engine in ({}, ranks):
        with pytest.raises(SpecError, match=r"memory_gb: 9 is more than .* a third of engine.limits.memory_gib \(8\)"):
            Plan(parse({**raw, "engine": engine}))
    for engine in ({"limits": {"memory_gib": 32}}, {"resources": {"latent": {"gpus": 1}}}):
        Plan(parse({**raw, "engine": engine}))
