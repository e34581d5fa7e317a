"""From a clip to a sampled clip with two text encoders, loaded as a hub's are: tiny umT5 and CLIP."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from benchmarks import tiny_texts
from curate.codecs import text_encoder
from curate.codecs.bf16 import decode_bf16, encode_bf16
from curate.dataset.reader import Dataset
from curate.errors import InputRejected, SpecError
from curate.plan import Plan
from curate.spec_file import parse
from curate.stage import Fault
from curate.stages.encode import TextWork
from tests.conftest import rushes, write_clip, write_spec
from trainer.config import TrainConfig
from trainer.data import TrainingData
from trainer.exported import load_model

ALLOW = ["explicit", "violence", "hate"]
TINY = {"layers": 1, "heads": 1, "head_dim": 16, "ffn_dim": 16, "refiner_layers": 1, "refiner_dim": 16}


def spec_of(folder, umt5, clip, **train):
    texts = [
        {"name": "umt5", "encoder": "transformers", "model": str(umt5), "max_tokens": 16},
        {"name": "clip", "encoder": "transformers", "model": str(clip), "max_tokens": 16},
    ]
    return {
        "name": "texts", "sources": [{"path": str(folder / "footage")}], "output": str(folder / "out"),
        "stages": [
            {"split": {"detector": "fast", "min_s": 0.5, "max_s": 10}},
            {"score": ["motion", "sharpness", "exposure", "gist"]},
            {"screen": {"explicit": [], "violence": [], "hate": []}},
            {"caption": {"with": "template", "kinds": ["short"]}},
            {"encode": {"latents": {"channels": 8, "short_side": 32, "max_frames": 5}, "text": texts}}, {"export": {}},
        ],
        "engine": {"workers": 1},
        "train": {
            "steps": 2, "batch": 1, "captions": {"short": 1.0}, "allow_unscreened": ALLOW, "threads": 1,
            "precision": "fp32", "model": TINY, **train,
        },
        "sample": {"prompts": ["a clip"], "steps": 1, "threads": 1},
    }  # fmt: skip


def test_two_encoders_to_a_model_and_a_clip(tmp_path):
    write_clip(tmp_path / "footage" / "one.mp4", (1,))
    umt5, clip = tiny_texts.umt5(tmp_path / "umt5", pipeline=True), tiny_texts.clip(tmp_path / "clip", width=16)
    raw = spec_of(tmp_path, umt5, clip, text_encoder="clip", text_pad_to=24)
    done = rushes("run", write_spec(tmp_path / "s.yaml", raw), "--json")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    card = json.loads((out / "dataset" / "dataset.json").read_bytes())
    for kind, folder, said in (
        ("texts", umt5, card["text_encoder"]), ("texts_clip", clip, card["more_text_encoders"]["clip"])
    ):  # fmt: skip
        encoder = text_encoder("transformers", model=str(folder), max_tokens=16)
        assert said["fingerprint"] == encoder.fingerprint
        rows = pq.read_table(out / "dataset" / kind).to_pylist()
        texts = [row["text"] for row in rows]
        assert sorted(texts)[0] == ""
        assert len(set(texts)) == len(texts) == 2
        for row in rows:
            features_LD = encoder.encode([row["text"]])[0]
            assert row["shape"] == list(features_LD.shape)
            assert len(row["features"]) == 2 * features_LD.size, "bf16, and no padding"
            assert (row["encoder"], row["encoder_fingerprint"]) == ("transformers", encoder.fingerprint)
            alone, stored = (
                decode_bf16(data, features_LD.shape) for data in (encode_bf16(features_LD), row["features"])
            )
            assert abs(alone - stored).max() <= 2**-6 * abs(alone).max()
    run_dir = next((out / "train").glob("*/run.json")).parent
    run = json.loads((run_dir / "run.json").read_bytes())
    assert run["text_encoder"] == card["more_text_encoders"]["clip"]
    model = load_model(run_dir)
    assert (model.dit.config.text_pad_to, model.dit.config.text_dim) == (24, 16), "and no refiner before it"
    assert not model.refiner.blocks
    assert (out / "samples" / "000.mp4").stat().st_size > 0
    _the_reader_and_the_trainer_know_both(out / "dataset")


def _the_reader_and_the_trainer_know_both(dataset):
    first, named, clip = Dataset(dataset), Dataset(dataset, text_encoder="umt5"), Dataset(dataset, text_encoder="clip")
    empty = "e3b0c44298fc1c149afbf4c8996fb924"
    assert first.text(empty).shape == named.text(empty).shape == (1, 32)
    assert clip.text(empty).shape == (2, 16)
    with pytest.raises(SpecError, match="no texts of an encoder called 'bert', but of: umt5, clip"):
        Dataset(dataset, text_encoder="bert")
    config = TrainConfig.model_validate({"captions": {"short": 1.0}, "model": TINY, "text_pad_to": 3})
    with pytest.raises(SpecError, match=r"a text of 16 tokens, and texts are padded to 3: encode with `max_tokens: 3`"):
        TrainingData(first, config)


def test_another_order_and_another_folder_encode_nothing_again(tmp_path):
    umt5, clip = tiny_texts.umt5(tmp_path / "umt5"), tiny_texts.clip(tmp_path / "clip")
    one = Plan(parse(spec_of(tmp_path, umt5, clip))).tables
    raw = spec_of(tmp_path, shutil.copytree(umt5, tmp_path / "moved"), clip)
    raw["stages"][4]["encode"]["text"].reverse()
    other = Plan(parse(raw)).tables
    assert one["text"].name == other["text_umt5"].name != one["text_clip"].name == other["text"].name


@pytest.mark.parametrize(
    ("texts", "train", "why"),
    [
        ([{"dim": 8}, {"dim": 16}], {}, "two encoders are called 'hashed'; give each a `name`"),
        ([{"name": "Bad Name"}], {}, "should match pattern"),
        ([], {}, "at least 1 item"),
        ([{"encoder": "hashed"}], {"text_encoder": "hash"}, "no text encoder is called 'hash'; .*hashed"),
        ({"encoder": "transformer"}, {}, "unknown text encoder 'transformer'; the nearest are: transformers"),
        ({"encoder": "transformers"}, {}, "transformers: name a `model`"),
    ],
)
def test_what_a_spec_must_not_say(tmp_path, texts, train, why):
    raw = spec_of(tmp_path, "", "", **train)
    raw["stages"][4]["encode"]["text"] = texts
    with pytest.raises(SpecError, match=why):
        Plan(parse(raw))


def test_a_text_that_fails_is_a_row_of_its_encoders_table(tmp_path):
    clip = tiny_texts.clip(tmp_path / "clip")
    weights = load_file(clip / "model.safetensors")
    key = next(name for name in weights if name.endswith("final_layer_norm.weight"))
    save_file({**weights, key: weights[key] * float("nan")}, clip / "model.safetensors", metadata={"format": "pt"})
    work = TextWork(Plan(parse(spec_of(tmp_path, tiny_texts.t5(tmp_path / "t5"), clip))))
    rows = [{"id": text, "text": text, "stage": "text"} for text in ("a", "a red square")]
    made = list(work.run(rows, lambda: None))
    assert [(stage, row["text_id"], row["shape"][1]) for stage, row in made] == [
        ("text", "a", 32), ("text", "a red square", 32),
    ]  # fmt: skip
    bad = [{**row, "stage": "text_clip"} for row in rows]
    with pytest.raises(InputRejected, match="not_finite"):
        list(work.run(bad, lambda: None))
    stage, row = next(work.fault(bad[0], Fault("encode:not_finite", "no numbers")))
    assert (stage, row["text_id"], row["outcome"]) == ("text_clip", "a", "quarantined")
