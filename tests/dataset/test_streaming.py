"""From parts to shards in bounded memory: rows in order, the first commit of each, and never many parts at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curate import schema
from curate.codecs.bf16 import encode_bf16
from curate.errors import StorageError
from curate.schema import rows_to_table
from curate.stages import export
from curate.store import Store
from curate.tables import Table

PARTS, ROWS, WIDTH = 48, 8, 32_768  # 64 KiB a row, 24 MiB in all


@pytest.fixture
def texts(tmp_path):
    """A store whose texts lie in parts of runs that added to it: ids of one part are far apart."""
    rng = np.random.default_rng(0)
    names = [f"{i:04d}" for i in rng.permutation(PARTS * ROWS)]
    store, table = Store(tmp_path), Table("text", "k", schema.TEXT)
    for part in range(PARTS):
        store.commit([store.write_part(table.name, _rows(names[part * ROWS : (part + 1) * ROWS], part))])
    store.commit([store.write_part(table.name, _rows([names[0]], 99))])  # doubled work: the first commit holds
    return Store(tmp_path), table, sorted(names)


def _rows(names, seed):
    rng = np.random.default_rng(seed)
    return rows_to_table(
        [
            {
                "text_id": name, "text": f"text {name}", "shape": [1, WIDTH], "encoder": "hashed",
                "features": encode_bf16(rng.standard_normal((1, WIDTH)).astype(np.float32)),
                "encoder_fingerprint": "f", "outcome": "ok", "reason": "", "detail": "", "attempts": 1, "seconds": 0.1,
            }
            for name in names
        ],
        schema.TEXT,
    )  # fmt: skip


def test_rows_come_in_order_and_few_are_held(texts, monkeypatch):
    store, table, names = texts
    monkeypatch.setattr(export, "_OPEN_BYTES", 2 << 20)
    columns = [field.name for field in schema.TEXT if field not in schema.OUTCOME]
    whole = store.read(table.name, table.schema, columns)
    wanted = whole.take(pa.array(np.argsort(whole["text_id"].to_numpy())))
    assert whole.nbytes > 24 << 20
    digests = [hash(row["features"]) for row in wanted.to_pylist()]
    del whole
    before, most, place = pa.total_allocated_bytes(), 0, 0
    for chunk in export._Heavy(table, store).chunks(names):
        most = max(most, pa.total_allocated_bytes() - before)
        assert chunk["text_id"].to_pylist() == names[place : place + chunk.num_rows]
        assert [hash(data) for data in chunk["features"].to_pylist()] == digests[place : place + chunk.num_rows]
        place += chunk.num_rows
    assert place == PARTS * ROWS
    assert most < 8 << 20, "a chunk is 2 MiB, the parts held are 2 MiB"


def test_of_heavy_rows_fewer_are_in_flight(texts, monkeypatch):
    store, table, names = texts
    monkeypatch.setattr(export, "_CHUNK_BYTES", 5 * 2 * WIDTH)
    chunks = [chunk["text_id"].to_pylist() for chunk in export._Heavy(table, store).chunks(names[:23])]
    assert [len(chunk) for chunk in chunks] == [5, 5, 5, 5, 3]
    assert [name for chunk in chunks for name in chunk] == names[:23]
    monkeypatch.setattr(export, "_CHUNK_BYTES", 1)
    assert [chunk.num_rows for chunk in export._Heavy(table, store).chunks(names[:3])] == [1, 1, 1]


def test_a_part_that_cannot_be_read_names_itself(texts):
    store, table, names = texts
    path = store.out / store.parts(table.name)[3].path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StorageError, match=f"part .*{path.name} cannot be read .*rushes verify"):
        list(export._Heavy(table, store).chunks(names))
