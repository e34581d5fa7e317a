"""Text encoders of transformers: ours against the bare model, what a fingerprint holds, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from benchmarks import tiny_texts
from curate.codecs import text_encoder
from curate.errors import InputRejected, SpecError, StageCrashed
from tests.conftest import REPO

TEXTS = ["", "a red square", "two blue circles on a dark background", "a", "a red square moves left and then up"]
KINDS = ("umt5", "pipeline", "t5", "clip", "whole_clip", "bert")
# What a person would load by hand: the encoder's own class, or its part of the whole model.
BARE = {
    "umt5": lambda f: transformers.UMT5ForConditionalGeneration.from_pretrained(f).get_encoder(),
    "pipeline": lambda f: transformers.UMT5EncoderModel.from_pretrained(f / "text_encoder"),
    "t5": transformers.T5EncoderModel.from_pretrained,
    "clip": transformers.CLIPTextModel.from_pretrained,
    "whole_clip": lambda f: transformers.CLIPModel.from_pretrained(f).text_model,
    "bert": transformers.BertModel.from_pretrained,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny text encoders."""
    root = tmp_path_factory.mktemp("texts")
    return {
        "umt5": tiny_texts.umt5(root / "umt5"), "pipeline": tiny_texts.umt5(root / "pipeline", pipeline=True),
        "t5": tiny_texts.t5(root / "t5"), "clip": tiny_texts.clip(root / "clip"),
        "whole_clip": tiny_texts.clip(root / "whole", whole=True), "bert": tiny_texts.bert(root / "bert"),
    }  # fmt: skip


def encoder_of(folder: Path, **params):
    return text_encoder("transformers", model=str(folder), **params)


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_the_bare_models_at_the_masks_tokens(models, kind):
    folder = models[kind]
    model = BARE[kind](folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer" if kind == "pipeline" else folder)
    given_ids = tokenizer(TEXTS, padding=True, padding_side="right", return_tensors="pt")
    with torch.no_grad():
        hidden_BSD = model(**{name: given_ids[name] for name in ("input_ids", "attention_mask")}).last_hidden_state
    found = encoder_of(folder).encode(TEXTS)
    for features_LD, hidden_SD, mask_S in zip(found, hidden_BSD, given_ids["attention_mask"], strict=True):
        wanted_LD = hidden_SD[mask_S.bool()].numpy()
        assert features_LD.dtype == np.float32
        assert features_LD.shape == wanted_LD.shape
        assert np.abs(features_LD - wanted_LD).max() < 1e-5
    assert len(found[0]) >= 1
    assert np.ptp([len(features_LD) for features_LD in found]) > 3, "nothing was padded, so nothing was trimmed"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), batch=st.integers(1, 5))
@pytest.mark.parametrize("kind", ["umt5", "clip"])
def test_neighbours_and_order_change_nothing(models, kind, data, batch):
    words = ["a", "red", "square", "two", "blue", "circles", "left"]
    texts = data.draw(st.lists(st.lists(st.sampled_from(words), max_size=12).map(" ".join), min_size=1, max_size=8))
    encoder = encoder_of(models[kind], batch=batch)
    for text, features_LD in zip(texts, encoder.encode(texts), strict=True):
        alone_LD = encoder.encode([text])[0]
        assert features_LD.shape == alone_LD.shape
        assert np.abs(features_LD - alone_LD).max() < 1e-4


def test_long_texts_are_cut_with_their_end_mark(models):
    text = " ".join(TEXTS * 5)
    encoder = encoder_of(models["umt5"], max_tokens=7)
    assert encoder.encode([text])[0].shape == (7, 32)
    assert encoder_of(models["clip"]).max_tokens == 24
    assert encoder_of(models["clip"]).encode([text])[0].shape == (24, 32)
    assert encoder_of(models["umt5"]).max_tokens == encoder_of(models["t5"]).max_tokens == 512
    tokenizer = transformers.AutoTokenizer.from_pretrained(models["umt5"])
    ids = torch.tensor([[*tokenizer(text)["input_ids"][:6], tokenizer.eos_token_id]])
    with torch.no_grad():
        wanted = BARE["umt5"](models["umt5"]).eval()(input_ids=ids).last_hidden_state[0].numpy()
    assert np.abs(encoder.encode([text])[0] - wanted).max() < 1e-5


def test_bf16_is_computed_in_bf16(models):
    full, half, auto = (encoder_of(models["clip"], dtype=dtype).encode(TEXTS) for dtype in ("fp32", "bf16", "auto"))
    apart = max(np.abs(a - b).max() for a, b in zip(full, half, strict=True))
    assert 1e-3 < apart < 0.15, "features are of size 1, bf16 has 8 bits"
    assert all(np.array_equal(a, b) for a, b in zip(full, auto, strict=True)), "auto is what the weights are in"
    rounded = torch.from_numpy(half[1])
    assert torch.equal(rounded, rounded.bfloat16().float())


def test_a_fingerprint_holds_what_changes_features_and_nothing_else(models, tmp_path):
    same = shutil.copytree(models["umt5"], tmp_path / "moved")
    plain = encoder_of(models["umt5"]).fingerprint
    assert encoder_of(same, device="cpu", batch=3).fingerprint == plain
    assert encoder_of(same, dtype="fp32", device="cuda").fingerprint == plain, "auto is what its weights are, anywhere"
    other = [encoder_of(same, max_tokens=16).fingerprint, encoder_of(same, dtype="bf16").fingerprint]
    other.append(encoder_of(tiny_texts.umt5(tmp_path / "seed", seed=1)).fingerprint)
    words = shutil.copytree(models["umt5"], tmp_path / "words")
    said = json.loads((words / "tokenizer.json").read_text())
    said["model"]["vocab"][-1][0] = "zzz"
    (words / "tokenizer.json").write_text(json.dumps(said))
    pieces = shutil.copytree(models["umt5"], tmp_path / "pieces")
    (pieces / "spiece.model").write_bytes(b"another")
    other += [encoder_of(folder).fingerprint for folder in (words, pieces)]
    assert len({plain, *other}) == 6


def test_what_is_refused_before_anything_runs(models, tmp_path):
    for params, why in (
        ({}, "name a `model`"), ({"model": str(tmp_path / "none")}, "neither a folder nor a model"),
        ({"model": str(models["t5"]), "dtype": "fp16"}, "dtype is auto, bf16 or fp32"),
        ({"model": str(models["t5"]), "max_tokens": 0}, "max_tokens is 0"),
        ({"model": str(models["t5"]), "batch": True}, "batch is True"),
        ({"model": str(models["clip"]), "max_tokens": 25}, "max_tokens is 25, and .* reads at most 24"),
        ({"model": str(models["t5"]), "tokens": 3}, "unexpected keyword"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=why):
            text_encoder("transformers", **params)
    bare = shutil.copytree(models["t5"], tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(SpecError, match="holds no tokenizer"):
        encoder_of(bare)
    old = shutil.copytree(models["t5"], tmp_path / "old")
    (old / "model.safetensors").rename(old / "pytorch_model.bin")
    with pytest.raises(SpecError, match=r"holds no \*\.safetensors"):
        encoder_of(old)


def test_weights_that_lack_or_are_no_numbers(models, tmp_path):
    weights = load_file(models["t5"] / "model.safetensors")
    for name, change in (("lacks", None), ("nan", float("nan"))):
        folder = shutil.copytree(models["t5"], tmp_path / name)
        key = "encoder.final_layer_norm.weight"
        rest = {k: v for k, v in weights.items() if k != key}
        if change is not None:
            rest[key] = torch.full_like(weights[key], change)
        save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StageCrashed, match=r"missing keys: .*final_layer_norm"):
        encoder_of(tmp_path / "lacks").encode(["a"])
    with pytest.raises(InputRejected, match="not_finite"):
        encoder_of(tmp_path / "nan").encode(["a"])


def test_a_tokenizer_without_marks_gives_the_empty_text_its_end_mark(models, tmp_path):
    folder = shutil.copytree(models["t5"], tmp_path / "plain")
    said = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**said, "post_processor": None}))
    empty_LD, mark_LD = (encoder_of(path).encode([""])[0] for path in (folder, models["t5"]))
    assert empty_LD.shape == (1, 32)
    assert np.abs(empty_LD - mark_LD).max() < 1e-6


def test_a_plan_loads_neither_torch_nor_transformers(models):
    code = (
        "import sys\nfrom curate.codecs import text_encoder\n"
        "text_encoder('hashed').encode(['a'])\n"
        f"text_encoder('transformers', model={str(models['t5'])!r})\n"
        "heavy = {'torch', 'transformers'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO)


def test_code_of_a_model_is_not_run_and_nobody_is_asked(models, tmp_path, monkeypatch):
    folder = shutil.copytree(models["bert"], tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')")
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(1) or "n")
    with pytest.raises(StageCrashed, match="trust_remote_code"):
        encoder_of(folder).encode(["a"])
    assert not asked
