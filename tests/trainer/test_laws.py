"""Laws of draws, steps and sampling that no loss curve shows when they are broken, each computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer.config import ModelConfig, SampleConfig, SampleRequest, TrainConfig
from trainer.data import TrainingData
from trainer.flow import noised, over_latent
from trainer.inputs import Job, opencv_frames, plan_job
from trainer.loop import Trainer
from trainer.provenance import EMPTY_TEXT_ID
from trainer.sample import Run, _guidance_texts, denoise
from trainer.train import train

# Two latent shapes, so that a step has two groups: three latent frames (9 frames) and two (5 frames).
SHAPES = ((9, 16), (9, 16), (9, 16), (5, 16))
TINY = ModelConfig(layers=1, heads=2, head_dim=12, ffn_dim=32, refiner_dim=16)
SHIFT = 2.0  # not the default, which a sampler could know without reading the run


def config(**changes) -> TrainConfig:
    settings = {
        "model": TINY.model_dump(), "steps": 8, "batch": len(SHAPES), "warmup": 0, "threads": 1, "precision": "fp32",
        "allow_unscreened": ALLOW, "captions": {"short": 1.0}, "shift": SHIFT,
    }  # fmt: skip
    return TrainConfig.model_validate({**settings, **changes})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", SHAPES).path


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory) -> Run:
    return Run.open(train(dataset, tmp_path_factory.mktemp("run") / "r", config(steps=2)).out_dir)


def opened(dataset: Path, weights: Sequence[float | None] | None = None, **changes) -> TrainingData:
    """Open the dataset to train on; `weights` are by row, in place of its column."""
    data = Dataset(dataset)
    if weights is not None:
        data.columns["loss_weight"] = list(weights)
    return TrainingData(data, config(**changes))


def test_text_dropout_is_redrawn_every_epoch(dataset):
    data = opened(dataset, text_dropout=0.3)
    for row in data.rows:
        dropped = [data.draw(row, epoch).text_id == EMPTY_TEXT_ID for epoch in range(600)]
        assert set(dropped) == {True, False}
        assert np.mean(dropped) == pytest.approx(0.3, abs=0.08)  # over four deviations


def of_three_frames(data: TrainingData) -> list[int]:
    return [row for row in data.rows if data.dataset.shape(row)[1] == 3]


def test_noise_is_a_function_of_seed_epoch_and_clip(dataset):
    data = opened(dataset)
    first, second, _ = of_three_frames(data)
    noise = data.group([first, first, second], [0, 1, 0]).noise_BCTHW
    # Neither the neighbours nor what was drawn before count, only the key.
    assert torch.equal(noise, opened(dataset).group([first, first, second], [0, 1, 0]).noise_BCTHW)
    assert torch.equal(noise[1:], data.group([first, second], [1, 0]).noise_BCTHW)
    reseeded = opened(dataset, seed=1).group([first], [0]).noise_BCTHW
    assert all(not bool((a == b).any()) for a, b in combinations([*noise, *reseeded], 2))


@pytest.mark.parametrize(("independent", "distinct"), [(0.0, 1), (1.0, 3)])
def test_latent_frames_draw_their_own_times_only_when_told_to(dataset, independent, distinct):
    data = opened(dataset, independent_times=independent, tasks={"t2v": 1})
    rows = of_three_frames(data)
    for epoch in range(30):
        times_BT = data.group(rows, [epoch] * len(rows)).time_BT
        assert [len(set(times)) for times in times_BT.tolist()] == [distinct] * len(rows)


def test_the_share_of_clips_with_independent_times_is_the_one_told(dataset):
    data = opened(dataset, independent_times=0.25, tasks={"t2v": 1})
    rows = of_three_frames(data)
    differing = [len(set(data.draw(row, epoch).time_T)) > 1 for row in rows for epoch in range(200)]
    assert np.mean(differing) == pytest.approx(0.25, abs=0.08)  # over four deviations


@pytest.mark.parametrize("independent", [0.0, 1.0])
@pytest.mark.parametrize("task", ["i2v", "first_last", "extend", "infill", "inpaint"])
def test_time_is_zero_exactly_where_known_and_the_latent_is_clean_there(dataset, task, independent):
    patches = {**TINY.model_dump(), "patch": (1, 1, 1)}  # a frame of four tokens
    data = opened(dataset, tasks={task: 1}, independent_times=independent, model=patches)
    rows = of_three_frames(data)
    for epoch in range(10):
        group = data.group(rows, [epoch] * len(rows))
        assert bool(group.known_BT.flatten(1).any(dim=1).all())
        assert not bool(group.known_BT.flatten(1).all(dim=1).any())
        assert torch.equal(group.time_BT == 0, group.known_BT)
        x_BCTHW = noised(group.clean_BCTHW, group.noise_BCTHW, group.time_BT)
        same = (x_BCTHW == group.clean_BCTHW).all(dim=1)
        known = over_latent(group.known_BT, x_BCTHW)[:, 0].expand_as(same)
        assert torch.equal(same, known)


def test_the_loss_of_a_step_is_the_weighted_mean_over_all_its_groups(dataset):
    weights = [0.0, 0.5, 3.0, None]  # None counts as 1
    data = opened(dataset, weights, tasks={"i2v": 0.5, "extend": 0.5})
    squares = numbers = 0.0
    groups = data.step(0)
    assert len(groups) == 2
    for group in groups:
        for place, clip_id in enumerate(group.clip_ids):
            weight = weights[data.dataset.clip_ids.index(clip_id)]
            # A fresh model predicts zero, so its error is the velocity.
            error = (group.noise_BCTHW - group.clean_BCTHW)[place][:, ~group.known_BT[place]].double()
            squares += (1.0 if weight is None else weight) * float(error.square().sum())
            numbers += (1.0 if weight is None else weight) * error.numel()
    assert Trainer(data, data.config, "fp32").step(0)["loss"] == pytest.approx(squares / numbers, rel=1e-5)


def test_a_clip_of_no_weight_contributes_nothing(dataset):
    data = opened(dataset, [0.0, 1.0, 1.0, 1.0])
    trainer = Trainer(data, data.config, "fp32")
    trainer.step(0)  # the output starts at zero, and the gradient of all before it too
    group = data.group([0, 1, 2], [0, 0, 0])

    def gradients(of_clips: slice) -> list[Tensor]:
        part = {f.name: getattr(group, f.name)[of_clips] for f in fields(group) if f.name != "pack"}
        squares, numbers = trainer.group_loss(trainer.model, replace(group, **part))
        return list(torch.autograd.grad(squares / numbers, trainer.params))

    for one, other in zip(gradients(slice(0, 3)), gradients(slice(1, 3)), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)
    assert max(float(one.abs().max()) for one in gradients(slice(1, 3))) > 1e-2


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_loss_weight_that_is_none_is_refused_before_the_first_step(dataset, wrong):
    with pytest.raises(SpecError, match=r"has the loss_weight .*: it must be a number from 0 up"):
        opened(dataset, [1.0, wrong, 1.0, 1.0])


def test_where_no_clip_has_a_loss_nothing_is_trained(dataset):
    with pytest.raises(SpecError, match="every clip that is trained on has the loss_weight 0"):
        opened(dataset, [0.0] * 4)


def test_averaged_weights_follow_the_ramp_and_then_the_decay(dataset):
    data = opened(dataset, ema=0.3, lr=0.02)  # the ramp 1/10, 2/11, 3/12 passes it at the fourth step, 4/13
    trainer = Trainer(data, data.config, "fp32")
    wanted = [param.detach().clone() for param in trainer.params]
    for step in range(6):
        trainer.step(step)
        decay = min(0.3, (1 + step) / (10 + step))
        wanted = [decay * mean + (1 - decay) * p.detach() for mean, p in zip(wanted, trainer.params, strict=True)]
        for mean, average in zip(wanted, trainer.ema, strict=True):
            assert torch.allclose(average, mean, rtol=1e-5, atol=1e-6)
    moved = [float((a - p).detach().abs().max()) for a, p in zip(trainer.ema, trainer.params, strict=True)]
    assert max(moved) > 1e-3


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_the_sampler_reads_bitwise_the_text_that_was_trained_on(dataset, run, guidance):
    data = Dataset(dataset)
    texts = dict(zip(data.columns["caption_short_text_id"], data.columns["caption_short"], strict=True))
    text_id, prompt = next((i, text) for i, text in texts.items() if text)
    wanted = {0.0: [EMPTY_TEXT_ID], 1.0: [text_id], 3.0: [text_id, EMPTY_TEXT_ID]}[guidance]
    found, bias = _guidance_texts(run.encoder, [prompt], guidance)
    assert len(found) == len(wanted)
    for features, of, one in zip(found, bias, wanted, strict=True):
        assert torch.equal(features[of == 0], torch.from_numpy(data.text(one)))


@pytest.mark.parametrize("ema", [0.1, 0.999])
def test_the_average_of_a_constant_from_zero_is_its_closed_form(dataset, ema):
    # At so small a rate the weights stay where they are.
    data = opened(dataset, ema=ema, lr=1e-12, batch=1)
    trainer = Trainer(data, data.config, "fp32")
    for average in trainer.ema:
        average.zero_()
    left = 1.0
    for step in range(6):
        trainer.step(step)
        left *= min(ema, (1 + step) / (10 + step))  # 0.1 is below the ramp at once: 1 - 0.1^n
        assert ema > 0.1 or left == pytest.approx(0.1 ** (step + 1))
        for average, param in zip(trainer.ema, trainer.params, strict=True):
            assert torch.allclose(average, (1 - left) * param.detach(), rtol=1e-5, atol=1e-9)
    assert max(float(param.detach().abs().max()) for param in trainer.params) > 0.1


def test_what_must_be_float32_is_so_under_autocast(run):
    dit, text = run.model.dit, torch.randn(1, 3, run.model.dit.config.text_dim)
    latent, times = torch.randn(1, dit.config.in_channels, 3, 4, 4), torch.tensor([[0.0, 31.4, 999.9]])
    given: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _, args, out, name=name: given.update({name: out, f"{name} in": args[0]}))
        for name, module in dit.named_modules()
    ]
    with torch.no_grad():
        wanted = dit.condition_embedder.time(times)
        with torch.autocast("cpu", torch.bfloat16):
            found = dit.condition_embedder.time(times)
            out = dit(latent, times, text)
    for hook in hooks:
        hook.remove()
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    names = ["blocks.0", "blocks.0 in", "blocks.0.attn1.norm_q", "blocks.0.attn1 in", "blocks.0.ffn in", "proj_out in"]
    assert {name: given[name].dtype for name in names} == dict.fromkeys(names, torch.float32)
    assert out.dtype == torch.float32
    assert given["blocks.0.attn1.to_q"].dtype == given["proj_out"].dtype == torch.bfloat16  # it was on


class Recorder(nn.Module):
    """Notes what a model is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_BCTHW: Tensor, timestep_BK: Tensor, text_BSF: Tensor, bias_BS: Tensor) -> Tensor:
        self.calls.append((x_BCTHW.clone(), timestep_BK.clone()))
        return self.model(x_BCTHW, timestep_BK, text_BSF, bias_BS)


def recorded(run: Run, known_BT: list[list[bool]], settings: SampleConfig) -> tuple[list[Job], Recorder]:
    """Sample with the given frames known, and return what the model was given."""
    jobs = []
    for place, known in enumerate(known_BT):
        job = plan_job(SampleRequest(prompt="a"), place, settings, run.card, run.codec, opencv_frames)
        clean = np.random.default_rng(place).standard_normal(job.noise_CTHW.shape, dtype=np.float32)
        jobs.append(replace(job, known_T=np.array(known), clean_CTHW=clean))
    recorder = Recorder(run.model)
    denoise(replace(run, model=recorder), jobs, settings)  # type: ignore[arg-type]
    return jobs, recorder


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("shift", [None, 1.0, 5.0])
def test_the_sampler_keeps_known_frames_at_zero_and_moves_the_others_along_the_shifted_times(run, shift, guidance):
    known_BT = [[True, False, False], [False, False, False], [True, True, False], [True, False, True]]
    settings = SampleConfig(steps=4, threads=1, shift=shift, guidance=guidance)
    jobs, recorder = recorded(run, known_BT, settings)
    copies = 1 if guidance == 1.0 else 2
    known = torch.tensor(known_BT).repeat(copies, 1)
    clean = torch.from_numpy(np.stack([job.clean_CTHW for job in jobs])).repeat(copies, 1, 1, 1, 1)
    a = SHIFT if shift is None else shift
    moments = [1000 * a * t / (1 + (a - 1) * t) for t in (1.0, 0.75, 0.5, 0.25)]
    assert len(recorder.calls) == len(moments)
    for (x_BCTHW, timestep_BK), moment in zip(recorder.calls, moments, strict=True):
        wanted = torch.where(known, 0.0, moment).to(timestep_BK.dtype)
        assert torch.equal(timestep_BK == 0, known)
        assert torch.allclose(timestep_BK, wanted, rtol=1e-5)
        assert torch.equal(x_BCTHW.movedim(2, 1)[known], clean.movedim(2, 1)[known])
