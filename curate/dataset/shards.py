"""Writes an exported dataset: streaming, in bounded memory, replaced as a whole or not at all.

The layout is in the package's docstring. Equal input gives equal bytes: no clock, no host, and row groups
are cut by row count, whatever batches the caller hands over.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.codecs.bf16 import decode_bf16
from curate.dataset.receipts import canonical_json, sealed_receipt
from curate.errors import SpecError, StorageError

FORMAT = "rushes-dataset-1"
# A shard is what one reader opens at once; 4096 clips of a few hundred kB of latents are about a gigabyte.
SHARD_ROWS = 4096
# A row group is the unit of random access: small, so that reading one clip does not read a thousand.
ROW_GROUP_ROWS = 64
_HASH_BLOCK = 1 << 20
# An export that has not touched its folder for a day is not running any more.
_LEFTOVER_S = 86400.0

Tables = Iterable[pa.RecordBatch | pa.Table]


@dataclass(frozen=True)
class DatasetInfo:
    """What was written: the folder, its counts, and the digest that the receipt seals."""

    path: Path
    clips: int
    texts: int
    frames: int
    hours: float
    digest: str


class LatentStats:
    """Per-channel mean and standard deviation of latents, merged clip by clip (Chan et al. 1979), float64."""

    def __init__(self) -> None:
        self._count = 0
        self._mean_C: np.ndarray | None = None
        self._square_C: np.ndarray | None = None

    def add(self, latent_CTHW: np.ndarray) -> None:
        """Merge one clip's latent. Raises SpecError when its channels differ from those before."""
        values = latent_CTHW.reshape(latent_CTHW.shape[0], -1).astype(np.float64)
        count, mean_C = values.shape[1], values.mean(axis=1)
        square_C = ((values - mean_C[:, None]) ** 2).sum(axis=1)
        if self._mean_C is None or self._square_C is None:
            self._count, self._mean_C, self._square_C = count, mean_C, square_C
            return
        if mean_C.shape != self._mean_C.shape:
            raise SpecError(f"latents of {len(mean_C)} and {len(self._mean_C)} channels cannot share a dataset")
        total = self._count + count
        step_C = mean_C - self._mean_C
        self._square_C = self._square_C + square_C + step_C**2 * (self._count * count / total)
        self._mean_C = self._mean_C + step_C * (count / total)
        self._count = total

    def to_json(self) -> dict[str, list[float]] | None:
        """Return {"mean": [...], "std": [...]} per channel (population), or None when nothing was added."""
        if self._mean_C is None or self._square_C is None:
            return None
        return {"mean": self._mean_C.tolist(), "std": np.sqrt(self._square_C / self._count).tolist()}


def write_dataset(
    out_dir: Path,
    clips: Tables,
    texts: Tables,
    header: dict[str, Any],
    receipt: dict[str, Any],
    *,
    files: Tables | None = None,
    shard_rows: int = SHARD_ROWS,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> DatasetInfo:
    """Write clips and texts (columns of curate.schema, captions beside) to `out_dir`, replacing what is there.

    `header` has `codec` and `text_encoder`, each {name, params, fingerprint}; every row must carry the same
    fingerprint. `files` are the clips as mp4 (curate.schema.MP4): they become `mp4/CLIP_ID.mp4`, and the shards of
    `mp4_index` say their sizes and sha256.
    `receipt` has `categories`: {category: [screens] or "unscreened"}, and what else the screens
    report. Raises SpecError on a foreign fingerprint, a repeated id or mixed channels; StorageError on the disk.
    """
    out_dir = Path(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work = out_dir.parent / f".{out_dir.name}.tmp-{os.getpid()}"
    _remove_leftovers(out_dir)
    shutil.rmtree(work, ignore_errors=True)
    try:
        info = _write_files(work, clips, texts, files, header, receipt, shard_rows, row_group_rows)
        _replace_dir(work, out_dir)
    except OSError as error:
        raise StorageError(f"cannot write the dataset {out_dir}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return DatasetInfo(out_dir, info.clips, info.texts, info.frames, info.hours, info.digest)


def _write_files(
    work: Path, clips: Tables, texts: Tables, files: Tables | None, header: dict[str, Any], receipt: dict[str, Any],
    shard_rows: int, row_group_rows: int,
) -> DatasetInfo:  # fmt: skip
    stats, totals = LatentStats(), {"frames": 0, "seconds": 0.0}
    codec, encoder = header["codec"]["fingerprint"], header["text_encoder"]["fingerprint"]

    def measured(tables: Tables) -> Iterator[pa.Table]:
        for table in _checked(tables, "clip_id", "codec_fingerprint", codec):
            for row in table.select(["latent", "shape", "num_frames", "fps"]).to_pylist():
                stats.add(decode_bf16(row["latent"], tuple(row["shape"])))
                totals["frames"] += row["num_frames"]
                totals["seconds"] += row["num_frames"] / row["fps"] if row["fps"] else 0.0
            yield table

    clip_shards = _write_shards(work / "clips", measured(clips), shard_rows, row_group_rows)
    checked_texts = _checked(texts, "text_id", "encoder_fingerprint", encoder)
    text_shards = _write_shards(work / "texts", checked_texts, shard_rows, row_group_rows)
    shards = {"clips": clip_shards, "texts": text_shards}
    if files is not None:
        index = _written(files, work / "mp4")
        shards["mp4_index"] = _write_shards(work / "mp4_index", index, shard_rows, row_group_rows)
    counts = {"clips": sum(s["rows"] for s in clip_shards), "texts": sum(s["rows"] for s in text_shards)}
    hours = totals["seconds"] / 3600
    card = {
        "format": FORMAT, **header, "latent_stats": stats.to_json(),
        "counts": {**counts, "frames": totals["frames"], "hours": hours},
        "shards": shards,
    }  # fmt: skip
    card_bytes = canonical_json(card)
    sealed = sealed_receipt(receipt, card_bytes)
    _write_synced(work / "dataset.json", card_bytes)
    _write_synced(work / "receipt.json", canonical_json(sealed))
    for folder in (*(path for path in sorted(work.iterdir()) if path.is_dir()), work):
        _sync_dir(folder)
    return DatasetInfo(work, counts["clips"], counts["texts"], int(totals["frames"]), hours, sealed["digest"])


def _written(files: Tables, folder: Path) -> Iterator[pa.Table]:
    """Write each row's data as a file; pass on what is to be known of it."""
    folder.mkdir(parents=True)
    for batch in files:
        table = pa.table(batch) if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        for row in table.to_pylist():
            _write_synced(folder / f"{row['clip_id']}.mp4", row["data"])
        yield table.select(["clip_id", "how", "bytes", "sha256"])


def _checked(tables: Tables, id_column: str, mark_column: str, mark: str) -> Iterator[pa.Table]:
    """Pass tables on; refuse repeated ids, and rows that another codec or encoder made."""
    seen: set[bytes] = set()
    for batch in tables:
        table = pa.table(batch) if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        for key in table[id_column].to_pylist():
            short = hashlib.blake2b(key.encode(), digest_size=16).digest()
            if short in seen:
                raise SpecError(f"{id_column} {key} comes twice: a dataset holds each clip and text once")
            seen.add(short)
        foreign = set(table[mark_column].to_pylist()) - {mark}
        if foreign:
            raise SpecError(f"{mark_column} {min(map(str, foreign))} is not the dataset's {mark}: encode again")
        yield table


def _row_groups(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut a stream of tables to tables of exactly `rows` rows (the last may be shorter)."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            joined = pa.concat_tables(held)
            yield joined.slice(0, rows).combine_chunks()
            held, count = [joined.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held).combine_chunks()


def _write_shards(folder: Path, tables: Iterable[pa.Table], shard_rows: int, group_rows: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    shards: list[dict[str, Any]] = []
    writer: pq.ParquetWriter | None = None
    open_path, rows = folder / "open.parquet", 0

    def close() -> None:
        nonlocal writer, rows
        if writer is not None:
            writer.close()
            shards.append(_name_shard(open_path, rows))
            writer, rows = None, 0

    for group in _row_groups(tables, min(group_rows, shard_rows)):
        if writer is not None and rows + group.num_rows > shard_rows:
            close()
        if writer is None:
            # Latents do not compress; captions and ids do, and zstd costs little on what does not.
            writer = pq.ParquetWriter(open_path, group.schema, compression="zstd", use_dictionary=False)
        writer.write_table(group, row_group_size=group.num_rows)
        rows += group.num_rows
    close()
    return shards


def _name_shard(path: Path, rows: int) -> dict[str, Any]:
    digest = file_sha256(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    final = path.with_name(f"part-{digest[:16]}.parquet")
    path.rename(final)
    return {"path": f"{final.parent.name}/{final.name}", "sha256": digest, "rows": rows, "bytes": final.stat().st_size}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, read in blocks, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_card(dataset_dir: Path) -> dict[str, Any]:
    """Return dataset.json. Raises SpecError when the folder is no dataset of this format."""
    try:
        text = (Path(dataset_dir) / "dataset.json").read_bytes()
    except OSError as error:
        raise SpecError(f"{dataset_dir} is no dataset (dataset.json: {error}): run `export` first") from error
    return parse_card(text, str(dataset_dir))


def parse_card(text: bytes, where: str) -> dict[str, Any]:
    """Return what a dataset.json says. Raises SpecError when it is of no dataset, or of another format."""
    try:
        card = json.loads(text)
    except ValueError as error:
        raise SpecError(f"{where} is no dataset (dataset.json: {error}): run `export` first") from error
    if card.get("format") != FORMAT:
        raise SpecError(f"{where}/dataset.json has the format {card.get('format')!r}, this version reads {FORMAT!r}")
    return card


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_dir(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace_dir(work: Path, out_dir: Path) -> None:
    """Put `work` in the place of `out_dir`: a reader finds the old dataset, the new one, or for a moment none."""
    old = out_dir.parent / f".{out_dir.name}.old-{os.getpid()}"
    if out_dir.exists():
        out_dir.rename(old)
    try:
        work.rename(out_dir)
    except OSError:
        if old.exists():
            old.rename(out_dir)
        raise
    _sync_dir(out_dir.parent)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(out_dir: Path) -> None:
    """Remove what killed exports left behind, here or on another host that shares the disk: by age, not by process."""
    for kind in ("tmp", "old"):
        for folder in out_dir.parent.glob(f".{out_dir.name}.{kind}-*"):
            if time.time() - folder.stat().st_mtime > _LEFTOVER_S:
                shutil.rmtree(folder, ignore_errors=True)
