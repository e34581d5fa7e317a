"""Validation: its numbers against sums written out, predict-zero against a model that predicts it, and any ranks."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.fsdp import fully_shard

from curate.dataset.reader import Dataset
from tests.dataset.tiny import tiny_dataset
from tests.trainer.test_train import MIXED, config
from trainer.data import TrainingData
from trainer.floors import Spread, spectra
from trainer.loop import Trainer
from trainer.metrics import GRID_TIMES, gaussian_floor
from trainer.ranks import Ranks
from trainer.validation import SPLIT_TIMES

TASKS = {"t2v": 1, "i2v": 1, "extend": 1, "inpaint": 1, "infill": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


def data(dataset: Path, **changes) -> TrainingData:
    opened = Dataset(dataset)
    opened.columns["loss_weight"] = [1.0 + 0.25 * place for place in range(len(opened))]
    return TrainingData(opened, config(**{"eval_clips": 4, "tasks": TASKS, **changes}))


def moved(dataset: Path, ranks: Ranks | None = None, **changes) -> Trainer:
    """A trainer whose averaged weights are neither zero nor its weights."""
    held = data(dataset, **changes)
    trainer = Trainer(held, held.config, "fp32")
    trainer.ranks = ranks or trainer.ranks  # made by each alone: models are pure functions of the seed
    draws = torch.Generator().manual_seed(5)
    for average in trainer.ema:
        average.add_(0.1 * torch.randn(average.shape, generator=draws))
    return trainer


def test_predict_zero_is_the_loss_of_a_model_that_predicts_zero(dataset):
    for objective in ("velocity", "x0"):
        held = data(dataset, objective=objective)
        found = Trainer(held, held.config, "fp32").evaluate()  # proj_out is zero at the start
        parts = [found, *(part for split in found["splits"].values() for part in split.values())]
        assert len(parts) > 12
        # The squares are equal; they are summed in the order in which they lie in memory.
        assert all(part["loss"] == pytest.approx(part["predict_zero"], rel=1e-7) for part in parts)
        assert all(part["predict_zero"] > 1 for part in parts)


def test_every_number_is_the_sum_written_out(dataset):
    trainer = moved(dataset)
    held, found = trainer.data, trainer.evaluate()
    model = trainer.full_average()
    assert model is not None
    rows = {}
    for row in held.held_out:
        for time in GRID_TIMES:
            group = held.group([row], [0], [time])
            x = (1 - time) * group.clean_BCTHW + time * group.noise_BCTHW
            with torch.no_grad():
                velocity = model(x, 1000 * torch.full_like(group.time_BT, time), group.text_BSF, group.text_bias_BS)
            error = (velocity - (group.noise_BCTHW - group.clean_BCTHW)).double()
            rows[row, time] = float(group.weight_B[0]), float((error**2).mean()), error.numel()

    def mean(keep) -> float:
        kept = [(w * n * loss, w * n) for key, (w, loss, n) in rows.items() if keep(*key)]
        return sum(a for a, _ in kept) / sum(b for _, b in kept)

    close = {"rel": 1e-5}
    assert found["loss"] == pytest.approx(mean(lambda row, time: True), **close)
    assert found["curve"] == [pytest.approx(mean(lambda row, time, t=t: time == t), **close) for t in GRID_TIMES]
    splits = found["splits"]
    assert list(splits["time"]) == ["0-0.25", "0.25-0.5", "0.5-0.75", "0.75-1"]
    assert splits["time"]["0.25-0.5"]["loss"] == pytest.approx(mean(lambda row, time: 0.25 <= time < 0.5), **close)
    width = held.dataset.columns["width"]
    assert {int(tier) for tier in splits["tier"]} == {width[row] for row in held.held_out}
    for tier, part in splits["tier"].items():
        assert part["loss"] == pytest.approx(mean(lambda row, time, w=int(tier): width[row] == w), **close)
        assert part["clips"] == sum(width[row] == int(tier) for row in held.held_out)
    assert splits["task"]["t2v"]["loss"] == pytest.approx(mean(lambda row, time: time in SPLIT_TIMES), **close)


def test_tasks_and_captions_are_looked_at_alike(dataset):
    held = data(dataset)
    trainer = Trainer(held, held.config, "fp32")
    looks, validation = trainer.validation.looks, trainer.validation
    clips = len(held.held_out)
    assert len(looks) <= clips * (8 + 2 * (3 + 2))
    assert trainer.evaluate()["forwards"] == len(looks)
    assert {look.task for look in looks} == {"t2v", "i2v", "extend", "inpaint"}  # infill has no weight
    assert {look.caption for look in looks} == {"short", "original", "empty"}
    for look in looks:
        group, again = validation.group(look), validation.group(look)
        plain = held.group([look.row], [0], [look.time])
        assert torch.equal(group.known_BT, again.known_BT)
        assert torch.equal(group.noise_BCTHW, plain.noise_BCTHW)
        assert bool(group.known_BT.any()) == (look.task != "t2v")
        assert bool((group.time_BT[~group.known_BT] == np.float32(look.time)).all())
        assert not group.time_BT[group.known_BT].any()
        text = held.dataset.text(look.text_id)
        assert np.array_equal(group.text_BSF[0].numpy(), text)
    assert "empty" not in Trainer(data(dataset, text_dropout=0), held.config, "fp32").evaluate()["splits"]["caption"]


@dataclass(frozen=True)
class Threads(Ranks):
    """Ranks that are threads of this process, and count what their models do."""

    shared: list = field(default_factory=list)
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        self.shared[self.rank] = list(values)
        self.barrier.wait(60)
        every = [list(of_rank) for of_rank in self.shared]
        self.barrier.wait(60)
        return every


@pytest.mark.parametrize("world", [3, 4])
def test_any_number_of_ranks_finds_the_same_with_as_many_passes_each(dataset, world):
    alone = moved(dataset).evaluate()
    shared, barrier = [[] for _ in range(world)], threading.Barrier(world)
    trainers = [moved(dataset, Threads(r, world, shared=shared, barrier=barrier)) for r in range(world)]
    passes, found = [0] * world, [{} for _ in range(world)]

    def count(rank: int) -> None:
        trainers[rank].model.register_forward_hook(lambda *_: passes.__setitem__(rank, passes[rank] + 1))
        found[rank] = trainers[rank].evaluate()

    threads = [threading.Thread(target=count, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * world
    assert passes == [math.ceil(alone["forwards"] / world)] * world
    assert alone["forwards"] % world  # one runs out


def test_averaged_weights_are_lent_and_given_back_bitwise(dataset):
    trainer = moved(dataset)
    before = [param.detach().clone() for param in trainer.params]
    averages = [average.clone() for average in trainer.ema]
    with trainer.averaged_weights() as model:
        assert not model.training
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), averages, strict=True))
    with pytest.raises(ZeroDivisionError), trainer.averaged_weights():
        raise ZeroDivisionError
    assert trainer.model.training
    assert all(torch.equal(a, b) for a, b in zip(trainer.params, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(trainer.ema, averages, strict=True))


def test_a_sharded_model_sees_the_weights_it_is_lent_and_then_its_own(dataset, tmp_path):
    trainer = moved(dataset)
    group = trainer.data.group([trainer.data.held_out[0]], [0], [0.5])

    def loss(model) -> float:
        with torch.no_grad():
            return float(trainer.group_loss(model, group)[0])

    own = loss(trainer.model)
    with trainer.averaged_weights() as model:
        lent = loss(model)
    assert own != lent
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        mesh = dist.init_device_mesh("cpu", (1,))
        averages = dict(zip(trainer.names, trainer.ema, strict=True))
        for block in trainer.model.dit.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(trainer.model, mesh=mesh)
        trainer.params = list(trainer.model.parameters())
        names = [name for name, _ in trainer.model.named_parameters()]
        trainer.ema = [param.detach().clone() for param in trainer.params]
        for name, average in zip(names, trainer.ema, strict=True):
            average.to_local().copy_(averages[name])
        assert loss(trainer.model) == own  # what was gathered for this pass may be kept for the next
        with trainer.averaged_weights() as model:
            assert loss(model) == lent
        assert loss(trainer.model) == own
    finally:
        dist.destroy_process_group()


def turned(values: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.tensordot(axes, values, axes=1)


def test_floors_are_what_the_best_filters_reach():
    """Against covariances written out: over all circular shifts of the clips, and of channels at one place."""
    rng = np.random.default_rng(1)
    shape, clips = (2, 3, 2, 4), []
    axes = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    for _ in range(5):
        rough = rng.standard_normal(shape) * np.array([2.0, 0.5])[:, None, None, None] + 1
        clips.append(turned(rough + np.roll(rough, 1, axis=3) + np.roll(rough, 1, axis=1), axes))
    covariance = Spread.over([Spread.of(clip) for clip in clips]).covariance()
    flat = np.concatenate([clip.reshape(2, -1) for clip in clips], axis=1)
    assert np.allclose(covariance, np.cov(flat, bias=True))
    own_axes = np.linalg.eigh(covariance)[1]
    power = spectra(clips, own_axes)
    about = [turned(clip - flat.mean(axis=1)[:, None, None, None], own_axes.T) for clip in clips]
    places = [(t, h, w) for t in range(3) for h in range(2) for w in range(4)]
    for channel in (0, 1):
        every = np.array([np.roll(clip[channel], place, (0, 1, 2)).ravel() for clip in about for place in places])
        wanted = np.linalg.eigvalsh(every.T @ every / len(every))
        assert np.allclose(np.sort(power[channel].ravel()), wanted)
    times = np.array(GRID_TIMES)
    for time, floor in zip(times, gaussian_floor(power, times), strict=True):
        a, errors = 1 - time, []
        for clip in about:  # E|v - best linear guess of it|^2 over the noise, by frequency
            x0 = np.fft.fftn(clip, axes=(1, 2, 3)) / math.sqrt(24)
            gain = (time - a * power) / (a**2 * power + time**2)
            errors.append((np.abs(x0) ** 2 * (1 + gain * a) ** 2 + (1 - gain * time) ** 2).mean())
        assert np.mean(errors) == pytest.approx(floor, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.tuples(*[st.integers(1, 4)] * 4))
def test_the_linear_floor_is_never_above_the_channel_floor(seed, count, shape):
    rng = np.random.default_rng(seed)
    clips = [np.cumsum(rng.standard_normal(shape), axis=3) + rng.normal() for _ in range(count)]
    values, axes = np.linalg.eigh(Spread.over([Spread.of(clip) for clip in clips]).covariance())
    power = spectra(clips, axes)
    assert np.allclose(power.mean(axis=(1, 2, 3)), values, atol=1e-9 * max(1.0, values.max()))
    times = np.array(GRID_TIMES)
    assert (gaussian_floor(power, times) <= gaussian_floor(values, times) + 1e-9).all()


def test_what_is_written_is_json_of_this_shape(dataset):
    found = json.loads(json.dumps(moved(dataset).evaluate(), allow_nan=False))
    assert set(found) == {
        "loss",
        "predict_zero",
        "channel_floor",
        "linear_floor",
        "clips",
        "curve",
        "forwards",
        "splits",
    }
    assert set(found["splits"]) == {"time", "tier", "task", "caption"}
    assert "linear_floor" in found["splits"]["task"]["t2v"]
    assert "linear_floor" not in found["splits"]["task"]["i2v"]  # what is known would lower it
    assert found["linear_floor"] <= found["channel_floor"] <= found["predict_zero"]
