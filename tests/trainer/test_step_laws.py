"""What a step and a sampler promise, asserted directly: a trainer that breaks one of these still lowers its loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from curate.dataset.reader import Dataset
from tests.dataset.tiny import ALLOW, tiny_dataset
from tests.trainer.test_train import TINY, config
from trainer import flow
from trainer.config import SampleConfig, SampleRequest
from trainer.data import TrainingData
from trainer.inputs import opencv_frames, plan_job
from trainer.loop import Trainer
from trainer.provenance import EMPTY_TEXT_ID
from trainer.sample import Run, denoise
from trainer.train import train

EPOCHS = 400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", ((9, 16),) * 4).path


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory) -> Run:
    settings = config(steps=2, batch=2, warmup=0, shift=3.0, model=TINY.model_dump(), allow_unscreened=ALLOW)
    return Run.open(train(dataset, tmp_path_factory.mktemp("run") / "r", settings).out_dir)


def test_dropout_is_drawn_anew_every_epoch(dataset):
    data = TrainingData(Dataset(dataset), config(text_dropout=0.25))
    for row in data.rows:
        dropped = [data.draw(row, epoch).text_id == EMPTY_TEXT_ID for epoch in range(EPOCHS)]
        assert np.mean(dropped) == pytest.approx(0.25, abs=0.09)  # four deviations


def test_noise_is_that_of_the_clip_and_the_epoch(dataset):
    data = TrainingData(Dataset(dataset), config())
    one, again = (data.group([0, 1], [0, 0]).noise_BCTHW for _ in range(2))
    other = data.group([0, 1], [0, 1]).noise_BCTHW
    assert torch.equal(one, again)
    assert torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("independent", [0.0, 1.0])
def test_latent_frames_share_their_time_unless_they_are_independent(dataset, independent):
    data = TrainingData(Dataset(dataset), config(independent_times=independent, tasks={"t2v": 1.0}))
    draws = [data.draw(row, epoch).time_T for row in data.rows for epoch in range(20)]
    assert all((len(set(times)) == len(times)) == (independent == 1.0) for times in draws)


def test_known_frames_are_clean_and_only_they(dataset):
    data = TrainingData(Dataset(dataset), config(tasks={"i2v": 1.0}))
    group = data.group(data.rows, [0] * len(data.rows))
    assert bool((group.known_BT == torch.tensor([True, False, False])).all())
    assert torch.equal(group.time_BT == 0, group.known_BT)
    noised = flow.noised(group.clean_BCTHW, group.noise_BCTHW, group.time_BT)
    assert torch.equal(noised[:, :, 0], group.clean_BCTHW[:, :, 0])
    assert not torch.equal(noised[:, :, 1], group.clean_BCTHW[:, :, 1])


def test_the_loss_weighs_clips_and_leaves_known_frames_out(dataset):
    opened = Dataset(dataset)
    opened.columns["loss_weight"] = [0.0, 1.0, 3.0, 1.0]
    settings = config(batch=4, tasks={"i2v": 1.0})
    data = TrainingData(opened, settings)
    group = data.group(data.rows, [0] * 4)
    # A fresh model predicts zero: the error is the velocity itself.
    error = (group.noise_BCTHW - group.clean_BCTHW)[:, :, 1:].square().mean(dim=(1, 2, 3, 4))
    weights = torch.tensor([opened.columns["loss_weight"][row] for row in data.rows])
    wanted = float((error * weights).sum() / weights.sum())
    assert Trainer(data, settings, "fp32").step(0)["loss"] == pytest.approx(wanted, rel=1e-5)


def test_the_averaged_weights_follow_their_recursion(dataset):
    settings = config(ema=0.4, steps=6)
    trainer = Trainer(TrainingData(Dataset(dataset), settings), settings, "fp32")
    wanted = trainer.params[0].detach().clone()
    for step in range(6):
        trainer.step(step)
        decay = min(0.4, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * trainer.params[0].detach()
        assert torch.allclose(trainer.ema[0], wanted, atol=1e-7)
    assert not torch.allclose(trainer.ema[0], trainer.params[0].detach(), atol=1e-6)


class Recorder(nn.Module):
    """Passes calls on and notes the times that the model was given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.times: list[torch.Tensor] = []

    def forward(self, x, timestep_BK, text, bias):
        self.times.append(timestep_BK)
        return self.model(x, timestep_BK, text, bias)


@pytest.mark.parametrize("shift", [None, 1.0])
def test_the_sampler_gives_known_frames_time_zero_and_others_the_shifted_one(run, tmp_path, shift):
    import cv2

    cv2.imwrite(str(tmp_path / "first.png"), np.full((16, 16, 3), 90, np.uint8))
    request = SampleRequest(prompt="a", task="i2v", image=str(tmp_path / "first.png"))
    settings = SampleConfig(steps=4, threads=1, shift=shift)
    recorder = Recorder(run.model)
    watched = replace(run, model=recorder)  # type: ignore[arg-type]
    denoise(watched, [plan_job(request, 0, settings, run.card, run.codec, opencv_frames)], settings)
    moments = flow.solver_times(4, 3.0 if shift is None else shift)[:-1]
    assert len(recorder.times) == 4
    for times_BK, moment in zip(recorder.times, moments, strict=True):
        assert bool((times_BK[:, 0] == 0).all())
        assert np.allclose(times_BK[:, 1:], 1000 * moment, rtol=1e-5)
