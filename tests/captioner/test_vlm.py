"""The captioner `vlm` with small models of real architectures, saved and loaded as those of a hub are."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from benchmarks import tiny_vlms
from captioner._sampling import Sampling
from captioner.caption import Subject, describe
from captioner.vlm import Vlm, _batches
from curate.captioning import Ask, Asking, Pictures, Prompt
from curate.errors import StageCrashed
from curate.models import folder_sha256

FAMILIES = ("qwen", "qwen3", "llava_onevision", "internvl", "smolvlm")
PROMPT = Prompt("p", "short", "Describe what you see")
LONG = Prompt("p", "dense", "Describe all that you see")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: str(getattr(tiny_vlms, name)(folder / name)) for name in FAMILIES}


def _pictures(seed, count=4):
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 255, (4, 4, 3), dtype=np.uint8) for _ in range(count)]
    frames = [cv2.resize(frame, (64, 48), interpolation=cv2.INTER_NEAREST) for frame in frames]
    return Pictures(tuple(cv2.imencode(".jpg", f)[1].tobytes() for f in frames), tuple(i / 2 for i in range(count)))


def _asks(count=10):
    """Questions of unequal length about clips of three and four frames, and one of a single frame."""
    shapes = [1, *(3 + i % 2 for i in range(1, count))]
    return [
        Ask(f"c{i}", PROMPT, {"duration_s": 2.0}, PROMPT.text + " more" * (i % 3), _pictures(i, shapes[i]))
        for i in range(count)
    ]


def _answers(captioner, asks):
    found = list(captioner.describe(asks, lambda: None))
    assert sorted(answer.ref for answer in found) == sorted(ask.ref for ask in asks)
    return {answer.ref: answer for answer in found}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_gives_what_each_alone_gives(family, models):
    asks = _asks()
    many = _answers(Vlm(models[family], max_new_tokens=12, batch=8), asks)
    alone = _answers(Vlm(models[family], max_new_tokens=12, batch=1), asks)
    assert {ref: answer.text for ref, answer in many.items()} == {ref: answer.text for ref, answer in alone.items()}
    assert len({answer.text for answer in many.values()}) > 3, "other frames give other words"
    assert {ref: answer.tokens_in for ref, answer in many.items()} == {ref: a.tokens_in for ref, a in alone.items()}


def test_a_batch_holds_clips_with_as_many_frames():
    batches = _batches(_asks(), 3)
    assert sorted(ask.clip_id for batch in batches for ask in batch) == sorted(ask.clip_id for ask in _asks())
    assert all(len({len(ask.pictures.jpeg) for ask in batch}) == 1 and len(batch) <= 3 for batch in batches)


@pytest.mark.parametrize("frames", ["grid", "images"])
def test_frames_as_pictures(frames, models):
    found = _answers(Vlm(models["qwen"], max_new_tokens=4, frames=frames), _asks(4))
    assert all(answer.text and answer.truncated for answer in found.values())


def test_drawn_words_are_the_same_in_any_company_and_others_from_another_seed(models):
    asks = _asks(6)
    drawn = {"max_new_tokens": 6, "temperature": 50.0, "top_p": 0.9}  # their logits lie far apart
    many = _answers(Vlm(models["qwen"], batch=6, **drawn), asks)
    alone = _answers(Vlm(models["qwen"], batch=1, **drawn), asks[2:3])
    other = _answers(Vlm(models["qwen"], batch=6, seed=1, **drawn), asks)
    ref = asks[2].ref
    assert many[ref].text == alone[ref].text
    assert sum(many[ask.ref].text != other[ask.ref].text for ask in asks) > 3


def test_a_frame_that_is_no_picture_costs_its_own_clip(models):
    asks = _asks(4)
    bad = Ask("bad", PROMPT, {"duration_s": 2.0}, PROMPT.text, Pictures((b"no", b"no", b"no"), (0.0, 0.5, 1.0)))
    found = _answers(Vlm(models["qwen"], max_new_tokens=3), [*asks, bad])
    assert found[bad.ref].fault == ("caption:frame", "a stored frame is no JPEG; see: rushes verify")
    assert all(found[ask.ref].text for ask in asks)


def test_a_picture_that_the_processor_refuses_costs_its_own_clip(models):
    """Qwen's takes no picture that is 200 times as long as high."""
    asks = _asks(4)
    strip = cv2.imencode(".jpg", np.full((4, 1000, 3), 90, np.uint8))[1].tobytes()
    bad = Ask("bad", PROMPT, {"duration_s": 2.0}, PROMPT.text, Pictures((strip,), (0.0,)))
    found = _answers(Vlm(models["qwen"], max_new_tokens=3, frames="images"), [*asks, bad])
    reason, detail = found[bad.ref].fault
    assert reason == "caption:frames"
    assert "aspect ratio" in detail
    assert all(found[ask.ref].text for ask in asks)


def test_a_processor_that_prepares_nothing_is_the_fault_of_no_clip(models, tmp_path):
    folder = shutil.copytree(models["internvl"], tmp_path / "model")
    for path in folder.glob("*.jinja"):
        path.write_text("{{ raise_exception('no such role') }}{# video #}")
    with pytest.raises(StageCrashed, match="no such role"):
        _answers(Vlm(str(folder), max_new_tokens=3), _asks(3))
    captioner = Vlm(models["qwen"], max_new_tokens=3)
    captioner._model("short", lambda: None).processor.chat_template = None
    with pytest.raises(StageCrashed, match=r"caption:prepare: .*chat.template"):
        _answers(captioner, _asks(3))


def test_code_of_a_model_is_not_run_and_nobody_is_asked(models, tmp_path, monkeypatch):
    folder = shutil.copytree(models["qwen"], tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')")
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(1) or "n")
    with pytest.raises(ValueError, match="trust_remote_code"):
        list(Vlm(str(folder)).describe(_asks(1), lambda: None))
    assert not asked


@pytest.mark.parametrize("name", ["chat_template.jinja", "merges.txt", "tokenizer.model", "vocab.bpe"])
def test_templates_and_tokenizers_are_part_of_a_model(models, tmp_path, name):
    folder = shutil.copytree(models["internvl"], tmp_path / "model")
    (folder / "tokenizer").mkdir()  # as pipelines have one: a folder, not a file
    (folder / name).write_text("one")
    one = Vlm(str(folder)).identity()
    (folder / name).write_text("another")
    folder_sha256.cache_clear()
    assert Vlm(str(folder)).identity() != one


def test_progress_is_told_and_time_is_counted(models):
    beats = []
    asks = _asks(4)
    captioner = Vlm(models["qwen"], max_new_tokens=5)
    found = list(captioner.describe(asks, lambda: beats.append(1)))
    assert len(beats) >= 5
    assert all(answer.seconds > 0 and answer.waited_s >= 0 for answer in found)


def test_a_record_and_windows_in_their_order(models):
    captioner = Vlm(models["qwen"], max_new_tokens=4)
    captioner.prompts = {"short": PROMPT, "dense": LONG}
    subject = Subject("c", {"duration_s": 5.0}, _pictures(1, 10))
    (row,) = describe(captioner, Asking(again=0, window_s=2.0), [subject], lambda: None)
    assert [(w["kind"], round(w["start_s"], 3)) for w in row["windows"]] == [
        ("dense", 0.0), ("dense", 1.667), ("dense", 3.333),
    ]  # fmt: skip
    assert row["dense"].startswith("From 0.0 to 1.7 s: ")
    assert row["dense"].index("From 0.0") < row["dense"].index("From 1.7") < row["dense"].index("From 3.3")
    assert row["dense_status"] != "ok", "words of random weights are no caption"
    assert row["revision"] == captioner.about("short")[1]


def test_identity_is_weights_and_decoding_and_not_scheduling(models):
    one, two = Vlm(models["qwen"]), Vlm(models["qwen"], batch=1, threads=1, device="cpu")
    assert one.identity() == two.identity()
    assert one.identity() != Vlm(models["internvl"]).identity()
    assert one.identity() != Vlm(models["qwen"], max_new_tokens=3).identity()


@pytest.mark.parametrize(
    ("params", "says"),
    [({"frames": "film"}, "nearest"), ({"dtype": "fp8"}, "dtype"), ({"model": "no/such"}, "neither a folder"),
     ({"adapter": "/nowhere"}, "adapter_config"), ({"prompts": {"short": "none"}}, "prompt none"),
     ({"model": {"short": "x"}}, "one for each")],
)  # fmt: skip
def test_wrong_parameters_are_refused(params, says, models):
    with pytest.raises(ValueError, match=says):
        Vlm(**{"model": models["qwen"], **params})


def test_draws_have_the_probabilities_of_the_model():
    """Against softmax itself, within five standard errors of 4000 draws; a nucleus leaves the unlikely words out."""
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    expected = torch.softmax(scores / 1.5, dim=-1)[0]
    decoding = {"temperature": 1.5, "top_p": 1.0, "seed": 3}
    sampling = Sampling(["a"], decoding, lambda: None)
    drawn = torch.tensor([int(sampling(scores, scores).argmax()) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.all((shares - expected).abs() < 5 * torch.sqrt(expected * (1 - expected) / 4000))
    sampling = Sampling(["a"], {**decoding, "top_p": 0.7}, lambda: None)
    assert {int(sampling(scores, scores).argmax()) for _ in range(500)} == {0, 1}
