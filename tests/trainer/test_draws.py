"""Order, tasks and times are pure functions of (seed, epoch, step, id)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.conditioning import FEWEST_FRAMES, draw_known, stack, where_unknown
from trainer.draws import envelope, epoch_order, generator, stage_of, turn, visits, visits_of, weighted_choice

# With a sum above 0; small whole ones are frequent, as they are in use.
WEIGHTS = st.lists(
    st.one_of(st.integers(0, 3).map(float), st.floats(0, 3).map(lambda w: round(w, 3))), min_size=1, max_size=30
).filter(lambda weights: sum(weights) > 0.01)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), weights=WEIGHTS, data=st.data())
def test_a_clip_is_visited_as_often_as_its_weight_rounded_down_or_up(seed, weights, data):
    sizes = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(weights), max_size=len(weights))))
    for epoch in range(4):
        found = visits(seed, epoch, np.array(weights), sizes)
        assert len(found) == visits_of(np.array(weights))
        counts = np.bincount(found[found >= 0], minlength=len(weights))
        assert all(math.floor(w) <= count <= math.ceil(w) for w, count in zip(weights, counts, strict=True))
        assert (found < 0).sum() <= 1
        # No epoch has larger clips than the envelope, rank by rank.
        largest = np.sort(np.where(found < 0, 0, sizes[found]))[::-1]
        assert (largest <= envelope(np.array(weights), sizes)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), weights=WEIGHTS, stage=st.integers(0, 2), doublings=st.integers(1, 5))
def test_over_epochs_visits_are_as_even_as_can_be(seed, weights, stage, doublings):
    epochs, sizes = 2**doublings, np.arange(len(weights)) % 5
    found = np.concatenate([visits(seed, turn(stage, epoch), np.array(weights), sizes) for epoch in range(epochs)])
    counts = np.bincount(found[found >= 0], minlength=len(weights))
    for w, count in zip(weights, counts, strict=True):
        assert math.floor(w * epochs - 1e-9) <= count <= math.ceil(w * epochs + 1e-9)


def test_weights_are_the_expected_number_of_visits():
    weights, sizes = np.array([0.25, 1.0, 2.5, 0.0, 0.6, 1e-3]), np.array([3, 1, 1, 2, 3, 5])
    epochs = 4000
    found = np.concatenate([visits(1, epoch, weights, sizes) for epoch in range(epochs)])
    means = np.bincount(found[found >= 0], minlength=len(weights)) / epochs
    assert np.allclose(means, weights, atol=4 * 0.5 / epochs**0.5)
    assert means[3] == 0


def test_the_order_of_a_large_dataset_keeps_neighbours_together_and_loses_none():
    clips, sizes = np.arange(6400), np.ones(6400)
    whole, runs = (epoch_order(0, 0, clips, sizes, most) for most in (6400, 640))
    assert sorted(whole) == sorted(runs) == list(range(6400))
    # What is shuffled at one time are ten runs of 64; the whole set is not.
    assert all(len(set(runs[at : at + 640] // 64)) == 10 for at in range(0, 6400, 640))
    assert len(set(whole[:640] // 64)) > 90
    assert np.abs(np.corrcoef(runs, np.arange(6400))[0, 1]) < 0.3
    assert not np.array_equal(runs, epoch_order(0, 1, clips, sizes, 640))


def test_epochs_and_seeds_differ():
    clips, sizes = np.arange(50), np.ones(50)
    orders = [epoch_order(seed, epoch, clips, sizes, 50).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 6


def test_a_turn_is_the_epoch_of_the_first_stage_and_no_other_turn():
    turns = [turn(stage, epoch, repeat) for stage in range(3) for epoch in range(5) for repeat in range(3)]
    assert len(set(turns)) == len(turns)
    assert turn(0, 7) == 7
    assert {stage_of(turn(2, epoch, repeat)) for epoch in (0, 9) for repeat in (0, 5)} == {2}


def test_generators_depend_on_every_part_of_the_key():
    keys = [(0, "noise", 0, "a"), (1, "noise", 0, "a"), (0, "draw", 0, "a"), (0, "noise", 1, "a"), (0, "noise", 0, "b")]
    firsts = [generator(seed, purpose, *key).random() for seed, purpose, *key in keys]
    assert len(set(firsts)) == len(keys)
    assert generator(0, "noise", 0, "a").random() == firsts[0]
    # The key is structured: ("a", "bc") is not ("ab", "c").
    assert generator(0, "x", "a", "bc").random() != generator(0, "x", "ab", "c").random()


def test_weighted_choice_follows_the_weights():
    rng = np.random.default_rng(0)
    counts = Counter(weighted_choice(rng, {"a": 3.0, "none": 0.0, "b": 1.0}) for _ in range(4000))
    assert counts["none"] == 0
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.03)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**31), frames=st.integers(1, 9),
    tasks=st.dictionaries(st.sampled_from(sorted(FEWEST_FRAMES)), st.floats(0, 1), max_size=6),
    tokens_hw=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)  # fmt: skip
def test_every_task_leaves_something_to_predict(seed, frames, tasks, tokens_hw):
    known = draw_known(np.random.default_rng(seed), tasks, frames, tokens_hw)
    assert known.shape in ((frames,), (frames, *tokens_hw))
    assert not known.all()
    if known.ndim == 3:
        assert tasks["inpaint"] > 0
        assert known.any()
        assert (known == known[0]).all()
    times = np.random.default_rng(seed).random(frames) + 0.1
    assert ((where_unknown(times, known) == 0) == known).all()
    stacked = stack([where_unknown(times, known), times])
    assert stacked.shape == (2, *known.shape)
    assert (stacked[0] == where_unknown(times, known)).all()
    assert (stacked[1].reshape(frames, -1) == times[:, None]).all()


def test_inpainting_hides_boxes_of_every_size_and_what_is_around_them():
    rng = np.random.default_rng(0)
    drawn = [draw_known(rng, {"inpaint": 1.0}, 2, (3, 4))[0] for _ in range(600)]
    boxes = set()
    for known in drawn:
        hidden = known if known.sum() < (~known).sum() else ~known
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        boxes.add((len(rows), len(columns)))
    assert {(1, 1), (2, 2), (1, 3), (2, 3), (3, 1)} <= boxes
    assert 0.4 < np.mean([known[1, 1] for known in drawn]) < 0.6
    assert not draw_known(rng, {"inpaint": 1.0}, 2, (1, 1)).any()


@pytest.mark.parametrize("frames", [2, 3, 4, 7])
def test_each_task_knows_the_frames_of_its_name(frames):
    rng = np.random.default_rng(0)
    names = ("t2v", "i2v", "first_last", "extend", "infill")
    seen = {name: [draw_known(rng, {name: 1.0}, frames) for _ in range(300)] for name in names}
    assert not any(known.any() for known in seen["t2v"])
    assert all(known[0] and known.sum() == 1 for known in seen["i2v"])
    if frames >= 3:
        assert all(known[0] and known[-1] and known.sum() == 2 for known in seen["first_last"])
        starts = {int(known.sum()) for known in seen["extend"] if known[0]}
        ends = {int(known.sum()) for known in seen["extend"] if known[-1]}
        assert starts == set(range(2, frames))
        assert ends == set(range(1, frames))
        assert all(known[0] and known[-1] for known in seen["infill"])
        assert {int((~known).sum()) for known in seen["infill"]} == set(range(1, frames - 1))
        assert all(np.abs(np.diff(known.astype(int))).sum() == 1 for known in seen["extend"])
    else:
        assert not any(known.any() for known in seen["infill"])
