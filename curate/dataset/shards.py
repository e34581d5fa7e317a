"""Writes an exported dataset: streaming, in bounded memory, replaced as a whole or not at all.

The layout is in the package's docstring. Equal input gives equal bytes: no clock, no host, and row groups
are cut by the rows alone, whatever batches the caller hands over (parquet.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.codecs.bf16 import decode_bf16
from curate.dataset.documents import documents
from curate.dataset.index import index_of
from curate.dataset.parquet import SIZES, Sizes, Tables, as_table, write_shards
from curate.dataset.receipts import canonical_json, sealed_receipt
from curate.durable import sync_dir
from curate.errors import SpecError, StorageError

FORMAT = "rushes-dataset-1"
TEXT_GROUP_MIB = 4
# An export that has not touched its folder for a day is not running any more.
_LEFTOVER_S = 86400.0
_MOST_NAMED = 50  # licences and the like that a card names: a manifest may say another one for every clip


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
    more_texts: Mapping[str, Tables] | None = None,
    sizes: Sizes = SIZES,
) -> DatasetInfo:
    """Write clips and texts (columns of curate.schema, captions beside) to `out_dir`, replacing what is there.

    `header` has `codec` and `text_encoder`, each {name, params, fingerprint}; every row must carry the same
    fingerprint. `more_texts` are those of further encoders by their labels, which `header["more_text_encoders"]`
    describes: they become `texts_LABEL`. `files` are the clips as mp4 (curate.schema.MP4): they become
    `mp4/CLIP_ID.mp4`, and the shards of `mp4_index` say their sizes and sha256.
    `receipt` has `categories`: {category: [screens] or "unscreened"}, and what else the screens
    report. Raises SpecError on a foreign fingerprint, a repeated id or mixed channels; StorageError on the disk.
    """
    out_dir = Path(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work = out_dir.parent / f".{out_dir.name}.tmp-{_nobody_elses()}"
    _remove_leftovers(out_dir)
    try:
        info = _write_files(work, clips, {"": texts, **(more_texts or {})}, files, header, receipt, sizes)
        _replace_dir(work, out_dir)
    except OSError as error:
        raise StorageError(f"cannot write the dataset {out_dir}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return DatasetInfo(out_dir, info.clips, info.texts, info.frames, info.hours, info.digest)


def _write_files(
    work: Path, clips: Tables, texts: Mapping[str, Tables], files: Tables | None, header: dict[str, Any],
    receipt: dict[str, Any], sizes: Sizes,
) -> DatasetInfo:  # fmt: skip
    seen = _Seen()
    checked = _checked(clips, "clip_id", "codec_fingerprint", header["codec"]["fingerprint"])
    shards = {"clips": write_shards(work / "clips", seen.through(checked), sizes)}
    # A training step wants single texts: 64 of umT5's would be 30 MiB.
    small = replace(sizes, row_group_mib=min(sizes.row_group_mib, TEXT_GROUP_MIB))
    for label, tables in texts.items():
        encoder = header["more_text_encoders"][label] if label else header["text_encoder"]
        kind = f"texts_{label}" if label else "texts"
        checked = _checked(tables, "text_id", "encoder_fingerprint", encoder["fingerprint"])
        shards[kind] = write_shards(work / kind, checked, small)
    shards["index"] = write_shards(work / "index", index_of(work, shards["clips"]), sizes)
    if files is not None:
        shards["mp4_index"] = write_shards(work / "mp4_index", _written(files, work / "mp4"), sizes)
    counts = {kind: sum(shard["rows"] for shard in shards[kind]) for kind in ("clips", "texts")}
    hours = seen.seconds / 3600
    card = {
        "format": FORMAT, **header, "latent_stats": seen.stats.to_json(),
        "counts": {**counts, "frames": seen.frames, "hours": hours}, "of": seen.of(), "shards": shards,
    }  # fmt: skip
    card_bytes = canonical_json(card)
    sealed = sealed_receipt(receipt, card_bytes)
    _write_synced(work / "dataset.json", card_bytes)
    _write_synced(work / "receipt.json", canonical_json(sealed))
    for name, data in documents(work, card, sealed).items():
        _write_synced(work / name, data)
    for folder in (*(path for path in sorted(work.iterdir()) if path.is_dir()), work):
        sync_dir(folder)
    return DatasetInfo(work, counts["clips"], counts["texts"], seen.frames, hours, sealed["digest"])


class _Seen:
    """What a card says of all clips together, gathered while they are written."""

    def __init__(self) -> None:
        self.stats, self.frames, self.seconds = LatentStats(), 0, 0.0
        self._of: dict[str, Counter[str]] = {name: Counter() for name in ("license", "source_class", "is_synthetic")}

    def through(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Pass tables of clips on."""
        for table in tables:
            for row in table.select(["latent", "shape", "num_frames", "fps"]).to_pylist():
                self.stats.add(decode_bf16(row["latent"], tuple(row["shape"])))
                self.frames += row["num_frames"]
                self.seconds += row["num_frames"] / row["fps"] if row["fps"] else 0.0
            for name, counter in self._of.items():
                if name in table.column_names:
                    counter.update("unknown" if value is None else str(value) for value in table[name].to_pylist())
            yield table

    def of(self) -> dict[str, dict[str, int]]:
        """Clips by licence, class of source, and whether they are synthetic; the commonest, the rest as `other`."""
        said = {}
        for name, counter in self._of.items():
            ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
            said[name] = dict(ranked[:_MOST_NAMED])
            if rest := sum(count for _, count in ranked[_MOST_NAMED:]):
                said[name]["other"] = said[name].get("other", 0) + rest
        return said


def _written(files: Tables, folder: Path) -> Iterator[pa.Table]:
    """Write each row's data as a file; pass on what is to be known of it."""
    folder.mkdir(parents=True)
    for batch in files:
        table = as_table(batch)
        for row in table.to_pylist():
            _write_synced(folder / f"{row['clip_id']}.mp4", row["data"])
        yield table.select(["clip_id", "how", "bytes", "sha256"])


def _checked(tables: Tables, id_column: str, mark_column: str, mark: str) -> Iterator[pa.Table]:
    """Pass tables on; refuse repeated ids, and rows that another codec or encoder made."""
    seen: set[bytes] = set()
    for batch in tables:
        table = as_table(batch)
        for key in table[id_column].to_pylist():
            short = hashlib.blake2b(key.encode(), digest_size=16).digest()
            if short in seen:
                raise SpecError(f"{id_column} {key} comes twice: a dataset holds each clip and text once")
            seen.add(short)
        foreign = set(table[mark_column].to_pylist()) - {mark}
        if foreign:
            raise SpecError(f"{mark_column} {min(map(str, foreign))} is not the dataset's {mark}: encode again")
        yield table


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


def _replace_dir(work: Path, out_dir: Path) -> None:
    """Put `work` in the place of `out_dir`: a reader finds the old dataset, the new one, or for a moment none."""
    old = out_dir.parent / f".{out_dir.name}.old-{_nobody_elses()}"
    if out_dir.exists():
        out_dir.rename(old)
    try:
        work.rename(out_dir)
    except OSError:
        if old.exists():
            old.rename(out_dir)
        raise
    sync_dir(out_dir.parent)
    shutil.rmtree(old, ignore_errors=True)


def _nobody_elses() -> str:
    """The end of a name: containers that share a disk share numbers of processes too."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _remove_leftovers(out_dir: Path) -> None:
    """Remove what killed exports left behind, here or on another host that shares the disk: by age, not by process."""
    for kind in ("tmp", "old"):
        for folder in out_dir.parent.glob(f".{out_dir.name}.{kind}-*"):
            if time.time() - folder.stat().st_mtime > _LEFTOVER_S:
                shutil.rmtree(folder, ignore_errors=True)
