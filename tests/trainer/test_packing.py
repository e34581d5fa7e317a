"""Packs: never above their tokens, every visit once, of about equal cost, the same number of steps every epoch."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from trainer.config import MODELS, ModelConfig, TrainConfig
from trainer.dit import DitConfig, WanDit
from trainer.draws import envelope, visits
from trainer.packing import Packer, cost, imbalance, place
from trainer.schedule import Clips, Schedule

DIMS = MODELS["dit-xs"]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31), per_step=st.sampled_from([1, 2, 8]), room=st.integers(0, 60), head=st.integers(0, 7),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=300),
)  # fmt: skip
def test_every_visit_is_in_one_pack_and_no_pack_is_too_large(seed, per_step, room, head, sizes):
    tokens, most = np.array(sizes), max(sizes) + room
    packer = Packer(tokens, DIMS, per_step, most)
    for epoch in range(2):
        packs = packer.epoch(tokens, np.random.default_rng([seed, epoch]), head)
        assert len(packs) == packer.packs
        assert all(int(tokens[pack].sum()) <= most for pack in packs)
        assert sorted(v for pack in packs for v in pack) == list(range(len(tokens)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), per_step=st.sampled_from([1, 4]), room=st.integers(0, 10),
    clips=st.lists(st.tuples(st.integers(1, 40), st.floats(0, 2.5)), min_size=1, max_size=80),
)  # fmt: skip
def test_any_epoch_of_any_weights_fits_into_the_same_steps(seed, per_step, room, clips):
    tokens, weights = np.array([c[0] for c in clips]), np.array([c[1] for c in clips])
    sizes = envelope(weights, tokens)
    if not len(sizes):
        return
    packer = Packer(sizes, DIMS, per_step, int(tokens.max()) + room)
    for epoch in range(3):
        found = visits(seed, epoch, weights, tokens)
        taken = np.where(found < 0, 0, tokens[found])
        packs = packer.epoch(taken, np.random.default_rng(epoch))
        assert len(packs) == packer.packs
        assert all(taken[pack].sum() <= packer.most for pack in packs)
        assert sum(len(pack) for pack in packs) == len(found)


def test_what_chance_does_not_fit_is_packed_rank_by_rank():
    # Pairs that fill a pack to the last token: no order but the falling one puts them together.
    tokens = np.array([60, 40] * 64)
    packer = Packer(tokens, DIMS, 1, 100)
    packer.packs = 64  # without the room that is added
    packer._pack_of_rank = packer._by_rank()
    assert all(int(tokens[pack].sum()) == 100 for pack in packer.epoch(tokens, np.random.default_rng(0)))


def test_companions_change_from_epoch_to_epoch():
    tokens = np.arange(20, 84)
    packer = Packer(tokens, DIMS, 2, 400)
    epochs = [packer.epoch(tokens, np.random.default_rng(e)) for e in range(2)]
    pairs = [{(a, b) for pack in packs for a in pack for b in pack if a < b} for packs in epochs]
    assert len(pairs[0] & pairs[1]) < 0.4 * len(pairs[0])


@pytest.mark.parametrize("seed", range(3))
def test_waste_and_imbalance_of_a_log_uniform_mix(seed):
    tokens = np.exp(np.random.default_rng(seed).uniform(np.log(64), np.log(4096), 2000)).astype(int)
    made = schedule([1] * 2000, tokens, seed=seed, packs_per_step=8, tokens_per_pack=16384)
    steps = [made.packs(step) for step in range(2 * int(made.steps_of_epoch()))]
    sums = np.array([[tokens[[c for c, _ in pack]].sum() for pack in packs] for packs in steps])
    assert 1 - sums.mean() / 16384 <= 0.03
    loads = [[cost(tokens[[c for c, _ in pack]], DIMS).sum() for pack in packs] for packs in steps]
    assert max(imbalance(np.array(of_step)) for of_step in loads) <= 0.05


def test_clips_that_fill_a_pack_each_leave_none_empty():
    packs = Packer(np.full(700, 10), DIMS, 1, 10).epoch(np.full(700, 10), np.random.default_rng(0))
    assert sorted(pack.tolist() for pack in packs) == [[v] for v in range(700)]


def test_a_size_above_the_bound_is_refused():
    with pytest.raises(ValueError, match="larger than a pack"):
        Packer(np.array([5, 11]), DIMS, 1, 10)


def test_place_gives_to_the_cheapest_with_room():
    found = place(np.array([6, 5, 4, 3, 9]), np.array([6.0, 5.0, 4.0, 3.0, 9.0]), 2, 10)
    assert found.tolist() == [0, 1, 1, 0, -1]


@pytest.mark.parametrize(("heads", "ffn"), [(2, 96), (4, 64)])
def test_the_cost_is_that_of_the_model_by_its_counted_operations(heads, ffn):
    dims = ModelConfig(layers=2, heads=heads, head_dim=12, ffn_dim=ffn)
    model = WanDit(DitConfig(
        num_attention_heads=heads, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, ffn_dim=ffn,
        num_layers=2,
    ))  # fmt: skip

    def operations(side: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 4, 1, side, side), torch.zeros(1, 1), torch.zeros(1, 1, 8))
        return counter.get_total_flops()

    small, middle, large = (operations(side) for side in (8, 16, 32))
    counted = (large - middle) / (middle - small)  # what does not depend on the tokens falls out
    said = cost(np.array([16, 64, 256]), dims)
    assert (said[2] - said[1]) / (said[1] - said[0]) == pytest.approx(counted, rel=0.05)


def schedule(weights, tokens, **changes) -> Schedule:
    config = TrainConfig.model_validate(changes)
    tokens = np.array(tokens)
    return Schedule(config, Clips(tokens, 8 * tokens, [np.array(weights, float)]))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31), batch=st.integers(1, 17), packs=st.sampled_from([1, 4]), steps=st.integers(1, 12),
    tokens=st.lists(st.integers(1, 9), min_size=1, max_size=40),
)  # fmt: skip
def test_steps_by_clips_are_windows_of_epochs_that_visit_every_clip_once(seed, batch, packs, steps, tokens):
    batch = max(batch, packs)
    count, how = len(tokens), {"seed": seed, "batch": batch, "packs_per_step": packs}
    made = schedule([1] * count, tokens, **how)
    asked = [made.packs(step) for step in range(steps)]
    again = schedule([1] * count, tokens, **how)
    assert asked == [again.packs(step) for step in reversed(range(steps))][::-1]
    places = [visit for of_step in asked for pack in of_step for visit in pack]
    assert len(places) == steps * batch
    assert max(Counter(places).values()) == 1
    for epoch in range(len(places) // count):
        assert sorted(clip for clip, e in places if e == epoch) == list(range(count))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**31), packs=st.sampled_from([1, 4]), room=st.integers(0, 30),
    tokens=st.lists(st.integers(1, 30), min_size=1, max_size=60),
)  # fmt: skip
def test_steps_by_tokens_visit_every_clip_once_an_epoch_and_need_no_history(seed, packs, room, tokens):
    how = {"seed": seed, "tokens_per_pack": max(tokens) + room, "packs_per_step": packs}
    made = schedule([1] * len(tokens), tokens, **how)
    steps = [made.packs(step) for step in range(int(4 * made.steps_of_epoch()) + 1)]
    assert all(sum(tokens[c] for c, _ in pack) <= how["tokens_per_pack"] for of_step in steps for pack in of_step)
    assert all(len(of_step) == packs for of_step in steps)
    visited = [visit for of_step in steps for pack in of_step for visit in pack]
    for epoch in range(4):
        assert sorted(clip for clip, e in visited if e == epoch) == list(range(len(tokens)))
    assert [e for _, e in visited] == sorted(e for _, e in visited)
    assert schedule([1] * len(tokens), tokens, **how).packs(len(steps) - 1) == steps[-1]


def test_a_clip_that_an_epoch_visits_again_draws_anew():
    made = schedule([3, 1], [4, 4], batch=4)
    (pack,) = made.packs(0)
    assert len(set(pack)) == 4
    assert Counter(clip for clip, _ in pack) == {0: 3, 1: 1}


def test_stages_follow_each_other_with_their_own_clips():
    stages = [{"steps": 2}, {"steps": 3}]
    tokens = np.array([2, 2, 4, 4])
    clips = Clips(tokens, tokens, [np.array([1.0, 1, 0, 0]), np.array([0, 0, 1.0, 1])])
    made = Schedule(TrainConfig(steps=5, batch=2, stages=stages), clips)
    seen = [sorted(clip for clip, _ in made.packs(step)[0]) for step in range(6)]
    assert seen == [[0, 1]] * 2 + [[2, 3]] * 4
    turns = {turn for step in range(5) for _, turn in made.packs(step)[0]}
    assert len(turns) == 5  # two epochs of the first stage, three of the second, none with another's draws


def test_a_batch_is_shared_out_by_cost():
    made = schedule([1] * 64, [2**k for k in range(8)] * 8, batch=64, packs_per_step=8)
    loads = [sum(made.clips.tokens_N[c] for c, _ in pack) for pack in made.packs(0)]
    assert len(set(loads)) == 1
    assert math.isclose(sum(loads), 8 * 255)


@pytest.mark.parametrize("how", [{"batch": 32}, {"tokens_per_pack": 1000, "packs_per_step": 2}])
def test_a_dataset_larger_than_the_memory_is_read_about_once_an_epoch(how):
    count, groups = 6400, 100
    tokens = np.random.default_rng(0).choice([36, 80, 84], count)
    clips = Clips(tokens, 768 * tokens, [np.ones(count)])  # 320 MiB, row groups of 3.2
    made = Schedule(TrainConfig.model_validate({"cache_mib": 64, **how}), clips)
    held: OrderedDict[int, None] = OrderedDict()  # what was used last of the row groups, in 20 places
    reads = 0
    for step in range(int(2 * made.steps_of_epoch())):
        for group in (clip // 64 for pack in made.packs(step) for clip, _ in pack):
            reads += group not in held
            held[group] = None
            held.move_to_end(group)
            if len(held) > 20:
                held.popitem(last=False)
    assert groups * 1.8 < reads < groups * 2.2
