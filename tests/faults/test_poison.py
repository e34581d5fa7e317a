"""A row that ends its process, loops or eats memory is quarantined with its reason; its neighbours are untouched."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.media.writer import write_mp4
from tests.conftest import rushes, spec_dict, write_clip, write_spec

REASONS = {
    "segfault": ("crash:signal:SIGSEGV", 3),
    "exits": ("crash:exit:0", 3),
    "loops": ("timeout", 3),
    "hoards": ("limit:memory", 1),
    "nan": ("score:not_finite", 1),
    "raises": ("score:error", 1),
}


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Seven good sources and one whose frames are black."""
    folder = tmp_path_factory.mktemp("batch")
    for seed in range(1, 8):
        write_clip(folder / f"good{seed}.mp4", (seed,))
    write_mp4(folder / "black.mp4", np.zeros((16, 64, 96, 3), np.uint8), 8.0)
    return folder


def _rows(footage, out, env, score):
    raw = spec_dict(footage, out)
    raw["stages"] = [raw["stages"][0], {"score": ["motion", *([score] if score else [])]}]
    raw["engine"] = {
        "workers": 2,
        "shard_rows": 4,
        "limits": {"stall_seconds": 3 if score == "loops" else 60, "memory_gib": 2},
    }
    done = rushes("run", write_spec(out.parent / f"{out.name}.yaml", raw), "--until", "split", env=env, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    listed = rushes("quarantine", out, "--json", env=env, cwd=out.parent)
    return json.loads(listed.stdout)["quarantined"]


@pytest.fixture(scope="module")
def clean(batch, poisoned, tmp_path_factory):
    """The ledger of the batch without poison, by clip."""
    out = tmp_path_factory.mktemp("clean") / "out"
    assert _rows(batch, out, poisoned, None) == []
    return {row["clip_id"]: row for row in pq.read_table(out / "ledger.parquet").to_pylist()}


@pytest.mark.parametrize("poison", REASONS)
def test_poison_is_quarantined_and_its_neighbours_are_not(poison, batch, clean, poisoned, tmp_path):
    rows = _rows(batch, tmp_path / "out", poisoned, poison)
    assert [row["url"].rsplit("/", 1)[1] for row in rows] == ["black.mp4"]
    reason, attempts = REASONS[poison]
    assert rows[0]["reason"] == reason
    assert json.loads(rows[0]["evidence"])["attempts"] == attempts
    ledger = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    good = [row for row in ledger if not row["url"].endswith("black.mp4")]
    assert len(good) == 7
    for row in good:
        assert row["outcome"] == "kept"
        assert row["motion.score"] == clean[row["clip_id"]]["motion.score"]
