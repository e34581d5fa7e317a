"""The trainer's sections of the spec: strict, frozen, and light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from trainer.config import MODELS, ModelConfig, SampleConfig, SampleRequest, TrainConfig


@pytest.mark.parametrize(
    "values",
    [
        {"stepz": 1}, {"steps": 0}, {"model": "dit-huge"}, {"model": {"layers": 2, "width": 3}}, {"captions": {}},
        {"captions": {"long": 1.0}}, {"tasks": {"t2v": 0.0}}, {"text_dropout": 1.5}, {"precision": "fp16"},
        {"captions": {"short": -1.0, "dense": 2.0}}, {"model": {"head_dim": 33}},
        {"model": {"patch": (2, 2, 2)}}, {"model": {"refiner_dim": 30}}, {"lr": float("inf")}, {"lr": float("nan")},
        {"mode_scale": 1.8}, {"times": "beta"}, {"tasks": {"paint": 1.0}}, {"peak_tflops": 0}, {"shift": 0.0},
        {"shift": {"base_tokens": 9, "base": 1.0, "max_tokens": 9, "max": 2.0}},
        {"shift": {"base_tokens": 1, "base": 3.0, "max_tokens": 9, "max": 2.0}}, {"shift": {"base": 1.0}},
        {"init": "folder"}, {"eval_every": 2},
        {"batch": 4, "tokens_per_pack": 64}, {"batch": None}, {"packs_per_step": 0}, {"tokens_per_pack": 0},
        {"batch": 7, "packs_per_step": 8}, {"packs_per_step": 65},
        {"mixture": {"in_house": 0.0}}, {"mixture": {"in_house": -1.0}}, {"max_synthetic": 1.1},
        {"stages": [{"steps": 999}]}, {"stages": [{"tiers": [64]}]}, {"stages": [{"steps": 1000, "tiers": [0]}]},
        {"stages": [{"steps": 1000, "tasks": {"t2v": 0}}]}, {"stages": [{"steps": 1000, "lr": 1.0}]},
        {"time_mean": float("nan")}, {"tasks": {"t2v": float("inf")}}, {"captions": {"short": float("inf")}},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(values):
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(values)


def test_equal_configs_draw_alike_whatever_order_their_weights_were_written_in():
    names = {
        "captions": {"short": 1.0, "original": 2.0}, "tasks": {"t2v": 1.0, "inpaint": 1.0, "i2v": 2.0},
        "mixture": {"pond": 1.0, "lake": 0.1, "sea": 0.2},
    }  # fmt: skip
    stage = {"steps": 1000, "tasks": names["tasks"], "mixture": names["mixture"]}
    turned = {key: dict(reversed(weights.items())) for key, weights in names.items()}
    turned_stage = {"steps": 1000, "tasks": turned["tasks"], "mixture": turned["mixture"]}
    one = TrainConfig.model_validate({**names, "stages": [stage]})
    other = TrainConfig.model_validate({**turned, "stages": [turned_stage]})
    assert one.model_dump_json() == other.model_dump_json()  # a dump keeps the order, == does not look at it
    assert [list(getattr(one, key)) for key in names] == [
        ["short", "original"], ["t2v", "i2v", "inpaint"], ["lake", "pond", "sea"],
    ]  # fmt: skip


def test_a_step_is_measured_in_clips_or_in_tokens():
    assert (TrainConfig().batch, TrainConfig(batch=3).batch) == (64, 3)
    by_tokens = TrainConfig.model_validate({"tokens_per_pack": 4096, "packs_per_step": 8})
    assert by_tokens.batch is None
    assert TrainConfig.model_validate(by_tokens.model_dump(mode="json")) == by_tokens


def test_a_patch_over_time_says_why_it_is_refused():
    with pytest.raises(ValidationError, match="known frames and times are per latent frame"):
        ModelConfig(patch=(2, 2, 2))


@pytest.mark.parametrize("key", ["guidance", "shift"])
def test_samples_take_no_infinite_numbers(key):
    for value in (float("inf"), float("nan")):
        with pytest.raises(ValidationError, match="finite"):
            SampleConfig.model_validate({key: value})


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"guidance": 5}, "`guidance` holds for all samples: write it under `sample:`"),
        ({"steps": 5}, "`steps` holds for all samples"),
        ({"batch": 1}, "`batch` holds for all samples"),
        ({"framez": 9}, "unknown key `framez`: did you mean `frames`"),
        ({"frame": 9}, "unknown key `frame`: did you mean `frames`"),
        ({"heigth": 9}, "unknown key `heigth`: did you mean `height`"),
        ({"seconds": float("inf")}, "finite"),
    ],
)
def test_settings_that_a_request_cannot_have_are_refused(extra, sentence):
    with pytest.raises(ValidationError, match=sentence):
        SampleRequest.model_validate({"prompt": "a", **extra})


def test_other_keys_of_a_request_are_carried():
    carried = {"attributes": [1], "id": 3, "prompt_id": 7, "num_frames": 9, "fps": 8.0, "path": "000.mp4"}
    assert SampleRequest.model_validate({"prompt": "a", **carried}).model_extra == carried


def test_models_are_named_or_given_and_survive_json():
    given = TrainConfig(model=ModelConfig(layers=3))
    assert given.dims.layers == 3
    assert TrainConfig(model="dit-b").dims == MODELS["dit-b"]
    assert TrainConfig.model_validate(given.model_dump(mode="json")) == given
    assert (MODELS["dit-1.3b"].dim, MODELS["dit-1.3b"].patch) == (1536, (1, 2, 2))
    with pytest.raises(ValidationError):
        given.steps = 3  # type: ignore[misc]


def test_sample_config_takes_texts_requests_or_a_file():
    assert SampleConfig.model_validate({"prompts": "p.jsonl"}).prompts == "p.jsonl"
    both = SampleConfig.model_validate({"prompts": ["a", {"prompt": "b", "seed": 3}]}).prompts
    assert both[0] == "a"
    assert not isinstance(both[1], str)
    with pytest.raises(ValidationError):
        SampleConfig.model_validate({"prompts": [{"prompt": "b", "task": "i2v"}]})


def test_reading_the_spec_imports_no_torch():
    code = "import sys, trainer.config; sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
