"""Digests of weights: read once, and again when a file changes."""

from __future__ import annotations

import hashlib

import pytest

from curate import models


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_DIGESTS", {})
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def test_a_worker_does_not_read_again_what_the_driver_has_read(weights, monkeypatch):
    digest = models.file_sha256(weights)
    assert digest == hashlib.sha256(b"weights").hexdigest()
    known = models.digests()
    monkeypatch.setattr(models, "_DIGESTS", {})
    models.trust([[list(stamp), "from the driver"] for stamp, _ in known])  # lists, as they come through JSON
    assert models.file_sha256(weights) == "from the driver"


def test_a_file_that_changed_is_read_again(weights):
    models.trust([(stamp, "old") for stamp in [models._stamp(weights)]])
    weights.write_bytes(b"other weights")
    assert models.file_sha256(weights) == hashlib.sha256(b"other weights").hexdigest()
