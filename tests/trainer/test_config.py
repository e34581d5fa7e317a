"""The trainer's sections of the spec: strict, frozen, and light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from trainer.config import MODELS, ModelConfig, SampleConfig, TrainConfig


@pytest.mark.parametrize(
    "values",
    [
        {"stepz": 1}, {"steps": 0}, {"model": "dit-huge"}, {"model": {"layers": 2, "width": 3}}, {"captions": {}},
        {"captions": {"long": 1.0}}, {"tasks": {"t2v": 0.0}}, {"text_dropout": 1.5}, {"precision": "fp16"},
        {"captions": {"short": -1.0, "dense": 2.0}}, {"model": {"head_dim": 33}},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(values):
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(values)


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
