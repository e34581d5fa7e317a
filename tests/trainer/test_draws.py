"""Order, tasks and times are pure functions of (seed, epoch, step, id)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.conditioning import FEWEST_FRAMES, draw_known, stack, where_unknown
from trainer.draws import epoch_order, generator, step_members, weighted_choice


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 40), batch=st.integers(1, 17), steps=st.integers(1, 12))
def test_order_is_a_pure_function_and_each_epoch_visits_every_clip_once(seed, count, batch, steps):
    asked_in_order = [step_members(seed, step, batch, count) for step in range(steps)]
    asked_backwards = [step_members(seed, step, batch, count) for step in reversed(range(steps))][::-1]
    assert asked_in_order == asked_backwards
    places = [member for members in asked_in_order for member in members]
    assert len(places) == steps * batch
    visits = Counter(places)
    assert max(visits.values()) == 1
    for epoch in range(len(places) // count):
        assert sorted(index for e, index in places if e == epoch) == list(range(count))


def test_epochs_and_seeds_differ():
    orders = [epoch_order(seed, epoch, 50).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 6


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
