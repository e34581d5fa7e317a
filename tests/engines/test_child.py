"""The child process: a full temporary disk is nobody's fault, a lost mount is tried again and left for the next run."""

from __future__ import annotations

import errno

import pytest

from curate.engines.child import Child
from curate.errors import InputRejected, StorageError, Unreachable
from curate.plan import Plan
from curate.spec_file import parse
from curate.store import Store
from tests.conftest import spec_dict


class _Quiet:
    """The supervisor's side, which nobody listens to here."""

    def send(self, message):
        pass


class _Work:
    """Rows named after what they do."""

    batch_rows, passes_on = 4, False

    def __init__(self, passes_on=False):
        self.calls, self.passes_on = [], passes_on

    def run(self, rows, alive):
        for row in rows:
            self.calls.append(row["id"])
            if row["id"] == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            if row["id"] == "away":
                raise Unreachable("source:missing", "gone")
            if row["id"] == "bad":
                raise InputRejected("decode:error", "broken")
            yield "content", {"clip_id": row["id"], "hash": {"half": "\ud800", "number": 3}.get(row["id"], row["id"])}

    def fault(self, row, fault):
        yield "content", {"clip_id": row["id"], "outcome": "quarantined", "reason": fault.reason}


@pytest.fixture
def child(tmp_path, monkeypatch):
    """A child without a process of its own."""
    monkeypatch.setattr("curate.engines.child._UNREACHABLE_PAUSE_S", 0.0)
    child = Child.__new__(Child)
    child.wire, child.plan, child.store = _Quiet(), Plan(parse(spec_dict(tmp_path, tmp_path))), Store(tmp_path)
    child._works, child._last_alive = {"media": _Work()}, 0.0
    return child


def _shard(child, *names):
    rows = [{"id": name, "need": ["media"]} for name in names]
    parts = child.shard({"work": "media", "rows": rows, "faults": {}, "alone": [], "attempts": {}})["parts"]
    from curate.store import Part

    child.store.commit([Part(**part) for part in parts])
    table = child.plan.tables["content"]
    return {row["clip_id"]: row["outcome"] for row in child.store.read(table.name, table.schema).to_pylist()}


def test_a_lost_mount_leaves_no_row_and_touches_no_neighbour(child):
    assert _shard(child, "a", "away", "b", "bad", "c") == {"a": "ok", "b": "ok", "c": "ok", "bad": "quarantined"}
    assert child._works["media"].calls.count("away") == 4  # in its batch, alone, and twice again


def test_a_result_that_cannot_be_stored_costs_its_own_row_alone_and_runs_nothing_again(child):
    child._works["media"] = _Work(passes_on=True)
    found = _shard(child, "a", "half", "b", "number", "c")
    assert found == {"a": "ok", "b": "ok", "c": "ok", "half": "quarantined", "number": "quarantined"}
    assert child._works["media"].calls == ["a", "half", "b", "number", "c"]


def test_a_full_temporary_disk_ends_the_shard(child):
    with pytest.raises(StorageError, match="temporary files"):
        _shard(child, "a", "full")
