"""Laws of shards: cuts depend on rows alone, nothing is lost, and no file or row group is larger than asked."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dataset.parquet import Sizes, row_bytes, row_groups, write_shards

MIB = 1 << 20
ROWS = st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 5))), max_size=24)


def table_of(rows) -> pa.Table:
    """A payload of so many bytes, and a text that may lack."""
    return pa.table({
        "id": pa.array([str(i) for i in range(len(rows))], pa.string()),
        "data": pa.array([b"x" * n for n, _ in rows], pa.binary()),
        "text": pa.array([None if n is None else "t" * n for _, n in rows], pa.string()),
        "number": pa.array(range(len(rows)), pa.int64()),
    })  # fmt: skip


def batches_of(table: pa.Table, cuts: list[int]) -> list[pa.Table]:
    places = sorted({0, table.num_rows, *(cut % (table.num_rows + 1) for cut in cuts)})
    return [table.slice(a, b - a) for a, b in pairwise(places)]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 30), max_size=5), most_rows=st.integers(1, 7), most=st.integers(1, 30))
def test_row_groups_are_as_large_as_they_may_be(rows, cuts, most_rows, most):
    table = table_of(rows)
    weights = [len(str(i)) + n + (m or 0) for i, (n, m) in enumerate(rows)]
    assert row_bytes(table).tolist() == weights
    groups = list(row_groups(batches_of(table, cuts), most_rows, most))
    assert [row for group in groups for row in group.to_pylist()] == table.to_pylist()
    place = 0
    for group in groups:
        held = weights[place : place + group.num_rows]
        place += group.num_rows
        assert 1 <= len(held) <= most_rows
        assert len(held) == 1 or sum(held) <= most
        assert place == len(rows) or len(held) == most_rows or sum(held) + weights[place] > most, "it had room for more"


def test_shards_end_at_rows_or_at_mib(tmp_path):
    table = table_of([(MIB // 2, None)] * 9)
    for name, sizes, rows, groups in (
        ("mib", Sizes(shard_rows=100, shard_mib=2, row_group_rows=3, row_group_mib=1), [3, 3, 3], [1, 1, 1]),
        ("rows", Sizes(shard_rows=4, shard_mib=100, row_group_rows=2, row_group_mib=9), [4, 4, 1], [2, 2]),
        ("large", Sizes(shard_rows=100, shard_mib=1, row_group_rows=4, row_group_mib=9), [4, 4, 1], [4]),
    ):
        shards = write_shards(tmp_path / name, batches_of(table, [2, 5, 6]), sizes)
        assert [shard["rows"] for shard in shards] == rows
        with pq.ParquetFile(tmp_path / shards[0]["path"]) as file:
            assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == groups
        again = write_shards(tmp_path / "again" / name, [table], sizes)
        assert [shard["sha256"] for shard in again] == [shard["sha256"] for shard in shards]
