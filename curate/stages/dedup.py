"""Duplicates among the clips that passed the rules: a dataset-wide snapshot, written whole."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import schema
from curate.ledger import Ledger, with_duplicates
from curate.plan import HASH_STAGE, Plan
from curate.store import Store, align, ids_of, rows_digest

VERSION = 1


def deduplicated(plan: Plan, store: Store, ledger: Ledger, compute: bool) -> tuple[Ledger, bool]:
    """Join the duplicates of the present candidates into the ledger; tell whether they had to be computed.

    Without `compute` a snapshot that is not there leaves its candidates pending.
    """
    candidates = _candidates(plan, store, ledger)
    never = set(ledger.flagged) & ids_of(candidates, "clip_id")
    what = [VERSION, plan.dedup.model_dump(mode="json"), rows_digest(candidates, candidates.schema.names, "clip_id")]
    what += [sorted(never)] if never else []
    table = f"dedup-{plan.snapshot_key('dedup', what)}"
    fresh = not store.parts(table)
    if fresh and not compute:
        return ledger, False
    if fresh:
        from filters.dedup.cluster import find_duplicates

        rows: list[dict[str, Any]] = find_duplicates(candidates, plan.dedup, never).to_pylist()
        done = [{**row, "outcome": "ok", "reason": "", "detail": "", "attempts": 1, "seconds": 0.0} for row in rows]
        store.commit([store.write_part(table, schema.rows_to_table(done, schema.DEDUP))])
    return with_duplicates(ledger, plan, store, store.read(table, schema.DEDUP)), fresh


def _candidates(plan: Plan, store: Store, ledger: Ledger) -> pa.Table:
    """Clips that only the missing snapshot holds up, and those that a screen took out, whose like must not be kept.

    One that failed later is no candidate, so that it keeps nobody.
    """
    open_clips = ledger.clips.filter(pc.equal(ledger.clips["stage"], "dedup"))
    for stage in ("caption", "check", "latent"):
        if stage in plan.tables:
            failed = pc.equal(open_clips[f"{stage}.outcome"], "quarantined").fill_null(False)
            open_clips = open_clips.filter(pc.invert(failed))
    flagged = ledger.clips.filter(
        pc.is_in(ledger.clips["clip_id"], value_set=pa.array(sorted(ledger.flagged), pa.string()))
    )
    if HASH_STAGE in plan.scores:
        flagged = flagged.filter(pc.equal(flagged[f"{HASH_STAGE}.outcome"], "ok").fill_null(False))
    both = pa.concat_tables([table.select(list(schema.DEDUP_FACTS)) for table in (open_clips, flagged)])
    return candidates_of(plan, store, both)


def candidates_of(plan: Plan, store: Store, clips: pa.Table) -> pa.Table:
    """Clips (`schema.DEDUP_FACTS`) with everything that a duplicate is told by, out of the parts."""
    wanted = {"content": ["hash"]}
    if HASH_STAGE in plan.scores:
        wanted[HASH_STAGE] = [field.name for field in plan.scores[HASH_STAGE].fields]
    if "sharpness" in plan.scores:
        wanted["sharpness"] = [plan.scores["sharpness"].fields[0].name]
    for stage, names in wanted.items():
        table = plan.tables[stage]
        found = align(store.read(table.name, table.schema, ["clip_id", *names]), "clip_id", clips["clip_id"])
        for name in names:
            clips = clips.append_column(f"{stage}.{name}", found[name])
    if "sharpness" not in wanted:
        clips = clips.append_column("sharpness.score", pa.nulls(clips.num_rows, pa.float64()))
    return clips
