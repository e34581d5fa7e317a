"""The ledger: one row for every candidate clip, every further location of equal bytes, and every source without clips.

It is a view: the parts hold what was measured, the rules of the spec decide, and `decide` says for each row the first
thing that stopped it. Changing a rule changes this view and nothing else.

    in = kept + rejected + duplicate + quarantined + sealed (+ pending, while stages are still to run)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import schema, sealing
from curate.decisions import VERDICT, decided
from curate.plan import Plan
from curate.safety import Safety
from curate.sources import TEXTS, Location, merged_metadata, original_caption, touching
from curate.stage import column
from curate.store import Store, align

OUTCOMES = ("kept", "rejected", "duplicate", "quarantined", "sealed", "pending")

_TEXT, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()
CLIP_FIELDS = (
    column("clip_id", _TEXT, "", "the clip; null for a location or source without clips"),
    column("source_id", _TEXT, "", "sha256 of the file's bytes, 32 hex digits; null when it could not be read"),
    column("url", _TEXT, "", "where the file lies (metadata, never an id)"),
    column("outcome", _TEXT, "", " | ".join(OUTCOMES)),
    column("stage", _TEXT, "", "the stage that stopped the clip; empty when kept"),
    column("reason", _TEXT, "", "code, such as motion:below_min"),
    column("evidence", _TEXT, "", "what decided, as JSON: the value and the rule, or the fault"),
    column("kind", _TEXT, "", "video or image"),
    column("source_class", _TEXT, "", "one of the classes of data source, or unknown"),
    column("license", _TEXT, "", "licence as the manifest says it"),
    column("origin", _TEXT, "", "where it comes from"),
    column("acquired_at", _TEXT, "", "when it was acquired"),
    column("is_synthetic", _TEXT, "", "true, false or unknown"),
    column("generator", _TEXT, "", "what made it, if synthetic"),
    column("weight", _FLOAT, "", "how often it is drawn in training, as the manifest says it; null for 1"),
    column("loss_weight", _FLOAT, "", "how much its loss counts, as the manifest says it; null for 1"),
    column("stream_index", pa.int32(), "", "video stream"),
    column("time_base", _TEXT, "s", "seconds per tick"),
    column("start_pts", _INT, "ticks", "start of the span"),
    column("end_pts", _INT, "ticks", "end of the span (half-open)"),
    column("start_s", _FLOAT, "s", "start, from the source's first frame"),
    column("end_s", _FLOAT, "s", "end, from the source's first frame"),
    column("duration_s", _FLOAT, "s", "length"),
    column("num_frames", _INT, "frames", "frames"),
    column("width", pa.int32(), "px", "width of the source as shown"),
    column("height", pa.int32(), "px", "height of the source as shown"),
    column("fps", _FLOAT, "1/s", "frame rate of the clip: frames by length; the declared one where it is within 1 %"),
    column("detector", _TEXT, "", "what found the clip's scene"),
    column("confidence", pa.float32(), "0..1", "of the less sure boundary at its scene's ends"),
    column("too_short", pa.bool_(), "", "below split.min_s"),
    column("corrupt_frames", pa.int32(), "frames", "frames whose damage the decoder concealed"),
    column("source_missing_s", _FLOAT, "s", "how much of the source's declared end could not be decoded"),
    column("caption.original", _TEXT, "", "the caption that came with the footage, if one covers this clip"),
    column("text.caption", _TEXT, "", "captions that came with the footage, as screened: whatever touches this clip"),
    column("text.title", _TEXT, "", "title that came with the footage"),
    column("text.transcript", _TEXT, "", "what is said in the clip, as it came with the footage"),
    column("tags", pa.list_(_TEXT), "", "what screens say of a clip beside its verdict: suggestive, source:hate, ..."),
)


@dataclass
class Ledger:
    """`clips` has a row a candidate clip (sorted by clip id), `others` the rows without a clip."""

    clips: pa.Table
    others: pa.Table
    flagged: dict[str, str] = field(default_factory=dict)  # clip -> the category that takes it out
    due: tuple[str, ...] = ()  # sources that are to be sealed

    @property
    def table(self) -> pa.Table:
        """Everything, as it is written to OUT/ledger.parquet."""
        return pa.concat_tables([_unnamed(self.clips, set(self.due)), self.others], promote_options="default")

    def where(self, *outcomes: str) -> pa.Table:
        """Clips with one of these outcomes."""
        return self.clips.filter(pc.is_in(self.clips["outcome"], value_set=pa.array(outcomes)))


def by_source(locations: list[Location]) -> dict[str, list[Location]]:
    """Locations grouped by source id, sorted; those without bytes are left out."""
    groups: dict[str, list[Location]] = defaultdict(list)
    for location in locations:
        if location.source_id:
            groups[location.source_id].append(location)
    return dict(sorted(groups.items()))


def build(plan: Plan, store: Store, locations: list[Location]) -> Ledger:
    """Join what the store holds for these locations, and decide."""
    sources = by_source(locations)
    ids = pa.array(list(sources), pa.string())
    probe = align(store.read(plan.tables["probe"].name, schema.PROBE), "source_id", ids).to_pylist()
    split = align(store.read(plan.tables["split"].name, schema.SPLIT), "source_id", ids).to_pylist()
    clips: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = [_missing(location) for location in locations if not location.source_id]
    locked = sealing.sealed(store)
    for (source, places), facts, cut in zip(sources.items(), probe, split, strict=True):
        if source in locked:
            others += [_locked(locked[source]) for _ in places]
            continue
        meta = merged_metadata(places)
        base = {
            **{k: v for k, v in meta.items() if k not in (*TEXTS, "captions")},
            "source_id": source,
            "url": places[0].url,
        }
        others += [_extra(base, place, source) for place in places[1:]]
        if facts["outcome"] == "ok":
            base |= {k: facts[k] for k in ("kind", "width", "height", "fps", "stream_index", "time_base")}
        if facts["outcome"] == "ok" and cut["outcome"] == "ok":
            base |= {"detector": cut["detector"], "source_missing_s": cut["missing_s"]}
            clips += [_clip(base, meta, span, len(cut["clips"]) == 1) for span in cut["clips"]]
        else:
            others.append(_unsplit(base, facts, cut))
    fields = pa.schema(CLIP_FIELDS)
    clips.sort(key=lambda row: row["clip_id"])
    table = _with_columns(pa.Table.from_pylist(clips, schema=fields), plan, store)
    return _judged(table, pa.Table.from_pylist(others, schema=fields), plan, store)


def _judged(clips: pa.Table, others: pa.Table, plan: Plan, store: Store) -> Ledger:
    """The ledger with every verdict."""

    def moments(stage: str, columns: Sequence[str], wanted: pa.Array) -> pa.Table:
        table = plan.tables[stage]
        return align(store.read(table.name, table.schema, ["clip_id", *columns]), "clip_id", wanted)

    safety = Safety(clips, plan.judges, moments)
    names, sources = clips["clip_id"].to_pylist(), clips["source_id"].to_pylist()
    flagged = {name: category for name, category in zip(names, safety.flagged, strict=True) if category}
    due = tuple(sorted({sources[i] for i in np.flatnonzero(safety.due)}))
    return Ledger(decided(clips, plan, safety), others, flagged, due)


def _unnamed(clips: pa.Table, due: set[str]) -> pa.Table:
    """What is to be sealed is not named in the meantime, wherever a run that was stopped then is looked at."""
    if not due:
        return clips
    hidden = pc.is_in(clips["source_id"], value_set=pa.array(sorted(due), pa.string()))
    for name in ("url", "caption.original", "text.caption", "text.title", "text.transcript"):
        place = clips.schema.get_field_index(name)
        nothing = pa.scalar("" if name == "url" else None, pa.string())
        clips = clips.set_column(place, clips.schema.field(name), pc.if_else(hidden, nothing, clips[name]))
    return clips


def _missing(location: Location) -> dict[str, Any]:
    meta = {k: v for k, v in location.meta.items() if k not in TEXTS}
    evidence = json.dumps({"detail": location.detail})
    return {**meta, "url": location.url, **_verdict("quarantined", "probe", location.fault, evidence)}


def _locked(incident: dict[str, Any]) -> dict[str, Any]:
    """A sealed source: its incident, and nothing that it could be found by."""
    evidence = json.dumps({"incident": incident["incident"]})
    return {"url": "", **_verdict("sealed", "sealed", f"sealed:{incident['why']}", evidence)}


def _extra(base: dict[str, Any], place: Location, source: str) -> dict[str, Any]:
    evidence = json.dumps({"keeper": source, "keeper_url": base["url"]})
    return {**base, "url": place.url, **_verdict("duplicate", "dedup", "exact:bytes", evidence)}


def _unsplit(base: dict[str, Any], facts: dict[str, Any], cut: dict[str, Any]) -> dict[str, Any]:
    # A source that killed its worker has no probe row, and a split row that says so.
    stage, row = ("probe", facts) if facts["outcome"] == "quarantined" else ("split", cut)
    if row["outcome"] != "quarantined":  # not made yet, or taken back
        return {**base, **_verdict("pending", stage, "pending", "{}")}
    evidence = json.dumps({"detail": row["detail"], "attempts": row["attempts"]})
    return {**base, **_verdict("quarantined", stage, row["reason"], evidence)}


def _verdict(outcome: str, stage: str, reason: str, evidence: str) -> dict[str, str]:
    return dict(zip(VERDICT, (outcome, stage, reason, evidence), strict=True))


def _clip(base: dict[str, Any], meta: dict[str, Any], span: dict[str, Any], whole: bool) -> dict[str, Any]:
    duration_s = 0.0 if base["kind"] == "image" else span["end_s"] - span["start_s"]
    return {
        **base,
        **span,
        "duration_s": duration_s,
        "fps": _own_rate(base["fps"], span["num_frames"], duration_s),
        "caption.original": original_caption(meta, span["start_s"], span["end_s"], whole),
        "text.caption": touching(meta["captions"], span["start_s"], span["end_s"]),
        "text.title": meta["title"] or None,
        "text.transcript": touching(meta["transcript"], span["start_s"], span["end_s"]),
    }


def _own_rate(declared: float, num_frames: int, duration_s: float) -> float:
    """A clip's own frames per second: a source of variable rate declares an average that few of its clips have."""
    own = num_frames / duration_s if duration_s > 0 else 0.0
    # Containers round times to ticks (a millisecond in Matroska): within that, the declared rate is the exact one.
    return declared if abs(own - declared) <= 0.01 * declared else own


def _with_columns(clips: pa.Table, plan: Plan, store: Store) -> pa.Table:
    """Add every clip table's light columns as `stage.column`."""
    for stage, table in plan.tables.items():
        if table.schema.names[0] != "clip_id":
            continue
        light = [field.name for field in table.schema if not _is_heavy(field.type)]
        rows = align(store.read(table.name, table.schema, light), "clip_id", clips["clip_id"])
        for name in light[1:]:
            # The shape of a latent and the like describe data that stays in the parts; sizes are worth a column.
            clips = clips.append_column(table.schema.field(name).with_name(f"{stage}.{name}"), rows[name])
    return clips


def _is_heavy(kind: pa.DataType) -> bool:
    """Frames, latents and feature vectors stay in their parts."""
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return not pa.types.is_string(kind.value_type)
    return pa.types.is_binary(kind)


def with_duplicates(ledger: Ledger, plan: Plan, store: Store, duplicates: pa.Table) -> Ledger:
    """The ledger with a dedup snapshot joined in."""
    clips = ledger.clips
    rows = align(duplicates, "clip_id", clips["clip_id"])
    for name in schema.DEDUP.names[1 : -len(schema.OUTCOME)]:
        clips = clips.append_column(schema.DEDUP.field(name).with_name(f"dedup.{name}"), rows[name])
    return _judged(clips, ledger.others, plan, store)


def funnel(ledger: Ledger) -> list[dict[str, Any]]:
    """Rows and hours by outcome, stage and reason, the most frequent first."""
    table = ledger.table.select(["outcome", "stage", "reason", "duration_s"])
    groups = table.group_by(["outcome", "stage", "reason"]).aggregate([("duration_s", "sum"), ([], "count_all")])
    rows = [
        {
            "outcome": r["outcome"], "stage": r["stage"], "reason": r["reason"], "rows": r["count_all"],
            "hours": (r["duration_s_sum"] or 0.0) / 3600.0,
        }
        for r in groups.to_pylist()
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (OUTCOMES.index(r["outcome"]), -r["rows"], r["reason"]))
