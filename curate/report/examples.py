"""Captions under the pictures of their clips, for a person to see whether they belong together."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.plan import Plan
from curate.report.proxies import strips
from curate.report.sheets import chosen
from curate.report.words import file_name
from curate.store import Store

SHOWN = 12
OWN = "original"
# What becomes of a caption with a fault, as a person says it.
_INSTEAD = "the short caption in its place"
DOES = {
    "accept": "used all the same",
    "fall_back": f"not used; {_INSTEAD}, if it is a dense one",
    "quarantine": "not used",
}

Row = dict[str, Any]


def examples(plan: Plan, store: Store, kept: pa.Table) -> list[Row]:
    """A few kept clips, the same while the clips are: every kind of caption under the pictures, with its faults."""
    kinds = plan.stages.caption.kinds if plan.stages.caption is not None else ()
    valid = [pc.is_valid(kept[f"caption.{kind}"]) for kind in (OWN, *kinds)]
    has = valid[0]
    for other in valid[1:]:
        has = pc.or_(has, other)
    rows = chosen(kept.filter(has), plan.spec.seed, SHOWN).to_pylist()
    pictures = strips(plan, store, [row["clip_id"] for row in rows])
    return [
        {
            "clip": row["clip_id"], "file": file_name(row["url"]), "strip": pictures.get(row["clip_id"]),
            "texts": [text for kind in (OWN, *kinds) if (text := _text(row, kind, plan))],
        }
        for row in rows
    ]  # fmt: skip


def _text(row: Row, kind: str, plan: Plan) -> Row | None:
    """A caption with its status; what becomes of one with faults is said where it was checked."""
    text, status = row[f"caption.{kind}"], row.get(f"caption.{kind}_status") or ""
    if text is None and not status:
        return None
    codes = row.get(f"check.{kind}") or ([status] if status not in ("", "ok") else [])
    does = _becomes(row, kind, plan) if codes and plan.stages.check is not None else ""
    return {"kind": kind, "text": text or "", "status": "" if codes else status, "faults": ", ".join(codes),
            "does": does}  # fmt: skip


def _becomes(row: Row, kind: str, plan: Plan) -> str:
    """What training does with a caption of this clip (decisions.good_captions)."""
    from captioner.checks import action

    check = plan.stages.check
    assert check is not None
    does = {name: action(row.get(f"check.{name}") or (), check.actions) for name in ("short", kind)}
    if does[kind] != "fall_back":
        return DOES[does[kind]]
    return _INSTEAD if kind != "short" and does["short"] == "accept" and row.get("caption.short") else "not used"
