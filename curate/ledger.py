"""The ledger: one row for every candidate clip, every further location of equal bytes, and every source without clips.

It is a view: the parts hold what was measured, the rules of the spec decide, and `decide` says for each row the first
thing that stopped it. Changing a rule changes this view and nothing else.

    in = kept + rejected + duplicate + quarantined + sealed (+ pending, while stages are still to run)
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import schema
from curate.plan import Plan
from curate.sources import Location, merged_metadata, original_caption
from curate.spec import Rule
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
    column("stream_index", pa.int32(), "", "video stream"),
    column("time_base", _TEXT, "s", "seconds per tick"),
    column("start_pts", _INT, "ticks", "start of the span"),
    column("end_pts", _INT, "ticks", "end of the span (half-open)"),
    column("start_s", _FLOAT, "s", "start, from the source's first frame"),
    column("end_s", _FLOAT, "s", "end, from the source's first frame"),
    column("duration_s", _FLOAT, "s", "length"),
    column("num_frames", _INT, "frames", "frames"),
    column("width", pa.int32(), "px", "width of the source"),
    column("height", pa.int32(), "px", "height of the source"),
    column("fps", _FLOAT, "1/s", "declared frame rate"),
    column("too_short", pa.bool_(), "", "below split.min_s"),
    column("caption.original", _TEXT, "", "the caption that came with the footage, if one covers this clip"),
)
CONFLICT = "conflict: "  # how sources.merged_metadata writes values that disagree
_VERDICT = ("outcome", "stage", "reason", "evidence")


@dataclass
class Ledger:
    """`clips` has a row a candidate clip (sorted by clip id), `others` the rows without a clip."""

    clips: pa.Table
    others: pa.Table

    @property
    def table(self) -> pa.Table:
        """Everything, as it is written to OUT/ledger.parquet."""
        return pa.concat_tables([self.clips, self.others], promote_options="default")

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
    for (source, places), facts, cut in zip(sources.items(), probe, split, strict=True):
        meta = merged_metadata(places)
        base = {**{k: v for k, v in meta.items() if k != "original_caption"}, "source_id": source, "url": places[0].url}
        others += [_extra(base, place, source) for place in places[1:]]
        if facts["outcome"] == "ok":
            base |= {k: facts[k] for k in ("kind", "width", "height", "fps", "stream_index", "time_base")}
        if facts["outcome"] == "ok" and cut["outcome"] == "ok":
            clips += [_clip(base, meta, span, len(cut["clips"]) == 1) for span in cut["clips"]]
        else:
            others.append(_unsplit(base, facts, cut))
    fields = pa.schema(CLIP_FIELDS)
    clips.sort(key=lambda row: row["clip_id"])
    table = _with_columns(pa.Table.from_pylist(clips, schema=fields), plan, store)
    return Ledger(_decided(table, plan), pa.Table.from_pylist(others, schema=fields))


def _missing(location: Location) -> dict[str, Any]:
    meta = {k: v for k, v in location.meta.items() if k != "original_caption"}
    evidence = json.dumps({"detail": location.detail})
    return {**meta, "url": location.url, **_verdict("quarantined", "probe", location.fault, evidence)}


def _extra(base: dict[str, Any], place: Location, source: str) -> dict[str, Any]:
    evidence = json.dumps({"keeper": source, "keeper_url": base["url"]})
    return {**base, "url": place.url, **_verdict("duplicate", "dedup", "exact:bytes", evidence)}


def _unsplit(base: dict[str, Any], facts: dict[str, Any], cut: dict[str, Any]) -> dict[str, Any]:
    # A source that killed its worker has no probe row, and a split row that says so.
    stage, row = ("probe", facts) if facts["outcome"] == "quarantined" else ("split", cut)
    if row["outcome"] is None:
        return {**base, **_verdict("pending", stage, "pending", "{}")}
    evidence = json.dumps({"detail": row["detail"], "attempts": row["attempts"]})
    return {**base, **_verdict("quarantined", stage, row["reason"], evidence)}


def _verdict(outcome: str, stage: str, reason: str, evidence: str) -> dict[str, str]:
    return dict(zip(_VERDICT, (outcome, stage, reason, evidence), strict=True))


def _clip(base: dict[str, Any], meta: dict[str, Any], span: dict[str, Any], whole: bool) -> dict[str, Any]:
    return {
        **base,
        **span,
        "duration_s": 0.0 if base["kind"] == "image" else span["end_s"] - span["start_s"],
        "caption.original": original_caption(meta, span["start_s"], span["end_s"], whole),
    }


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


# -- decisions ---------------------------------------------------------------------------------------------------


class _Verdicts:
    """The first thing that stops each clip."""

    def __init__(self, count: int) -> None:
        self.open = np.ones(count, bool)
        self.columns = {name: np.full(count, "", object) for name in _VERDICT}

    def stop(self, which: np.ndarray, outcome: str, stage: str, reasons: Any, evidence: Any) -> None:
        """Stop the clips in `which` that nothing stopped before. `evidence(i)` gives the facts of clip i."""
        for i in np.flatnonzero(which & self.open):
            reason = reasons if isinstance(reasons, str) else reasons[i]
            values = (outcome, stage, reason, json.dumps(evidence(i), sort_keys=True))
            for name, value in zip(_VERDICT, values, strict=True):
                self.columns[name][i] = value
        self.open &= ~which


def _decided(clips: pa.Table, plan: Plan) -> pa.Table:
    verdicts = _Verdicts(clips.num_rows)
    _lengths(clips, plan, verdicts)
    for stage in plan.pass_stages():
        _faults(clips, stage, verdicts)
    for name, (source, rule) in plan.rules.items():
        _rule(clips, name, source, rule, verdicts)
    if plan.dedup is not None:
        _duplicates(clips, verdicts)
    for stage in ("caption", "check", "latent"):
        if stage in plan.tables:
            _faults(clips, stage, verdicts)
    if "check" in plan.tables:
        _captions(clips, plan, verdicts)
    verdicts.columns["outcome"][verdicts.open] = "kept"
    verdicts.columns["evidence"][verdicts.open] = "{}"
    for name in _VERDICT:
        place = clips.schema.get_field_index(name)
        values = pa.array(verdicts.columns[name].tolist(), pa.string())
        clips = clips.set_column(place, clips.schema.field(name), values)
    return clips


def _lengths(clips: pa.Table, plan: Plan, verdicts: _Verdicts) -> None:
    durations = _numbers(clips["duration_s"])
    short = clips["too_short"].fill_null(False).to_numpy(zero_copy_only=False)
    facts = {"min": plan.stages.split.min_s}
    verdicts.stop(short, "rejected", "split", "split:too_short", lambda i: {"duration_s": durations[i], **facts})


def _faults(clips: pa.Table, stage: str, verdicts: _Verdicts) -> None:
    outcomes = np.array(clips[f"{stage}.outcome"].to_pylist(), object)
    reasons = clips[f"{stage}.reason"].to_pylist()
    details, attempts = clips[f"{stage}.detail"].to_pylist(), clips[f"{stage}.attempts"].to_pylist()
    bad = outcomes == "quarantined"
    verdicts.stop(bad, "quarantined", stage, reasons, lambda i: {"detail": details[i], "attempts": attempts[i]})
    verdicts.stop(np.array([outcome is None for outcome in outcomes], bool), "pending", stage, "pending", lambda _: {})


def _rule(clips: pa.Table, name: str, source: str, rule: Rule, verdicts: _Verdicts) -> None:
    """Apply one rule of `keep`. Motion is not asked of images: a single frame has none."""
    if rule.allow is not None or rule.deny is not None:
        values = clips[source].to_pylist()
        refused = [_refused(rule, value) for value in values]
        facts = {k: list(v) for k, v in (("allow", rule.allow), ("deny", rule.deny)) if v is not None}
        verdicts.stop(
            np.array(refused, bool), "rejected", name, f"{name}:not_allowed", lambda i: {"value": values[i], **facts}
        )
        return
    numbers = _numbers(clips[source])
    asked = _numbers(clips["num_frames"]) > 1 if name.partition(".")[0] == "motion" else np.ones(len(numbers), bool)
    missing = np.isnan(numbers) & asked
    verdicts.stop(missing, "rejected", name, f"{name}:missing", lambda _: {"value": None})
    for bound, below in (("min", True), ("max", False)):
        limit = getattr(rule, bound)
        if limit is None:
            continue
        wrong = numbers < limit if below else numbers > limit
        reason = f"{name}:below_min" if below else f"{name}:above_max"
        verdicts.stop(
            wrong & asked, "rejected", name, reason, lambda i, b=bound, m=limit: {"value": _plain(numbers[i]), b: m}
        )


def _refused(rule: Rule, value: str | None) -> bool:
    """Where locations of equal bytes disagree, all of their values must be allowed, and none may be denied."""
    values = [value] if value is None or not value.startswith(CONFLICT) else value.removeprefix(CONFLICT).split(" | ")
    allowed = rule.allow is None or all(v in rule.allow for v in values)
    return not allowed or (rule.deny is not None and any(v in rule.deny for v in values))


def _duplicates(clips: pa.Table, verdicts: _Verdicts) -> None:
    """Duplicates come from the dedup snapshot, joined as `dedup.*` by `with_duplicates`."""
    if "dedup.duplicate_of" not in clips.schema.names:
        verdicts.stop(np.ones(clips.num_rows, bool), "pending", "dedup", "pending", lambda _: {})
        return
    keepers = clips["dedup.duplicate_of"].to_pylist()
    kinds = clips["dedup.kind"].to_pylist()
    facts = {name: clips[f"dedup.{name}"].to_pylist() for name in ("distance", "matched_share", "via")}
    verdicts.stop(
        np.array([keeper is not None for keeper in keepers], bool), "duplicate", "dedup", kinds,
        lambda i: {"keeper": keepers[i], **{name: values[i] for name, values in facts.items()}},
    )  # fmt: skip


def with_duplicates(ledger: Ledger, plan: Plan, duplicates: pa.Table) -> Ledger:
    """The ledger with a dedup snapshot joined in."""
    clips = ledger.clips
    rows = align(duplicates, "clip_id", clips["clip_id"])
    for name in [field.name for field in schema.DEDUP][1 : -len(schema.OUTCOME)]:
        clips = clips.append_column(schema.DEDUP.field(name).with_name(f"dedup.{name}"), rows[name])
    return Ledger(_decided(clips, plan), ledger.others)


def good_captions(clips: pa.Table) -> dict[str, list[str | None]]:
    """Captions of each clip by kind, None where there is none or where its check found a fault."""
    from captioner.checks import check

    texts: dict[str, list[str | None]] = {
        "original": [
            t if t is not None and not check(t, "original") else None for t in clips["caption.original"].to_pylist()
        ]
    }
    for kind in ("short", "dense"):
        name = f"caption.{kind}"
        given = clips[name].to_pylist() if name in clips.schema.names else [None] * clips.num_rows
        faults = clips[f"check.{kind}"].to_pylist() if f"check.{kind}" in clips.schema.names else [None] * len(given)
        texts[kind] = [None if fault else text for text, fault in zip(given, faults, strict=True)]
    return texts


def _captions(clips: pa.Table, plan: Plan, verdicts: _Verdicts) -> None:
    """A clip whose every caption is faulty has nothing to train on."""
    good = good_captions(clips)
    none = np.array([not any(texts) for texts in zip(*good.values(), strict=True)], bool)
    faults = {kind: clips[f"check.{kind}"].to_pylist() for kind in ("short", "dense")}
    verdicts.stop(
        none, "quarantined", "check", "caption:none_usable", lambda i: {kind: rows[i] for kind, rows in faults.items()}
    )


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return values.cast(pa.float64()).to_numpy()


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


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
