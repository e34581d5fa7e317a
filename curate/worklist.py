"""Work lists: the rows wanted minus the rows present, as shards for an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import ids, proxies, schema, sealing
from curate.captioning import BOX, KINDS
from curate.decisions import good_captions
from curate.engines import Shard
from curate.errors import RushesError
from curate.ledger import Ledger, by_source
from curate.plan import CLIP_WORKS, Plan
from curate.sources import Location
from curate.stage import Screen
from curate.store import Store, align, ids_of

# Columns of a clip that the encode stage needs to find its frames.
_SPAN = ("source_id", "kind", "fps", "stream_index", "time_base", "start_pts", "end_pts", "num_frames")


def media_rows(plan: Plan, store: Store, locations: list[Location]) -> list[dict[str, Any]]:
    """Sources that lack a probe, a split, or a measurement of one of their clips."""
    locked, free = sealing.sealed(store), sealing.excused(plan, store)
    sources = {source: places for source, places in by_source(locations).items() if source not in locked}
    names = pa.array(list(sources), pa.string())
    probes = align(store.read(plan.tables["probe"].name, schema.PROBE, ["source_id", "outcome"]), "source_id", names)
    splits = align(store.read(plan.tables["split"].name, schema.SPLIT), "source_id", names).to_pylist()
    present = {
        stage: ids_of(store.read(plan.tables[stage].name, plan.tables[stage].schema, ["clip_id"]), "clip_id")
        for stage in plan.pass_stages()
    }
    earlier = _earlier_clips(plan, store) if any(split["outcome"] is None for split in splits) else {}
    rows = []
    for (source, places), probe, split in zip(sources.items(), probes["outcome"].to_pylist(), splits, strict=True):
        spans = [span for span in split["clips"] or [] if not span["too_short"] and not span["corrupt_frames"]]
        lacks = {
            stage: missing
            for stage, have in present.items()
            if (missing := [span["clip_id"] for span in spans if span["clip_id"] not in have])
        }
        need_split = probe != "quarantined" and split["outcome"] is None
        # A source that killed its worker has a split row that says so, and no probe: that is an answer too.
        need_probe = probe is None and split["outcome"] != "quarantined"
        if need_probe or need_split or lacks:
            rows.append(
                {
                    "id": source, "url": places[0].url, "need": ["media"], "cleared": source in free,
                    "probe": need_probe, "split": need_split, "clips": {} if need_split else lacks,
                    "have": {
                        stage: sorted(have & earlier.get(source, set())) for stage, have in present.items()
                    } if need_split else {},
                    "spans": None if need_split else split["clips"],
                }
            )  # fmt: skip
    return rows


def _earlier_clips(plan: Plan, store: Store) -> dict[str, set[str]]:
    """Clips by source of every split but the present one: a span that comes out the same is not measured again."""
    clips: dict[str, set[str]] = {}
    for table in store.tables():
        if table.startswith("split-") and table != plan.tables["split"].name:
            for row in store.read(table, schema.SPLIT, ["source_id", "clips"]).to_pylist():
                clips.setdefault(row["source_id"], set()).update(span["clip_id"] for span in row["clips"] or [])
    return clips


def proxied_rows(plan: Plan, store: Store, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Clips of these sources whose proxies are stored and that lack a score of them, part by part."""
    if not plan.proxied:
        return []
    locked = sealing.sealed(store)
    sources = [source for source in sources if source not in locked]
    have = {
        stage: ids_of(store.read(plan.tables[stage].name, plan.tables[stage].schema, ["clip_id"]), "clip_id")
        for stage in plan.proxied
    }
    parts = proxies.places(plan, store)
    ends = proxies.places(plan, store, "edges") if "edges" in plan.tables else {}
    names = pa.array(sources, pa.string())
    probes = align(store.read(plan.tables["probe"].name, schema.PROBE), "source_id", names).to_pylist()
    splits = align(store.read(plan.tables["split"].name, schema.SPLIT), "source_id", names).to_pylist()
    rows: dict[str, dict[str, Any]] = {}
    for probe, split in zip(probes, splits, strict=True):
        for span in split["clips"] or []:
            clip = span["clip_id"]
            # A screen waits until the clip's ends are there: it must not judge less than it is meant to see.
            lacks = [
                stage for stage, ids in have.items()
                if clip not in ids and (clip in ends or not isinstance(plan.proxied[stage], Screen))
            ]  # fmt: skip
            if lacks and clip in parts:
                rows[clip] = {
                    "id": clip, "need": ["proxied"], "part": parts[clip], "ends": ends.get(clip), "lacks": lacks,
                    "width": probe["width"], "height": probe["height"], "num_frames": span["num_frames"],
                    "duration_s": span["end_s"] - span["start_s"],
                }  # fmt: skip
    return sorted(rows.values(), key=lambda row: row["part"])


def clip_rows(plan: Plan, store: Store, ledger: Ledger, works: Sequence[str] = CLIP_WORKS) -> list[dict[str, Any]]:
    """Clips that nothing has stopped and that lack a row of these works, with the columns to make it.

    A clip whose screens, duplicates or earlier works are still open is not among them: what is made of a clip may leave
    the host, and what was not answered yet is no empty answer.
    """
    stages = [stage for stage in works if stage in plan.tables]
    if not stages:
        return []
    wanted = ledger.where("kept", "pending")
    open_stages = pa.array(CLIP_WORKS[CLIP_WORKS.index(stages[0]) :])
    past = pc.or_(pc.equal(wanted["outcome"], "kept"), pc.is_in(wanted["stage"], value_set=open_stages))
    wanted = wanted.filter(past)
    columns = {name: _column(plan, store, wanted, name).to_pylist() for name in _columns(plan, wanted, stages)}
    outcomes = {stage: wanted[f"{stage}.outcome"].to_pylist() for stage in stages}
    parts = proxies.places(plan, store) if "caption" in stages and plan.captioner.reads_frames else {}
    rows = []
    for i, (clip, url) in enumerate(zip(wanted["clip_id"].to_pylist(), wanted["url"].to_pylist(), strict=True)):
        need = [stage for stage in stages if outcomes[stage][i] is None]
        if need:
            row = {"id": clip, "url": url, "need": need, **{name: c[i] for name, c in columns.items()}}
            rows.append({**row, "part": parts[clip]} if parts else row)
    return sorted(rows, key=lambda row: row["part"]) if parts else rows  # each part is read once


def _column(plan: Plan, store: Store, clips: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of the ledger, or one that is too heavy for it and stays in its parts."""
    if name in clips.schema.names:
        return clips[name]
    stage, _, field = name.partition(".")
    table = plan.tables[stage]
    return align(store.read(table.name, table.schema, ["clip_id", field]), "clip_id", clips["clip_id"])[field]


def _columns(plan: Plan, clips: pa.Table, stages: Sequence[str]) -> list[str]:
    written = [f"caption.{kind}{what}" for kind in KINDS for what in ("", "_status", "_truncated")]
    box = BOX if plan.crops else ()
    present = [name for name in written if name in clips.schema.names]
    windows = ["caption.windows"] if "check" in stages and "caption" in plan.tables else []  # each is checked
    return list(dict.fromkeys([*_SPAN, *plan.caption_columns, *plan.check_columns, *present, *windows, *box]))


def text_rows(plan: Plan, store: Store, ledger: Ledger, stage: str) -> list[dict[str, Any]]:
    """Distinct texts of the kept clips, and the empty one, that have no features yet of this encoder's table.

    They come as the clips do, so that an export in that order reads few parts at a time.
    """
    table = plan.tables[stage]
    have = ids_of(store.read(table.name, table.schema, ["text_id"]), "text_id")
    wanted = wanted_texts(plan, ledger).items()
    return [{"id": name, "text": text, "need": ["text"], "stage": stage} for name, text in wanted if name not in have]


def refuse_bad_texts(plan: Plan, store: Store, ledger: Ledger, stage: str) -> None:
    """Stop when the encoder failed on a caption: a dataset whose captions have no features cannot be trained on.

    Raises:
        RushesError: with the first text and its fault.
    """
    table = plan.tables[stage]
    wanted = wanted_texts(plan, ledger)
    for row in store.read(table.name, table.schema, ["text_id", "outcome", "reason", "detail"]).to_pylist():
        if row["outcome"] != "ok" and row["text_id"] in wanted:
            text = wanted[row["text_id"]]
            raise RushesError(f"the text encoder failed on {text[:80]!r}: {row['reason']}: {row['detail']}")


def wanted_texts(plan: Plan, ledger: Ledger) -> dict[str, str]:
    """The empty text, and distinct captions of the kept clips as those are sorted, by their ids."""
    of_clips = zip(*good_captions(ledger.where("kept"), plan).values(), strict=True)
    texts = dict.fromkeys(["", *(text for of_clip in of_clips for text in of_clip if text is not None)])
    return {ids.text_id(text): text for text in texts}


def shards(rows: Sequence[dict[str, Any]], size: int, workers: int) -> list[Shard]:
    """Cut a work list into shards: at most `size` rows, and small enough to keep every worker busy."""
    size = max(1, min(size, -(-len(rows) // (2 * workers))))
    return [list(rows[i : i + size]) for i in range(0, len(rows), size)]
