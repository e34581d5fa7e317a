"""Packs of a real dataset: the same clips, noise and draws for any number of ranks; each clip accounted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from tests.dataset.tiny import tiny_dataset
from tests.trainer.test_train import config
from trainer.ahead import DEPTH, Ahead
from trainer.data import Group, TrainingData
from trainer.loop import Trainer, target_numbers
from trainer.train import train

# Tokens of the patches (1, 2, 2) of 8 x 8 latents: 12, 2, 4, 3, 8.
MIXED = ((9, 32), (5, 16), (1, 32), (9, 16), (5, 32)) * 8
BY_TOKENS = {"batch": None, "tokens_per_pack": 24, "packs_per_step": 4, "tasks": {"t2v": 0.5, "extend": 0.5}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


def opened(dataset: Path, columns: dict | None = None, **changes) -> TrainingData:
    data = Dataset(dataset)
    data.columns.update(columns or {})
    return TrainingData(data, config(**changes))


def facts(groups: list[Group]) -> list[tuple]:
    """What chance decided about each clip, sorted by id."""
    return sorted(
        (clip, group.captions[at], group.text_BSF[at].abs().sum().item(),
         *(part[at].numpy().tobytes() for part in (group.noise_BCTHW, group.time_BT, group.known_BT)))
        for group in groups for at, clip in enumerate(group.clip_ids)
    )  # fmt: skip


@pytest.mark.parametrize("how", [BY_TOKENS, {"batch": 20, "packs_per_step": 4}])
def test_the_union_over_ranks_is_the_same_for_any_number_of_them(dataset, how):
    data = opened(dataset, **how)
    for step in (0, 3, 11):
        alone = facts(data.step(step))
        assert len(alone) > 8
        for world in (2, 4):
            # Each rank is a process of its own, and has taken no step before.
            ranks = [opened(dataset, **how).step(step, rank, world) for rank in range(world)]
            assert all(ranks)
            assert facts([group for groups in ranks for group in groups]) == alone
            numbers = sum(target_numbers(group) for groups in ranks for group in groups)
            assert numbers == pytest.approx(sum(target_numbers(group) for group in data.step(step)))


def test_ranks_that_do_not_share_evenly_are_refused(dataset):
    with pytest.raises(SpecError, match="3 ranks cannot share packs_per_step 4"):
        opened(dataset, **BY_TOKENS).step(0, 0, 3)


def test_the_gradients_of_ranks_add_up_to_those_of_one(dataset):
    data = opened(dataset, **BY_TOKENS)
    trainer = Trainer(data, data.config, "fp32")
    with torch.no_grad():
        trainer.params[-1].normal_()
    numbers = sum(target_numbers(group) for group in data.step(2))

    def gradients(groups: list[Group]) -> torch.Tensor:
        squares = [trainer.group_loss(trainer.model, group)[0] for group in groups]
        found = torch.autograd.grad(torch.stack(squares).sum() / numbers, trainer.params, allow_unused=True)
        return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten()
                          for g, p in zip(found, trainer.params, strict=True)])  # fmt: skip

    both = gradients(data.step(2, 0, 2)) + gradients(data.step(2, 1, 2))
    assert torch.allclose(both, gradients(data.step(2)), rtol=1e-4, atol=1e-6)
    assert float(both.abs().max()) > 1e-3


def test_a_run_by_tokens_logs_waste_and_says_where_each_clip_went(dataset, tmp_path, capsys):
    settings = config(**{**BY_TOKENS, "tokens_per_pack": 10}, steps=3, eval_clips=2)
    out = train(dataset, tmp_path / "r", settings).out_dir
    records = [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]
    assert [record["clip_id"] for record in records] == sorted(Dataset(dataset).clip_ids)
    assert all((record["fate"] == "too_large") == (record["tokens"] == 12) for record in records)
    assert sum(record["fate"] == "held_out" for record in records) == 2
    assert {tuple(r["draws_per_epoch"]) for r in records if r["fate"] == "trained"} == {(1.0,)}
    assert {tuple(r["draws_per_epoch"]) for r in records if r["fate"] != "trained"} == {(0.0,)}
    assert "clips left out of 40: 8 too_large; see clips.jsonl" in capsys.readouterr().err
    run = json.loads((out / "run.json").read_bytes())
    assert run["fates"] == {"held_out": 2, "too_large": 8, "trained": 30}
    for record in map(json.loads, (out / "log.jsonl").read_text().splitlines()):
        assert record["tokens"] == round((1 - record["waste"]) * 4 * 10)
        assert 0 <= record["imbalance"] < 1
        assert 0 <= record["data_wait_s"] <= record["seconds"]


def test_when_all_clips_are_too_large_nothing_is_trained(dataset):
    with pytest.raises(SpecError, match=r"40 are larger than tokens_per_pack \(1\): none left"):
        opened(dataset, **{**BY_TOKENS, "tokens_per_pack": 1})


def test_the_column_weight_says_how_often_and_0_is_never(dataset):
    weights = [0.0, 3.0, None, 1.0, 0.5] * 8
    data = opened(dataset, {"weight": weights}, **BY_TOKENS)
    assert {data.fates[row] for row in range(0, 40, 5)} == {"weight_0"}
    visited = [v for step in range(int(20 * data.schedule.steps_of_epoch())) for pack in data.packs(step) for v in pack]
    assert len(set(visited)) == len(visited)
    counts = np.bincount([row for row, _ in visited], minlength=40).reshape(8, 5).sum(axis=0) / 160
    assert counts == pytest.approx([0, 3, 1, 1, 0.5], rel=0.06)
    noise = {data.group([row], [turn]).noise_BCTHW.numpy().tobytes() for row, turn in visited[:60]}
    assert len(noise) == 60  # a clip that comes again comes with other noise


def test_a_curriculum_is_data(dataset):
    stages = [{"steps": 3, "tiers": [16], "tasks": {"t2v": 1}}, {"steps": 2, "tiers": [32], "tasks": {"extend": 1}}]
    data = opened(dataset, stages=stages, steps=5, batch=6)
    sides = data.dataset.columns["height"]
    for step, side in enumerate((16, 16, 16, 32, 32)):
        assert {sides[row] for pack in data.packs(step) for row, _ in pack} == {side}
        known = [bool(group.known_BT.any()) for group in data.step(step) if group.known_BT.shape[1] > 2]
        assert all(flag == (side == 32) for flag in known)
    with pytest.raises(SpecError, match=r"tiers \[64\] are not in the dataset"):
        opened(dataset, stages=[{"steps": 12, "tiers": [64]}])


def test_validation_is_real_where_synthetic_media_are_capped(dataset):
    columns = {"is_synthetic": ["true", "false"] * 20}
    data = opened(dataset, columns, max_synthetic=0.25, eval_clips=10)
    assert len(data.held_out) == 10
    assert all(row % 2 for row in data.held_out)
    weights = data.schedule.clips.weights[0]
    synthetic = np.array([columns["is_synthetic"][row] == "true" for row in data._by_id])
    assert weights[synthetic].sum() / weights.sum() == pytest.approx(0.25)


def test_steps_are_made_ahead_in_order_and_no_further_than_told():
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        if step == 9:
            raise SpecError("step nine")
        return step * 10

    with Ahead(make, 5, 20) as ahead:
        for step in (5, 6, 7, 8):
            assert ahead.take(step) == step * 10
            assert max(made) <= step + DEPTH
        with pytest.raises(SpecError, match="step nine"):
            ahead.take(9)
    assert made == sorted(made)
    assert max(made) <= 9 + DEPTH


def test_a_run_by_tokens_goes_on_from_its_step_alone(dataset, tmp_path):
    settings = config(**BY_TOKENS, steps=9, checkpoint_every=2, keep=4)
    out = train(dataset, tmp_path / "r", settings).out_dir

    def losses() -> list[tuple]:
        lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
        return [(r["step"], r["loss"], r["grad_norm"], r["tokens"], r["waste"]) for r in lines]

    whole = losses()
    assert len({loss for _, loss, *_ in whole}) == 9
    for later in (6, 8, 9):  # as if it had been killed at the fifth step, in the second epoch
        shutil.rmtree(out / "checkpoints" / f"step-{later:08d}")
    train(dataset, out, settings)
    assert losses() == whole


def test_packs_are_inpainted_at_a_shift_by_tokens_and_their_rate_is_known(dataset, tmp_path):
    """What came from different hands holds at once: stages and packs, tasks of tokens, and the share of the peak."""
    shift = {"base_tokens": 2, "base": 1.0, "max_tokens": 12, "max": 3.0}
    stages = [{"steps": 1, "tasks": {"t2v": 1.0}}, {"steps": 2, "tasks": {"inpaint": 1.0}}]
    changes = {**BY_TOKENS, "stages": stages, "shift": shift}
    data = opened(dataset, **changes, steps=3)
    assert all(group.known_BT.ndim == 2 for group in data.step(0))
    assert any(group.known_BT.ndim == 4 and group.known_BT.any() for group in data.step(1))
    settings = config(**changes, steps=3)
    records = (train(dataset, tmp_path / "r", settings).out_dir / "log.jsonl").read_text().splitlines()
    for record in map(json.loads, records):
        assert record["tokens"] == pytest.approx((1 - record["waste"]) * 24 * 4, abs=0.01)
        assert record["mfu"] > 0
