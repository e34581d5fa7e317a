"""Contact sheets: a fixed, seeded choice of kept, rejected and duplicate clips, and the list of what is quarantined.

The choice is by a hash of seed and clip id, so it stays when other clips come and go. Clips that a safety screen
stopped, quarantined and sealed clips are named, never shown.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curate.ledger import Ledger
from curate.plan import HASH_STAGE, Plan
from curate.report.proxies import Strip, strips
from curate.report.words import count, evidence, file_name, place, rounded
from curate.spec import REQUIRED_CATEGORIES
from curate.store import Store

SHOWN = 24  # clips of a group: a screenful, about half a megabyte
PAIRS = 12  # duplicates, each beside its keeper
LISTED = 100  # rows of a list

Row = dict[str, Any]
_CLIP = ["clip_id", "url", "stage", "reason", "evidence", "start_s", "end_s", "width", "height", "kind"]


def sheets(plan: Plan, store: Store, ledger: Ledger) -> dict[str, Any]:
    """Cards of every group, with their pictures."""
    seed, rejected = plan.spec.seed, ledger.where("rejected")
    seen = rejected.filter(_may_be_shown(rejected, ledger.flagged))
    kept = _rows(plan, chosen(ledger.where("kept"), seed, SHOWN))
    shown = _rows(plan, by_reason(seen, seed, SHOWN))
    duplicates = _rows(plan, chosen(ledger.where("duplicate"), seed, PAIRS))
    keepers = {json.loads(row["evidence"]).get("keeper") for row in duplicates}
    beside = {row["clip_id"]: row for row in _rows(plan, _among(ledger.clips, keepers))}
    wanted = [row["clip_id"] for row in (*kept, *shown, *duplicates, *beside.values())]
    pictures = strips(plan, store, wanted)
    return {
        "kept": [_card(plan, row, pictures) for row in kept],
        "kept_of": ledger.where("kept").num_rows,
        "rejected": [_card(plan, row, pictures) for row in shown],
        "rejected_of": seen.num_rows,
        "unseen": _unseen(rejected, ledger.flagged),
        "duplicates": [_pair(plan, row, beside, pictures) for row in duplicates],
        "duplicates_of": ledger.where("duplicate").num_rows,
        "copies": _copies(ledger),
        "quarantined": _listed(ledger, "quarantined"),
    }


def _order(clip: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{clip}".encode()).digest()


def chosen(clips: pa.Table, seed: int, most: int) -> pa.Table:
    """The first clips in the order of a hash of seed and clip id."""
    names = clips["clip_id"].to_pylist()
    order = sorted(range(len(names)), key=lambda i: _order(names[i], seed))
    return clips.take(pa.array(order[:most], pa.int64()))


def by_reason(clips: pa.Table, seed: int, most: int) -> pa.Table:
    """A choice that takes one clip of each reason in turn, so that rare reasons are seen; grouped by reason."""
    names, reasons = clips["clip_id"].to_pylist(), clips["reason"].to_pylist()
    turns: Counter[str] = Counter()
    queue = []
    for i in sorted(range(len(names)), key=lambda i: _order(names[i], seed)):
        queue.append((turns[reasons[i]], reasons[i], i))
        turns[reasons[i]] += 1
    first = sorted(sorted(queue)[:most], key=lambda item: (item[1], item[0]))
    return clips.take(pa.array([i for _, _, i in first], pa.int64()))


def _may_be_shown(clips: pa.Table, flagged: Mapping[str, str]) -> pa.BooleanArray:
    """Clips that were measured and that no safety screen takes out, whatever else stopped them first."""
    rows = zip(*(clips[name].to_pylist() for name in ("clip_id", "too_short", "stage")), strict=True)
    return pa.array(
        [not short and stage not in REQUIRED_CATEGORIES and clip not in flagged for clip, short, stage in rows],
        pa.bool_(),
    )


def _rows(plan: Plan, clips: pa.Table) -> list[Row]:
    names = [name for name in (*_CLIP, *_scores(plan)) if name in clips.schema.names]
    return clips.select(names).to_pylist()


def _scores(plan: Plan) -> dict[str, str]:
    """First column of every score that is a number, with the name it is shown under."""
    numeric = (pa.types.is_floating, pa.types.is_integer)
    return {
        f"{name}.{score.fields[0].name}": name
        for name, score in plan.scores.items()
        if name != HASH_STAGE and any(test(score.fields[0].type) for test in numeric)
    }


def _among(clips: pa.Table, ids: set[str | None]) -> pa.Table:
    return clips.filter(pa.array([clip in ids for clip in clips["clip_id"].to_pylist()], pa.bool_()))


def _card(plan: Plan, row: Row, pictures: dict[str, Strip]) -> Row:
    """What a card says: picture, file, span, reason, scores."""
    strip = pictures.get(row["clip_id"])
    return {
        "clip": row["clip_id"],
        "file": file_name(row["url"]),
        "where": place(row["url"]),
        "span": "image" if row["kind"] == "image" else f"{row['start_s']:.2f}-{row['end_s']:.2f} s",
        "size": f"{row['width']}x{row['height']}",
        "reason": row["reason"],
        "evidence": evidence(row["evidence"]),
        "scores": [{"name": n, "value": rounded(row[c])} for c, n in _scores(plan).items() if row.get(c) is not None],
        "strip": strip,
        "ratio": f"{strip.width} / {strip.height}" if strip else "16 / 9",
    }


def _pair(plan: Plan, row: Row, beside: dict[str, Row], pictures: dict[str, Strip]) -> Row:
    facts = json.loads(row["evidence"])
    keeper = beside.get(facts.get("keeper"))
    # `via` is a member of the cluster that the clip resembles; it is worth a word when it is not the keeper.
    details = {name: value for name, value in facts.items() if name != "keeper" and value != facts.get("keeper")}
    return {
        "clip": _card(plan, row, pictures),
        "keeper": _card(plan, keeper, pictures) if keeper is not None else None,
        "evidence": evidence(json.dumps(details)),
        "reason": row["reason"],
    }


def _unseen(rejected: pa.Table, flagged: Mapping[str, str]) -> str:
    """Rejected clips that are not shown, and why."""
    short = sum(map(bool, rejected["too_short"].to_pylist()))
    screened = rejected.num_rows - short - sum(_may_be_shown(rejected, flagged).to_pylist())
    parts = {
        "below the minimum length (never measured, so there is no picture)": short,
        "stopped by a safety screen": screened,
    }
    return " and ".join(f"{count(n, 'clip')} {why}" for why, n in parts.items() if n)


def _with_outcome(rows: pa.Table, outcome: str) -> pa.Table:
    return rows.filter(pa.array([given == outcome for given in rows["outcome"].to_pylist()], pa.bool_()))


def _copies(ledger: Ledger) -> Row:
    """Files with the bytes of another one."""
    others = _with_outcome(ledger.others, "duplicate")
    rows = others.select(["url", "evidence"]).slice(0, LISTED).to_pylist()
    keepers = [json.loads(row["evidence"]).get("keeper_url") for row in rows]
    named = [{"file": place(r["url"]), "keeper": place(k)} for r, k in zip(rows, keepers, strict=True)]
    return {"rows": named, "of": others.num_rows}


def _listed(ledger: Ledger, outcome: str) -> Row:
    table = _with_outcome(ledger.table, outcome)
    rows = table.select(["url", "clip_id", "stage", "reason", "evidence"]).slice(0, LISTED).to_pylist()
    return {"of": table.num_rows, "rows": [
        {"file": place(r["url"]), "clip": r["clip_id"] or "", "stage": r["stage"], "reason": r["reason"],
         "evidence": evidence(r["evidence"])} for r in rows
    ]}  # fmt: skip
