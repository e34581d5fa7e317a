"""The ledger: every row has one outcome, rules are monotone, images are not asked for motion."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import schema
from curate.ledger import OUTCOMES, build, funnel
from curate.plan import Plan
from curate.sources import Location
from curate.spec_file import parse
from curate.store import Store

META = dict.fromkeys(("license", "origin", "acquired_at", "generator", "is_synthetic"), "unknown")
META |= {"source_class": "in_house", "original_caption": None}
DONE = {"outcome": "ok", "reason": "", "detail": "", "attempts": 1, "seconds": 0.0}
BAD = {"outcome": "quarantined", "reason": "decode:error", "detail": "d", "attempts": 1, "seconds": 0.0}
STAGES = [
    {"score": ["motion", "sharpness"]},
    {"keep": {"motion": {"min": 0.5}, "sharpness": {"min": 0.25, "max": 0.75}}},
]

fate = st.sampled_from(["ok", "ok", "ok", "quarantined", "missing"])
clip = st.fixed_dictionaries(
    {"motion": fate, "sharpness": fate, "m": st.floats(0, 1), "s": st.floats(0, 1), "short": st.booleans()}
)
source = st.fixed_dictionaries(
    {
        "probe": fate,
        "split": fate,
        "clips": st.lists(clip, max_size=4),
        "places": st.integers(1, 3),
        "image": st.booleans(),
    }
)


def _plan(out, **keep):
    stages = [STAGES[0], {"keep": {**STAGES[1]["keep"], **keep}}]
    return Plan(parse({"name": "t", "sources": [{"path": "x"}], "output": str(out), "stages": stages}))


def _filled(out, plan, sources):
    """A store and locations for drawn sources."""
    rows: dict[str, list[dict]] = {stage: [] for stage in plan.tables}
    locations = [Location("missing", META, fault="source:missing")]
    for i, drawn in enumerate(sources):
        name = f"{i:032d}"
        locations += [Location(f"{i}-{k}.mp4", META, source_id=name) for k in range(drawn["places"])]
        facts = {"kind": "image" if drawn["image"] else "video", "fps": 8.0, "width": 8, "height": 8}
        facts |= {"stream_index": 0, "time_base": "1/8"}
        if drawn["probe"] != "missing":
            rows["probe"].append({"source_id": name, **(facts | DONE if drawn["probe"] == "ok" else BAD)})
        spans = [
            {
                "clip_id": f"{i}-{k}", "start_pts": 8 * k, "end_pts": 8 * k + 8, "start_s": k, "end_s": k + 1.0,
                "num_frames": 1 if drawn["image"] else 8, "too_short": c["short"],
            }
            for k, c in enumerate(drawn["clips"])
        ]  # fmt: skip
        if drawn["probe"] == "ok" and drawn["split"] != "missing":
            rows["split"].append({"source_id": name, **(DONE | {"clips": spans} if drawn["split"] == "ok" else BAD)})
        for k, c in enumerate(drawn["clips"]):
            for stage, key in (("motion", "m"), ("sharpness", "s")):
                if c[stage] != "missing":
                    value = DONE | {"score": c[key]} if c[stage] == "ok" else BAD
                    rows[stage].append({"clip_id": f"{i}-{k}", **value})
            for stage in ("content", "frames"):
                rows[stage].append({"clip_id": f"{i}-{k}", **DONE})
    store = Store(out)
    for stage, table in plan.tables.items():
        store.commit([store.write_part(table.name, schema.rows_to_table(rows[stage], table.schema))])
    return store, locations


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sources=st.lists(source, max_size=4))
def test_conservation_and_monotone_rules(tmp_path_factory, sources):
    out = tmp_path_factory.mktemp("ledger")
    plan = _plan(out)
    store, locations = _filled(out, plan, sources)
    ledger = build(plan, store, locations)
    rows = ledger.table.to_pylist()
    candidates = sum(len(s["clips"]) for s in sources if s["probe"] == "ok" and s["split"] == "ok")
    without = sum(1 for s in sources if not (s["probe"] == "ok" and s["split"] == "ok"))
    extra = sum(s["places"] - 1 for s in sources)
    assert len(rows) == candidates + without + extra + 1
    assert all(row["outcome"] in OUTCOMES for row in rows)
    assert sum(row["rows"] for row in funnel(ledger)) == len(rows)
    for row in rows:
        assert (row["outcome"] == "kept") == (row["reason"] == "")
        json.loads(row["evidence"])
    kept = {row["clip_id"] for row in rows if row["outcome"] == "kept"}
    for i, s in enumerate(sources):
        for k, c in enumerate(s["clips"]):
            passes = c["s"] >= 0.25 and c["s"] <= 0.75 and (s["image"] or c["m"] >= 0.5)
            measured = c["motion"] == c["sharpness"] == s["probe"] == s["split"] == "ok"
            assert (f"{i}-{k}" in kept) == (measured and passes and not c["short"])
    stricter = build(_plan(out, motion={"min": 0.8}), store, locations)
    assert {row["clip_id"] for row in stricter.table.to_pylist() if row["outcome"] == "kept"} <= kept


def test_a_missing_value_is_not_a_pass(tmp_path):
    plan = _plan(tmp_path, motion={"max": 0.9, "min": 0.1})
    store, _ = _filled(tmp_path, plan, [])
    rows = {"probe": [], "split": [], "motion": [], "sharpness": [], "content": [], "frames": []}
    name = "f" * 32
    facts = {"kind": "video", "fps": 8.0, "width": 8, "height": 8, "stream_index": 0, "time_base": "1/8"}
    span = {
        "clip_id": "c",
        "start_pts": 0,
        "end_pts": 8,
        "start_s": 0.0,
        "end_s": 1.0,
        "num_frames": 8,
        "too_short": False,
    }
    rows["probe"] = [{"source_id": name, **facts, **DONE}]
    rows["split"] = [{"source_id": name, "clips": [span], **DONE}]
    for stage in ("motion", "sharpness", "content", "frames"):
        rows[stage] = [{"clip_id": "c", **DONE}]  # ok, and without a score: a measurement that lost its number
    for stage, table in plan.tables.items():
        store.commit([store.write_part(table.name, schema.rows_to_table(rows[stage], table.schema))])
    ledger = build(plan, store, [Location("a.mp4", META, source_id=name)])
    assert ledger.clips["outcome"].to_pylist() == ["rejected"]


def test_the_ledger_opens_empty(tmp_path):
    plan = _plan(tmp_path)
    ledger = build(plan, Store(tmp_path), [])
    assert isinstance(ledger.table, pa.Table)
    assert ledger.table.num_rows == 0
    assert funnel(ledger) == []
