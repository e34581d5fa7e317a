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
from curate.codecs.bf16 import decode_bf16, encode_bf16
from curate.dataset.reader import Dataset
from curate.errors import SpecError
from curate.media.facts import Fit, Job
from curate.media.reader import reader_for
from curate.plan import Plan
from curate.spec_file import parse
from tests.conftest import rushes, write_clip, write_spec

ALLOW = ["explicit", "violence", "hate"]


def spec_of(folder, model, **latents):
    encode = {"codec": "vae", "model": str(model), "short_side": 32, "max_frames": 9, **latents}
    return {
        "name": "vae", "sources": [{"path": str(folder / "footage")}], "output": str(folder / "out"),
        "stages": [
            {"split": {"detector": "fast", "min_s": 0.5, "max_s": 10}},
            {"screen": {"explicit": [], "violence": [], "hate": []}},
            {"caption": {"with": "template", "kinds": ["short"]}},
            {"encode": {"latents": encode}}, {"export": {}},
        ],
        "engine": {"workers": 1},
        "train": {
            "steps": 2, "batch": 1, "captions": {"short": 1.0}, "allow_unscreened": ALLOW, "threads": 1,
            "model": {"layers": 1, "heads": 1, "head_dim": 16, "ffn_dim": 16, "refiner_layers": 0, "refiner_dim": 16},
        },
        "sample": {"prompts": ["a clip"], "steps": 1, "threads": 1},
    }  # fmt: skip


def test_a_clip_becomes_latents_a_model_and_a_clip(tmp_path):
    write_clip(tmp_path / "footage" / "one.mp4", (1,))
    model = tiny_vaes.wan(tmp_path / "wan")
    raw = spec_of(tmp_path, model)
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--json")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    card = json.loads((out / "dataset" / "dataset.json").read_bytes())
    codec = latent_codec("vae", model=str(model))
    assert card["codec"] == {
        "name": "vae", "params": {"model": str(model)}, "fingerprint": codec.fingerprint,
        "class": "AutoencoderKLWan", "posterior": "mean", "normalised": True, "dtype": "auto",
    }  # fmt: skip
    row = pq.read_table(out / "dataset" / card["shards"]["clips"][0]["path"]).to_pylist()[0]
    assert (row["width"], row["height"], row["num_frames"], row["how"]) == (48, 32, 9, "whole, fp32")
    assert row["shape"] == [4, 3, 4, 6]
    plan = Plan(parse(raw))
    job = Job("full", row["start_pts"], row["end_pts"], fit=Fit(32, plan.multiple), most=9)
    frames = [frame.fitted for frame in reader_for(plan.spec).frames(str(tmp_path / "footage" / "one.mp4"), job)]
    clip = np.stack(frames).astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1
    ours = codec.encode(clip)[0]
    assert row["latent"] == encode_bf16(ours)
    assert decode_bf16(row["latent"], (4, 3, 4, 6)).shape == ours.shape
    line = json.loads((out / "samples" / "prompts.jsonl").read_text())
    with av.open(str(out / "samples" / line["path"])) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(48, 32)] * 9
    _moving_the_weights_encodes_nothing_again(tmp_path, raw, codec.fingerprint)
    _latents_of_another_codec_are_refused(out, model)


def _moving_the_weights_encodes_nothing_again(tmp_path, raw, fingerprint):
    moved = shutil.copytree(tmp_path / "wan", tmp_path / "moved")
    raw["stages"][3]["encode"]["latents"]["model"] = str(moved)
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--until", "export", "--json")
    assert json.loads(done.stdout)["computed"] == {"export": 1}
    codec = json.loads((tmp_path / "out" / "dataset" / "dataset.json").read_bytes())["codec"]
    assert (codec["params"]["model"], codec["fingerprint"]) == (str(moved), fingerprint)


def _latents_of_another_codec_are_refused(out, model):
    """By the trainer, where rows and card differ; by the sampler, where the weights are others than it trained on."""
    from trainer.sample import Run

    card = json.loads((out / "dataset" / "dataset.json").read_bytes())
    (out / "dataset" / "dataset.json").write_text(json.dumps({**card, "codec": {"fingerprint": "vae-other"}}))
    with pytest.raises(SpecError, match="and its card names vae-other"):
        Dataset(out / "dataset")
    assert Run.open(out / "train").codec.channels == 4
    shutil.rmtree(model)
    tiny_vaes.wan(model, seed=1)
    from curate.models import file_sha256, folder_sha256

    file_sha256.cache_clear()
    folder_sha256.cache_clear()
    with pytest.raises(SpecError, match="was trained with the codec vae-"):
        Run.open(out / "train")


@pytest.mark.parametrize(
    ("kind", "patch", "multiple"),
    [("wan", None, 16), ("wan", 2, 16), ("ltx", None, 32), ("ltx", 1, 32), ("ltx", 2, 64)],
)
def test_sides_are_multiples_of_what_codec_and_patches_need(tmp_path, kind, patch, multiple):
    model = {"wan": tiny_vaes.wan, "ltx": tiny_vaes.ltx}[kind](tmp_path / kind)
    raw = spec_of(tmp_path, model)
    if patch is None:
        del raw["train"], raw["sample"]
    else:
        raw["train"]["model"]["patch"] = [1, patch, patch]
    plan = Plan(parse(raw))
    assert plan.multiple == multiple
    raw["stages"][3]["encode"]["latents"]["multiple"] = multiple
    assert Plan(parse(raw)).tables["latent"] == plan.tables["latent"]  # said or found: the same latents
    raw["stages"][3]["encode"]["latents"]["multiple"] = multiple // 4
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
