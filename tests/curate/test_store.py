"""The store: parts appear by manifest only, the first commit of an id stands, damage is found."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import schema
from curate.errors import StorageError
from curate.store import Store, align, rows_digest, write_atomic

TABLE = "content-k"


def _rows(ids, value="v"):
    done = {"outcome": "ok", "reason": "", "detail": "", "attempts": 1, "seconds": 0.5}
    return schema.rows_to_table([{"clip_id": i, "hash": f"{value}{i}", **done} for i in ids], schema.CONTENT)


def test_a_part_that_no_manifest_lists_does_not_exist(tmp_path):
    store = Store(tmp_path)
    store.write_part(TABLE, _rows(["a"]))
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == 0


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), min_size=1, max_size=6))
def test_the_first_commit_of_an_id_stands(tmp_path_factory, batches):
    store = Store(tmp_path_factory.mktemp("store"))
    first: dict[str, str] = {}
    for number, batch in enumerate(batches):
        store.commit([store.write_part(TABLE, _rows(batch, f"{number}-"))])
        for name in batch:
            first.setdefault(name, f"{number}-{name}")
    rows = Store(store.out).read(TABLE, schema.CONTENT).to_pylist()
    assert {row["clip_id"]: row["hash"] for row in rows} == first


def test_part_layout_and_operational_columns_are_in_no_digest(tmp_path):
    one, many = Store(tmp_path / "one"), Store(tmp_path / "many")
    one.commit([one.write_part(TABLE, _rows("abcd"))])
    for name in "dbca":
        slow = _rows([name]).set_column(6, schema.CONTENT.field("seconds"), pa.array([9.9]))
        many.commit([many.write_part(TABLE, slow)])
    digests = [s.digest(TABLE, schema.CONTENT, set("abcd")) for s in (one, many)]
    assert digests[0] == digests[1]
    changed = Store(tmp_path / "changed")
    changed.commit([changed.write_part(TABLE, _rows("abc"))])
    assert changed.digest(TABLE, schema.CONTENT, set("abcd")) != digests[0]
    assert changed.digest(TABLE, schema.CONTENT, set("abc")) == one.digest(TABLE, schema.CONTENT, set("abc"))


def test_a_manifest_that_a_listing_missed_is_read_later(tmp_path):
    writer = Store(tmp_path)
    for name in "abc":
        writer.commit([writer.write_part(TABLE, _rows([name]))])
    hidden = tmp_path / "manifest" / "0000000001.json"
    hidden.rename(tmp_path / "hidden")
    reader = Store(tmp_path)
    assert reader.read(TABLE, schema.CONTENT)["clip_id"].to_pylist() == ["a"]
    (tmp_path / "hidden").rename(hidden)
    reader.commit([reader.write_part(TABLE, _rows(["d"]))])
    assert sorted(Store(tmp_path).read(TABLE, schema.CONTENT)["clip_id"].to_pylist()) == list("abcd")
    assert sorted(reader.read(TABLE, schema.CONTENT)["clip_id"].to_pylist()) == list("abcd")


def _commit_many(out: Path, name: str, count: int) -> None:
    store = Store(out)
    for number in range(count):
        store.commit([store.write_part(TABLE, _rows([f"{name}{number}"]))])


def test_two_drivers_lose_nothing(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    drivers = [spawn.Process(target=_commit_many, args=(tmp_path, name, 30)) for name in "xy"]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
        assert driver.exitcode == 0
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == 60


def test_more_than_a_hundred_manifests_start_from_the_whole_one(tmp_path):
    _commit_many(tmp_path, "a", 230)
    for number in range(200):
        (tmp_path / "manifest" / f"{number:010d}.json").unlink()
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == 230


def test_damage_is_found_and_named(tmp_path):
    store = Store(tmp_path)
    parts = [store.write_part(TABLE, _rows([name])) for name in "abc"]
    store.commit(parts)
    assert store.verify() == {}
    flipped = tmp_path / parts[0].path
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(bytes(data))
    (tmp_path / parts[1].path).unlink()
    faults = store.verify()
    assert faults == {parts[0].path: "differs from its manifest", parts[1].path: "is missing"}
    with pytest.raises(StorageError, match="rushes verify"):
        store.read(TABLE, schema.CONTENT)


def test_a_write_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "stages").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        Store(tmp_path).write_part(TABLE, _rows(["a"]))
    assert write_atomic(tmp_path / "x", b"1", replace=False)
    assert not write_atomic(tmp_path / "x", b"2", replace=False)
    assert (tmp_path / "x").read_bytes() == b"1"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []


def test_align_gives_nulls_where_there_is_no_row():
    rows = _rows("abc")
    assert align(rows, "clip_id", pa.array(["c", "z", "a"]))["hash"].to_pylist() == ["vc", None, "va"]
    assert rows_digest(rows, ["hash"], "clip_id") == rows_digest(rows.take([2, 0, 1]), ["hash"], "clip_id")


def test_removed_parts_and_withdrawn_rows_can_be_made_again(tmp_path):
    store = Store(tmp_path)
    parts = [store.write_part(TABLE, _rows(names)) for names in ("ab", "cd")]
    store.commit(parts)
    store.withdraw(TABLE, {"a"})
    store.remove([parts[1].path])
    assert Store(tmp_path).read(TABLE, schema.CONTENT)["clip_id"].to_pylist() == ["b"]
    store.commit([store.write_part(TABLE, _rows("a", "new"))])
    store.commit([parts[1]])  # made again: equal rows give the same part
    for number in range(120):  # past a manifest that lists everything
        store.commit([store.write_part(TABLE, _rows([f"x{number}"]))])
    for fresh in (store, Store(tmp_path)):
        rows = {row["clip_id"]: row["hash"] for row in fresh.read(TABLE, schema.CONTENT).to_pylist()}
        assert {name: rows[name] for name in "abcd"} == {"a": "newa", "b": "vb", "c": "vc", "d": "vd"}


def test_a_row_that_comes_out_the_same_stands_again(tmp_path):
    store = Store(tmp_path)
    part = store.write_part(TABLE, _rows("a"))
    store.commit([part])
    store.withdraw(TABLE, {"a"})
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == 0
    store.commit([store.write_part(TABLE, _rows("a"))])
    assert Store(tmp_path).read(TABLE, schema.CONTENT)["clip_id"].to_pylist() == ["a"]


@pytest.mark.parametrize("commits", [3, 100])
def test_a_removed_part_stays_removed_also_where_the_manifest_lists_everything(tmp_path, commits):
    store = Store(tmp_path)
    parts = [store.write_part(TABLE, _rows([f"{number}"])) for number in range(commits)]
    for part in parts:
        store.commit([part])
    store.remove([parts[1].path])
    for seen in (store, Store(tmp_path)):
        assert len(seen.parts(TABLE)) == commits - 1
        assert "1" not in seen.read(TABLE, schema.CONTENT)["clip_id"].to_pylist()
    store.commit([parts[1]])
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == commits


@pytest.mark.parametrize("commits", [3, 99])
def test_rows_that_were_withdrawn_and_come_out_the_same_stand_again(tmp_path, commits):
    store = Store(tmp_path)
    parts = [store.write_part(TABLE, _rows([f"{number}"])) for number in range(commits)]
    for part in parts:
        store.commit([part])
    store.withdraw(TABLE, {"1"})
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == commits - 1
    store.commit([parts[1]])  # the hundredth commit, where it is 99
    assert Store(tmp_path).read(TABLE, schema.CONTENT).num_rows == commits
