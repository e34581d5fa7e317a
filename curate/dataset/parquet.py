"""Parquet shards: a stream of tables cut to row groups and files by rows and by bytes, each named by its content.

Cuts depend on the rows alone, never on the batches in which they come: equal rows give equal files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.durable import file_sha256, sync_file

Tables = Iterable[pa.RecordBatch | pa.Table]
_MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """How large a shard and a row group may be, in rows and in MiB of texts and bytes before compression.

    A shard is what one reader opens at once. A row group is the unit of random access: small, so that reading one clip
    does not read a thousand. One row of any size is a row group of its own.
    """

    shard_rows: int = 4096
    shard_mib: int = 1024
    row_group_rows: int = 64
    row_group_mib: int = 64


SIZES = Sizes()


def as_table(batch: pa.RecordBatch | pa.Table) -> pa.Table:
    """A batch as a table."""
    return batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])


def write_shards(folder: Path, tables: Tables, sizes: Sizes) -> list[dict[str, Any]]:
    """Write `folder/part-<sha16>.parquet`; return {path (from folder's parent), sha256, rows, bytes} of each."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    shards: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    open_path, rows, weight = folder / "open.parquet", 0, 0

    def close() -> None:
        nonlocal writer, rows, weight
        if writer is not None:
            writer.close()
            shards.append(_name_shard(open_path, rows))
            writer, rows, weight = None, 0, 0

    for group in row_groups(tables, min(sizes.row_group_rows, sizes.shard_rows), sizes.row_group_mib * _MIB):
        heavy = int(row_bytes(group).sum())
        full = rows + group.num_rows > sizes.shard_rows or weight + heavy > sizes.shard_mib * _MIB
        if writer is not None and full:
            close()
        if writer is None:
            # Latents do not compress; captions and ids do, and zstd costs little on what does not.
            writer = pq.ParquetWriter(
                open_path, group.schema, compression="zstd", use_dictionary=False, write_page_checksum=True
            )
        writer.write_table(group, row_group_size=group.num_rows)
        rows, weight = rows + group.num_rows, weight + heavy
    close()
    return shards


def row_groups(tables: Tables, rows: int, most_bytes: int) -> Iterator[pa.Table]:
    """Cut a stream of tables to tables of `rows` rows, or fewer where the next row would make one too heavy."""
    held: list[pa.Table] = []
    count = weight = 0
    for batch in tables:
        table, start = as_table(batch), 0
        for row, heavy in enumerate(row_bytes(table).tolist()):
            if count and (count == rows or weight + heavy > most_bytes):
                held.append(table.slice(start, row - start))
                yield pa.concat_tables(held).combine_chunks()
                held, start, count, weight = [], row, 0, 0
            count, weight = count + 1, weight + heavy
        held.append(table.slice(start))
    if count:
        yield pa.concat_tables(held).combine_chunks()


def row_bytes(table: pa.Table) -> np.ndarray:
    """Bytes of each row's texts and binaries, int64; numbers are too small to matter."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return total


def _name_shard(path: Path, rows: int) -> dict[str, Any]:
    digest = file_sha256(path)
    sync_file(path)
    final = path.with_name(f"part-{digest[:16]}.parquet")
    path.rename(final)
    return {"path": f"{final.parent.name}/{final.name}", "sha256": digest, "rows": rows, "bytes": final.stat().st_size}
