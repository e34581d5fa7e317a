"""Export: the kept clips as a dataset of Parquet shards, with the receipt that the trainer demands."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import ids, schema
from curate.decisions import good_captions
from curate.errors import StorageError
from curate.ledger import Ledger
from curate.plan import Plan
from curate.stage import PROXY, column
from curate.stages.receipt import receipt
from curate.store import Store, ids_of, read_columns, rows_digest
from curate.tables import Table

VERSION = 3
KINDS = ("short", "dense", "original")
_META = ("source_class", "license", "is_synthetic", "origin")
_CHUNK = 32  # rows in flight between parts and shards, unless fewer weigh
_CHUNK_BYTES = 1 << 26  # as much: latents of 20 s at 1080p weigh 100 MiB a clip and more
_OPEN_BYTES = 1 << 28  # of parts held in memory; rows are sorted as their parts were cut, so a few parts are enough


def export(plan: Plan, store: Store, ledger: Ledger, out: Path) -> str:
    """Write OUT/dataset from the kept clips; return the digest that its receipt seals."""
    from curate.dataset.parquet import Sizes
    from curate.dataset.shards import write_dataset

    spec = plan.stages.export
    assert spec is not None
    kept = _columns(plan, ledger)
    header: dict[str, Any] = {"name": plan.spec.name, "content": content_key(plan, ledger), **_encoders(plan)}
    header |= {"about": spec.about.model_dump(mode="json", exclude_none=True), "rules": _rules(plan)}
    if plan.screens:  # the card says what a look twice a second can miss; the receipt says the rest
        header["screening"] = {"looks_per_second": PROXY.fps, "missed": "a moment of d s: 1 - d * looks_per_second"}
    texts = {stage.removeprefix("text_"): _texts(plan, store, kept, stage) for stage in plan.text_stages}
    info = write_dataset(
        out / "dataset", _clips(plan, store, _described(plan, ledger, kept)), texts.pop("text"), header,
        receipt(plan, ledger), files=_files(plan, store, kept) if "mp4" in plan.tables else None, more_texts=texts,
        sizes=Sizes(spec.shard_rows, spec.shard_mib, spec.row_group_rows, spec.row_group_mib),
    )  # fmt: skip
    return info.digest


def is_whole(dataset: Path) -> bool:
    """Whether every file of a dataset is there, shards at the size that its card names; `rushes verify` reads them."""
    try:
        shards = json.loads((dataset / "dataset.json").read_bytes())["shards"]
        files = [shard for kind in shards.values() for shard in kind]
        return all((dataset / name).is_file() for name in ("README.md", "croissant.json")) and all(
            (dataset / file["path"]).stat().st_size == file["bytes"] for file in files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def export_key(plan: Plan, ledger: Ledger) -> str:
    """Key of the export snapshot: the rows that it would hold, and how they would be written."""
    assert plan.stages.export is not None
    kept = _described(plan, ledger, _columns(plan, ledger))
    what = [
        VERSION, plan.spec.name, _encoders(plan), plan.tables["latent"].key, _text_keys(plan),
        plan.tables["mp4"].key if "mp4" in plan.tables else None,
        plan.stages.export.model_dump(mode="json"), _rules(plan), rows_digest(kept, kept.schema.names, "clip_id"),
        receipt(plan, ledger),
    ]  # fmt: skip
    return plan.snapshot_key("export", what)


def _rules(plan: Plan) -> dict[str, Any]:
    """What had to hold of a clip that is in the dataset."""
    return {name: rule.model_dump(mode="json", exclude_none=True) for name, rule in plan.stages.keep.items()}


def _encoders(plan: Plan) -> dict[str, Any]:
    """What a dataset's card says of codec and text encoder: enough to open them again, on another device if need be."""
    assert plan.stages.encode is not None
    latents = plan.stages.encode.latents
    params = {name: value for name, value in latents.params.items() if name != "device"}
    first, *more = [_text_encoder(plan, stage) for stage in plan.text_stages]
    return {
        "codec": {
            "name": latents.codec, "params": params, "fingerprint": plan.codec.fingerprint, **plan.codec.described(),
        },
        "text_encoder": first,
        "more_text_encoders": {said["label"]: said for said in more},
    }  # fmt: skip


def _text_encoder(plan: Plan, stage: str) -> dict[str, Any]:
    text = plan.text_stages[stage]
    params = {name: value for name, value in text.params.items() if name not in ("device", "batch")}
    fingerprint = plan.text_encoders[stage].fingerprint
    return {"label": text.label, "name": text.encoder, "params": params, "fingerprint": fingerprint}


def _text_keys(plan: Plan) -> list[str]:
    return [plan.tables[stage].key for stage in plan.text_stages]


def content_key(plan: Plan, ledger: Ledger) -> str:
    """Key of what a model learns from: clips, captions, latents, texts. Counts, names and shard sizes are not part."""
    kept = _columns(plan, ledger)
    what = [plan.tables["latent"].key, _text_keys(plan), rows_digest(kept, kept.schema.names, "clip_id")]
    return plan.snapshot_key("content", what)


def _columns(plan: Plan, ledger: Ledger) -> pa.Table:
    """Metadata and good captions of the kept clips, sorted by clip id."""
    kept = ledger.where("kept")
    rows = kept.select(["clip_id", *_META])
    for kind, texts in good_captions(kept, plan).items():
        said = column(f"caption_{kind}", pa.string(), "", f"{kind} caption, where it is good")
        rows = rows.append_column(said, pa.array(texts, pa.string()))
        names = [None if text is None else ids.text_id(text) for text in texts]
        of = column(f"caption_{kind}_text_id", pa.string(), "", f"id of the {kind} caption among the texts")
        rows = rows.append_column(of, pa.array(names, pa.string()))
    weight = column("loss_weight", pa.float32(), "", "weight of the clip's loss in training")
    rows = rows.append_column(weight, pc.fill_null(kept["loss_weight"], 1.0).cast(pa.float32()))
    if kept["weight"].null_count < kept.num_rows:  # somebody said so; where nobody did the dataset is what it was
        drawn = column("weight", pa.float64(), "", "how often the clip is drawn in training")
        rows = rows.append_column(drawn, pc.fill_null(kept["weight"], 1.0))
    return rows.take(pc.sort_indices(rows["clip_id"]))


def _described(plan: Plan, ledger: Ledger, kept: pa.Table) -> pa.Table:
    """The kept clips with what was measured of them and who wrote their captions: nothing that a model learns from."""
    ledger_rows = ledger.where("kept")
    ledger_rows = ledger_rows.take(pc.sort_indices(ledger_rows["clip_id"]))
    wanted = ["start_s", "end_s", *(f"caption.{name}" for name in ("model", "revision", "prompts", "decoding"))]
    scores = tuple(f"{name}." for name in plan.stages.score)
    for field in ledger_rows.schema:
        if field.name in wanted or (field.name.startswith(scores) and not _is_outcome(field.name)):
            kept = kept.append_column(field, ledger_rows[field.name])
    return kept


def _is_outcome(name: str) -> bool:
    return name.rpartition(".")[2] in {field.name for field in schema.OUTCOME}


class _Heavy:
    """Rows of a table with heavy columns by their ids, out of its parts, in bounded memory."""

    def __init__(self, table: Table, store: Store) -> None:
        self._store, self._key = store, table.schema.names[0]
        self._schema = pa.schema([field for field in table.schema if field not in schema.OUTCOME])
        self._open: OrderedDict[str, pa.Table] = OrderedDict()
        self._place: dict[str, tuple[str, int]] = {}
        self._bytes: dict[str, int] = {}
        heavy = "shape" if "shape" in table.schema.names else "bytes"
        for part in store.parts(table.name):
            rows = self._read(part.path, [self._key, heavy])
            standing = ids_of(store.standing(part, rows, self._key), self._key)
            for row, (name, size) in enumerate(zip(*(cells.to_pylist() for cells in rows.columns), strict=True)):
                if name in standing and name not in self._place:
                    self._place[name] = (part.path, row)
                    self._bytes[name] = 2 * math.prod(size) if isinstance(size, list) else size or 0

    def rows(self, names: list[str]) -> pa.Table:
        """The rows of these ids, in their order. A part is read once for all of them."""
        by_part: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            by_part.setdefault(self._place[name][0], []).append(place)
        pieces = [
            self._part(path).take([self._place[names[place]][1] for place in places])
            for path, places in by_part.items()
        ]
        order = [place for places in by_part.values() for place in places]
        return pa.concat_tables(pieces).take(pc.sort_indices(pa.array(order)))

    def chunks(self, names: list[str], size: int = _CHUNK) -> Iterator[pa.Table]:
        """The rows of many ids, a few at a time: of heavy ones fewer."""
        held: list[str] = []
        for name in names:
            if held and (len(held) == size or sum(map(self._bytes.__getitem__, [*held, name])) > _CHUNK_BYTES):
                yield self.rows(held)
                held = []
            held.append(name)
        if held:
            yield self.rows(held)

    def _part(self, path: str) -> pa.Table:
        if path not in self._open:
            self._open[path] = self._read(path, self._schema.names)
        self._open.move_to_end(path)
        while len(self._open) > 1 and sum(table.nbytes for table in self._open.values()) > _OPEN_BYTES:
            self._open.popitem(last=False)
        return self._open[path]

    def _read(self, path: str, names: list[str]) -> pa.Table:
        try:
            rows = read_columns(self._store.out / path, names)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"part {path} cannot be read ({error}); see: rushes verify") from error
        return rows.cast(pa.schema([self._schema.field(name) for name in names]))


def _clips(plan: Plan, store: Store, kept: pa.Table) -> Iterator[pa.Table]:
    latents, done = _Heavy(plan.tables["latent"], store), 0
    for table in latents.chunks(kept["clip_id"].to_pylist()):
        beside = kept.slice(done, table.num_rows)
        for name in beside.schema.names[1:]:
            table = table.append_column(beside.schema.field(name), beside[name])
        done += table.num_rows
        yield table


def _files(plan: Plan, store: Store, kept: pa.Table) -> Iterator[pa.Table]:
    """The kept clips' mp4 files, a table of one row each: they may be large."""
    return _Heavy(plan.tables["mp4"], store).chunks(kept["clip_id"].to_pylist(), 1)


def _texts(plan: Plan, store: Store, kept: pa.Table, stage: str) -> Iterator[pa.Table]:
    """Features of every text that a kept clip has, and of the empty text, once each, where the first clip needs it.

    Clips that lie together are drawn together (trainer/draws.py), so their texts are few row groups too.
    """
    named = zip(*(kept[f"caption_{kind}_text_id"].to_pylist() for kind in KINDS), strict=True)
    wanted = dict.fromkeys([ids.text_id(""), *(name for of_clip in named for name in of_clip if name is not None)])
    return _Heavy(plan.tables[stage], store).chunks(list(wanted))
