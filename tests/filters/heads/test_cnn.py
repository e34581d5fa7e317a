"""The small network: learns a mark that pooled layout loses, equal from equal seeds, and travels in the head's file."""

from __future__ import annotations

import numpy as np
import pytest

from curate.stage import Clip, measure_row
from filters.head import TrainedHead
from filters.heads import cnn
from filters.heads.artifact import Artifact, save
from filters.heads.encoders import Cnn, encoder
from filters.heads.fit import fit


def _pictures(count=60, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 120, (count, 64, 64, 3)).astype(np.uint8)
    labels = np.arange(count) % 2 == 0
    for i in np.flatnonzero(labels):
        y, x = rng.integers(4, 44, 2)
        pictures[i, y : y + 12, x : x + 12] = (0, 230, 230)
    return pictures, labels


@pytest.fixture(scope="module")
def weights():
    return cnn.train(*_pictures(), seed=1, epochs=6)


def test_it_learns_and_is_the_same_again(weights):
    again = cnn.train(*_pictures(), seed=1, epochs=6)
    assert all((weights[name] == again[name]).all() for name in weights)
    made = Cnn(weights)
    pictures, labels = _pictures()
    fresh, truth = _pictures(seed=9)
    head = fit(made.encode(pictures), labels)
    assert ((head.decide(made.encode(fresh)) > 0) == truth).mean() > 0.95
    assert made.fingerprint == Cnn(again).fingerprint != Cnn(cnn.train(*_pictures(), seed=2, epochs=1)).fingerprint


def test_it_travels_in_the_file_of_its_head(weights, tmp_path):
    pictures, labels = _pictures()
    made = encoder("cnn", {}, weights)
    facts = {
        "category": "hate", "labels": "d", "policy": "p", "calibration": {"misses": 0}, "audit": {"misses": 0},
        "encoder": {"name": "cnn", "params": {}, "fingerprint": made.fingerprint}, "promoted": True,
    }  # fmt: skip
    path = tmp_path / "hate.safetensors"
    head = fit(made.encode(pictures), labels)
    save(path, Artifact(head, facts, weights))
    screen = TrainedHead(("hate",), str(path))
    row = measure_row(screen, pictures[:4], Clip("c", 64, 64, 4, 1.0, (0.0, 0.1, 0.2, 0.3)))
    assert row["hate_by_frame"] == pytest.approx(head.decide(made.encode(pictures[:4])), abs=1e-5)
    assert screen.calibration() == {"on": "d", "calibration": {"misses": 0}, "audit": {"misses": 0}}
    assert screen.identity()["encoder"] == made.fingerprint
