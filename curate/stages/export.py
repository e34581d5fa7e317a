"""Export: the kept clips as a dataset of Parquet shards, with the receipt that the trainer demands."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import ids, schema
from curate.decisions import good_captions
from curate.ledger import Ledger
from curate.plan import Plan
from curate.stage import PROXY
from curate.stages.receipt import receipt
from curate.store import Store, ids_of, read_columns, rows_digest
from curate.tables import Table

VERSION = 1
KINDS = ("short", "dense", "original")
_META = ("source_class", "license", "is_synthetic", "origin")
_CHUNK = 256  # clips in flight between parts and shards
_OPEN_PARTS = 4  # latent parts held in memory; clips are sorted as their parts were cut, so few are enough


def export(plan: Plan, store: Store, ledger: Ledger, out: Path) -> str:
    """Write OUT/dataset from the kept clips; return the digest that its receipt seals."""
    from curate.dataset.shards import write_dataset

    assert plan.stages.encode is not None
    assert plan.stages.export is not None
    kept = _columns(plan, ledger)
    header: dict[str, Any] = {"name": plan.spec.name, "content": content_key(plan, ledger), **_encoders(plan)}
    if plan.screens:  # the card says what a look twice a second can miss; the receipt says the rest
        header["screening"] = {"looks_per_second": PROXY.fps, "missed": "a moment of d s: 1 - d * looks_per_second"}
    info = write_dataset(
        out / "dataset", _clips(plan, store, kept), _texts(plan, store, kept), header, receipt(plan, ledger),
        files=_files(plan, store, kept) if "mp4" in plan.tables else None,
        shard_rows=plan.stages.export.shard_rows, row_group_rows=plan.stages.export.row_group_rows,
    )  # fmt: skip
    return info.digest


def is_whole(dataset: Path) -> bool:
    """Whether every shard that a dataset's card names is there, at its size; `rushes verify` reads their bytes."""
    try:
        shards = json.loads((dataset / "dataset.json").read_bytes())["shards"]
        files = [shard for kind in shards.values() for shard in kind]
        return all((dataset / file["path"]).stat().st_size == file["bytes"] for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def export_key(plan: Plan, ledger: Ledger) -> str:
    """Key of the export snapshot: the rows that it would hold, and how they would be written."""
    assert plan.stages.export is not None
    kept = _columns(plan, ledger)
    what = [
        VERSION, plan.spec.name, _encoders(plan), plan.tables["latent"].key, plan.tables["text"].key,
        plan.tables["mp4"].key if "mp4" in plan.tables else None,
        plan.stages.export.model_dump(mode="json"), rows_digest(kept, kept.schema.names, "clip_id"),
        receipt(plan, ledger),
    ]  # fmt: skip
    return plan.snapshot_key("export", what)


def _encoders(plan: Plan) -> dict[str, Any]:
    """What a dataset's card says of codec and text encoder: enough to open them again, on another device if need be."""
    assert plan.stages.encode is not None
    latents, text = plan.stages.encode.latents, plan.stages.encode.text
    params = {name: value for name, value in latents.params.items() if name != "device"}
    return {
        "codec": {
            "name": latents.codec, "params": params, "fingerprint": plan.codec.fingerprint, **plan.codec.described(),
        },
        "text_encoder": {"name": text.encoder, "params": text.params, "fingerprint": plan.text_encoder.fingerprint},
    }  # fmt: skip


def content_key(plan: Plan, ledger: Ledger) -> str:
    """Key of what a model learns from: clips, captions, latents, texts. Counts, names and shard sizes are not part."""
    kept = _columns(plan, ledger)
    what = [plan.tables["latent"].key, plan.tables["text"].key, rows_digest(kept, kept.schema.names, "clip_id")]
    return plan.snapshot_key("content", what)


def _columns(plan: Plan, ledger: Ledger) -> pa.Table:
    """Metadata and good captions of the kept clips, sorted by clip id."""
    kept = ledger.where("kept")
    rows = kept.select(["clip_id", *_META])
    for kind, texts in good_captions(kept, plan).items():
        rows = rows.append_column(f"caption_{kind}", pa.array(texts, pa.string()))
        names = [None if text is None else ids.text_id(text) for text in texts]
        rows = rows.append_column(f"caption_{kind}_text_id", pa.array(names, pa.string()))
    rows = rows.append_column("loss_weight", pa.array([1.0] * rows.num_rows, pa.float32()))
    return rows.take(pc.sort_indices(rows["clip_id"]))


class _Heavy:
    """Rows of a table with heavy columns by clip id, out of their parts."""

    def __init__(self, table: Table, store: Store) -> None:
        self._store = store
        self._names = [field.name for field in table.schema if field not in schema.OUTCOME]
        self._open: OrderedDict[str, pa.Table] = OrderedDict()
        self._place: dict[str, tuple[str, int]] = {}
        for part in store.parts(table.name):
            rows = read_columns(store.out / part.path, ["clip_id"])
            standing = ids_of(store.standing(part, rows, "clip_id"), "clip_id")
            for row, clip in enumerate(rows["clip_id"].to_pylist()):
                if clip in standing:
                    self._place.setdefault(clip, (part.path, row))

    def row(self, clip: str) -> pa.Table:
        """The row of a clip, a table of one row."""
        path, row = self._place[clip]
        if path not in self._open:
            self._open[path] = read_columns(self._store.out / path, self._names)
            if len(self._open) > _OPEN_PARTS:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path].slice(row, 1)


def _clips(plan: Plan, store: Store, kept: pa.Table) -> Iterator[pa.Table]:
    latents = _Heavy(plan.tables["latent"], store)
    clips = kept["clip_id"].to_pylist()
    for start in range(0, len(clips), _CHUNK):
        chunk = clips[start : start + _CHUNK]
        table = pa.concat_tables([latents.row(clip) for clip in chunk])
        beside = kept.slice(start, len(chunk))
        for name in beside.schema.names[1:]:
            table = table.append_column(beside.schema.field(name), beside[name])
        yield table


def _files(plan: Plan, store: Store, kept: pa.Table) -> Iterator[pa.Table]:
    """The kept clips' mp4 files, a table of one row each."""
    files = _Heavy(plan.tables["mp4"], store)
    for clip in kept["clip_id"].to_pylist():
        yield files.row(clip)


def _texts(plan: Plan, store: Store, kept: pa.Table) -> Iterator[pa.Table]:
    """Features of every text that a kept clip has, and of the empty text, once each."""
    wanted = {ids.text_id("")}.union(*(ids_of(kept, f"caption_{kind}_text_id") for kind in KINDS)) - {None}
    table = plan.tables["text"]
    names = [field.name for field in schema.TEXT if field not in schema.OUTCOME]
    rows = store.read(table.name, table.schema, names)
    rows = rows.filter(pc.is_in(rows["text_id"], value_set=pa.array(sorted(wanted))))
    yield rows.take(pc.sort_indices(rows["text_id"]))
